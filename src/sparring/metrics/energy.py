"""The energy distance of two laws, from samples: for data without modes that could be counted.

𝓔(P, Q) = 2 E|X − Y| − E|X − X′| − E|Y − Y′| ≥ 0, and 0 only where P = Q (Székely and Rizzo 2013). In one dimension it
is 2 ∫ (F − G)² dx. Nothing has to be chosen, no width and no network, and it is in the units of the data.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CHUNK = 2**22  # distances at once: 32 MiB

Points = Tensor | NDArray[np.floating]


def energy_distance(x: Points, y: Points, *, within_y: float | None = None) -> float:
    """The unbiased estimate from samples (N, D) and (M, D), N and M at least 2: for equal laws 0 on average, so it may
    be a little negative. Sums are float64.

    within_y: `mean_distance(y)`, if it is known already.

    >>> energy_distance(torch.zeros(5, 2), torch.tensor([[3.0, 4.0]]).expand(7, 2))  # two points 5 apart
    10.0
    """
    inside = mean_distance(y) if within_y is None else within_y
    return 2 * mean_distance(x, y) - mean_distance(x) - inside


def mean_distance(x: Points, y: Points | None = None) -> float:
    """Mean of |x_i − y_j| over all pairs, or of |x_i − x_j| over pairs of different samples (i ≠ j).

    >>> mean_distance(torch.tensor([[0.0], [1.0], [2.0]])), mean_distance(torch.zeros(3, 1), torch.ones(2, 1))
    (1.333..., 1.0)
    """
    a = _points(x)
    b = a if y is None else _points(y).to(a.device)
    pairs = len(a) * len(b) if y is not None else len(a) * (len(a) - 1)
    if pairs < 1:
        raise ValueError(f"{len(a)} and {len(b)} samples are too few for a mean distance")
    step = max(1, _CHUNK // len(b))
    total = sum(float(_distances(a[i : i + step], b).sum()) for i in range(0, len(a), step))  # i = j adds 0
    return total / pairs


def _points(values: Points) -> Tensor:
    points = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, np.float64))
    return points.detach().double().reshape(len(points), -1)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) Euclidean distances, from differences: no cancellation far from the origin."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
