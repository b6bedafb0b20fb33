"""Which modes of a known mixture samples cover, how well, and how evenly (the protocol of PacGAN, Lin et al. 2018,
section 4.1, after VEEGAN, Srivastava et al. 2017).

A sample is of high quality when it lies within three standard deviations of its nearest mode. A perfect sampler of a
2-D mixture of far apart Gaussians has a share of 1 − e^(−9/2) = 98.89 % of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WITHIN = 3.0
"""Standard deviations around a mode within which a sample counts."""
_CHUNK = 2**22  # distances at once: 32 MiB


@dataclass(frozen=True, eq=False)
class Modes:
    """What N samples show of K modes.

    modes:          how many have at least one high-quality sample, 0 to K.
    high_quality:   share of the samples within 3 σ of a mode, in [0, 1].
    reverse_kl:     KL(q ‖ uniform) = Σ_k q_k log(K q_k) in nats, q the histogram of the high-quality samples over the
                    modes; 0 to log K. A perfect sampler has about (K − 1) / 2N. Without any high-quality sample it is
                    log K, the worst.
    smallest_share: K · min q: 1 where all modes have their share, 0 where one has nothing. "25 of 25" can hide that.
    counts:         (K,) high-quality samples of each mode.
    """

    modes: int
    high_quality: float
    reverse_kl: float
    smallest_share: float
    counts: NDArray[np.int64]

    def values(self) -> dict[str, float]:
        """The measures by name, as a log has them."""
        return {
            "modes": float(self.modes),
            "high_quality": self.high_quality,
            "reverse_kl": self.reverse_kl,
            "smallest_share": self.smallest_share,
        }


def modes(samples: Tensor | NDArray[np.floating], centres: Tensor | NDArray[np.floating], spread: float) -> Modes:
    """Compare samples (N, D) with the `centres` (K, D) of equal modes whose standard deviation is `spread`.

    All in the same units (those of the data: `Dataset.scale` times what a network makes). Distances are float64. A
    sample that is not finite is not of high quality.

    >>> modes(np.array([[0.0, 0.01], [1.0, 0.0], [0.5, 0.5]]), np.eye(2) * [[0], [1]] + [[0, 0], [1, -1]], 0.02).modes
    2
    """
    x, at = _points(samples), _points(centres)
    if x.shape[1] != at.shape[1] or not len(x) or not len(at):
        raise ValueError(f"samples {tuple(x.shape)} and centres {tuple(at.shape)} must be (N, D) and (K, D), not empty")
    distance, nearest = _nearest(x, at)
    near = nearest[distance <= WITHIN * spread]  # NaN is never near
    counts = torch.bincount(near, minlength=len(at)).cpu().numpy()
    return of_counts(counts, len(x))


def of_counts(counts: NDArray[np.int64], samples: int) -> Modes:
    """The measures from high-quality samples of each mode, (K,), among `samples` in all.

    >>> of_counts(np.array([30, 30, 30, 0]), 100).values()
    {'modes': 3.0, 'high_quality': 0.9, 'reverse_kl': 0.287..., 'smallest_share': 0.0}
    """
    good, k = int(counts.sum()), len(counts)
    if not good:
        return Modes(0, 0.0, math.log(k), 0.0, counts)
    q = counts / good
    kl = float(np.sum(q * np.log(np.where(q > 0, k * q, 1.0))))  # 0 · log 0 = 0
    return Modes(int((counts > 0).sum()), good / samples, max(0.0, kl), float(k * q.min()), counts)


def _points(values: Tensor | NDArray[np.floating]) -> Tensor:
    points = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, np.float64))
    return points.detach().double().reshape(len(points), -1)


def _nearest(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) distance to the nearest of `at`, and (N,) its number."""
    step = max(1, _CHUNK // max(1, len(at)))
    found = [_distances(x[i : i + step], at.to(x.device)).min(dim=1) for i in range(0, len(x), step)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) Euclidean distances, from differences: no cancellation far from the origin."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
