"""How varied samples are among themselves, compared with the data.

The Vendi score (Friedman & Dieng 2023, "The Vendi score") of n samples is exp(−Σ λₖ log λₖ), λ the eigenvalues of
K / n with the kernel matrix K: the number of samples that differ from each other, from 1 (all equal) to n (all unlike).
It grows with n and with the sharpness of the kernel, so only the ratio fake / real at the same n and width is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.kernel import Estimate
from sparring.metrics.neighbours import part, squared_distances
from sparring.metrics.uncertainty import Measured, influence_error, jackknife_error

QUANTILE = 0.1
"""Of the distances of real samples: the width of the kernel, so that it needs no unit."""
LIMIT = 1000
"""Samples that a Vendi score looks at: its eigenvalue problem grows with their cube."""


def width_of(real: Tensor, quantile: float = QUANTILE) -> float:
    """The `quantile` of distances between different samples of real (n, d): the width that belongs to this data.

    >>> width_of(torch.tensor([[0.0], [1.0], [2.0]]), 0.5)
    1.0
    """
    rows = real[part(real, LIMIT, 0)]
    above = torch.cat(
        [slab[torch.ones_like(slab, dtype=torch.bool).triu(s.start + 1)] for s, slab in squared_distances(rows, rows)]
    )
    if not len(above):
        raise SparringError("METRIC-FEW", "a width needs at least 2 samples", fix="measure with more samples")
    return math.sqrt(float(torch.from_numpy(above.double().cpu().numpy()).kthvalue(_rank(len(above), quantile)).values))


def vendi(x: Tensor, width: float) -> float:
    """The Vendi score of x (n, d) under k(x, y) = exp(−|x − y|² / (2 width²)); in [1, n].

    The cost grows with n³: a second for 2,000 samples.

    >>> round(vendi(torch.tensor([[0.0], [0.0], [99.0], [99.0]]), 1.0), 6)
    2.0
    """
    return math.exp(_entropy(x, width)[0])


@dataclass(frozen=True)
class Ratio:
    """ratio:      Vendi(fake) / Vendi(real), with its interval; 1 for equal laws, near 0 after a collapse.
    fake, real: the two scores, each in [1, n].
    n:          samples of either side.   width: of the kernel, in units of the features."""

    ratio: Measured
    fake: float
    real: float
    n: int
    width: float


def ratio(fake: Tensor, real: Tensor, limit: int = LIMIT, width: float | None = None, seed: int = 0) -> Ratio:
    """The diversity of fake (m, d) over that of real (n, d), at the same number of samples (at most `limit`) and with
    the width `width_of(real)` unless another is given.

    The interval comes from the influence of every sample on either logarithm (one evaluation; see `uncertainty`), which
    is what the bootstrap tends to.

    >>> real = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> ratio(real[:1].repeat(300, 1), real).ratio.value < 0.1
    True
    """
    n = min(len(fake), len(real), limit)
    if n < 2:
        raise SparringError("METRIC-FEW", "a diversity ratio needs at least 2 samples of each side")
    fake, real = fake[part(fake, n, seed)], real[part(real, n, seed)]
    width = width_of(real) if width is None else width
    (of_fake, moves_fake), (of_real, moves_real) = _entropy(fake, width), _entropy(real, width)
    error = influence_error(moves_fake, moves_real)
    value = math.exp(of_fake - of_real)
    low, high = value * math.exp(-1.96 * error), value * math.exp(1.96 * error)
    return Ratio(Measured(value, low, high, "infinitesimal jackknife"), math.exp(of_fake), math.exp(of_real), n, width)


def mean_distance(x: Tensor) -> Estimate:
    """Mean distance of different samples of x (n, d), n ≥ 3, with its jackknife standard error. In units of the
    features. (`energy.mean_distance` without the error, from differences.)

    >>> mean_distance(torch.tensor([[0.0], [1.0], [2.0]])).value
    1.333...
    """
    if len(x) < 3:
        raise SparringError("METRIC-FEW", "a mean distance needs at least 3 samples", fix="measure with more samples")
    n, sums = len(x), []
    for _, slab in squared_distances(x, x, same=True):
        slab[slab == math.inf] = 0.0
        sums.append(slab.sqrt_().sum(1, dtype=torch.float64))
    each = torch.cat(sums)
    left_out = (each.sum() - 2 * each) / ((n - 1) * (n - 2))
    return Estimate(float(each.sum()) / (n * (n - 1)), jackknife_error(left_out))


def _entropy(x: Tensor, width: float) -> tuple[float, Tensor]:
    """H = −Σ λ log λ of K / n in nats, and the influence of every sample on it, (n,).

    With weights p the matrix is √p K √p, and dλₖ = λₖ Σᵢ uₖᵢ² dpᵢ / pᵢ; so at equal weights the derivative of H with
    respect to n pᵢ is −n Σₖ uₖᵢ² λₖ log λₖ, up to a constant.
    """
    n = len(x)
    kernel = torch.empty(n, n, dtype=torch.float64)
    for rows, slab in squared_distances(x, x):
        kernel[rows] = torch.exp(slab.double().cpu() / (-2.0 * width**2)) if width > 0 else (slab == 0).double().cpu()
    kernel.fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh((kernel + kernel.T) / (2 * n))
    terms = torch.special.entr(values.clamp(min=0.0))  # −λ log λ, 0 at 0
    return float(terms.sum()), n * (vectors.square() @ terms)


def _rank(n: int, quantile: float) -> int:
    return min(n, max(1, math.ceil(quantile * n)))
