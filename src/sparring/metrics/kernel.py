"""Kernel distance between two sets of features (KID; Bińkowski et al. 2018, "Demystifying MMD GANs", section 4).

MMD² with k(x, y) = (x·y / d + 1)³ compares all moments up to the third: with Mₖ the k-th moment tensor of x, Nₖ of y,
MMD² = 3 |M₁ − N₁|² / d + 3 |M₂ − N₂|² / d² + |M₃ − N₃|² / d³. The estimate is unbiased for any number of samples, so it
may be negative where the laws are alike. All sums are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring.chance import permutation
from sparring.errors import SparringError

_ROWS = 2048  # of the kernel matrix held at a time


@dataclass(frozen=True)
class Estimate:
    """A measured number with its uncertainty. `low`, `high`: 95 % interval, normal approximation."""

    value: float
    standard_error: float

    @property
    def low(self) -> float:
        return self.value - 1.96 * self.standard_error

    @property
    def high(self) -> float:
        return self.value + 1.96 * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f}"


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y / d + 1)³ for all pairs: (m, d), (n, d) → (m, n) float64."""
    return (x.double() @ y.double().T / x.shape[1] + 1.0).pow(3)


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
    m, n = len(x), len(y)
    within_x, within_y = _row_sums(x, x, skip_diagonal=True), _row_sums(y, y, skip_diagonal=True)
    across_x, across_y = _row_sums(x, y), _row_sums(y, x)
    total_x, total_y, across = within_x.sum(), within_y.sum(), across_x.sum()
    value = total_x / (m * (m - 1)) + total_y / (n * (n - 1)) - 2 * across / (m * n)
    # the same three means without x_i (then without y_j): every sum loses what the sample took part in
    without_x = (total_x - 2 * within_x) / ((m - 1) * (m - 2)) - 2 * (across - across_x) / ((m - 1) * n)
    without_y = (total_y - 2 * within_y) / ((n - 1) * (n - 2)) - 2 * (across - across_y) / (m * (n - 1))
    variance = sum((len(u) - 1) * u.var(correction=0) for u in (without_x, without_y))
    return Estimate(float(value), math.sqrt(float(variance)))


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
    return Estimate(float(np.mean(values)), spread / math.sqrt(subsets))


def _row_sums(x: Tensor, y: Tensor, *, skip_diagonal: bool = False) -> Tensor:
    """Σⱼ k(xᵢ, yⱼ), (m,) float64, without j = i on request; a slab of rows at a time, so memory stays small."""
    sums = torch.cat([kernel(rows, y).sum(1) for rows in torch.split(x, _ROWS)])
    return sums - (x.double().square().sum(1) / x.shape[1] + 1.0).pow(3) if skip_diagonal else sums


def _check(x: Tensor, y: Tensor) -> None:
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 3:
        raise SparringError(
            "METRIC-SHAPE",
            f"features {tuple(x.shape)} and {tuple(y.shape)} cannot be compared",
            why="both must be (samples, dimensions) of the same extractor, with at least 3 samples",
        )
