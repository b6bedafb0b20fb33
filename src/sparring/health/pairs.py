"""What is measured of a game that translates: how far it is from the truth, and whether it looks at what it is given.

A translation is decided by what was given, so nothing is asked here that would hold that against G: neither whether its
samples are as various as the data, nor whether they repeat training images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.health.look import Given, Sight
from sparring.metrics.kernel import kid, kid_of_pairs

Signals = dict[str, float]


def of_translations(fake: Sight, real: Sight, given: Given) -> Signals:
    """Translations (n of them) beside real images; of pairs real image k is what translation k should be.

    kid, kid_se: as of other games; of pairs without the pairs (`kernel.kid_of_pairs`).
    varied: mean difference of a translation and the next one, over that of the real images: 0 where G makes the same
        of everything, about 1 where its images differ as real ones do.
    changed: mean difference of a translation and what was given, over that of real images and what was given: 0 where
        G hands back its input. Only where both can be compared: neither is a label map.
    And of pairs:
    l1: mean difference from the truth, in the units of [0, 1].
    pair_distance, pair_distance_se: mean of 1 − cos(f(ŷ), f(y)) over pairs, f the features of the judge: the same for
        a picture that looks right and another one that looks right, above all pixels.
    matched: how often a translation is nearer to its own truth than to another image's, by those features, over all
        combinations: ½ by chance, 1 where every translation is told by what it was made from.
    """
    values = {} if real.images is None or fake.images is None else _of_pixels(fake.images, real.images, given)
    if given.paired:
        made, true = fake.features, real.features[: len(fake)]
        near = F.normalize(made.double(), dim=1) @ F.normalize(true.double(), dim=1).T
        own, n = near.diagonal(), len(near)
        others = near.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)  # without the diagonal
        below = (others < own[:, None]).double() + 0.5 * (others == own[:, None]).double()
        values |= {
            "pair_distance": float((1 - own).mean()),
            "pair_distance_se": float(own.std()) / math.sqrt(n),
            "matched": float(below.mean()),
        }
        distance = kid_of_pairs(made, true)
    else:
        distance = kid(fake.features, real.features)
    return values | {"kid": distance.value, "kid_se": distance.standard_error}


def _of_pixels(made: Tensor, real: Tensor, given: Given) -> Signals:
    """`varied`, `changed`, `l1` of images (n, C, H, W) uint8."""
    n = min(len(made), len(real))
    made, real = made[:n], real[:n]
    values = {"l1": _apart(made, real)} if given.paired else {}
    if (spread := _apart(real, real.roll(1, 0))) > 0:
        values["varied"] = _apart(made, made.roll(1, 0)) / spread
    if given.images is not None:
        seen = given.images[:n]
        if seen.shape[1] == 1 and made.shape[1] == 3:
            seen = seen.expand(-1, 3, -1, -1)
        if seen.shape == made.shape and (usual := _apart(real, seen)) > 0:
            values["changed"] = _apart(made, seen) / usual
    return values


def _apart(x: Tensor, y: Tensor) -> float:
    """Mean |x − y| of images (n, C, H, W) uint8, in the units of [0, 1]; some at a time."""
    pieces = zip(torch.split(x, 16), torch.split(y, 16), strict=True)
    total = sum(int((a.int() - b.int()).abs().sum(dtype=torch.int64)) for a, b in pieces)
    return total / (255.0 * x.numel())
