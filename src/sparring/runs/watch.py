"""What is measured while a run on points goes on: its data's truth is known, so what G gets wrong can be counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import Dataset
from sparring.metrics.energy import energy_distance, mean_distance
from sparring.metrics.modes import modes
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import Opinion, Samples, Turn

SAMPLES = 2500
"""Samples that are judged, as in PacGAN (Lin et al. 2018, section 4.1)."""

Values = Mapping[str, float]
Measure = Callable[[NDArray[Any]], Values]


class PointsWatch:
    """Judges the averaged players by `SAMPLES` samples of the seed of the run; those of its pictures are the first.

    At each of `moments` (images seen) it measures and decides nothing. Values that are not finite are left out.
    """

    def __init__(self, measure: Measure, moments: tuple[int, ...]) -> None:
        self.measure, self.moments = measure, moments
        self.looked = 0  # images seen at the last look

    def due(self, images: int) -> bool:
        """Whether a moment has come since the last look."""
        return any(self.looked < moment <= images for moment in self.moments)

    def hear(self, turn: Turn) -> None:
        """Nothing that is paid matters here."""

    def look(self, view: Match) -> Opinion:
        self.looked = view.images
        values = self.measure(sample_averaged(view, SAMPLES).numpy())
        return Opinion({name: value for name, value in values.items() if math.isfinite(value)})

    def state_dict(self) -> dict[str, Any]:
        return {"looked": self.looked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Runs from before there was a watch have no state: they are looked at at once."""
        self.looked = int(state.get("looked", 0))


def watch_of(dataset: Dataset, game: object, moments: tuple[int, ...]) -> PointsWatch | None:
    """The watch of a run on this data; None for images, and for a game that makes no samples."""
    if dataset.kind != "points" or not isinstance(game, Samples):
        return None
    return PointsWatch(measure_of(dataset), moments)


def measure_of(dataset: Dataset) -> Measure:
    """What samples (N, D) at unit scale are judged by: `metrics.modes` where there are modes with a spread, else the
    energy distance to as many held-out points (training points where too few are held out), in the units of the data.

    >>> from sparring.data import open_data
    >>> ring = open_data("ring")
    >>> sorted(measure_of(ring)(ring.train[:2500]))
    ['high_quality', 'modes', 'reverse_kl', 'smallest_share']
    """
    if dataset.modes is not None and dataset.spread:
        centres, spread = dataset.modes, dataset.spread
        return lambda samples: modes(samples.astype(np.float64) * dataset.scale, centres, spread).values()
    apart = dataset.held_out if len(dataset.held_out) >= SAMPLES else dataset.train
    real = apart[:SAMPLES].astype(np.float64) * dataset.scale
    within = mean_distance(real)

    def distance(samples: NDArray[Any]) -> Values:
        made = samples.astype(np.float64) * dataset.scale
        return {"energy_distance": energy_distance(made, real, within_y=within)}

    return distance
