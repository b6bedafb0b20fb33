"""A game on points, seen from above: what D thinks of every place, and where G is drawn there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.generate.sample import device_of
from sparring.types import Criticises, Landscape

CELLS, ARROWS, PAIRS = 96, 21, 12
"""Cells of the heat map and arrows of the field, each per side; real points that an arrow is averaged over."""
_CHUNK = 2**14  # points that D is asked about at once


@dataclass(frozen=True)
class Reading:
    """How s becomes a belief: σ(gain · (s − shift)).

    gain:    what makes the best D's answer the share of reals, to first order where p and q are close; None where s has
             no scale: then the map spreads over its colours, nine tenths of it within 10 … 90 %.
    centred: whether s has no zero, only differences: the shift is then its median over data and samples, else 0.
    """

    gain: float | None = 1.0
    centred: bool = False


@dataclass(frozen=True, eq=False)
class View:
    """A game seen from above, within [−extent, extent]².

    belief: (cells, cells) σ(gain · (s − shift)) at the middle of each cell; the first row is the lowest.
    shift:  0, or the median of s over data and samples where only differences mean something (`Reading`).
    places, pull: (A, 2) where the field was taken, and the field: E −∇ₓ of what G pays at each place.
    """

    extent: float
    belief: NDArray[np.float32]
    shift: float
    places: NDArray[np.float32]
    pull: NDArray[np.float32]


def lattice(extent: float, side: int) -> Tensor:
    """(side², 2) middles of the cells of a board over [−extent, extent]², row by row from the lowest.

    >>> lattice(1.0, 2).tolist()
    [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    """
    axis = extent * ((torch.arange(side) + 0.5) * (2 / side) - 1)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def view(
    game: Landscape, real: Tensor, samples: Tensor, extent: float, reading: Reading | None = None, *,
    cells: int = CELLS, places: Tensor | None = None,
) -> View:  # fmt: skip
    """Look at a game (in eval mode) over [−extent, extent]²; nothing of it changes. real, samples: (N, 2), (M, 2).
    Without a `reading` s is a logit, centred if the game is relativistic.

    places: (A, 2) where the field is taken; None: at the middles of ARROWS² cells, row by row from the lowest.
    """
    relative = isinstance(game, Criticises) and game.relative
    reading = Reading(centred=relative) if reading is None else reading
    modules = list(game.modules()) if isinstance(game, nn.Module) else []
    modes, device = [(module, module.training) for module in modules], device_of(game)
    for module in modules:
        module.training = False
    try:
        shift = 0.0
        if reading.centred:
            both = torch.cat([real[:500], samples[:500]]).to(device)
            shift = float(_score(game, both).median())
        apart = _score(game, lattice(extent, cells).to(device)) - shift
        belief = torch.sigmoid((_gain(apart) if reading.gain is None else reading.gain) * apart)
        places = lattice(extent, ARROWS) if places is None else places
        pull = _pull(game, places.to(device), real[: PAIRS if relative else 1].to(device))
    finally:
        for module, mode in modes:
            module.training = mode
    return View(extent, belief.view(cells, cells).numpy(), shift, places.numpy(), pull.numpy())


def _gain(apart: Tensor) -> float:
    """What takes nine tenths of |s − shift| to a belief within 10 … 90 %."""
    known = apart[apart.isfinite()].abs()
    reach = float(known.quantile(0.9)) if len(known) else 0.0
    return math.log(9) / reach if reach > 0 else 1.0


@torch.no_grad()
def _score(game: Landscape, x: Tensor) -> Tensor:
    parts = [game.score(x[i : i + _CHUNK]).float().cpu() for i in range(0, len(x), _CHUNK)]
    return torch.cat(parts)


def _pull(game: Landscape, places: Tensor, real: Tensor) -> Tensor:
    """(A, 2) the field at each place, on average over pairs with each of the `real` points (in a game of pairs)."""
    n, pairs = len(places), len(real)
    x, partner = places.repeat_interleave(pairs, dim=0), real.repeat(n, 1)
    parts = [game.pull(x[i : i + _CHUNK], partner[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK)]
    return torch.cat(parts).detach().float().view(n, pairs, -1).mean(dim=1).cpu()


def arrows(pull: NDArray[np.floating], longest: float) -> NDArray[np.float64]:
    """(A, 2) arrows with the directions of `pull` (A, 2), of length `longest` · √(strength / a strong one's), at most
    `longest`. A strong one is stronger than nine in ten. What is not finite has no arrow.

    >>> arrows(np.array([[4.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1.0).round(2).tolist()
    [[1.0, 0.0], [0.0, 0.54], [0.0, 0.0]]
    """
    field = np.where(np.isfinite(pull).all(axis=1, keepdims=True), pull, 0.0).astype(np.float64)
    strength = np.linalg.norm(field, axis=1, keepdims=True)
    strong = float(np.quantile(strength, 0.9)) or float(strength.max()) or 1.0
    length = longest * np.sqrt(np.minimum(strength / strong, 1.0))
    return field * (length / np.where(strength > 0, strength, 1.0))
