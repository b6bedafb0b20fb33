"""What a run directory says about itself. Every file may be missing, cut off or edited by hand: the rest is still read,
and what could not be read is named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparring.errors import UsageError
from sparring.runs import document

MOST_POINTS = 150
"""Points of a curve: at twice as many, neighbours are averaged, which also calms the noise of small batches."""
MOST_ALARMS = 100
LARGEST_PICTURE = 16 * 2**20
"""Bytes of a picture that is still put into the page."""


@dataclass
class Facts:
    """A run, as its files tell it."""

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    images: list[int] = field(default_factory=list)
    """Where the curves have points, in images seen."""
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    """By name, one value (or None) for each entry of `images`."""
    rate: float | None = None
    """Images per second, the median over the log."""
    samples: list[tuple[int, Path]] = field(default_factory=list)
    """(images seen, picture), in order."""
    walk: Path | None = None
    game: Path | None = None
    """The game on the plane, as an animation."""
    alarms: list[tuple[int, str]] = field(default_factory=list)
    """(images seen, what happened): files that broke, for example; the first hundred."""
    troubles: list[str] = field(default_factory=list)
    """What could not be read, in plain words."""


def read(run: Path) -> Facts:
    """The facts of the run in directory `run`."""
    facts = Facts(run.resolve().name)
    facts.recipe = _mapping(run / "recipe.yaml", lambda path: document.read(path).values, facts)
    facts.data = _mapping(run / "data.json", lambda path: json.loads(path.read_text("utf-8")), facts)
    _read_log(run / "log.jsonl", facts)
    for path in sorted((run / "samples").glob("*.png")):
        if path.stem.isdecimal() and _fits(path, facts):
            facts.samples.append((int(path.stem), path))
    facts.samples.sort()
    walks = (run / f"walk{suffix}" for suffix in (".gif", ".webp", ".png", ".apng"))
    facts.walk = next((path for path in walks if path.is_file() and _fits(path, facts)), None)
    film = run / "game.gif"
    facts.game = film if film.is_file() and _fits(film, facts) else None
    return facts


def _fits(path: Path, facts: Facts) -> bool:
    if 0 < path.stat().st_size <= LARGEST_PICTURE:
        return True
    facts.troubles.append(f"{path.name} is empty or too large to be shown")
    return False


def _mapping(path: Path, parse: Callable[[Path], Any], facts: Facts) -> dict[str, Any]:
    if not path.exists():
        facts.troubles.append(f"{path.name} is missing")
        return {}
    try:
        found = parse(path)
    except (OSError, ValueError, RecursionError, UsageError) as error:
        why = (error.why or error.what) if isinstance(error, UsageError) else str(error)
        facts.troubles.append(f"{path.name} could not be read: {why.splitlines()[0]}")
        return {}
    if not isinstance(found, dict):
        facts.troubles.append(f"{path.name} does not hold a mapping")
        return {}
    return found


def _turns(path: Path, facts: Facts) -> Iterator[tuple[int, dict[str, float], float | None]]:
    """(images, values, rate) of every `Turn` in the log; lines that are none of ours are counted, not believed."""
    strange = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    if record.get("event") == "alarm" and len(facts.alarms) < MOST_ALARMS:
                        facts.alarms.append((int(record["images"]), str(record["message"])))
                    if record.get("event") not in ("turn", "probed"):
                        continue
                    values = {str(k): float(v) for k, v in record["values"].items() if v is not None}
                    rate = record.get("rate")
                    yield int(record["images"]), values, float(rate) if rate is not None else None
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    strange += (
                        line.endswith("\n") and not line.isspace()
                    )  # a last half line is being written, or was torn
    except FileNotFoundError:
        facts.troubles.append(f"{path.name} is missing: nothing has been logged yet")
    except OSError as error:
        facts.troubles.append(f"{path.name} could not be read: {error}")
    if strange:
        facts.troubles.append(f"{strange} of the lines in {path.name} could not be read")


def _read_log(path: Path, facts: Facts) -> None:
    """Fill the curves. When there are twice too many points, neighbours are averaged: any length fits into memory."""
    rows: list[tuple[int, dict[str, tuple[float, int]]]] = []  # images, name → (sum, count)
    rates: list[float] = []
    group, waiting = 1, 0
    for images, values, rate in _turns(path, facts):
        if rate is not None and len(rates) < 10_000:
            rates.append(rate)
        if waiting == 0:
            rows.append((images, {}))
        sums = rows[-1][1]
        for name, value in values.items():
            if math.isfinite(value):
                total, count = sums.get(name, (0.0, 0))
                sums[name] = (total + value, count + 1)
        rows[-1] = (images, sums)
        waiting = (waiting + 1) % group
        if len(rows) >= 2 * MOST_POINTS and waiting == 0:
            rows = [_joined(rows[i], rows[i + 1]) for i in range(0, len(rows) - 1, 2)]
            group *= 2
    facts.images = [images for images, _ in rows]
    names = dict.fromkeys(name for _, sums in rows for name in sums)
    for name in names:
        facts.curves[name] = [sums[name][0] / sums[name][1] if name in sums else None for _, sums in rows]
    facts.rate = sorted(rates)[len(rates) // 2] if rates else None


Row = tuple[int, dict[str, tuple[float, int]]]


def _joined(a: Row, b: Row) -> Row:
    sums = dict(a[1])
    for name, (total, count) in b[1].items():
        before = sums.get(name, (0.0, 0))
        sums[name] = (before[0] + total, before[1] + count)
    return b[0], sums
