"""Divergences between laws that are known: closed forms, symmetries, bounds, and quadrature against SciPy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate as scipy_integrate
from scipy import stats
from torch import Tensor

from sparring.errors import SparringError
from sparring.losses import divergences
from sparring.losses.divergences import js, js_gaussian, kl, kl_gaussian, reverse_kl, tv, tv_gaussian

D64 = {"dtype": torch.float64}
P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], **D64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], **D64)


# ── discrete ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_on_five_atoms() -> None:
    assert kl(P, Q).item() == pytest.approx(1.233724964728, abs=1e-11)
    assert reverse_kl(P, Q).item() == kl(Q, P).item() == pytest.approx(0.997460259104, abs=1e-11)
    assert js(P, Q).item() == js(Q, P).item() == pytest.approx(0.234050082268, abs=1e-11)
    assert tv(P, Q).item() == tv(Q, P).item() == pytest.approx(0.6, abs=1e-12)


def test_equal_disjoint_and_absent() -> None:
    one, other = torch.tensor([0.5, 0.5, 0.0], **D64), torch.tensor([0.0, 0.0, 1.0], **D64)
    for divergence in (kl, reverse_kl, js, tv):
        assert divergence(P, P).item() == pytest.approx(0.0, abs=1e-15)
        assert divergence(one, one).item() == 0.0
    assert kl(one, other).item() == reverse_kl(one, other).item() == math.inf
    assert js(one, other).item() == pytest.approx(math.log(2), abs=1e-15)
    assert tv(one, other).item() == 1.0


def test_laws_stand_in_rows() -> None:
    rows = torch.stack([P, Q])
    for divergence in (kl, reverse_kl, js, tv):
        both = divergence(rows, rows.flip(0))
        assert both.tolist() == pytest.approx([divergence(P, Q).item(), divergence(Q, P).item()], abs=1e-14)


def test_inequalities() -> None:
    """Pinsker: 2 TV² ≤ KL. Lin 1991: JS ≤ log 2 · TV."""
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 200, 6, generator=generator, **D64).softmax(-1)
    p, q = (p**8 / (p**8).sum(-1, keepdim=True)), (q**8 / (q**8).sum(-1, keepdim=True))
    assert (2 * tv(p, q) ** 2 <= kl(p, q)).all() and (js(p, q) <= math.log(2) * tv(p, q)).all()


def test_no_silent_broadcasting() -> None:
    for divergence in (kl, reverse_kl, js, tv):
        with pytest.raises(SparringError, match=r"LOSS-SHAPE.*\(5,\) and \(1, 5\)|LOSS-SHAPE.*\(1, 5\) and \(5,\)"):
            divergence(P, Q[None])


# ── Gaussians ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_kl_of_gaussians_against_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(2, 3, generator=generator, **D64)
    roots = torch.randn(2, 3, 3, generator=generator, **D64).tril() + 2 * torch.eye(3, **D64)
    covs = roots @ roots.mT
    p, q = (torch.distributions.MultivariateNormal(m, covariance_matrix=c) for m, c in zip(means, covs))
    ours = kl_gaussian(means[0], covs[0], means[1], covs[1])
    assert ours.item() == pytest.approx(torch.distributions.kl_divergence(p, q).item(), abs=1e-10)
    assert kl_gaussian(means[0], covs[0], means[0], covs[0]).item() == pytest.approx(0, abs=1e-12)


def test_kl_of_gaussians_by_hand() -> None:
    """log(σ'/σ) + (σ² + (μ − μ')²)/(2σ'²) − ½; it does not change with a change of coordinates."""

    def one(mean: float, std: float) -> tuple[Tensor, Tensor]:
        return torch.tensor([mean], **D64), torch.tensor([[std**2]], **D64)

    wanted = math.log(3 / 2) + (4 + 1) / 18 - 0.5
    assert kl_gaussian(*one(0, 2), *one(1, 3)).item() == pytest.approx(wanted, abs=1e-12)
    assert kl_gaussian(*one(0, 20), *one(10, 30)).item() == pytest.approx(wanted, abs=1e-12)


def test_gradient_of_kl_of_gaussians() -> None:
    arguments = (
        torch.tensor([0.1, 0.4], **D64, requires_grad=True),
        torch.tensor([[1.0, 0.3], [0.3, 2.0]], **D64),
        torch.tensor([-0.2, 1.0], **D64, requires_grad=True),
        torch.tensor([[0.5, -0.1], [-0.1, 1.5]], **D64),
    )
    assert torch.autograd.gradcheck(kl_gaussian, arguments)


LINES = [(0.0, 1.0, 2.0, 1.0), (0.0, 1.0, 0.0, 3.0), (1.0, 0.01, 0.0, 5.0), (-1.0, 2.0, 4.0, 0.5)]


def by_parts(f: object, mean_p: float, std_p: float, mean_q: float, std_q: float) -> float:
    ends = sorted({m + s * k for m, s in ((mean_p, std_p), (mean_q, std_q)) for k in np.arange(-10, 10.5, 0.5)})
    return sum(scipy_integrate.quad(f, a, b, epsabs=1e-14, limit=200)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("laws", LINES)
def test_js_and_tv_of_gaussians_against_scipy(laws: tuple[float, float, float, float]) -> None:
    p, q = stats.norm(*laws[:2]), stats.norm(*laws[2:])

    def js_at(x: float) -> float:
        a, b = p.logpdf(x), q.logpdf(x)
        middle = np.logaddexp(a, b) - math.log(2)
        return 0.5 * math.exp(a) * (a - middle) + 0.5 * math.exp(b) * (b - middle)

    assert js_gaussian(*laws) == pytest.approx(by_parts(js_at, *laws), abs=1e-12)
    halves = by_parts(lambda x: 0.5 * abs(p.pdf(x) - q.pdf(x)), *laws)
    assert tv_gaussian(*laws) == pytest.approx(halves, abs=1e-7)


def test_tv_of_a_shift_is_known() -> None:
    """2Φ(d/2σ) − 1; far apart 1; and JS goes to log 2."""
    for shift, std in ((0.3, 1.0), (2.0, 1.0), (-1.0, 0.2)):
        wanted = math.erf(abs(shift) / std / 2 / math.sqrt(2))
        assert tv_gaussian(1.0, std, 1.0 + shift, std) == pytest.approx(wanted, abs=1e-12)
    assert tv_gaussian(0, 1, 100, 1) == pytest.approx(1, abs=1e-15)
    assert js_gaussian(0, 1, 100, 1) == pytest.approx(math.log(2), abs=1e-12)


@pytest.mark.parametrize("laws", LINES)
def test_symmetries_of_gaussians(laws: tuple[float, float, float, float]) -> None:
    """Exchange, reflection, and change of scale; equal laws are at distance 0."""
    a, b, c, d = laws
    for divergence in (js_gaussian, tv_gaussian):
        value = divergence(a, b, c, d)
        for other in ((c, d, a, b), (-a, b, -c, d), (10 * a, 10 * b, 10 * c, 10 * d)):
            assert divergence(*other) == pytest.approx(value, abs=1e-12)
        assert divergence(a, b, a, b) == pytest.approx(0, abs=1e-12)


def test_integrals_of_gaussians() -> None:
    edges = divergences.panels((2.0, 0.3), (-1.0, 4.0))
    assert edges.shape == (98,) and (edges.diff() >= 0).all()
    assert edges[0].item() == -49 and edges[-1].item() == 47

    def density(x: Tensor) -> Tensor:
        return divergences.log_normal(x, 2.0, 0.3).exp()

    assert divergences.integrate(density, edges).item() == pytest.approx(1, abs=1e-12)
    assert divergences.integrate(lambda x: x * density(x), edges).item() == pytest.approx(2, abs=1e-12)
    assert divergences.integrate(lambda x: (x - 2) ** 2 * density(x), edges).item() == pytest.approx(0.09, abs=1e-12)


def test_integrals_are_differentiable() -> None:
    """KL(mixture ‖ N(μ, 1)) is lowest at the mean of the mixture: what a forward fit does with two modes."""
    mean = torch.tensor(0.7, **D64, requires_grad=True)
    edges = divergences.panels((-2.0, 0.5), (2.0, 0.5), (0.0, 1.0))

    def forward(x: Tensor) -> Tensor:
        log_p = torch.logaddexp(divergences.log_normal(x, -2.0, 0.5), divergences.log_normal(x, 2.0, 0.5)) - math.log(2)
        return log_p.exp() * (log_p - divergences.log_normal(x, mean, 1.0))

    (slope,) = torch.autograd.grad(divergences.integrate(forward, edges), mean)
    assert slope.item() == pytest.approx(0.7, abs=1e-10)  # ∇_μ = μ − E_p[x]
