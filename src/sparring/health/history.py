"""What a run has said so far, asked the questions that rules ask: what is it now, since when, how did it compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from sparring.health.thresholds import Thresholds
from sparring.health.verdict import Context

Values = Mapping[str, float]
Row = tuple[int, Values]


@dataclass(frozen=True)
class Streak:
    """How many of the latest probes in a row show something, and at which image the first of them was.

    `asked` says how many are needed; 0 of them is no streak at all.
    """

    length: int
    since: int
    asked: int

    @property
    def begun(self) -> bool:
        return self.length > 0

    @property
    def confirmed(self) -> bool:
        return self.length >= self.asked


@dataclass(frozen=True)
class Score:
    """What a probe is scored by, lower is better: `name`, its value and its standard error (None: not known)."""

    name: str
    value: float
    error: float | None


@dataclass(frozen=True)
class Jump:
    """A value of the log that stands out: how many times the running median, where, and in how many recent lines."""

    name: str
    times: float
    images: int
    lines: int


@dataclass(frozen=True)
class History:
    """Probes and turns in order, with the context and the thresholds they are judged by.

    Values that are not finite are kept out of all that is compared; `broken` says where they were.
    """

    probes: tuple[Row, ...]
    turns: tuple[Row, ...]
    context: Context
    t: Thresholds

    @classmethod
    def of(cls, probes: Sequence[Row], turns: Sequence[Row], context: Context, t: Thresholds) -> History:
        return cls(tuple(sorted(probes, key=_images)), tuple(sorted(turns, key=_images)), context, t)

    # ── where we are ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def images(self) -> int:
        """Images seen at the last thing said."""
        return max((rows[-1][0] for rows in (self.probes, self.turns) if rows), default=0)

    @property
    def warm(self) -> float:
        """Images before which a generator is not judged by what it lacks."""
        t, planned = self.t, self.context.planned
        if planned <= 0:  # of samples that come from nowhere in particular nobody says that they are young
            return 0.0 if self.context.alone else t.warm_up_images
        return min(max(t.warm_up_share * planned, t.warm_up_images), t.warm_up_most * planned)

    def asked(self, probes: float) -> int:
        """How many probes in a row a sign must show in: all there can be where one look is all there is."""
        return 1 if self.context.alone else max(1, round(probes))

    # ── probes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def series(self, name: str) -> list[tuple[int, float]]:
        """(images, value) of every probe that measured it."""
        return [(images, values[name]) for images, values in self.probes if _finite(values.get(name))]

    def now(self, name: str) -> float | None:
        """The latest value, if the last probe measured it."""
        if not self.probes:
            return None
        value = self.probes[-1][1].get(name)
        return float(value) if value is not None and math.isfinite(value) else None

    def streak(self, shows: Callable[[int], bool | None], asked: float, *, warm: bool = True) -> Streak:
        """The latest probes in a row for which ``shows(index)`` holds; None (not measured) breaks nothing.

        warm: probes before the end of the warm-up show nothing.
        """
        length, since = 0, 0
        for index in reversed(range(len(self.probes))):
            images = self.probes[index][0]
            if warm and images < self.warm:
                break
            shown = shows(index)
            if shown is None:
                if length == 0 and index == len(self.probes) - 1:
                    break  # the last probe says nothing about it: no verdict on a missing signal
                continue
            if not shown:
                break
            length, since = length + 1, images
        return Streak(length, since, self.asked(asked))

    def shown(self, name: str, test: Callable[[float], bool], asked: float) -> Streak:
        """The streak of probes at which one signal passes a test."""

        def shows(index: int) -> bool | None:
            value = self.at(index, name)
            return None if value is None else test(value)

        return self.streak(shows, asked)

    def at(self, index: int, name: str) -> float | None:
        """A value of the probe `index`, if it was measured and is finite."""
        value = self.probes[index][1].get(name)
        return float(value) if value is not None and math.isfinite(value) else None

    def best_before(self, index: int, name: str) -> float | None:
        """The highest value before the probe `index`, the median of its neighbours' three where there are as many, so
        that one lucky probe is no standard."""
        values = [value for k in range(index) if (value := self.at(k, name)) is not None]
        if len(values) < 3:
            return max(values, default=None)
        return max(median(values[max(0, k - 1) : k + 2]) for k in range(len(values)))

    def rising(self, name: str, index: int) -> bool:
        """Whether a signal that should be high is on its way up at the probe `index`: well above its value some probes
        ago; of the first one the next tells. With nothing to compare with it may be, except where one look is all."""
        value = self.at(index, name)
        if value is None:
            return False
        earlier = [known for k in range(index) if (known := self.at(k, name)) is not None]
        if earlier:
            return self._above(value, earlier[-min(len(earlier), round(self.t.probes))])
        later = (known for k in range(index + 1, len(self.probes)) if (known := self.at(k, name)) is not None)
        following = next(later, None)
        return self._above(following, value) if following is not None else not self.context.alone

    def _above(self, value: float, other: float) -> bool:
        return value > other + max(self.t.rising * other, self.t.rising_least)

    def risen(self, name: str, since: int, until: int) -> bool:
        """Whether a signal is well above what it was at an earlier probe."""
        was, now = self.at(since, name), self.at(until, name)
        return was is not None and now is not None and self._above(now, was)

    # ── the score ────────────────────────────────────────────────────────────────────────────────────────────────

    def score(self, index: int) -> Score | None:
        """What the probe `index` is scored by: KID, the distance of pairs, the energy distance of points, the errors of
        what says classes."""
        value, name = self.at(index, self._scored_by), self._scored_by
        if value is None:
            return None
        if name == "accuracy":
            n = max(1, self.context.held_out)
            return Score("errors", 1 - value, math.sqrt(max(value * (1 - value), 0.25 / n) / n))
        if name == "retrieval":
            return Score("captions_not_found", 1 - value, None)
        if name == "pixel_accuracy":
            return Score("wrong_pixels", 1 - value, None)
        return Score(name, value, self.at(index, f"{name}_se"))

    @cached_property
    def _scored_by(self) -> str:
        """One score for the whole run: the one most probes have."""
        names = ("accuracy", "pixel_accuracy", "retrieval", "energy_distance", "pair_distance", "kid")
        counts = {name: len(self.series(name)) for name in names}
        return max(counts, key=lambda name: counts[name])

    @cached_property
    def scores(self) -> list[tuple[int, Score]]:
        """(index of the probe, score) of every probe that has one."""
        found = ((index, self.score(index)) for index in range(len(self.probes)))
        return [(index, score) for index, score in found if score is not None]

    def best_score(self, before: int | None = None) -> tuple[int, Score] | None:
        """(index, score) of the best probe, of those before the probe `before`."""
        known = [(index, score) for index, score in self.scores if before is None or index < before]
        return min(known, key=lambda pair: pair[1].value, default=None)

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, name: str) -> list[tuple[int, float]]:
        """(images, value) of every line of the log that has it."""
        return [(images, values[name]) for images, values in self.turns if _finite(values.get(name))]

    @cached_property
    def recently(self) -> int:
        """Where the time begins in which damage is blamed on a jump: a share of the plan ago, or two probes ago."""
        ago = self.images - round(self.t.damage_share * self.context.planned)
        two = self.probes[-2][0] if len(self.probes) > 1 else ago
        return max(0, min(ago, max(two, self.images - round(self.t.warm_up_most * self.context.planned))))

    def jump(self, name: str, times: float) -> Jump | None:
        """Whether `jumps` of the recent lines lie above `times` the median of the lines before them."""
        rows, t = self.heard(name), self.t
        recent = max(sum(images > self.recently for images, _ in rows), min(len(rows), round(t.recent_turns)))
        before = [value for _, value in rows[: len(rows) - recent]][-round(t.median_turns) :]
        if len(before) < 2 * t.recent_turns or (usual := median(before)) <= 0:
            return None
        over = [(value / usual, images) for images, value in rows[len(rows) - recent :] if value > times * usual]
        if len(over) < t.jumps:
            return None
        return Jump(name, max(over)[0], min(images for _, images in over), len(over))

    @cached_property
    def broken(self) -> list[tuple[int, str]]:
        """(images, name) of every value that is NaN or infinite."""
        return [
            (images, name)
            for rows in (self.turns, self.probes)
            for images, values in rows
            for name, value in values.items()
            if not math.isfinite(value)
        ]


def _images(row: Row) -> int:
    return row[0]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
