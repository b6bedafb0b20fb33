"""Laws of the objectives: exact values on five atoms, the divergences behind the gradients, saturation, stability."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.losses.adversarial import OBJECTIVES, softplus

P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], dtype=torch.float64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], dtype=torch.float64)
OPTIMUM = (P / Q).log()  # logit of D* = p / (p + q)
EXACT = {"abs": 1e-9, "rel": 0}

minimax, nonsaturating = OBJECTIVES["minimax"], OBJECTIVES["nonsaturating"]
wasserstein, relativistic = OBJECTIVES["wasserstein"], OBJECTIVES["relativistic"]


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """All 25 pairs (x from p, y from q): their probability and both logits at the optimum."""
    return torch.outer(P, Q), OPTIMUM[:, None].expand(5, 5), OPTIMUM[None, :].expand(5, 5)


def test_value_of_the_game_on_five_atoms() -> None:
    terms = minimax.discriminator(OPTIMUM, OPTIMUM)
    value = -((P * terms["real"]).sum() + (Q * terms["fake"]).sum())
    assert value.item() == pytest.approx(-0.918194196583, **EXACT)
    assert value.item() == pytest.approx((2 * js(P, Q) - 2 * math.log(2)).item(), **EXACT)


def test_generators_on_five_atoms() -> None:
    saturating = (Q * minimax.generator(None, OPTIMUM)["fake"]).sum().item()
    not_saturating = (Q * nonsaturating.generator(None, OPTIMUM)["fake"]).sum().item()
    assert saturating == pytest.approx(-0.444197628169, **EXACT)
    assert not_saturating == pytest.approx(1.441657887273, **EXACT)
    assert saturating + not_saturating == pytest.approx(kl(Q, P).item(), **EXACT)
    assert kl(Q, P).item() == pytest.approx(0.997460259104, **EXACT)


def test_relativistic_value_on_five_atoms() -> None:
    weight, real, fake = pairs()
    loss = (weight * relativistic.discriminator(real, fake)["pair"]).sum()
    joint, swapped = torch.outer(P, Q), torch.outer(Q, P)
    assert -loss.item() == pytest.approx(-0.316257267846, **EXACT)
    assert -loss.item() == pytest.approx((js(joint.flatten(), swapped.flatten()) - math.log(2)).item(), **EXACT)


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "relativistic"])
def test_a_tabular_discriminator_learns_the_log_ratio(name: str) -> None:
    s = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([s], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def loss() -> Tensor:
        optimiser.zero_grad()
        if OBJECTIVES[name].relative:
            pair = OBJECTIVES[name].discriminator(s[:, None].expand(5, 5), s[None, :].expand(5, 5))["pair"]
            value = (torch.outer(P, Q) * pair).sum()
        else:
            terms = OBJECTIVES[name].discriminator(s, s)
            value = (P * terms["real"]).sum() + (Q * terms["fake"]).sum()
        value.backward()
        return value

    optimiser.step(loss)
    found = s.detach() - (s.mean() - OPTIMUM.mean()).detach() if OBJECTIVES[name].relative else s.detach()
    assert torch.allclose(found, OPTIMUM, atol=1e-5, rtol=0)  # relativistic: up to a constant


SATURATING = [-0.049471462, -0.067378092, -0.063356875, 0.032317618, 0.147888811]
NOT_SATURATING = [-0.027721761, -0.062966817, -0.122314738, -0.056668476, 0.269671791]


@pytest.mark.parametrize(("name", "expected"), [("minimax", SATURATING), ("nonsaturating", NOT_SATURATING)])
def test_gradients_at_the_optimum_are_those_of_divergences(name: str, expected: list[float]) -> None:
    weights = Q.log().requires_grad_()  # q = softmax of its logits, D frozen at D*
    (OBJECTIVES[name].generator(None, OPTIMUM)["fake"] * weights.softmax(0)).sum().backward()
    again = Q.log().requires_grad_()
    q = again.softmax(0)
    (2 * js(P, q) if name == "minimax" else kl(q, P) - 2 * js(P, q)).backward()
    assert weights.grad.tolist() == pytest.approx(expected, abs=1e-8)
    assert torch.allclose(weights.grad, again.grad, atol=1e-12, rtol=0)


def test_values_at_indifference() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    total = sum(term.mean() for term in minimax.discriminator(zero, zero).values())
    assert total.item() == pytest.approx(2 * math.log(2), **EXACT)
    assert relativistic.generator(zero, zero)["pair"].mean().item() == pytest.approx(math.log(2), **EXACT)
    assert minimax.generator(None, zero)["fake"].mean().item() == pytest.approx(-math.log(2), **EXACT)


def slope(name: str, at: float) -> float:
    s = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    OBJECTIVES[name].generator(torch.zeros_like(s), s)[
        ("pair" if OBJECTIVES[name].relative else "fake")
    ].sum().backward()
    return s.grad.item()


def test_saturation() -> None:
    assert -1e-8 < slope("minimax", -20.0) < 0
    assert -1 <= slope("nonsaturating", -20.0) < -0.999
    assert -1 <= slope("relativistic", -20.0) < -0.999
    assert slope("wasserstein", -20.0) == -1.0


@pytest.mark.parametrize("at", [-3.0, -0.5, 0.0, 0.7, 4.0])
def test_weight_of_a_fake_sample(at: float) -> None:
    sigmoid = 1 / (1 + math.exp(-at))
    assert slope("minimax", at) == pytest.approx(-sigmoid, abs=1e-12)  # −σ(s)
    assert slope("nonsaturating", at) == pytest.approx(-(1 - sigmoid), abs=1e-12)  # −σ(−s)
    assert slope("relativistic", at) == pytest.approx(-(1 - sigmoid), abs=1e-12)  # the real logit is 0


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_gradients_against_finite_differences(name: str) -> None:
    real = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    fake = torch.linspace(2, -2, 7, dtype=torch.float64, requires_grad=True)
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        assert torch.autograd.gradcheck(lambda r, f, half=half: tuple(half(r, f).values()), (real, fake))
        assert torch.autograd.gradgradcheck(lambda r, f, half=half: tuple(half(r, f).values()), (real, fake))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_finite_at_huge_logits(name: str, dtype: torch.dtype) -> None:
    real = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    fake = torch.tensor([1e4, -1e4, -1e4, 1e4], dtype=dtype, requires_grad=True)
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        terms = half(real, fake)
        gradients = torch.autograd.grad(sum(t.sum() for t in terms.values()), (real, fake), allow_unused=True)
        assert all(t.isfinite().all() for t in terms.values())
        assert all(g.isfinite().all() and g.abs().max() <= 1 for g in gradients if g is not None)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_signs(name: str) -> None:
    """D's step raises s(real) − s(fake); G's raises s(fake)."""
    real = torch.tensor([0.3, -1.0], requires_grad=True)
    fake = torch.tensor([0.1, 2.0], requires_grad=True)
    loss = sum(t.mean() for t in OBJECTIVES[name].discriminator(real, fake).values())
    d_real, d_fake = torch.autograd.grad(loss, (real, fake))
    assert (d_real < 0).all() and (d_fake > 0).all()
    loss = sum(t.mean() for t in OBJECTIVES[name].generator(real, fake).values())
    assert (torch.autograd.grad(loss, fake)[0] < 0).all()


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_patch_logits_are_unreduced_and_average(name: str) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4, 1, 3, 3, dtype=torch.float64)
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        for key, term in half(real, fake).items():
            assert term.shape == fake.shape
            per_place = [half(real[..., i, j], fake[..., i, j])[key].mean() for i in range(3) for j in range(3)]
            assert term.mean().item() == pytest.approx(torch.stack(per_place).mean().item(), abs=1e-12)


def test_relativistic_knows_only_differences_and_swaps_roles() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 16, dtype=torch.float64)
    for half in (relativistic.discriminator, relativistic.generator):
        assert torch.allclose(half(real, fake)["pair"], half(real + 7.5, fake + 7.5)["pair"], atol=1e-12, rtol=0)
    assert torch.equal(relativistic.generator(real, fake)["pair"], relativistic.discriminator(fake, real)["pair"])


def test_wasserstein_is_the_difference_of_means() -> None:
    """In one dimension s(x) = x is the best 1-Lipschitz critic of a shift: W₁ = the shift."""
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    terms = wasserstein.discriminator(x + 0.75, x)
    assert -(terms["real"].mean() + terms["fake"].mean()).item() == pytest.approx(0.75, abs=1e-12)


def test_no_silent_broadcasting() -> None:
    for real, fake in ((torch.zeros(4), torch.zeros(4, 1)), (torch.zeros(1), torch.zeros(4))):
        with pytest.raises(SparringError, match="LOSS-SHAPE"):
            relativistic.discriminator(real, fake)
        with pytest.raises(SparringError, match="LOSS-SHAPE"):
            relativistic.generator(real, fake)
    with pytest.raises(SparringError, match="LOSS-SHAPE"):
        relativistic.generator(None, torch.zeros(4))


def test_softplus_is_exact_beyond_the_threshold_of_torch() -> None:
    s = torch.tensor([-45.0, -30.0, 0.0, 25.0, 39.0, 45.0], dtype=torch.float64)
    expected = torch.tensor([max(v, 0.0) + math.log1p(math.exp(-abs(v))) for v in s.tolist()], dtype=torch.float64)
    assert torch.allclose(softplus(s), expected, atol=1e-15, rtol=1e-14)


def test_the_table() -> None:
    assert list(OBJECTIVES) == ["minimax", "nonsaturating", "wasserstein", "relativistic"]
    assert [name for name, objective in OBJECTIVES.items() if objective.relative] == ["relativistic"]
    assert minimax.discriminator is nonsaturating.discriminator
