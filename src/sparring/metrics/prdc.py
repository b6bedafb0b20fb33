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

from sparring.chance import permutation
from sparring.metrics.neighbours import Neighbours, squared_distances
from sparring.metrics.uncertainty import GROUPS, Measured, by_groups


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
    """All four, as above."""

    precision: Measured
    recall: Measured
    density: Measured
    coverage: Measured


def prdc(real: Tensor, fake: Tensor, k_manifold: int = 3, k_ball: int = 5, seed: int = 0) -> PRDC:
    """All four measures of real (n, d) and fake (m, d), n, m > k, from one pass over each set of distances.

    k_manifold: of precision and recall; k_ball: of density and coverage. A distance that equals the radius counts.

    Samples are not independent here: one real sample more changes the balls around others. So the intervals are of a
    jackknife that leaves out a tenth of the reals, then of the fakes, at a time, balls included. They say how far other
    samples of the same laws would move the value at this n and m.

    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> same = prdc(x, x)
    >>> same.precision.value, same.recall.value, same.coverage.value
    (1.0, 1.0, 1.0)
    """
    n, m, count = len(real), len(fake), min(GROUPS, len(real), len(fake))
    group_real, group_fake = _ordered(n, count), _ordered(m, count)
    real, fake = (x[permutation(seed, f"prdc/{s}", 0, len(x))] for x, s in ((real, "real"), (fake, "fake")))
    near_real, near_fake = Neighbours(real, max(k_manifold, k_ball)), Neighbours(fake, k_manifold)

    def radii(near: Neighbours, k: int, group: Tensor) -> list[Tensor]:
        return [near.radius_without(k, group.to(near.which.device), out) for out in range(count)] + [near.radius(k)]

    cross = _Cross(n, m, group_fake, count)
    manifold, balls = radii(near_real, k_manifold, group_real), radii(near_real, k_ball, group_real)
    of_fake = radii(near_fake, k_manifold, group_fake)
    for rows, slab in squared_distances(real, fake):
        cross.see(rows, slab, manifold, balls, of_fake)

    def without(shares: Tensor, group: Tensor) -> list[float]:
        """The mean of shares, one per sample, over all but one group."""
        return [float(shares[group != out].double().mean()) for out in range(count)]

    def means(shares: Tensor) -> list[float]:
        """The mean over all samples of what the other side's sample gives without one of its groups, (count, ·)."""
        return shares[:count].double().mean(1).tolist()

    covered = [float(cross.covered[out][group_real != out].double().mean()) for out in range(count)]
    # a ball holds a fake that is not of the group `out`
    held = [float((cross.held.sum(0) - cross.held[out] > 0).double().mean()) for out in range(count)]
    dense = [balls / (k_ball * m) for balls in cross.inside]
    return PRDC(
        by_groups(_mean(cross.on_real[-1]), means(cross.on_real), without(cross.on_real[-1], group_fake), trials=m),
        by_groups(_mean(cross.on_fake[-1]), means(cross.on_fake), without(cross.on_fake[-1], group_real), trials=n),
        by_groups(dense[-1], dense[:count], without(cross.balls / k_ball, group_fake)),
        by_groups(_mean(cross.covered[-1]), covered, held, trials=n),
    )


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Kynkäänniemi et al. 2019: real (n, d), fake (m, d), n, m > k. `prdc` gives density and coverage with it."""
    found = prdc(real, fake, k, k)
    return PrecisionRecall(found.precision, found.recall)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> DensityCoverage:
    """Naeem et al. 2020: real (n, d), fake (m, d), n, m > k. `prdc` gives precision and recall with it."""
    found = prdc(real, fake, k, k)
    return DensityCoverage(found.density, found.coverage)


class _Cross:
    """What the distances from reals (n) to fakes (m) say: with all samples (at the place `count`) and, at the places
    before it, with each group left out of the side whose balls are asked."""

    def __init__(self, n: int, m: int, group_fake: Tensor, count: int) -> None:
        self.count = count
        self.sizes = torch.bincount(group_fake, minlength=count).tolist()
        self.on_real = torch.zeros(count + 1, m, dtype=torch.bool)  # is a fake on the manifold of reals
        self.on_fake = torch.zeros(count + 1, n, dtype=torch.bool)  # is a real on the manifold of fakes
        self.covered = torch.zeros(count + 1, n, dtype=torch.bool)  # does a real ball hold a fake
        self.held = torch.zeros(count, n, dtype=torch.int64)  # does it hold one of this group of fakes
        self.inside = [0] * (count + 1)  # pairs of a fake in a real ball
        self.balls = torch.zeros(m, dtype=torch.int64)  # in how many balls a fake is

    def see(
        self, rows: slice, slab: Tensor, manifold: list[Tensor], balls: list[Tensor], of_fake: list[Tensor]
    ) -> None:
        """slab: (rows, m) squared distances; the radii of all samples, squared, once for every group left out."""
        for out in range(self.count + 1):
            self.on_real[out] |= (slab <= manifold[out][rows, None]).any(0).cpu()
            self.on_fake[out, rows] = (slab <= of_fake[out]).any(1).cpu()
            inside = slab <= balls[out][rows, None]
            self.covered[out, rows] = inside.any(1).cpu()
            self.inside[out] += int(inside.count_nonzero())
        self.balls += inside.sum(0).cpu()
        for group, columns in enumerate(torch.split(inside, self.sizes, dim=1)):
            self.held[group, rows] = columns.any(1).long().cpu()


def _ordered(n: int, count: int) -> Tensor:
    """(n,) groups one after the other, as equal as can be: of samples that were shuffled."""
    return torch.arange(n) * count // n


def _mean(which: Tensor) -> float:
    return float(which.double().mean())
