"""What a run directory says about itself. Every file may be missing, cut off or edited by hand: the rest is still read,
and what could not be read is named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparring.errors import UsageError
from sparring.runs import document

MOST_POINTS = 150
"""Points of a curve: at twice as many, neighbours are averaged, which also calms the noise of small batches."""
MOST_ALARMS = 100
MOST_BACK = 20
"""Stretches that the run went back over, that are shown."""
LARGEST_PICTURE = 16 * 2**20
"""Bytes of a picture that is still put into the page."""


@dataclass(frozen=True)
class Curves:
    """Lines over images: by name, one value (or None) for each entry of `images`."""

    images: list[int] = field(default_factory=list)
    lines: dict[str, list[float | None]] = field(default_factory=dict)

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        """The same as (images, values), what is missing left out."""
        return [
            (images, {name: value for name, line in self.lines.items() if (value := line[k]) is not None})
            for k, images in enumerate(self.images)
        ]


@dataclass(frozen=True)
class Told:
    """An alarm of the log."""

    images: int
    code: str
    message: str


@dataclass(frozen=True)
class Back:
    """The run went back from image `since` to image `to`."""

    since: int
    to: int
    message: str


@dataclass
class Facts:
    """A run, as its files tell it."""

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    turns: Curves = field(default_factory=Curves)
    """What was paid; in a long run the means of neighbours."""
    probes: Curves = field(default_factory=Curves)
    """What was measured."""
    undone: list[tuple[Curves, Curves]] = field(default_factory=list)
    """Turns and probes of stretches that the run went back over."""
    backs: list[Back] = field(default_factory=list)
    rate: float | None = None
    """Images per second, the median over the log."""
    samples: list[tuple[int, Path]] = field(default_factory=list)
    """(images seen, picture), in order."""
    walk: Path | None = None
    game: Path | None = None
    """The game on the plane, as an animation."""
    alarms: list[Told] = field(default_factory=list)
    """What happened: files that broke, for example; the first hundred."""
    best: tuple[int, float, str] | None = None
    """(images, value, measure) of the checkpoint marked as the best one."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    neighbours: Path | None = None
    """A picture of samples beside their nearest training images."""
    nearest: list[tuple[str, str, float | None]] = field(default_factory=list)
    """(sample, name of a training image near it, distance), for each sample the nearest first."""
    troubles: list[str] = field(default_factory=list)
    """What could not be read, in plain words."""

    @property
    def seen(self) -> int:
        """Images seen, as far as the log goes."""
        return max([0, *self.turns.images[-1:], *self.probes.images[-1:]])

    @property
    def span(self) -> tuple[int, int]:
        """From where to where the curves go."""
        ends = [at for curves in (self.turns, self.probes) for at in (*curves.images[:1], *curves.images[-1:])]
        ends += [at for back in self.backs for at in (back.since, back.to)]
        return (min(ends), max(ends)) if ends else (0, 0)

    @property
    def unit(self) -> str:
        """What was trained on: "points" if the data have one axis, else "images"."""
        shape = self.said("data").get("shape")
        return "points" if isinstance(shape, list) and len(shape) == 1 else "images"

    def said(self, part: str) -> dict[str, Any]:
        """A part of recipe.yaml, such as "run"; empty where it is missing or no mapping."""
        found = self.recipe.get(part)
        return found if isinstance(found, dict) else {}


def read(run: Path) -> Facts:
    """The facts of the run in directory `run`."""
    facts = Facts(run.resolve().name)
    facts.recipe = _mapping(run / "recipe.yaml", lambda path: document.read(path).values, facts)
    facts.data = _mapping(run / "data.json", _json, facts)
    _read_log(run / "log.jsonl", facts)
    for path in sorted((run / "samples").glob("*.png")):
        if path.stem.isdecimal() and _fits(path, facts):
            facts.samples.append((int(path.stem), path))
    facts.samples.sort()
    facts.walk = _first((run / f"walk{suffix}" for suffix in (".gif", ".webp", ".png", ".apng")), facts)
    facts.game = _first([run / "game.gif"], facts)
    facts.best = _best(run / "checkpoints" / "best.json", facts)
    facts.evaluation = _mapping(run / "evaluation.json", _json, facts, optional=True)
    facts.neighbours = _first([run / "neighbours.png"], facts)
    found = _optional(run / "neighbours.json", facts)
    facts.nearest = _nearest(found if found is not None else facts.evaluation.get("neighbours"))
    return facts


def _first(paths: Iterator[Path] | list[Path], facts: Facts) -> Path | None:
    return next((path for path in paths if path.is_file() and _fits(path, facts)), None)


def _fits(path: Path, facts: Facts) -> bool:
    if 0 < path.stat().st_size <= LARGEST_PICTURE:
        return True
    facts.troubles.append(f"{path.name} is empty or too large to be shown")
    return False


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _mapping(path: Path, parse: Callable[[Path], Any], facts: Facts, *, optional: bool = False) -> dict[str, Any]:
    if not path.exists():
        if not optional:
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


def _optional(path: Path, facts: Facts) -> Any:
    """Of a file that need not be there: what it holds, or None."""
    if not path.exists():
        return None
    try:
        return _json(path)
    except (OSError, ValueError, RecursionError) as error:
        facts.troubles.append(f"{path.name} could not be read: {error}")
        return None


def _best(path: Path, facts: Facts) -> tuple[int, float, str] | None:
    found = _optional(path, facts)
    try:
        best = (int(found["images"]), float(found["value"]), str(found.get("measure", "")))
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None
    return best if math.isfinite(best[1]) else None


def _nearest(found: Any) -> list[tuple[str, str, float | None]]:
    """Pairs of a sample and its nearest training image; what is none is passed over."""
    if isinstance(found, dict):
        found = next((found[key] for key in ("neighbours", "pairs", "nearest") if key in found), None)
    pairs = []
    for k, pair in enumerate(found if isinstance(found, list) else ()):
        if isinstance(pair, dict) and "real" in pair:
            distance = pair.get("distance")
            number = float(distance) if isinstance(distance, (int, float)) and math.isfinite(distance) else None
            pairs.append((str(pair.get("fake", k)), str(pair["real"]), number))
    return pairs


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────

Row = tuple[int, dict[str, tuple[float, int]]]
"""Images seen; by name, the sum and the count of what was said up to there."""


class _Averaged:
    """Rows as they come. When there are twice too many, neighbours are averaged: any length fits into memory."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._group, self._waiting = 1, 0

    def add(self, images: int, values: Mapping[str, float]) -> None:
        if self._waiting == 0:
            self.rows.append((images, {}))
        sums = self.rows[-1][1]
        for name, value in values.items():
            if math.isfinite(value):
                total, count = sums.get(name, (0.0, 0))
                sums[name] = (total + value, count + 1)
        self.rows[-1] = (images, sums)
        self._waiting = (self._waiting + 1) % self._group
        if len(self.rows) >= 2 * MOST_POINTS and self._waiting == 0:
            self.rows = [_joined(self.rows[i], self.rows[i + 1]) for i in range(0, len(self.rows) - 1, 2)]
            self._group *= 2

    def back(self, images: int) -> list[Row]:
        """Forget what came after `images`; that."""
        undone = [row for row in self.rows if row[0] > images]
        self.rows = [row for row in self.rows if row[0] <= images]
        self._waiting = 0
        return undone


def _joined(a: Row, b: Row) -> Row:
    sums = dict(a[1])
    for name, (total, count) in b[1].items():
        before = sums.get(name, (0.0, 0))
        sums[name] = (before[0] + total, before[1] + count)
    return b[0], sums


def _curves(rows: list[Row]) -> Curves:
    names = dict.fromkeys(name for _, sums in rows for name in sums)
    lines: dict[str, list[float | None]] = {
        name: [sums[name][0] / sums[name][1] if name in sums else None for _, sums in rows] for name in names
    }
    return Curves([images for images, _ in rows], lines)


def _records(path: Path, facts: Facts) -> Iterator[tuple[dict[str, Any], int]]:
    """(record, images) of every line that is one of ours; others are counted, not believed."""
    strange = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    if record.get("event") == "alarm":
                        record["message"] = str(record["message"])
                    elif record.get("event") in ("turn", "probed"):
                        record["values"] = {str(k): float(v) for k, v in record["values"].items() if v is not None}
                        record["rate"] = float(record["rate"]) if record.get("rate") is not None else None
                    else:
                        continue
                    images = int(record["images"])
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                    # a last half line is being written, or was torn
                    strange += line.endswith("\n") and not line.isspace()
                    continue
                yield record, images
    except FileNotFoundError:
        facts.troubles.append(f"{path.name} is missing: nothing has been logged yet")
    except OSError as error:
        facts.troubles.append(f"{path.name} could not be read: {error}")
    if strange:
        facts.troubles.append(f"{strange} of the lines in {path.name} could not be read")


def _read_log(path: Path, facts: Facts) -> None:
    """Fill the curves. Where the run went back, what it had said of later images is undone."""
    turns, probes = _Averaged(), _Averaged()
    rates: list[float] = []
    last = reached = 0  # images of the last line, and of the last alarm, which may be further
    for record, images in _records(path, facts):
        alarm = record["event"] == "alarm"
        if record.get("code") == "ROLLBACK" if alarm else images < last:
            _undo(facts, turns, probes, Back(max(last, reached, images), images, record.get("message", "")))
            last = reached = images
        if alarm:
            reached = images
            if len(facts.alarms) < MOST_ALARMS:
                facts.alarms.append(Told(images, str(record.get("code", "")), record["message"]))
            continue
        last = images
        (turns if record["event"] == "turn" else probes).add(images, record["values"])
        if record["rate"] is not None and len(rates) < 10_000:
            rates.append(record["rate"])
    facts.turns, facts.probes = _curves(turns.rows), _curves(probes.rows)
    facts.rate = sorted(rates)[len(rates) // 2] if rates else None


def _undo(facts: Facts, turns: _Averaged, probes: _Averaged, back: Back) -> None:
    pieces = _curves(turns.back(back.to)), _curves(probes.back(back.to))
    facts.backs = [*facts.backs, back][-MOST_BACK:]
    facts.undone = [*facts.undone, pieces][-MOST_BACK:]
