"""Laws of the f-GAN family: conjugates, what D's best move gives, stable compositions."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.divergences import js, kl, reverse_kl, tv
from sparring.losses.f_gan import F_DIVERGENCES

D64 = {"dtype": torch.float64}
P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], **D64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], **D64)
NAMES = list(F_DIVERGENCES)
SMOOTH = [name for name in NAMES if name != "total_variation"]
EXACT = {  # of two discrete laws, written out
    "kl": kl,
    "reverse_kl": reverse_kl,
    "js": lambda p, q: 2 * js(p, q),
    "pearson": lambda p, q: ((p - q).square() / q).sum(),
    "squared_hellinger": lambda p, q: (p.sqrt() - q.sqrt()).square().sum(),
    "total_variation": tv,
}


def best(name: str, p: Tensor, q: Tensor) -> Tensor:
    """v* at each atom; ±40 where it is infinite."""
    return F_DIVERGENCES[name].best(p / q).clamp(-40, 40)


def value(name: str, v: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """What D raises: E_p[g_f(v)] − E_q[f*(g_f(v))]."""
    terms = F_DIVERGENCES[name].discriminator(v, v)
    return -((p * terms["real"]).sum() + (q * terms["fake"]).sum())


@pytest.mark.parametrize("name", NAMES)
def test_f_is_the_divergence(name: str) -> None:
    assert (Q * F_DIVERGENCES[name].f(P / Q)).sum().item() == pytest.approx(EXACT[name](P, Q).item(), abs=1e-12)
    assert F_DIVERGENCES[name].f(torch.ones(1, **D64)).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_the_game_at_its_best_discriminator_is_the_divergence(name: str) -> None:
    reached = value(name, best(name, P, Q), P, Q).item()
    assert reached == pytest.approx(EXACT[name](P, Q).item(), abs=1e-11)
    v = best(name, P, Q)
    for other in (0 * v, -v, v.clamp(-0.3, 0.3), v.clamp(max=0.4)):
        assert value(name, other, P, Q).item() < reached - 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_equal_laws_are_undecided(name: str) -> None:
    v = best(name, P, P)
    assert torch.equal(v, torch.zeros(5, **D64))
    assert value(name, v, P, P).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_fenchel_young(name: str) -> None:
    """f(u) + f*(t) ≥ ut, with equality exactly at t = f'(u)."""
    f = F_DIVERGENCES[name]
    u = torch.tensor([0.04, 0.3, 1.0, 1.7, 6.0], **D64)
    t = f.slope(u)
    assert torch.allclose(f.f(u) + f.conjugate(t), u * t, atol=1e-12)
    for other in (0.5, 0.99, 1.02):
        elsewhere = f.slope(other * u)
        assert (f.f(u) + f.conjugate(elsewhere) > u * elsewhere + 1e-7).all()


def test_fenchel_young_of_total_variation() -> None:
    """f has a kink: f*(t) = t for |t| ≤ ½, where equality holds at t = ±½ on either side of u = 1."""
    f = F_DIVERGENCES["total_variation"]
    u = torch.tensor([0.0, 0.4, 1.0, 3.0], **D64)
    assert f.slope(u).tolist() == [-0.5, -0.5, 0.0, 0.5]
    assert torch.allclose(f.f(u) + f.conjugate(f.slope(u)), u * f.slope(u), atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_conjugate_is_the_supremum(name: str) -> None:
    """f*(t) = sup_u ut − f(u), by a search over u."""
    f = F_DIVERGENCES[name]
    u = torch.linspace(-12, 6, 200_001, **D64).exp()
    for t in f.slope(torch.tensor([0.1, 1.0, 2.5], **D64)):
        assert (u * t - f.f(u)).max().item() == pytest.approx(f.conjugate(t).item(), abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_slope_is_the_derivative_of_f(name: str) -> None:
    u = torch.tensor([0.2, 0.9, 1.1, 4.0], **D64, requires_grad=True)
    (derivative,) = torch.autograd.grad(F_DIVERGENCES[name].f(u).sum(), u)
    assert torch.allclose(F_DIVERGENCES[name].slope(u), derivative, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_activation_reaches_the_best_t(name: str) -> None:
    f, u = F_DIVERGENCES[name], torch.tensor([0.2, 0.9, 1.0, 1.1, 4.0], **D64)
    assert torch.allclose(f.activation(f.best(u)), f.slope(u), atol=1e-12)
    v = torch.linspace(-3, 3, 13, **D64)
    assert (f.activation(v).diff() > 0).all()  # increasing: v > 0 means "rather real"


@pytest.mark.parametrize("name", NAMES)
def test_compositions(name: str) -> None:
    """The stable forms equal −g_f and f* ∘ g_f where those can be computed."""
    f, v = F_DIVERGENCES[name], torch.linspace(-6, 6, 49, **D64)
    assert torch.allclose(f.real(v), -f.activation(v), atol=1e-12)
    assert torch.allclose(f.fake(v), f.conjugate(f.activation(v)), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_generators(name: str) -> None:
    """G lowers what D raises on fakes; the other form asks of fakes what D lowers on reals."""
    f, v = F_DIVERGENCES[name], torch.linspace(-3, 3, 7, **D64)
    assert torch.equal(f.generator(None, v)["fake"], -f.discriminator(v, v)["fake"])
    assert torch.equal(f.unsaturated_generator(None, v)["fake"], f.discriminator(v, v)["real"])
    assert OBJECTIVES[name].discriminator == f.discriminator and OBJECTIVES[name].generator == f.generator


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_of_the_generator_is_that_of_the_divergence(name: str) -> None:
    """Danskin: with D frozen at its best, ∇_q of what G lowers is ∇_q D_f(p‖q)."""
    weights = Q.log().requires_grad_()
    (weights.softmax(0) * F_DIVERGENCES[name].generator(None, best(name, P, Q))["fake"]).sum().backward()
    again = Q.log().requires_grad_()
    EXACT[name](P, again.softmax(0)).backward()
    assert torch.allclose(weights.grad, again.grad, atol=1e-11)


def test_js_is_minimax_without_its_constant() -> None:
    s = torch.linspace(-5, 5, 11, **D64)
    plain = OBJECTIVES["minimax"].discriminator(s, s.flip(0))
    for name, term in OBJECTIVES["js"].discriminator(s, s.flip(0)).items():
        assert torch.allclose(term, plain[name] - math.log(2), atol=1e-14)


def test_games_cannot_be_changed_in_place() -> None:
    for each in (F_DIVERGENCES["kl"], OBJECTIVES["kl"]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            each.name = "lk"
