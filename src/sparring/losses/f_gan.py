"""The f-GAN family: a game for every f-divergence D_f(p‖q) = E_q[f(p/q)] (Nowozin et al. 2016, "f-GAN").

With the conjugate f*(t) = sup_u ut − f(u), D_f(p‖q) ≥ E_p[T] − E_q[f*(T)] for every T, with equality at T* = f'(p/q)
(Nguyen et al. 2010). D gives v, and T = g_f(v) with an increasing activation g_f that maps all of ℝ into the domain of
f*: D raises E_x[g_f(v(x))] − E_z[f*(g_f(v(G(z))))] (eq. 4), and G lowers the same, hence the divergence if D is best.

The two compositions g_f and f* ∘ g_f are written out by hand, in their stable form: composing them as they stand takes
the logarithm of an exponential, or 2 − 2σ(v) where σ(v) = 1. Tests compare both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.losses.logits import LossTerms, exp, expm1, softplus

Elementwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FDivergence:
    """One f with all that its game needs; every function is elementwise, of any shape.

    f:          the generator function, convex with f(1) = 0, on u = p/q > 0.
    slope:      f'(u): the best T at a point with p/q = u.
    conjugate:  f*(t).
    activation: g_f(v), increasing, with g_f(0) = f'(1): v > 0 means "rather real".
    best:       the best v at a point with p/q = u.
    real:       −g_f(v), what D lowers on reals.   fake: f*(g_f(v)), what D lowers on fakes.
    """

    name: str
    f: Elementwise
    slope: Elementwise
    conjugate: Elementwise
    activation: Elementwise
    best: Elementwise
    real: Elementwise
    fake: Elementwise

    def discriminator(self, s_real: Tensor, s_fake: Tensor) -> LossTerms:
        """D lowers −E_x[g_f(v(x))] + E_z[f*(g_f(v(G(z))))]: at its best −D_f(p‖q).

        (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}. Nowozin et al. 2016, eq. 4 and 5.
        """
        return {"real": self.real(s_real), "fake": self.fake(s_fake)}

    def generator(self, s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
        """G lowers −E_z[f*(g_f(v(G(z))))]; at the best D its gradient is that of D_f(p‖q).

        (…), (M, …) → {"fake": (M, …)}. Nowozin et al. 2016, eq. 4. `s_real` is not used.
        """
        return {"fake": -self.fake(s_fake)}

    def unsaturated_generator(self, s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
        """G lowers −E_z[g_f(v(G(z)))]: what D lowers on reals, asked of fakes; the same fixed point, another gradient.

        (…), (M, …) → {"fake": (M, …)}. Nowozin et al. 2016, section 3.2. `s_real` is not used.
        """
        return {"fake": self.real(s_fake)}


kl = FDivergence(
    "kl",
    f=lambda u: torch.xlogy(u, u),
    slope=lambda u: 1.0 + u.log(),
    conjugate=lambda t: (t - 1.0).exp(),
    activation=lambda v: 1.0 + v,
    best=torch.log,
    real=lambda v: -1.0 - v,
    fake=exp,
)
"""KL(p‖q): f(u) = u log u, f*(t) = e^(t − 1), T* = 1 + log p/q. Nowozin et al. 2016 have g_f(v) = v; ours is 1 + v, so
that v* = log p/q is a logit as elsewhere. G's weight of a fake is eᵛ: high variance (see `maximum_likelihood`)."""

reverse_kl = FDivergence(
    "reverse_kl",
    f=lambda u: -u.log(),
    slope=lambda u: -1.0 / u,
    conjugate=lambda t: -1.0 - (-t).log(),
    activation=lambda v: -(-v).exp(),
    best=torch.log,
    real=lambda v: exp(-v),
    fake=lambda v: v - 1.0,
)
"""KL(q‖p): f(u) = −log u, f*(t) = −1 − log(−t) for t < 0, g_f(v) = −e^(−v), T* = −q/p, v* = log p/q."""

js = FDivergence(
    "js",
    f=lambda u: torch.xlogy(u, u) - (u + 1.0) * ((1.0 + u) / 2.0).log(),
    slope=lambda u: (2.0 * u / (1.0 + u)).log(),
    conjugate=lambda t: -(2.0 - t.exp()).log(),
    activation=lambda v: math.log(2.0) - softplus(-v),
    best=torch.log,
    real=lambda v: softplus(-v) - math.log(2.0),
    fake=lambda v: softplus(v) - math.log(2.0),
)
"""2 JS(p, q): f(u) = u log u − (u + 1) log((1 + u)/2), f*(t) = −log(2 − eᵗ) for t < log 2, g_f(v) = log 2σ(v).
`minimax` up to the constant 2 log 2, so its value is the divergence itself: 0 where p = q."""

pearson = FDivergence(
    "pearson",
    f=lambda u: (u - 1.0).square(),
    slope=lambda u: 2.0 * (u - 1.0),
    conjugate=lambda t: 0.25 * t.square() + t,
    activation=lambda v: v,
    best=lambda u: 2.0 * (u - 1.0),
    real=torch.neg,
    fake=lambda v: 0.25 * v.square() + v,
)
"""Pearson's χ²(p‖q) = Σ (p − q)²/q: f(u) = (u − 1)², f*(t) = t²/4 + t, T* = 2 (p/q − 1). (f* is that of f on all of
ℝ, as in Nowozin et al. 2016; T* ≥ −2 always.)"""

squared_hellinger = FDivergence(
    "squared_hellinger",
    f=lambda u: (u.sqrt() - 1.0).square(),
    slope=lambda u: 1.0 - u.rsqrt(),
    conjugate=lambda t: t / (1.0 - t),
    activation=lambda v: -torch.expm1(-v),
    best=lambda u: 0.5 * u.log(),
    real=lambda v: expm1(-v),
    fake=expm1,
)
"""H²(p, q) = Σ (√p − √q)²: f(u) = (√u − 1)², f*(t) = t/(1 − t) for t < 1, g_f(v) = 1 − e^(−v), v* = ½ log p/q."""

total_variation = FDivergence(
    "total_variation",
    f=lambda u: 0.5 * (u - 1.0).abs(),
    slope=lambda u: 0.5 * (u - 1.0).sign(),
    conjugate=lambda t: t,
    activation=lambda v: 0.5 * v.tanh(),
    best=lambda u: torch.zeros_like(u).masked_fill(u > 1, math.inf).masked_fill(u < 1, -math.inf),
    real=lambda v: -0.5 * v.tanh(),
    fake=lambda v: 0.5 * v.tanh(),
)
"""TV(p, q) = ½ Σ |p − q|: f(u) = ½ |u − 1|, f*(t) = t for |t| ≤ ½, g_f(v) = ½ tanh v, T* = ½ sign(p − q), which no
finite v reaches (v* = ±∞)."""

F_DIVERGENCES: dict[str, FDivergence] = {
    each.name: each for each in (kl, reverse_kl, js, pearson, squared_hellinger, total_variation)
}
"""Name → divergence."""
