"""What is seen of a playground at a moment: D's belief, the field, G's samples, what is measured, and words for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import Dataset
from sparring.generate.landscape import arrows, lattice, view
from sparring.metrics.energy import energy_distance
from sparring.metrics.modes import WITHIN, modes
from sparring.runs.board import equilibrium, reading
from sparring.runs.playground.table import Playground
from sparring.runs.playground.words import WEAK, Sight, sentences
from sparring.types import Landscape

CELLS = 64
"""Cells of the heat map per side."""
SIDE, FEW = 17, 80
"""Arrows per side of the plane; samples that have an arrow of their own."""
NEAR = 0.2
"""A sample is near a mode within this share of the distance from one mode to the next."""
_MARGIN = 1.3  # of the plane around the data


@dataclass(frozen=True, eq=False)
class Scene:
    """belief: (CELLS, CELLS), the first row is the lowest.   samples: (N, 2) at unit scale.
    places, arrows: (A, 2) of the field, drawn with their tails at `places`; `strong` is |−∇ₓ| of what G pays that one
    of the longest stands for (nine in ten are weaker); where that is next to nothing, all of them are short.
    measured: on these samples.   said: what is seen, in sentences.
    """

    belief: NDArray[np.float32]
    samples: NDArray[np.float32]
    places: NDArray[np.float32]
    arrows: NDArray[np.float64]
    strong: float
    measured: dict[str, float]
    said: tuple[str, ...]


def extent(table: Playground) -> float:
    """Half the side of the plane that is looked at, at unit scale."""
    return _MARGIN * float(table.real().abs().max())


def scene(table: Playground, *, field: str = "plane", averaged: bool = False) -> Scene:
    """Look; nothing of the game changes. field: where the arrows stand: "plane", "samples" or "none".
    averaged: the samples are those of G's average."""
    edge, real, made = extent(table), table.real(), table.samples(averaged=averaged)
    inside = made.nan_to_num(0.0, 2 * edge, -2 * edge)
    few = inside[:FEW]
    places = {"plane": lattice(edge, SIDE), "samples": few}.get(field, few[:0])
    seen = view(
        table.game, real, inside, edge, reading(table.game), cells=CELLS, places=torch.cat([places, few])
    )  # fmt: skip
    pull = seen.pull[: len(places)]
    strength = np.nan_to_num(np.linalg.norm(seen.pull, axis=1))
    strong = float(np.quantile(strength[: len(places)], 0.9)) if len(pull) else 0.0
    longest = 0.92 * 2 * edge / SIDE * min(1.0, (strong / WEAK) ** 0.5)
    measured = measure(table.dataset, made)
    sight = Sight(
        measured=measured, modes=modes_of(table.dataset), right=ranked(table.game, real, inside),
        strength=float(np.median(strength[len(places) :])), round=table.match.round, collapsed=table.collapsed,
        trouble=table.trouble,
    )  # fmt: skip
    return Scene(
        belief=np.nan_to_num(seen.belief, nan=0.5),
        samples=made.numpy(),
        places=places.numpy(),
        arrows=arrows(pull, longest) if len(pull) else np.zeros((0, 2)),
        strong=strong,
        measured=measured,
        said=sentences(sight),
    )


def modes_of(dataset: Dataset) -> int:
    """How many the data has that can be counted."""
    return len(dataset.modes) if dataset.modes is not None and dataset.spread else 0


def measure(dataset: Dataset, made: Tensor) -> dict[str, float]:
    """Of samples (N, 2) at unit scale. Where there are modes: "modes", how many have a sample near them (`NEAR`);
    "near", the share of such samples; "top" and "least", what the modes with the most and the fewest have of them, 1
    being their fair share; "high_quality", the share within 3 σ of a mode. Else "energy_distance" to as many points
    of the data, at unit scale."""
    if not modes_of(dataset):
        real = torch.from_numpy(dataset.train[: len(made)].copy())
        return {"energy_distance": energy_distance(made, real) if bool(made.isfinite().all()) else float("inf")}
    assert dataset.modes is not None and dataset.spread is not None
    points = made.numpy().astype(np.float64) * dataset.scale
    wide, narrow = modes(points, dataset.modes, radius(dataset) / WITHIN), modes(points, dataset.modes, dataset.spread)
    fair = max(1, wide.counts.sum()) / len(wide.counts)
    return {
        "modes": float(wide.modes),
        "near": wide.high_quality,
        "top": float(wide.counts.max() / fair),
        "least": float(wide.counts.min() / fair),
        "high_quality": narrow.high_quality,
    }


def radius(dataset: Dataset) -> float:
    """Within which a sample is near a mode, in the units of the data."""
    assert dataset.modes is not None
    apart = np.linalg.norm(dataset.modes[:, None] - dataset.modes[None], axis=-1)
    return NEAR * float(np.sort(apart, axis=1)[:, 1].min())


@torch.no_grad()
def ranked(game: Landscape, real: Tensor, made: Tensor) -> float:
    """How often D, shown a real and a generated point, finds the real one: in [0, 1], 0.5 by chance, over all pairs of
    real (N, 2) and made (M, 2). It needs no zero of s, so that it means the same in every game."""
    s, t = game.score(real)[:, None], game.score(made)[None]
    return float((s > t).float().mean() + 0.5 * (s == t).float().mean())


def costs(table: Playground) -> dict[str, float]:
    """What each player pays at the equilibrium, where it is known."""
    return equilibrium(table.game)
