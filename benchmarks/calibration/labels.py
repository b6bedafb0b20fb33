"""From what was measured to what a run is called.

The bounds below were written down before a run was scored. Three rules were added after a first look at what the doctor
said of both halves, and are said again in the results: a run that was not fine for a while is not healthy, what is
learnt by heart is not called a collapse as well, and runs on fewer training images than the doctor needs are left out.

At a moment the averaged samples are one of STATES. A run has the outcome of its end: the state that its last two
moments share, or the worse one. It set in (`onset`) at the first moment of the unbroken bad end, but not before the
moment from which on every healthy run of the same ground is out of trouble, since a generator that has just begun looks
like one that has failed. What is learnt by heart is few images, and not called a collapse as well. A run is healthy if
it ends fine and was fine ever since healthy runs of its ground all are. What is neither is left out of the score, as is
a fault that is measured to have done something that is none of the outcomes (an average that stands still, classes
mixed up), and a run on fewer training images than the doctor needs to say anything of G.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Truth = Mapping[str, Mapping[str, float]]
"""What `truth.Truth` measured at a moment."""

STATES = ("fine", "between", "collapsed", "diverged", "constant", "not-finite")
"""From good to bad; from `collapsed` on it is a failure."""
BAD = STATES[2:]
HARD = STATES[3:]
LAST = 2
"""Moments at the end that an outcome is read from."""

# points: shares of modes, of samples near one, spread over the data's; images: see `truth.Truth._images`
NEAR_BAD, NEAR_FINE = 0.25, 0.5
MODES_BAD, MODES_FINE = 0.5, 0.8
SPREAD_LOW, SPREAD_HIGH = 1 / 3, 3.0
CONSTANT = 0.05
FD_BAD, FD_FINE, FD_TIMES = 1.0, 0.5, 2.0
TWINS_BAD, TWINS_FINE = 0.15, 0.06
VARIED_CONSTANT, VARIED_BAD = 0.01, 0.3
COPIES, NO_COPIES = 0.2, 0.05
SATURATED, NOT_SATURATED = 0.98, 0.95
SATURATED_LAST = 3


@dataclass(frozen=True)
class Label:
    """outcomes: name → the moment at which it set in; empty for a healthy run.   kept: whether the run is scored.
    why: for a run that is not."""

    outcomes: Mapping[str, int]
    kept: bool = True
    why: str = ""

    @property
    def healthy(self) -> bool:
        return self.kept and not self.outcomes


def state(values: Mapping[str, float], usual: float = FD_FINE) -> str:
    """What the samples of one moment are. usual: of an end, the Fréchet distance at which healthy runs of this ground
    end; images that are `FD_TIMES` as far away are not fine.

    >>> state({"finite": 1.0, "modes": 0.25, "near": 0.9, "spread": 1.0})
    'collapsed'
    """
    if not values.get("finite", 0.0):
        return "not-finite"
    return _points(values) if "modes" in values else _images(values, usual)


def _points(v: Mapping[str, float]) -> str:
    if v["spread"] < CONSTANT:
        return "constant"
    if v["near"] < NEAR_BAD or not SPREAD_LOW / 2 <= v["spread"] <= SPREAD_HIGH:
        return "diverged"
    if v["modes"] <= MODES_BAD:
        return "collapsed"
    fine = v["modes"] >= MODES_FINE and v["near"] >= NEAR_FINE
    return "fine" if fine else "between"


def _images(v: Mapping[str, float], usual: float) -> str:
    classes = v.get("classes", 1.0)
    if v["varied"] < VARIED_CONSTANT:
        return "constant"
    if v["twins"] >= TWINS_BAD or classes <= MODES_BAD or v["varied"] < VARIED_BAD:
        return "collapsed"
    if v["fd"] >= FD_BAD or not SPREAD_LOW <= v["spread"] <= SPREAD_HIGH:
        return "diverged"
    fine = v["fd"] <= min(FD_FINE, FD_TIMES * usual) and v["twins"] <= TWINS_FINE and classes >= MODES_FINE
    return "fine" if fine else "between"


def warm(healthy: Sequence[Sequence[Truth]]) -> int:
    """The moment from which on none of these runs is bad, if they end fine."""
    latest = 0
    for truths in healthy:
        states = [state(truth["ema"]) for truth in truths]
        if states and states[-1] == "fine":
            latest = max([latest, *(k + 1 for k, s in enumerate(states) if s in BAD)])
    return latest


def usual_distance(healthy: Sequence[Sequence[Truth]]) -> float:
    """The median Fréchet distance at the end of these runs."""
    ends = sorted(truths[-1]["ema"].get("fd", FD_FINE) for truths in healthy if truths)
    return ends[len(ends) // 2] if ends else FD_FINE


def settled(healthy: Sequence[Sequence[Truth]]) -> int:
    """The moment from which on all of these runs are fine, if they end fine."""
    latest = 0
    for truths in healthy:
        states = [state(truth["ema"]) for truth in truths]
        if states and states[-1] == "fine":
            latest = max([latest, *(k + 1 for k, s in enumerate(states) if s != "fine")])
    return latest


def label(
    truths: Sequence[Truth], ended: str, begin: int, usual: float = FD_FINE, soft: str = "", fine: int | None = None
) -> Label:
    """What a run is called.

    begin, usual, fine: the `warm`, `usual_distance` and `settled` of its ground.
    soft: what else its fault was measured to have done ("" for nothing).
    """
    if ended != "budget":
        return Label({"not-finite": len(truths)})
    outcomes: dict[str, int] = {}
    states = [state(truth["ema"]) for truth in truths]
    last = [state(truth["ema"], usual) for truth in truths[-LAST:]]
    if all(s in BAD for s in last):
        outcomes[min(last, key=STATES.index)] = onset([s in BAD for s in states], begin)
    copies = [truth["ema"].get("copies", 0.0) for truth in truths]
    if min(copies[-LAST:]) >= COPIES:
        outcomes.pop("collapsed", None)
        outcomes["memorising"] = onset([c >= COPIES for c in copies], 0)
    apart = [truth["d"].get("apart", 0.0) for truth in truths]
    if min(apart[-SATURATED_LAST:]) >= SATURATED:
        outcomes["d-saturated"] = onset([a >= SATURATED for a in apart], begin)
    if outcomes:
        return Label(outcomes)
    if soft:
        return Label({}, False, soft)
    if any(s != "fine" for s in last):
        return Label({}, False, f"ends {last[-1]}" if last[-1] != "fine" else "not fine for long")
    if any(s != "fine" for s in states[begin if fine is None else fine :]):
        return Label({}, False, "was not fine for a while")
    if max(copies[-LAST:]) >= NO_COPIES:
        return Label({}, False, "some copies")
    if max(apart[-SATURATED_LAST:]) >= NOT_SATURATED:
        return Label({}, False, "D nearly saturated")
    return Label({})


def onset(bad: Sequence[bool], begin: int) -> int:
    """The first moment of the unbroken bad end, not before `begin`.

    >>> onset([True, False, True, True], 0), onset([True, True], 1)
    (2, 1)
    """
    first = len(bad)
    while first > 0 and bad[first - 1]:
        first -= 1
    return max(first, begin)


def besides(fault: str, truths: Sequence[Truth], twins: Sequence[Sequence[Truth]]) -> str:
    """What a fault did that is none of the outcomes, measured at the end beside healthy runs of the same ground."""
    last, raw = truths[-1]["ema"], truths[-1].get("raw", {})

    def usual(name: str) -> float:
        values = sorted(truth[-1]["ema"].get(name, 0.0) for truth in twins if truth)
        return values[len(values) // 2] if values else 0.0

    if raw and state(raw) == "fine" and state(last) in BAD:
        return "the average is worse than the players"
    if "right" in last and last["right"] < 0.6 * usual("right"):
        return "classes are mixed up"
    if "least" in last and last["least"] < 0.25:
        return "a class has collapsed"
    if "fine" in last and last["fine"] > 3 * usual("fine"):
        return "a chequer"
    if "border" in last and last["border"] > usual("border") + 0.1:
        return "augmentation shows"
    return ""


def record(found: Label) -> dict[str, Any]:
    return {"outcomes": dict(found.outcomes), "kept": found.kept, **({"why": found.why} if found.why else {})}
