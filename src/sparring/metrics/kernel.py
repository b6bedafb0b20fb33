"""Kernel distances between two sets of features: KID (Bińkowski et al. 2018, "Demystifying MMD GANs", section 4) and
CMMD (Jayasumana et al. 2024, "Rethinking FID").

KID is MMD² with k(x, y) = (x·y / d + 1)³. It compares all moments up to the third: with Mₖ the k-th moment tensor of x,
Nₖ of y, MMD² = 3 |M₁ − N₁|² / d + 3 |M₂ − N₂|² / d² + |M₃ − N₃|² / d³. The estimate is unbiased for any number of
samples, so it may be negative where the laws are alike. All sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring.chance import permutation
from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, jackknife_error

_ROWS = 1024  # of the kernel matrix held at a time


@dataclass(frozen=True)
class Estimate:
    """A measured number with its uncertainty. `low`, `high`: 95 % interval, normal approximation; as text, half of it
    stands after ±, as everywhere. `interval`: how the standard error was obtained."""

    value: float
    standard_error: float
    interval: str = "jackknife"

    @property
    def low(self) -> float:
        return self.value - 1.96 * self.standard_error

    @property
    def high(self) -> float:
        return self.value + 1.96 * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.high - self.value:.3f}"


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y / d + 1)³ for all pairs: (m, d), (n, d) → (m, n) float64."""
    one = torch.ones(1, dtype=torch.float64, device=x.device)
    return torch.addmm(one, x.double(), y.double().T, alpha=1.0 / x.shape[1]).pow_(3)


def kid(x: Tensor, y: Tensor) -> Estimate:
    """The unbiased MMD² from *all* pairs, with its jackknife standard error.

    x: (m, d), y: (n, d) features, m, n ≥ 3. One number per pair of sets: nothing is drawn. Multiply by 1000 for the
    scale that some papers print.

    The standard error is the two-sample jackknife (Efron & Stein 1981) over leaving out each sample once. Where the two
    laws are the same it is too large by about √2: careful, not optimistic.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> round(kid(x, x + 1.0).value, 6)
    21.666667
    """
    _check(x, y)
    return _mmd(x, y, kernel)[0]


def kid_of_pairs(x: Tensor, y: Tensor) -> Estimate:
    """`kid` where y_i belongs to x_i, as a translation does to the image that it should be: they are no independent
    draws of two laws, so the pairs (x_i, y_i) do not count. Then it is 0 on average where both follow the same law, and
    0 for y = x, where `kid` would say that y is nearer to x than the law is to itself.

    x, y: (n, d) features, n ≥ 3. The standard error is the jackknife over leaving out each pair once.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> kid_of_pairs(x, x).value
    0.0
    """
    _check(x, y)
    if len(x) != len(y):
        raise SparringError("METRIC-SHAPE", f"{len(x)} and {len(y)} features are no pairs")
    n = len(x)
    within_x, within_y = _within(x, kernel)[0], _within(y, kernel)[0]
    across_x, across_y = _across(x, y, kernel)
    pairs = ((x.double() * y.double()).sum(1) / x.shape[1] + 1.0) ** 3
    across_x, across_y = across_x - pairs, across_y - pairs
    total = within_x.sum() + within_y.sum() - 2 * across_x.sum()
    each = 2 * (within_x + within_y - across_x - across_y)  # what the sum loses without a pair
    without = (total - each) / ((n - 1) * (n - 2))
    return Estimate(float(total / (n * (n - 1))), jackknife_error(without))


def kid_of_subsets(x: Tensor, y: Tensor, subsets: int = 100, size: int = 1000, seed: int = 0) -> Estimate:
    """Mean of `kid` over random subsets of equal size, as papers report it; prefer `kid`, which uses every pair.

    x: (m, d), y: (n, d). `size` is lowered to the smaller set. The standard error is the standard deviation over
    subsets, divided by √subsets: it says how well the mean over subsets is known, not how much data there is.
    """
    _check(x, y)
    size = min(size, len(x), len(y))
    values = []
    for k in range(subsets):
        picks = [
            torch.from_numpy(permutation(seed, f"kid/{side}", k, len(f))[:size]) for side, f in (("x", x), ("y", y))
        ]
        values.append(kid(x[picks[0]], y[picks[1]]).value)
    spread = float(np.std(values, ddof=1)) if subsets > 1 else math.nan
    return Estimate(float(np.mean(values)), spread / math.sqrt(subsets), f"{subsets} subsets of {size}")


def cmmd(x: Tensor, y: Tensor, sigma: float = 10.0) -> Measured:
    """1000 MMD² with k(x, y) = exp(−|x − y|² / (2 σ²)) on features scaled to length 1, as published: the mean over all
    pairs, those of a sample with itself included, which makes it a little too large (by about 10 / n for n samples a
    side of usual spread).

    x: (m, d), y: (n, d), m, n ≥ 3; the paper's features are those of CLIP ViT-L/14 at 336 px, and only then is the
    number comparable with published ones. The interval is that of `cmmd_unbiased`: it is around the limit for many
    samples, so of few samples it can lie below the value.

    >>> cmmd(torch.eye(4), -torch.eye(4)).value  # about 5 · (2 E|x − y|² − E|x − x′|² − E|y − y′|²)
    9.90...
    """
    unbiased, value = _cmmd(x, y, sigma)
    return Measured(value, unbiased.low, unbiased.high, "jackknife of the unbiased estimate")


def cmmd_unbiased(x: Tensor, y: Tensor, sigma: float = 10.0) -> Estimate:
    """`cmmd` without the pairs of a sample with itself: 0 on average for equal laws, whatever the number of samples."""
    return _cmmd(x, y, sigma)[0]


def _cmmd(x: Tensor, y: Tensor, sigma: float) -> tuple[Estimate, float]:
    _check(x, y)
    x, y = (torch.nn.functional.normalize(f.double(), dim=1) for f in (x, y))

    def published(a: Tensor, b: Tensor) -> Tensor:
        # |a − b|² = 2 − 2 a·b. A constant in the kernel cancels out of MMD²: k − 1 keeps the digits that k loses to it
        return 1000.0 * torch.expm1((a @ b.T - 1.0) / sigma**2)

    return _mmd(x, y, published)


def _mmd(x: Tensor, y: Tensor, k: Callable[[Tensor, Tensor], Tensor]) -> tuple[Estimate, float]:
    """Under the kernel `k`: (n, d), (m, d) → (n, m) float64, the unbiased MMD² with its jackknife error, and the biased
    one, whose means include the pairs (i, i)."""
    m, n = len(x), len(y)
    (within_x, self_x), (within_y, self_y) = _within(x, k), _within(y, k)
    across_x, across_y = _across(x, y, k)
    total_x, total_y, across = within_x.sum(), within_y.sum(), across_x.sum()
    value = total_x / (m * (m - 1)) + total_y / (n * (n - 1)) - 2 * across / (m * n)
    biased = (total_x + self_x) / m**2 + (total_y + self_y) / n**2 - 2 * across / (m * n)
    # the same three means without x_i (then without y_j): every sum loses what the sample took part in
    without_x = (total_x - 2 * within_x) / ((m - 1) * (m - 2)) - 2 * (across - across_x) / ((m - 1) * n)
    without_y = (total_y - 2 * within_y) / ((n - 1) * (n - 2)) - 2 * (across - across_y) / (m * (n - 1))
    return Estimate(float(value), jackknife_error(without_x, without_y)), float(biased)


def _within(x: Tensor, k: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Σⱼ k(xᵢ, xⱼ) over j ≠ i, (m,) float64, and Σᵢ k(xᵢ, xᵢ). Each slab of rows meets itself and what follows it, so
    memory stays small and every pair is computed once."""
    sums = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    alone = torch.zeros((), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        slab = k(rows, x[start:])
        alone += slab.diagonal().sum()
        slab.diagonal().zero_()
        sums[start : start + len(rows)] += slab.sum(1)
        sums[start + len(rows) :] += slab[:, len(rows) :].sum(0)
    return sums, alone


def _across(x: Tensor, y: Tensor, k: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Σⱼ k(xᵢ, yⱼ), (m,), and Σᵢ k(xᵢ, yⱼ), (n,), float64."""
    by_x, by_y = [], torch.zeros(len(y), dtype=torch.float64, device=y.device)
    for rows in torch.split(x, _ROWS):
        slab = k(rows, y)
        by_x.append(slab.sum(1))
        by_y += slab.sum(0)
    return torch.cat(by_x), by_y


def _check(x: Tensor, y: Tensor) -> None:
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 3:
        raise SparringError(
            "METRIC-SHAPE",
            f"features {tuple(x.shape)} and {tuple(y.shape)} cannot be compared",
            why="both must be (samples, dimensions) of the same extractor, with at least 3 samples",
        )
