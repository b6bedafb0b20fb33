"""Modified Bessel functions I_ν of any order ν ≥ 0, in logarithms and ratios: nothing overflows or underflows.

Two numbers say everything: Λ_ν(x) = log[Γ(ν + 1) (2/x)^ν I_ν(x)], which is 0 at x = 0, and its derivative
A_ν(x) = I_{ν+1}(x) / I_ν(x). At a high order both come from Debye's expansion, which holds for all x at once (NIST
Digital Library of Mathematical Functions, 10.41.3); from there the recurrence I_{μ−1} = I_{μ+1} + (2μ/x) I_μ (10.29.1)
leads down to ν in steps that only add what is positive.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

HIGH, TERMS = 16, 9
"""The order from which Debye's expansion with this many terms is used: its error is then below 1e-12."""


def log_normalised(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """(Λ_ν(x), A_ν(x)), each shaped and typed like x > 0; computed in float64. Both can be differentiated, twice too:
    Λ' = A and A' = 1 − A² − (2ν + 1) A / x.

    >>> half, ratio = log_normalised(0.5, torch.tensor(2.0, dtype=torch.float64))  # Λ_½ = log(sinh x / x)
    >>> torch.allclose(half, half.new_tensor(math.log(math.sinh(2) / 2)), rtol=1e-12)
    True
    """
    if not order >= 0:
        raise ValueError(f"an order of at least 0, not {order}")
    value, ratio = _LogNormalised.apply(x.double().clamp_min(1e-30), float(order))  # type: ignore[no-untyped-call]
    return value.to(x.dtype), ratio.to(x.dtype)


def log_ive(order: float, x: Tensor) -> Tensor:
    """log(e^−x I_ν(x)), shaped and typed like x > 0: the logarithm of the exponentially scaled function.

    >>> x = torch.tensor([1e-3, 1e4], dtype=torch.float64)
    >>> [round(v, 6) for v in log_ive(30.0, x).tolist()]
    [-302.68631, -5.569098]
    """
    wide = x.double()
    value, _ = log_normalised(order, wide)
    return (value + order * torch.log(wide / 2) - math.lgamma(order + 1) - wide).to(x.dtype)


class _LogNormalised(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, order: float) -> tuple[Tensor, Tensor]:
        return _evaluate(order, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: tuple[Tensor, Tensor]) -> None:
        x, ctx.order = inputs
        ctx.save_for_backward(x, output[1])

    @staticmethod
    def backward(ctx: Any, by_value: Tensor, by_ratio: Tensor) -> tuple[Tensor, None]:
        x, ratio = ctx.saved_tensors
        slope = 1 - ratio.square() - (2 * ctx.order + 1) * ratio / x
        return by_value * ratio + by_ratio * slope, None


def _evaluate(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    steps = max(0, math.ceil(HIGH - order))
    value, over = _debye(order + steps, x)
    square = x * x
    for step in range(steps, 0, -1):  # from μ to μ − 1; `over` is A_μ / x
        twice = 2 * (order + step)
        inside = square * over
        value = value + torch.log1p(inside / twice)
        over = 1 / (twice + inside)
    return value, x * over


def _debye(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Λ_ν(x) and A_ν(x) / x of a high order, (…): with z = x / ν, s = √(1 + z²) and p = 1 / s,
    Λ = ν [s − 1 − log((1 + s) / 2)] − ½ log s + log Σ(p) − log Σ(1), Σ(p) = Σ_k u_k(p) / ν^k; A is its derivative."""
    z = x / order
    root = torch.sqrt(1 + z * z)
    beyond = z * z / (1 + root)  # s − 1
    p = 1 / root
    powers = p[..., None] ** torch.arange(3 * TERMS + 1, dtype=p.dtype, device=p.device)  # 0⁰ = 1
    series, slope = (powers @ torch.tensor(_series(order), dtype=p.dtype, device=p.device).mT).unbind(-1)
    whole = sum(_series(order)[0])
    value = order * (beyond - torch.log1p(beyond / 2)) - 0.5 * torch.log1p(beyond) + torch.log(series / whole)
    over = (1 / (1 + root) - 0.5 * p * p / order - p * p * slope / (series * order)) / order
    return value, over


@functools.lru_cache(maxsize=64)
def _series(order: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The coefficients of Σ(p) and of p Σ'(p), by powers of p."""
    total = [0.0] * (3 * TERMS + 1)
    for k, polynomial in enumerate(_polynomials()):
        for power, coefficient in enumerate(polynomial):
            total[power] += float(coefficient) / order**k
    return tuple(total), tuple(power * coefficient for power, coefficient in enumerate(total))


@functools.lru_cache(maxsize=1)
def _polynomials() -> tuple[tuple[Fraction, ...], ...]:
    """u_0 … u_TERMS by u_{k+1}(p) = ½ p² (1 − p²) u_k'(p) + ⅛ ∫₀ᵖ (1 − 5t²) u_k(t) dt   (DLMF 10.41.9)."""
    found: list[tuple[Fraction, ...]] = [(Fraction(1),)]
    for _ in range(TERMS):
        last = found[-1]
        new = [Fraction(0)] * (len(last) + 3)
        for power, c in enumerate(last):
            new[power + 1] += c * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
            new[power + 3] -= c * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
        found.append(tuple(new))
    return tuple(found)
