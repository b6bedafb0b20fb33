"""Divergences estimated from samples, each with its interval and its bias said: 1-D and 2-D games, counts of modes.

There is no unbiased estimate of KL, JS or TV from samples, and none that is any good in many dimensions: these are for
points in up to about five dimensions, and for counts. On images use the measures of `sparring.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import SparringError

_ROWS = 2048  # of the matrix of distances held at a time


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval [low, high], by drawing again from the samples.

    bias: how much the estimate is expected to exceed the truth, as far as drawing again can tell; nan where it cannot.
    """

    value: float
    low: float
    high: float
    bias: float = math.nan

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def kl_nearest(x: Tensor, y: Tensor, *, k: int = 5, resamples: int = 100, seed: int = 0) -> Interval:
    """KL(p‖q) from x ~ p (n, d) and y ~ q (m, d), by distances to the k-th neighbour: consistent, no bins.

    (d/n) Σᵢ log(νᵢ/ρᵢ) + log(m/(n − 1)), ρᵢ the distance of xᵢ to its k-th neighbour among the other x, νᵢ to its k-th
    among y. Wang, Kulkarni & Verdú 2009, eq. 5 ("Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances"). The reverse divergence has x and y exchanged.

    The interval comes from random halves of x and of y, whose estimates spread around each other as that of all samples
    does around its mean (the delete-half jackknife, Shao & Wu 1989). It says how noisy the estimate is, not how biased.
    The bias comes from densities that change within a neighbourhood: the divergence is *under*estimated where p and q
    are far apart, and that falls only like (k/n)^(1/d). The estimate may be negative where the laws are alike. Repeated
    samples are refused: they have no density.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or k < 1 or min(len(x) // 2 - 1, len(y) // 2) < k:
        raise SparringError(
            "LOSS-SHAPE",
            f"samples {tuple(x.shape)} and {tuple(y.shape)}, neighbour {k}",
            where="losses.estimates.kl_nearest",
            why="it needs points (n, d) and (m, d), with k neighbours in a half of each",
        )
    x, y = x.detach().double(), y.detach().double()
    value = _nearest(x, y, k)
    if not math.isfinite(value):
        raise SparringError(
            "LOSS-REPEATED",
            f"more than {k - 1} samples are repeated exactly",
            where="losses.estimates.kl_nearest",
            why="a repeated point has an infinite density, and the divergence would be infinite too",
            fix="use counts of modes and `from_counts`",
        )
    generator = torch.Generator().manual_seed(seed)

    def half(part: Tensor) -> Tensor:
        return part[torch.randperm(len(part), generator=generator)[: len(part) // 2]]

    halves = [_nearest(half(x), half(y), k) for _ in range(resamples)]
    spread = torch.tensor(halves, dtype=torch.float64)
    return _interval(value, value + spread - spread.mean(), bias=math.nan)


def _nearest(x: Tensor, y: Tensor, k: int) -> float:
    """The estimate itself; not finite where samples are repeated."""
    own, other = _kth(x, x, k + 1), _kth(x, y, k)  # x is its own nearest neighbour
    return x.shape[1] * float((other / own).log().mean()) + math.log(len(y) / (len(x) - 1))


def from_counts(
    divergence: Callable[[Tensor, Tensor], Tensor], p: Tensor, q: Tensor, *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """A divergence of two discrete laws from how often each of K atoms was seen: (K,), (K,) counts.

    divergence: one of `losses.divergences` for discrete laws (kl, reverse_kl, js, tv), applied to the frequencies. That
    is biased upwards (KL by about (K − 1)/2N when q is known: never 0, however good the samples); `bias` estimates it,
    and the interval, the basic bootstrap [2v − v*₀.₉₇₅, 2v − v*₀.₀₂₅], is free of it to first order (near equal laws it
    may begin below 0). With a known law
    (the uniform one over modes), give its probabilities times a number so large that its noise is nothing.
    KL is infinite where an atom was never seen in q but in p.

    >>> from sparring.losses import divergences
    >>> seen = from_counts(divergences.tv, torch.tensor([500, 500]), torch.tensor([600, 400]))
    >>> round(seen.value, 3), seen.low < 0.1 < seen.high
    (0.1, True)
    """
    if p.shape != q.shape or p.dim() != 1 or not p.sum() > 0 or not q.sum() > 0:
        raise SparringError(
            "LOSS-SHAPE",
            f"counts {tuple(p.shape)} and {tuple(q.shape)}",
            where="losses.estimates.from_counts",
            why="both must count the same K atoms, at least once in all",
        )
    n, m = int(p.sum()), int(q.sum())
    p, q = p.double() / n, q.double() / m
    value = float(divergence(p, q))
    again = divergence(_multinomial(p, n, resamples, seed) / n, _multinomial(q, m, resamples, seed + 1) / m)
    return _interval(value, again, bias=float(again.mean()) - value)


def histograms(x: Tensor, y: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Counts of x (n, d) and y (m, d) in the same bins^d equal boxes around both: (bins^d,), (bins^d,), int64.

    For `from_counts`. Divergences between the binned laws are at most those between the laws themselves: the boxes
    hide what happens inside them, and with many boxes the upward bias of counting grows. d of 1 or 2.
    """
    both = torch.cat([x, y]).detach().double()
    low, high = both.amin(0), both.amax(0)
    width = (high - low).clamp_min(torch.finfo(torch.float64).tiny)
    cells = ((both - low) / width * bins).long().clamp_max(bins - 1)  # (n + m, d)
    place = torch.zeros(len(both), dtype=torch.int64)
    for axis in range(both.shape[1]):
        place = place * bins + cells[:, axis]
    size = bins ** both.shape[1]
    return torch.bincount(place[: len(x)], minlength=size), torch.bincount(place[len(x) :], minlength=size)


def _kth(x: Tensor, y: Tensor, k: int) -> Tensor:
    """Distance of each x to its k-th nearest among y: (n, d), (m, d) → (n,)."""
    starts = range(0, len(x), _ROWS)
    parts = [torch.cdist(x[i : i + _ROWS], y, compute_mode="donot_use_mm_for_euclid_dist") for i in starts]
    return torch.cat([part.kthvalue(k, dim=1).values for part in parts])


def _multinomial(weights: Tensor, n: int, resamples: int, seed: int) -> Tensor:
    """`resamples` times the counts of n draws: (K,) → (resamples, K) float64; exact binomials, one atom at a time."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.full((resamples,), float(n), dtype=torch.float64)
    rest = weights.flip(0).cumsum(0).flip(0)  # the mass of this atom and all after it
    counts = torch.zeros(resamples, len(weights), dtype=torch.float64)
    for atom, (weight, mass) in enumerate(zip(weights.tolist(), rest.tolist())):
        share = min(1.0, weight / mass) if mass > 0 else 0.0
        counts[:, atom] = torch.binomial(left, torch.full_like(left, share), generator=generator)
        left = left - counts[:, atom]
    return counts


def _interval(value: float, again: Tensor, *, bias: float) -> Interval:
    """The basic bootstrap interval: what was drawn again, mirrored at the estimate."""
    ordered = again.sort().values
    low, high = (float(ordered[int(round(share * (len(ordered) - 1)))]) for share in (0.025, 0.975))
    return Interval(value, 2.0 * value - high, 2.0 * value - low, bias)
