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

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.metrics.neighbours import Neighbours, squared_distances
from sparring.metrics.uncertainty import HALVES, Measured, by_halves, halves


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

    Samples are not independent here: one real sample more changes the balls around others. So the intervals are from
    random halves of both sides, each with balls of its own (see `uncertainty.by_halves`). They say how far other
    samples of the same laws would move the value at this n and m, and are careful: up to √2 too wide.

    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> same = prdc(x, x)
    >>> same.precision.value, same.recall.value, same.coverage.value
    (1.0, 1.0, 1.0)
    """
    real, fake = real.cpu(), fake.cpu()
    near_real, near_fake = Neighbours(real, max(k_manifold, k_ball)), Neighbours(fake, k_manifold)
    wholes = (torch.ones(1, len(x), dtype=torch.bool) for x in (real, fake))
    parts = (halves(len(x), HALVES, seed, f"prdc/{side}") for x, side in ((real, "real"), (fake, "fake")))
    counts = []
    for of_real, of_fake in (*zip(*wholes), *zip(*parts)):
        manifold, ball = (near_real.radius_within(k, of_real) for k in (k_manifold, k_ball))
        counts.append(_Counts(of_real, of_fake, manifold, ball, near_fake.radius_within(k_manifold, of_fake)))
    for rows, slab in squared_distances(real, fake):
        for count in counts:
            count.see(rows, slab)
    precision, recall, density, coverage = zip(*(count.measures(k_ball) for count in counts))
    return PRDC(
        by_halves(precision[0], precision[1:], trials=len(fake)),
        by_halves(recall[0], recall[1:], trials=len(real)),
        _from_zero(by_halves(density[0], density[1:])),
        by_halves(coverage[0], coverage[1:], trials=len(real)),
    )


def _from_zero(found: Measured) -> Measured:
    """An interval of what is never negative."""
    return replace(found, low=max(0.0, found.low))


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Kynkäänniemi et al. 2019: real (n, d), fake (m, d), n, m > k. `prdc` gives density and coverage with it."""
    found = prdc(real, fake, k, k)
    return PrecisionRecall(found.precision, found.recall)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> DensityCoverage:
    """Naeem et al. 2020: real (n, d), fake (m, d), n, m > k. `prdc` gives precision and recall with it."""
    found = prdc(real, fake, k, k)
    return DensityCoverage(found.density, found.coverage)


class _Counts:
    """What the distances between some reals and some fakes say.

    reals, fakes: bool, which take part, n and m of them.   manifold, ball: (n,) squared radii of those reals for either
    purpose;   of_fake: (m,) of those fakes.
    """

    def __init__(self, reals: Tensor, fakes: Tensor, manifold: Tensor, ball: Tensor, of_fake: Tensor) -> None:
        self.reals, self.fakes = reals.nonzero().flatten(), fakes.nonzero().flatten()
        self.manifold, self.ball, self.of_fake = manifold[:, None], ball[:, None], of_fake
        self.on_real = torch.zeros(len(self.fakes), dtype=torch.bool)  # is a fake on the manifold of reals
        self.on_fake = self.inside = self.covered = 0  # reals on that of fakes; pairs of fake and ball; balls with one

    def see(self, rows: slice, slab: Tensor) -> None:
        """slab: squared distances of all fakes from a run of all reals."""
        first, last = torch.searchsorted(self.reals, torch.tensor([rows.start, rows.stop])).tolist()
        if slab.shape[1] > len(self.fakes) or last - first < len(slab):
            slab = slab[self.reals[first:last] - rows.start].index_select(1, self.fakes)
        self.on_real |= (slab <= self.manifold[first:last]).any(0)
        self.on_fake += int((slab <= self.of_fake).any(1).sum())
        inside = slab <= self.ball[first:last]
        self.covered += int(inside.any(1).sum())
        self.inside += int(inside.count_nonzero())

    def measures(self, k: int) -> tuple[float, float, float, float]:
        """Precision, recall, density, coverage."""
        n, m = len(self.reals), len(self.fakes)
        return int(self.on_real.sum()) / m, self.on_fake / n, self.inside / (k * m), self.covered / n
