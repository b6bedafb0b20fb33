"""What is seen of a cell while it is played: samples of every seed, measured at a few moments."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from sparring.runs.compare.measures import GLIMPSE, POINTS, Judge
from sparring.train.loop import sample
from sparring.train.match import Match
from sparring.types import Opinion, Turn, Watch

PROBES = {"points": 20, "images": 8}
"""Measures on the way, evenly in images seen; the last one is at the end. Judging images takes time of its own."""


class Prober(Watch):
    """Measures the averaged generators at its moments; what it measured is saved with the match."""

    def __init__(self, kind: str, judge: Judge, total: int) -> None:
        self.judge, self.total = judge, total
        self.samples = POINTS if kind == "points" else GLIMPSE
        probes = PROBES[kind]
        self.moments = [round(total * k / probes) for k in range(1, probes + 1)]
        self.curve: list[dict[str, Any]] = []
        self.initial: list[dict[str, str]] = []
        self.last: dict[str, Any] = {}
        self.failed: list[int] = []
        self._spent = 0.0  # seconds of play before this process
        self._probing = 0.0
        self._began = time.perf_counter()

    def start(self) -> None:
        """The clock of the play begins."""
        self._began, self._probing = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Of play, without the time that probes took."""
        return self._spent + time.perf_counter() - self._began - self._probing

    def due(self, images: int) -> bool:
        seen = self.curve[-1]["images"] if self.curve else -1
        return any(seen < moment <= images for moment in self.moments)

    def hear(self, turn: Turn) -> None:
        """Nothing that is paid matters here."""

    def look(self, view: Match) -> Opinion:
        began = time.perf_counter()
        values = measured(view, self.judge, self.samples)
        main = self.judge.main.name
        self.curve.append({"images": view.images, "values": [value[main] for value in values]})
        self._probing += time.perf_counter() - began
        return Opinion({})

    def state_dict(self) -> dict[str, Any]:
        return {"curve": self.curve, "initial": self.initial, "seconds": self.seconds, "last": finite(self.last)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curve, self.initial, self.last = list(state["curve"]), list(state["initial"]), dict(state["last"])
        self._spent = float(state["seconds"])


def draw(match: Match, count: int, *, averaged: bool = True) -> Tensor:
    """(S, count, …) on the CPU: `count` samples of every seed, from latents that depend on its seed alone."""
    together = match.members is not None
    with match.averages.applied() if averaged else nullcontext():
        samples = sample(match, count, piece=POINTS if together else 250)
    return samples if together else samples[None]


def measured(match: Match, judge: Judge, count: int, *, averaged: bool = True) -> list[dict[str, float | None]]:
    """The judge's measures of every seed."""
    return [judge(samples) for samples in draw(match, count, averaged=averaged)]


def finite(value: Any) -> Any:
    """`value` for JSON, which knows neither NaN nor infinities: they become null."""
    if isinstance(value, Mapping):
        return {str(key): finite(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
