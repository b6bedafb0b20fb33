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

FEWEST = 8
"""Pairs below which chance alone puts a mean three of its standard errors off more often than once in a hundred."""


def of_translations(fake: Sight, real: Sight, given: Given) -> Signals:
    """Translations (n of them) beside real images; of pairs real image k is what translation k should be.

    kid, kid_se: as of other games; of pairs without the pairs (`kernel.kid_of_pairs`).
    varied: mean difference of a translation and the next one, over that of the real images: 0 where G makes the same
        of everything, about 1 where its images differ as real ones do.
    changed: mean difference of a translation and what was given, over that of real images and what was given: 0 where
        G hands back its input. Only where both can be compared: neither is a label map.
    And of pairs:
    ahead, ahead_se, ahead_l1, ahead_l1_se: how much nearer to the truth than what was given, in the judge's features
        and in pixels, as a share of how far that is from it: 1 the truth itself, 0 no nearer, below 0 further away. The
        mean over `FEWEST` pairs or more, where what was given can be compared.
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
        if given.features is not None:
            values |= _ahead("ahead", _unlike(made, true), _unlike(given.features[:n], true))
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
    far = _each_apart(made, real)
    values = {"l1": float(far.mean())} if given.paired else {}
    if (spread := _apart(real, real.roll(1, 0))) > 0:
        values["varied"] = _apart(made, made.roll(1, 0)) / spread
    seen = comparable(None if given.images is None else given.images[:n], made)
    if seen is not None and (usual := _apart(real, seen)) > 0:
        values["changed"] = _apart(made, seen) / usual
        values |= _ahead("ahead_l1", far, _each_apart(seen, real)) if given.paired else {}
    return values


def comparable(given: Tensor | None, made: Tensor) -> Tensor | None:
    """What was given with the channels of what is made of it, (n, C, H, W); None where the two cannot be compared."""
    if given is not None and given.shape[1] == 1 and made.shape[1] == 3:
        given = given.expand(-1, 3, -1, -1)
    return given if given is not None and given.shape == made.shape else None


def _unlike(x: Tensor, y: Tensor) -> Tensor:
    """1 − cos of each pair of features (n, d), (n,) float64."""
    return 1 - F.cosine_similarity(x.double(), y.double(), dim=1)


def _ahead(name: str, made: Tensor, given: Tensor) -> Signals:
    """How far translations and what was given are from the truth, (n,) each: the mean of given − made over the mean of
    given, with its standard error."""
    usual, n = float(given.mean()), len(given)
    if n < FEWEST or usual <= 0:
        return {}
    gain = (given - made) / usual
    return {name: float(gain.mean()), f"{name}_se": float(gain.std()) / math.sqrt(n)}


def _apart(x: Tensor, y: Tensor) -> float:
    """Mean |x − y| of images (n, C, H, W) uint8, in the units of [0, 1]."""
    return float(_each_apart(x, y).mean())


def _each_apart(x: Tensor, y: Tensor) -> Tensor:
    """The same of each image, (n,) float64; some at a time."""
    pieces = zip(torch.split(x, 16), torch.split(y, 16), strict=True)
    totals = [(a.int() - b.int()).abs().flatten(1).sum(1, dtype=torch.int64) for a, b in pieces]
    return torch.cat(totals).double() / (255.0 * x[0].numel())
