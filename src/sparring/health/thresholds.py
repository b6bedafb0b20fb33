"""The numbers that verdicts depend on: read from thresholds.yaml, the only place where they stand."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("thresholds.yaml")
UNSCORED = ("code_unused", "codes_used", "nll_gap", "varied", "changed", "matched", "behind", "changed_unpaired")
"""Thresholds that no run of the calibration depends on."""
_LINE = re.compile(r"^(?P<name>[a-z_]+):\s*(?P<value>[-+0-9.eE]+)\s*#\s*\[(?P<unit>[^\]]+)\]\s*(?P<means>.+?)\s*$")


@dataclass(frozen=True)
class Thresholds:
    """Each is explained, with its unit, beside its value in thresholds.yaml."""

    warm_up_share: float
    warm_up_images: float
    warm_up_most: float
    probes: float
    probes_sure: float
    rising: float
    rising_least: float
    low_diversity: float
    collapse_diversity: float
    extreme: float
    alone_diversity: float
    fallen: float
    fallen_from: float
    late: float
    low_coverage: float
    collapse_coverage: float
    raw_diversity: float
    raw_coverage: float
    duplicates: float
    duplicates_times: float
    class_diversity: float
    class_shares: float
    class_rare: float
    d_wins: float
    d_saturated: float
    d_fooled: float
    d_gap: float
    starved: float
    starved_turns: float
    first_turns: float
    jump: float
    leap: float
    jumps: float
    recent_turns: float
    median_turns: float
    penalty_high: float
    penalty_low: float
    penalty_turns: float
    damage_share: float
    contrast_low: float
    contrast_high: float
    saturated: float
    constant: float
    dead: float
    lost_coverage: float
    checkerboard: float
    leak: float
    varied: float
    changed: float
    matched: float
    behind: float
    changed_unpaired: float
    code_unused: float
    nll_gap: float
    codes_used: float
    copies: float
    copies_hard: float
    few_images: float
    ema_lag: float
    ema_frozen: float
    noise: float
    worse: float
    much_worse: float
    plateau_window: float
    plateau_probes: float
    plateau_noise: float
    plateau_gain: float
    gain_unsure: float
    rollback_after: float

    def digest(self) -> str:
        """A hash of the values (comments may change freely): what a calibration was scored with. Those of games that
        translate do not count, of which the calibration has none."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if name not in UNSCORED}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Line:
    """One threshold as it stands in the file."""

    name: str
    value: float
    unit: str
    means: str


def lines(text: str) -> list[Line]:
    """Every threshold in the text of a thresholds.yaml; `ValueError` names a line that is none.

    >>> lines("# of the duel\\nd_wins: 0.98   # [share of pairs] above, D wins")
    [Line(name='d_wins', value=0.98, unit='share of pairs', means='above, D wins')]
    """
    found: list[Line] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"line {number} is not `name: value  # [unit] meaning`: {line}")
        found.append(Line(match["name"], float(match["value"]), match["unit"], match["means"]))
    return found


def read(path: Path = PATH) -> Thresholds:
    """The thresholds of a file; `ValueError` if one is missing, unknown or said twice."""
    found = lines(path.read_text(encoding="utf-8"))
    names = [line.name for line in found]
    known = [field.name for field in dataclasses.fields(Thresholds)]
    wrong = sorted({name for name in names if names.count(name) > 1} | set(names) ^ set(known))
    if wrong:
        raise ValueError(f"{path.name}: missing, unknown or said twice: {', '.join(wrong)}")
    return Thresholds(**{line.name: line.value for line in found})


@cache
def usual() -> Thresholds:
    """Those that the package comes with."""
    return read()


def changed(text: str, values: Mapping[str, float]) -> str:
    """The text of a thresholds.yaml with other values for some names, its comments as they were.

    >>> changed("d_wins: 0.98   # [share of pairs] above, D wins", {"d_wins": 0.97})
    'd_wins: 0.97   # [share of pairs] above, D wins'
    """
    left = set(values)
    written = []
    for line in text.splitlines(keepends=True):
        name = line.split(":", 1)[0]
        if name in left and _LINE.match(line.rstrip("\n")):
            before = re.match(r"^[a-z_]+:\s*[-+0-9.eE]+", line)
            assert before is not None
            new = f"{name}: {values[name]:.6g}"
            rest = line[before.end() :]
            spare = len(rest) - len(rest.lstrip(" "))
            rest = " " * max(1, spare - (len(new) - before.end())) + rest.lstrip(" ")
            line = new + rest
            left.discard(name)
        written.append(line)
    if left:
        raise ValueError(f"there is no threshold {', '.join(sorted(left))}")
    return "".join(written)
