"""Likelihoods of models that have one: importance-weighted bounds, bits per dimension, and what each number is of.

log p(x) of a model with latents z is an integral that nobody can compute. Two bounds from below of it:

- the ELBO, E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))   (Kingma & Welling 2014, eq. 3);
- L_K = E log 1/K Σₖ wₖ, wₖ = p(x | zₖ) p(zₖ) / q(zₖ | x), zₖ ~ q   (Burda et al. 2016, eq. 8): the ELBO at K = 1, never
  falling with K, log p(x) as K → ∞.

A GAN has no likelihood at all: its samples lie on a set of fewer dimensions than the image has, on which no density is.
`parzen` is what was used in its place; what it says is of the kernel more than of the model (Theis et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring.metrics.uncertainty import Measured, bootstrap_mean
from sparring.types import Outcome

SAMPLES = 500
"""Importance weights of each image, as Burda et al. 2016 suggest at least, and Davidson et al. 2018 use."""
_ROWS = 500  # weights that are computed at a time


class LogMeanExp:
    """log 1/K Σₖ exp(wₖ) for each of n images, from weights that come one by one and are not kept.

    >>> total = LogMeanExp(1)
    >>> for weight in (1000.0, 1000.0 + math.log(3.0)):
    ...     total.add(torch.tensor([0]), torch.tensor([weight], dtype=torch.float64))
    >>> abs(float(total.value[0]) - 1000 - math.log(2.0)) < 1e-9
    True
    """

    def __init__(self, n: int) -> None:
        self._most = torch.full((n,), -math.inf, dtype=torch.float64)
        self._sum = torch.zeros(n, dtype=torch.float64)  # of exp(w − most)
        self._squares = torch.zeros(n, dtype=torch.float64)
        self._plain = torch.zeros(n, dtype=torch.float64)
        self._count = torch.zeros(n, dtype=torch.float64)

    def add(self, rows: Tensor, weights: Tensor) -> None:
        """rows: (m,) int64, the image of each of the log weights (m,)."""
        w = weights.detach().double().cpu()
        most = self._most.scatter_reduce(0, rows, w, "amax")
        known = torch.where(most.isfinite(), most, torch.zeros_like(most))  # nothing but −∞ yet
        shrink = torch.exp(self._most - known)
        part = torch.exp(w - known[rows])
        self._sum = (self._sum * shrink).index_add(0, rows, part)
        self._squares = (self._squares * shrink.square()).index_add(0, rows, part.square())
        self._plain = self._plain.index_add(0, rows, w)
        self._count = self._count.index_add(0, rows, torch.ones_like(w))
        self._most = most

    @property
    def value(self) -> Tensor:
        """(n,) float64."""
        return torch.log(self._sum) + self._most - torch.log(self._count)

    @property
    def mean(self) -> Tensor:
        """(n,): the mean of the log weights, which is never more: the ELBO from the same draws."""
        return self._plain / self._count

    @property
    def effective(self) -> Tensor:
        """(n,): how many equal weights would be worth as much, (Σ w)² / Σ w², from 1 to K (Kong 1992)."""
        return self._sum.square() / self._squares


@dataclass(frozen=True, eq=False)
class Weighted:
    """Of n images, each (n,) float64 in nats.   bound: L_K.   elbo: from the same draws.   effective: weights that
    count."""

    bound: Tensor
    elbo: Tensor
    effective: Tensor
    samples: int


Weigh = Callable[[Tensor, range], Tensor]
"""(m,) numbers of images, and the m numbers of the draws → (m,) log weights: draw k is a function of its number."""


@torch.no_grad()
def importance_weighted(
    weigh: Weigh, n: int, samples: int = SAMPLES, piece: int = _ROWS, progress: Callable[[int], None] | None = None
) -> Weighted:
    """L_K of n images with K = `samples` weights each, of which never more than `piece` are held.

    Draw s of image i has the number i · K + s, so that `piece` changes nothing but the rounding of sums.

    >>> found = importance_weighted(lambda images, draws: images.double(), n=3, samples=7)
    >>> found.bound.round(decimals=9).tolist(), found.effective.round(decimals=9).tolist()
    ([0.0, 1.0, 2.0], [7.0, 7.0, 7.0])
    """
    if n < 1 or samples < 1 or piece < 1:
        raise ValueError(f"{samples} weights of {n} images, {piece} at a time")
    total = LogMeanExp(n)
    for start in range(0, n * samples, piece):
        draws = range(start, min(start + piece, n * samples))
        rows = torch.arange(draws.start, draws.stop) // samples
        total.add(rows, weigh(rows, draws))
        if progress is not None:
            progress(draws.stop // samples)
    return Weighted(total.value, total.mean, total.effective, samples)


def bits_per_dimension(nats: Tensor, dimensions: int) -> Tensor:
    """−log₂ p(x) / D of log p(x) in nats, (n,). Only where x has a probability is this a length of code.

    >>> round(float(bits_per_dimension(torch.tensor(-10 * math.log(2.0)), 10)), 6)
    1.0
    """
    return -nats / (dimensions * math.log(2.0))


def average(values: Tensor, seed: int = 0) -> Measured:
    """The mean of (n,) numbers, one of each image, with its 95 % bootstrap interval over images."""
    return bootstrap_mean(values.double().cpu().numpy(), seed=seed)


# ── what a number is of ───────────────────────────────────────────────────────────────────────────────────────────


def of_what(outcome: Outcome, binarise: str = "none") -> str:
    """What a likelihood is of, in words. binarise: how grey images became binary.

    >>> of_what("levels")
    '256 levels of each value, no dequantisation'
    """
    if outcome == "levels":
        return "256 levels of each value, no dequantisation"
    if outcome == "continuous":
        return "a density of x in [-1, 1], no dequantisation: to be compared neither with other data nor with levels"
    return {
        "none": "binary images, as the data are",
        "threshold": "binary images (threshold: white from 128 on)",
        "static": "binary images (static: our own draw, seed 0; the published static set is another draw)",
        "dynamic": "binary images (dynamic: trained on new draws, measured on one of seed 0)",
    }[binarise]


NO_LIKELIHOOD = (
    "no likelihood: a GAN draws samples and assigns no probability to a given image; its samples fill a set of fewer "
    "dimensions than the image has, and where every image of the data lies beside that set log p(x) is −∞"
)
"""Why a GAN has none (Arjovsky & Bottou 2017, lemma 1; Goodfellow et al. 2014, section 5)."""


# ── in place of one ───────────────────────────────────────────────────────────────────────────────────────────────

PARZEN_WARNING = (
    'a kernel estimate is no likelihood of the model: "Parzen window estimates should generally be avoided" (Theis et '
    "al. 2016, arXiv:1511.01844; section 3.5: it stays far from the log-likelihood even with very many samples of 6x6 "
    "pixels, and centroids of k-means score higher than samples of the true distribution). Read kid and coverage"
)
"""What is to be known before such a number is used."""
BANDWIDTHS: tuple[float, ...] = tuple(float(f"{s:.4g}") for s in np.geomspace(0.01, 1.0, 21))
"""Standard deviations of the kernel that are tried, of values in [0, 1]."""


def parzen(x: Tensor, samples: Tensor, sigmas: Sequence[float]) -> Tensor:
    """log 1/m Σⱼ N(x; yⱼ, σ² I) for each σ: x (n, d), samples y (m, d) → (len(sigmas), n) float64, nats.

    The density of samples with Gaussian noise of σ on top, not of what drew them (Breuleux et al. 2011).

    >>> peak = parzen(torch.zeros(1, 2), torch.zeros(5, 2), [1.0])
    >>> abs(float(peak) + math.log(2 * math.pi)) < 1e-9
    True
    """
    x, d = x.double(), x.shape[1]
    total = torch.full((len(sigmas), len(x)), -math.inf, dtype=torch.float64)
    for part in torch.split(samples, 256):
        y = part.double()
        squares = (x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T).clamp(min=0)
        for k, sigma in enumerate(sigmas):
            total[k] = torch.logaddexp(total[k], torch.logsumexp(squares / (-2 * sigma**2), dim=1))
    constants = [0.5 * d * math.log(2 * math.pi * sigma**2) + math.log(len(samples)) for sigma in sigmas]
    return total - torch.tensor(constants, dtype=torch.float64)[:, None]


def bandwidth(validation: Tensor, samples: Tensor, sigmas: Sequence[float] = BANDWIDTHS) -> float:
    """The σ of `sigmas` under which images that are not measured, (n, d), are most likely on average."""
    means = parzen(validation, samples, sigmas).mean(1)
    return float(sigmas[int(means.argmax())])
