"""How far apart two laws p and q are: exactly, for discrete laws and for Gaussians. In nats.

    KL(p‖q) = E_p[log p/q]         forward: large where q misses what p has (the sense of maximum likelihood)
    KL(q‖p) = E_q[log q/p]         reverse: large where q makes what p has not
    JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = (p + q)/2, in [0, log 2]
    TV(p, q) = ½ Σ |p − q|, in [0, 1]

Estimates from samples are in `estimates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sparring.errors import SparringError

# ── discrete laws ─────────────────────────────────────────────────────────────────────────────────────────────────


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p‖q) = Σ p log(p/q): (…, K), (…, K) probabilities → (…); 0 log 0 = 0, and ∞ where q = 0 < p.

    >>> kl(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    tensor(0.1438)
    """
    _same(p, q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


def reverse_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(q‖p): (…, K), (…, K) → (…)."""
    return kl(q, p)


def js(p: Tensor, q: Tensor) -> Tensor:
    """JS(p, q) in [0, log 2]: (…, K), (…, K) → (…)."""
    _same(p, q)
    middle = 0.5 * (p + q)
    return 0.5 * kl(p, middle) + 0.5 * kl(q, middle)


def tv(p: Tensor, q: Tensor) -> Tensor:
    """TV(p, q) in [0, 1]: (…, K), (…, K) → (…)."""
    _same(p, q)
    return 0.5 * (p - q).abs().sum(-1)


def _same(p: Tensor, q: Tensor) -> None:
    if p.shape != q.shape:
        raise SparringError(
            "LOSS-SHAPE",
            f"two laws on {tuple(p.shape)} and {tuple(q.shape)} atoms",
            where="losses.divergences",
            why="both must say the probability of the same atoms; broadcasting would compare wrong ones",
        )


# ── Gaussians ─────────────────────────────────────────────────────────────────────────────────────────────────────


def kl_gaussian(mean_p: Tensor, cov_p: Tensor, mean_q: Tensor, cov_q: Tensor) -> Tensor:
    """KL(N(μ, Σ) ‖ N(μ', Σ')) = ½ [tr(Σ'⁻¹Σ) + (μ' − μ)ᵀΣ'⁻¹(μ' − μ) − d + log(|Σ'| / |Σ|)].

    (d,), (d, d), (d,), (d, d) → (). Σ and Σ' positive definite. The reverse divergence has p and q exchanged.

    >>> one, zero = torch.eye(1), torch.zeros(1)
    >>> kl_gaussian(zero + 2.0, one, zero, one)  # |μ − μ'|² / 2
    tensor(2.)
    """
    root_p, root_q = torch.linalg.cholesky(cov_p), torch.linalg.cholesky(cov_q)
    whitened = torch.linalg.solve_triangular(root_q, root_p, upper=False)
    shift = torch.linalg.solve_triangular(root_q, (mean_q - mean_p)[:, None], upper=False)
    volume = 2.0 * (root_q.diagonal().log().sum() - root_p.diagonal().log().sum())
    twice: Tensor = whitened.square().sum() + shift.square().sum() - len(mean_p) + volume
    return 0.5 * twice


def js_gaussian(mean_p: float, std_p: float, mean_q: float, std_q: float) -> float:
    """JS of two Gaussians on the line, by quadrature to about 1e-12: there is no closed form.

    >>> round(js_gaussian(0.0, 1.0, 2.0, 1.0), 6)
    0.336831
    """

    def integrand(x: Tensor) -> Tensor:
        p, q = log_normal(x, mean_p, std_p), log_normal(x, mean_q, std_q)
        middle = torch.logaddexp(p, q) - math.log(2.0)
        return 0.5 * p.exp() * (p - middle) + 0.5 * q.exp() * (q - middle)

    return float(integrate(integrand, panels((mean_p, std_p), (mean_q, std_q))))


def tv_gaussian(mean_p: float, std_p: float, mean_q: float, std_q: float) -> float:
    """TV of two Gaussians on the line: exact, from where their densities cross.

    >>> round(tv_gaussian(0.0, 1.0, 2.0, 1.0), 6)  # 2Φ(1) − 1
    0.682689
    """
    # log p − log q = a x² + b x + c
    a = 0.5 / std_q**2 - 0.5 / std_p**2
    b = mean_p / std_p**2 - mean_q / std_q**2
    c = 0.5 * (mean_q / std_q) ** 2 - 0.5 * (mean_p / std_p) ** 2 + math.log(std_q / std_p)
    crossings = sorted(float(x.real) for x in np.roots([a, b, c]))  # real, as both densities have the same mass
    edges = [-math.inf, *crossings, math.inf]

    def mass(mean: float, std: float, low: float, high: float) -> float:
        return 0.5 * (math.erf((high - mean) / (std * math.sqrt(2))) - math.erf((low - mean) / (std * math.sqrt(2))))

    return 0.5 * sum(abs(mass(mean_p, std_p, *piece) - mass(mean_q, std_q, *piece)) for piece in pairwise(edges))


# ── integrals on the line ─────────────────────────────────────────────────────────────────────────────────────────


def log_normal(x: Tensor, mean: float | Tensor, std: float | Tensor) -> Tensor:
    """log N(x; μ, σ²), any shape."""
    std = torch.as_tensor(std, dtype=x.dtype)
    return -0.5 * ((x - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)


def panels(*gaussians: tuple[float, float]) -> Tensor:
    """Where to cut the line so that each piece sees little of each Gaussian (mean, std): (n,) float64, ascending.

    From −12 to 12 standard deviations of each, in halves; what lies beyond has a mass of 4e-33.
    """
    steps = torch.linspace(-12.0, 12.0, 49, dtype=torch.float64)
    return torch.cat([mean + std * steps for mean, std in gaussians]).sort().values


_gauss = cache(np.polynomial.legendre.leggauss)
"""Nodes and weights of Gauss-Legendre quadrature between −1 and 1."""


def integrate(f: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """∫ f over the line between the first and the last edge, by 10-point Gauss-Legendre in every panel: (), float64.

    f: (n,) → (n,), smooth inside panels.   edges: (m,) float64, ascending. Differentiable in what f depends on.

    >>> round(float(integrate(lambda x: log_normal(x, 1.0, 3.0).exp(), panels((1.0, 3.0)))), 12)
    1.0
    """
    nodes, weights = (torch.from_numpy(array) for array in _gauss(10))
    half = 0.5 * (edges[1:] - edges[:-1])[:, None]
    x = edges[:-1, None] + half * (nodes + 1.0)
    return (f(x.flatten()) * (half * weights).flatten()).sum()
