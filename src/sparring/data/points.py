"""Two-dimensional data whose truth is known: what a method gets wrong can be seen and counted.

Every point is a pure function of (seed, name, its number), through `sparring.chance`. The coordinates are divided by
their root mean square, computed in closed form, so that networks see unit scale; `scale` undoes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch is loaded only where points are made: looking at images does without
    from torch import Tensor

    from sparring.chance import Dice

NAMES = ("ring", "grid", "swissroll", "checkerboard", "dirac")
COUNT = 100_000  # training points, as in PacGAN (Lin et al. 2018, section 4.1)


@dataclass(frozen=True, eq=False)
class Points:
    """values: (N, D) float32 at unit scale.   `values · scale`: the coordinates of `modes` (K, D) and `spread` (the
    standard deviation of each mode); both None where there are no modes.   labels: (N,) the mode that each point was
    drawn from, where there are several."""

    values: NDArray[np.float32]
    scale: float
    modes: NDArray[np.float32] | None = None
    spread: float | None = None
    labels: NDArray[np.int64] | None = None


def make(name: str, *, count: int = COUNT, seed: int = 0, start: int = 0) -> Points:
    """`count` points of `name`, numbers start … start + count − 1.

    ring: 8 Gaussians on a circle of radius 1, σ = 0.01.  grid: 5 × 5 Gaussians 2 apart, σ = 0.05 (both: PacGAN).
    swissroll: a spiral of one and a half turns with noise.  checkerboard: the 8 dark fields of a 4 × 4 board.
    dirac: all mass at 0 in one dimension (Mescheder et al. 2018).

    >>> make("ring", count=4).values.shape
    (4, 2)
    """
    import torch

    from sparring.chance import Dice

    dice = Dice(seed=seed, purpose=f"points/{name}", samples=range(start, start + count))
    match name:
        case "ring":
            angle = 2 * math.pi * torch.arange(8) / 8
            return _mixture(torch.stack([torch.cos(angle), torch.sin(angle)], dim=1), 0.01, dice)
        case "grid":
            side = torch.arange(-4.0, 5.0, 2.0)
            return _mixture(torch.cartesian_prod(side, side), 0.05, dice)
        case "swissroll":
            return _swissroll(dice)
        case "checkerboard":
            return _checkerboard(dice)
        case "dirac":
            return Points(np.zeros((count, 1), np.float32), 1.0, np.zeros((1, 1), np.float32), 0.0)
    raise ValueError(f"no points called {name!r}; there are {', '.join(NAMES)}")


def _mixture(modes: Tensor, spread: float, dice: Dice) -> Points:
    """Equal Gaussians around `modes` (K, 2)."""
    labels = dice.of("mode").integers(len(modes))
    values = modes[labels] + spread * dice.of("noise").normal(modes.shape[1])
    scale = math.sqrt(float(modes.double().square().mean()) + spread**2)
    return Points((values / scale).numpy(), scale, modes.float().numpy(), spread, labels.numpy())


def _swissroll(dice: Dice) -> Points:
    """(t cos t, t sin t) for t uniform in [3π/2, 9π/2], plus normal noise of 0.5."""
    import torch

    low, high, noise = 1.5 * math.pi, 4.5 * math.pi, 0.5
    t = low + (high - low) * dice.of("angle").uniform().double()
    values = torch.stack([t * torch.cos(t), t * torch.sin(t)], dim=1) + noise * dice.of("noise").normal(2)
    mean_square = (high**3 - low**3) / (3 * (high - low))  # E t², half of it per coordinate
    scale = math.sqrt(mean_square / 2 + noise**2)
    return Points((values / scale).float().numpy(), scale)


def _checkerboard(dice: Dice) -> Points:
    """Uniform on the fields (i, j) of [−2, 2]² whose i + j is even."""
    import torch

    field = dice.of("field").integers(8)
    row, place = field // 2, field % 2
    corner = torch.stack([2 * place + row % 2, row], dim=1) - 2
    values = corner + dice.of("inside").uniform(2)
    scale = math.sqrt(4.0 / 3.0)  # the variance of a uniform coordinate in [−2, 2]
    return Points((values / scale).numpy(), scale)
