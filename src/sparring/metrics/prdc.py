"""Fidelity and variety apart: precision and recall, density and coverage.

A set of features stands for a manifold: the union of the balls around its samples that reach to their k-th nearest
neighbour. Precision: which fakes lie on the real manifold. Recall: which reals lie on the fake one (Kynkäänniemi et
al. 2019, "Improved precision and recall metric", k = 3). Density: in how many real balls a fake lies, by k. Coverage:
which real balls hold a fake (Naeem et al. 2020, "Reliable fidelity and diversity metrics", k = 5): neither is moved by
outliers as precision and recall are.

All of them depend on the number of samples: compare at equal n only. For equal laws coverage is about
1 − 2⁻ᵏ (0.97 at k = 5 and n = m), density 1, and precision and recall far below 1 in many dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.neighbours import kth_nearest, squared_distances
from sparring.metrics.uncertainty import Measured, bootstrap_mean, wilson


@dataclass(frozen=True)
class PrecisionRecall:
    """precision: share of fakes on the real manifold. recall: share of reals on the fake manifold. In [0, 1]."""

    precision: Measured
    recall: Measured


@dataclass(frozen=True)
class DensityCoverage:
    """density ≥ 0: mean number of real balls around a fake, by k. coverage in [0, 1]: share of real balls that hold a
    fake."""

    density: Measured
    coverage: Measured


@dataclass(frozen=True)
class PRDC:
    """All four. Intervals say how far the other draw of samples would move them with the balls as they are: Wilson's of
    a share, the bootstrap of a mean."""

    precision: Measured
    recall: Measured
    density: Measured
    coverage: Measured


def prdc(real: Tensor, fake: Tensor, k_manifold: int = 3, k_ball: int = 5, seed: int = 0) -> PRDC:
    """All four measures of real (n, d) and fake (m, d) from one pass over each set of distances; n, m > k.

    k_manifold: of precision and recall; k_ball: of density and coverage. A distance that equals the radius counts.

    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> same = prdc(x, x)
    >>> same.precision.value, same.recall.value, same.coverage.value
    (1.0, 1.0, 1.0)
    """
    radius_real, radius_ball = kth_nearest(real, k_manifold, k_ball)
    (radius_fake,) = kth_nearest(fake, k_manifold)
    found = _cross(real, fake, radius_real, radius_ball, radius_fake)
    on_real, on_fake, balls, covered = found
    return PRDC(
        precision=wilson(int(on_real.sum()), len(fake)),
        recall=wilson(int(on_fake.sum()), len(real)),
        density=bootstrap_mean(balls.double() / k_ball, seed=seed),
        coverage=wilson(int(covered.sum()), len(real)),
    )


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Kynkäänniemi et al. 2019: real (n, d), fake (m, d), n, m > k. `prdc` gives density and coverage with it."""
    found = prdc(real, fake, k, k)
    return PrecisionRecall(found.precision, found.recall)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5, seed: int = 0) -> DensityCoverage:
    """Naeem et al. 2020: real (n, d), fake (m, d), n > k. Cheaper than `prdc`: fakes are not compared with fakes."""
    (radius,) = kth_nearest(real, k)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    covered = []
    for rows, slab in squared_distances(real, fake):
        inside = slab <= radius[rows, None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
    share = wilson(int(torch.cat(covered).sum()), len(real))
    return DensityCoverage(bootstrap_mean(balls.double().cpu() / k, seed=seed), share)


def _cross(
    real: Tensor, fake: Tensor, radius_real: Tensor, radius_ball: Tensor, radius_fake: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(m,) whether a fake lies on the real manifold; (n,) whether a real lies on the fake one; (m,) in how many real
    balls a fake lies; (n,) whether a real ball holds a fake."""
    on_real = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    on_fake, covered = [], []
    for rows, slab in squared_distances(real, fake):
        on_real |= (slab <= radius_real[rows, None]).any(0)
        on_fake.append((slab <= radius_fake).any(1))
        inside = slab <= radius_ball[rows, None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
    return on_real.cpu(), torch.cat(on_fake).cpu(), balls.cpu(), torch.cat(covered).cpu()
