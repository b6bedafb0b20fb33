"""The von Mises-Fisher law: its numbers in closed form, its samples by their moments, and the gradient through them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice, Dices
from sparring.priors import von_mises_fisher as vmf

N = 8000
KL = [
    (3, 1.0, 0.151595923928), (3, 10.0, 1.995732316838), (3, 100.0, 4.298317366548), (2, 1.0, 0.2104756074),
    (2, 10.0, 1.5430261764), (11, 10.0, 2.4383445305), (11, 50.0, 8.8076696042), (41, 50.0, 12.3347623117),
]  # fmt: skip
SPHERES = [(2, 2.0), (3, 0.1), (3, 30.0), (4, 5.0), (11, 40.0), (41, 1.0), (41, 400.0)]
"""(m, κ)."""


def several(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def around(m: int, kappa: float, n: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(points, μ, κ with gradient), n of each, in float64; μ is the same for all, on the side away from e₁."""
    mean = torch.linspace(-1, 0.5, m, dtype=torch.float64)
    mean = (mean / mean.norm()).expand(n, m)
    width = torch.full((n,), kappa, dtype=torch.float64, requires_grad=True)
    return vmf.draw_around(Dice(seed, "z", range(n)), mean, width), mean, width


def close(values: Tensor, expected: float) -> None:
    """Their mean, to within five standard errors (and no rounding more)."""
    error = float(values.detach().std()) / len(values) ** 0.5
    assert float(values.detach().mean()) == pytest.approx(expected, abs=5 * error + 1e-12)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("m", "kappa", "expected"), KL)
def test_kl_to_the_uniform_law(m: int, kappa: float, expected: float) -> None:
    assert float(vmf.kl_to_uniform(several(kappa), m)) == pytest.approx(expected, abs=1e-9)


def test_kl_in_three_coordinates_is_elementary() -> None:
    kappa = torch.logspace(-3, 3, 60, dtype=torch.float64)
    log_sinh = kappa + torch.log1p(-torch.exp(-2 * kappa)) - math.log(2)
    expected = kappa / torch.tanh(kappa) - 1 + torch.log(kappa) - log_sinh
    torch.testing.assert_close(vmf.kl_to_uniform(kappa, 3), expected, rtol=0, atol=2e-12)


def test_kl_vanishes_with_kappa_and_so_does_the_pull() -> None:
    kappa = torch.logspace(-6, -2, 9, dtype=torch.float64)
    for m in (2, 3, 11, 41):
        torch.testing.assert_close(vmf.kl_to_uniform(kappa, m), kappa**2 / (2 * m), rtol=1e-3, atol=1e-15)
        torch.testing.assert_close(vmf.mean_resultant(kappa, m), kappa / m, rtol=1e-4, atol=0)
        torch.testing.assert_close(vmf.entropy(kappa, m), torch.full_like(kappa, vmf.log_area(m)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("m", [2, 3, 11, 41])
def test_slope_of_the_kl(m: int) -> None:
    """d KL / dκ = κ A'(κ), A' = 1 − A² − (m − 1) A / κ; by finite differences too."""
    kappa = several(0.02, 1.0, 12.0, 300.0).requires_grad_()
    (slope,) = torch.autograd.grad(vmf.kl_to_uniform(kappa, m).sum(), kappa)
    A = vmf.mean_resultant(kappa, m)
    torch.testing.assert_close(slope, kappa * (1 - A**2 - (m - 1) * A / kappa), rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda kappa: vmf.kl_to_uniform(kappa, m), kappa)
    assert torch.autograd.gradcheck(lambda kappa: vmf.log_normaliser(kappa, m), kappa)


def test_float32_loses_nothing_but_its_own_digits() -> None:
    kappa = torch.tensor([1.5, 40.0, 5000.0])
    torch.testing.assert_close(vmf.kl_to_uniform(kappa, 11).double(), vmf.kl_to_uniform(kappa.double(), 11), rtol=1e-6,
                               atol=0)  # fmt: skip


def test_the_density_is_one_in_all() -> None:
    """∫ vMF = 1 on S¹ and on S², by quadrature; κ = 0 is 1 / area."""
    angle = torch.arange(2000, dtype=torch.float64) * (2 * math.pi / 2000)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    total = vmf.log_density(x, several(1.0, 0.0).expand(2000, 2), several(7.0).expand(2000)).exp().mean() * 2 * math.pi
    assert float(total) == pytest.approx(1, abs=1e-10)
    t = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    x = torch.stack([t, (1 - t**2).sqrt(), 0 * t], 1)
    density = vmf.log_density(x, several(1.0, 0.0, 0.0).expand(len(t), 3), several(7.0).expand(len(t))).exp()
    assert float(torch.trapezoid(density, t)) * 2 * math.pi == pytest.approx(1, abs=1e-6)
    assert float(vmf.log_normaliser(several(1e-9), 5)) == pytest.approx(-vmf.log_area(5), abs=1e-12)


# ── points ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("m", [2, 3, 11])
def test_the_prior_lies_on_the_whole_sphere(m: int) -> None:
    """Mean 0, covariance I / m, every orthant (of the first two coordinates) as often as the others."""
    z = vmf.draw(Dice(0, "z", range(N)), m).double()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(N, dtype=z.dtype), rtol=0, atol=1e-6)
    assert float(z.mean(0).norm()) < 4 / N**0.5
    torch.testing.assert_close(z.T @ z / N, torch.eye(m, dtype=z.dtype) / m, rtol=0, atol=5 / N**0.5 / m**0.5)
    corner = (z[:, 0] > 0) * 2 + (z[:, 1] > 0)
    assert float((corner.bincount(minlength=4) / N - 0.25).abs().max()) < 5 * (3 / 16 / N) ** 0.5


@pytest.mark.parametrize("m", [2, 3, 11])
def test_small_kappa_is_the_uniform_law(m: int) -> None:
    points = around(m, 1e-4)[0].detach()
    assert float(points.mean(0).norm()) < 4 / N**0.5
    spread = (points.T @ points / N - torch.eye(m, dtype=points.dtype) / m).abs().max()
    assert float(spread) < 5 / N**0.5 / m**0.5


@pytest.mark.parametrize(("m", "kappa"), SPHERES)
def test_moments_of_the_points(m: int, kappa: float) -> None:
    """|x| = 1, E[μᵀx] = A, E[(μᵀx)²] = 1 − (m − 1) A / κ, and nothing beside μ."""
    points, mean, _ = around(m, kappa)
    points = points.detach()
    torch.testing.assert_close(points.norm(dim=1), torch.ones(N, dtype=points.dtype), rtol=0, atol=1e-12)
    t = (mean * points).sum(1)
    A = float(vmf.mean_resultant(several(kappa), m))
    close(t, A)
    close(t**2, 1 - (m - 1) * A / kappa)
    beside = points - t[:, None] * mean
    assert float(beside.mean(0).norm()) < 4 * float(beside.norm(dim=1).square().mean() / N) ** 0.5
    log_q = vmf.log_density(points, mean, torch.full((N,), kappa, dtype=points.dtype))
    close(-log_q, float(vmf.entropy(several(kappa), m)))


@pytest.mark.parametrize(("m", "kappa"), SPHERES)
def test_gradient_through_the_points(m: int, kappa: float) -> None:
    """The mean of d f(t) / dκ is d E f / dκ, for f = t and t²: with A' from the Bessel functions."""
    points, mean, width = around(m, kappa, seed=1)
    t = (mean * points).sum(1)
    A = float(vmf.mean_resultant(several(kappa), m))
    slope = 1 - A**2 - (m - 1) * A / kappa
    (first,) = torch.autograd.grad(t.sum(), width, retain_graph=True)
    (second,) = torch.autograd.grad((t**2).sum(), width)
    close(first, slope)
    close(second, -(m - 1) * (slope / kappa - A / kappa**2))


@pytest.mark.parametrize("m", [4, 6, 11])
def test_without_the_correction_the_gradient_would_be_wrong(m: int) -> None:
    """What the acceptance adds matters: the path of the proposal alone misses A' by some per cent."""
    kappa, e = several(3.0), torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    law = vmf.Wood(kappa.expand(199), m)
    alone = -2 * e * (1 - e) / (1 - (1 - law.b) * e).square() * law.b_slope
    weight = ((e * (1 - e)) ** (law.alpha - 1) * law.log_accept(e[:, None])[:, 0].exp()).double()
    A = vmf.mean_resultant(kappa, m)
    slope = float(1 - A**2 - (m - 1) * A / kappa)
    inside = slice(1, -1)

    def expected(path: Tensor) -> float:
        return float((weight * path)[inside].sum() / weight[inside].sum())

    assert expected(law.slope(e, 1 - e)) == pytest.approx(slope, rel=2e-3)
    assert abs(expected(alone) / slope - 1) > 0.03


@pytest.mark.parametrize("kappa", [0.5, 5.0, 60.0])
def test_wood_moves_points_as_the_inversion_does(kappa: float) -> None:
    """In three coordinates P(t ≤ s) is elementary, and dt/dκ = −∂P/∂κ / density: the corrected path is that one."""
    e = torch.linspace(0.02, 0.9, 45, dtype=torch.float64)
    width = torch.full((45,), kappa, dtype=torch.float64, requires_grad=True)
    law = vmf.Wood(width.detach(), 3)
    t, sine = law.point(e, 1 - e)
    torch.testing.assert_close(t**2 + sine**2, torch.ones_like(t), rtol=0, atol=1e-14)
    below = (torch.exp(width * (t - 1)) - torch.exp(-2 * width)) / (1 - torch.exp(-2 * width))
    (moved,) = torch.autograd.grad(below.sum(), width)
    density = kappa * torch.exp(kappa * (t - 1)) / (1 - math.exp(-2 * kappa))
    likely = law.log_accept(e[:, None])[:, 0] > -15
    torch.testing.assert_close(law.slope(e, 1 - e)[likely], (-moved / density)[likely], rtol=1e-5, atol=1e-9)


def test_gradient_in_the_mean_by_finite_differences() -> None:
    mean = torch.nn.functional.normalize(torch.tensor([[0.4, -0.2, 0.7, 0.1], [-0.6, 0.3, 0.2, -0.5]]).double(), dim=1)
    x = torch.nn.functional.normalize(torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 4), dim=1)
    assert torch.autograd.gradcheck(lambda mean: vmf.reflect(x, mean), mean.requires_grad_())
    first = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).expand(2, 4)
    torch.testing.assert_close(vmf.reflect(first, mean.detach()), mean.detach())
    for side in (1.0, -1.0):  # exactly towards and away from the axis
        pole = side * first[:1]
        torch.testing.assert_close(vmf.reflect(first[:1], pole), pole)


def test_a_point_depends_on_its_own_dice_alone() -> None:
    """The same alone and in company, however often its neighbours are refused; a member as by itself."""
    for m in (3, 5):
        mean = vmf.draw(Dice(0, "mean", range(200)), m)
        kappa = torch.linspace(0.1, 80, 200)
        whole = vmf.draw_around(Dice(1, "z", range(200)), mean, kappa)
        assert torch.equal(whole, vmf.draw_around(Dice(1, "z", range(200)), mean, kappa))
        for k in (0, 57, 199):
            alone = vmf.draw_around(Dice(1, "z", range(k, k + 1)), mean[k : k + 1], kappa[k : k + 1])
            torch.testing.assert_close(alone[0], whole[k], rtol=0, atol=1e-6)
        both = vmf.draw_around(Dices((4, 1), "z", range(200)), mean.repeat(2, 1), kappa.repeat(2))
        assert torch.equal(both[200:], whole)


def test_it_goes_on_until_every_point_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one proposal to begin with, further throws fill what is missing, and the law stays what it is."""
    monkeypatch.setattr(vmf, "PROPOSALS", 1)
    points, mean, _ = around(6, 20.0)
    close((mean * points).sum(1), float(vmf.mean_resultant(several(20.0), 6)))


def test_what_is_not_a_number_stays_so() -> None:
    mean = torch.eye(5)[:2]
    points = vmf.draw_around(Dice(0, "z", range(2)), mean, torch.tensor([math.nan, 3.0]))
    assert bool(points[0].isnan().any()) and bool(points[1].isfinite().all())
