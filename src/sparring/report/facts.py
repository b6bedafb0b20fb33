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
from sparring.runs.tail import MOST_POINTS, Back, Curves, Tail, Told

__all__ = ["MOST_POINTS", "Back", "Curves", "Facts", "Told", "read"]

LARGEST_PICTURE = 16 * 2**20
"""Bytes of a picture that is still put into the page."""


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


def read(run: Path, tail: Tail | None = None) -> Facts:
    """The facts of the run in directory `run`. tail: its log, as far as it was read already."""
    facts = Facts(run.resolve().name)
    facts.recipe = _mapping(run / "recipe.yaml", lambda path: document.read(path).values, facts)
    facts.data = _mapping(run / "data.json", _json, facts)
    _take_log(tail or Tail(run / "log.jsonl"), facts)
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


def _take_log(tail: Tail, facts: Facts) -> None:
    """Fill the curves with what a log says by now."""
    tail.catch_up()
    facts.turns, facts.probes = tail.turns.curves(), tail.probes.curves()
    facts.undone, facts.backs, facts.alarms, facts.rate = tail.undone, tail.backs, tail.alarms, tail.rate
    facts.troubles += tail.troubles
