"""What the data looks like to the same eyes: measured once, so that a probe only has to look at fakes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.health.copies import Copies
from sparring.health.look import Sight
from sparring.health.pixels import Pixels
from sparring.metrics import diversity, neighbours

K_BALL, K_MANIFOLD = 5, 3
"""Neighbours of coverage (Naeem et al. 2020) and of precision (Kynkäänniemi et al. 2019)."""
FEWEST = 16
"""Real samples without which nothing can be said of a law."""
CLASS = 8
"""Samples of a class, real and fake, without which its diversity is not measured."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """Real samples, and what every signal is compared with. A pure function of what `of` is given.

    real:      held-out samples; where too few are held out, training samples that are not in `train`.
    train:     a sample of the training data.     apart: whether `real` is really held out.
    n:         fakes that are compared where the number of samples matters (diversity, duplicates).
    width:     of the kernel of diversity: a quantile of real distances (`diversity.QUANTILE`).
    variety:   the Vendi score of n reals.        near: 1st percentile of the nearest distances of n reals.
    ball, manifold: (m,) squared distance of each real to its 5th and 3rd nearest other real.
    coverage_self, duplicates_real: of training samples in place of fakes.
    reals:     both, `real` first.
    pixels:    of real images, or None for points.   copies: what fakes are held against when copies are looked for.
    """

    real: Sight
    train: Sight
    apart: bool
    n: int
    width: float
    variety: float
    near: float
    ball: Tensor
    manifold: Tensor
    coverage_self: float
    duplicates_real: float
    pixels: Pixels | None
    copies: Copies | None
    reals: Sight

    @classmethod
    def of(
        cls, real: Sight, train: Sight, samples: int, *, apart: bool = True, copies: Copies | None = None
    ) -> Baseline:
        """samples: how many fakes a look has; with fewer reals so many are compared.

        `SparringError` with fewer than `FEWEST` reals of either kind.
        """
        if min(len(real), len(train), samples) < FEWEST:
            raise SparringError(
                "HEALTH-FEW", f"{len(real)} and {len(train)} real samples are too few to compare {samples} fakes with"
            )
        reals = joined(real, train)
        n = min(samples, len(reals))
        same = reals.features[:n]
        width = diversity.width_of(same)
        ball, manifold = radii(real.features, K_BALL, K_MANIFOLD)
        nearest_real, _ = neighbours.nearest_other(same)
        near = float(torch.quantile(nearest_real, 0.01))
        made = train.features[:samples]
        return cls(
            real=real,
            train=train,
            apart=apart,
            n=n,
            width=width,
            variety=diversity.vendi(same, width),
            near=near,
            ball=ball,
            manifold=manifold,
            coverage_self=covered(real.features, made, ball),
            duplicates_real=repeated(made, near),
            pixels=None if real.images is None else Pixels.of(real.images),
            copies=copies,
            reals=reals,
        )


def joined(real: Sight, train: Sight) -> Sight:
    """Both, the held-out ones first."""
    images, labels = None, None
    if real.images is not None and train.images is not None:
        images = torch.cat([real.images, train.images])
    if real.labels is not None and train.labels is not None:
        labels = torch.cat([real.labels, train.labels])
    return Sight(torch.cat([real.features, train.features]), images, labels)


def radii(x: Tensor, *ks: int) -> list[Tensor]:
    """(n,) squared distance of each of x (n, d) to its k-th nearest other sample, for each k of `ks` (k < n)."""
    found = [slab.topk(max(ks), largest=False).values for _, slab in neighbours.squared_distances(x, x, same=True)]
    return [torch.cat(found)[:, k - 1] for k in ks]


def covered(real: Tensor, fake: Tensor, ball: Tensor) -> float:
    """Share of real (m, d) that have one of fake (n, d) within their ball, of squared radius (m,)."""
    found = [(slab <= ball[rows, None]).any(1) for rows, slab in neighbours.squared_distances(real, fake)]
    return float(torch.cat(found).double().mean())


def inside(fake: Tensor, real: Tensor, manifold: Tensor) -> float:
    """Share of fake (n, d) that lie in a ball around one of real (m, d), of squared radius (m,)."""
    found = [(slab <= manifold).any(1) for _, slab in neighbours.squared_distances(fake, real)]
    return float(torch.cat(found).double().mean())


def repeated(samples: Tensor, near: float) -> float:
    """Share of samples (n, d) that are nearer to another one than `near`, or equal to it."""
    distance, _ = neighbours.nearest_other(samples)
    return float((distance <= near).double().mean())
