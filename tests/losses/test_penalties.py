"""Closed forms of the penalties on linear and quadratic discriminators."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sparring.chance import Dice
from sparring.errors import SparringError
from sparring.losses.penalties import (
    PENALTIES,
    consensus,
    finite_difference,
    interpolate,
    one_centred,
    perturb,
    zero_centred,
)

D64 = {"dtype": torch.float64}


def points(n: int, d: int, **kinds: object) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(1), **{**D64, **kinds}).requires_grad_()


def test_linear_discriminator() -> None:
    """R1 = R2 = ‖w‖² wherever it is measured; the gradient of γ/2 ‖w‖² is γ w."""
    w = torch.tensor([0.5, -1.5, 2.0], **D64, requires_grad=True)
    for x in (points(6, 3), (points(6, 3).detach() + 100).requires_grad_()):
        penalty = zero_centred(x @ w + 3.0, x)
        assert penalty.shape == (6,)
        assert torch.allclose(penalty, w.square().sum().expand(6), atol=1e-12)
        (gradient,) = torch.autograd.grad(0.3 / 2 * penalty.mean(), w)
        assert torch.allclose(gradient, 0.3 * w, atol=1e-12)


def test_quadratic_discriminator() -> None:
    """D = xᵀAx / 2 with A symmetric: ‖Ax‖² for each sample."""
    a = points(4, 4).detach()
    a = (a + a.T) / 2
    x = points(7, 4)
    penalty = zero_centred(0.5 * ((x @ a) * x).sum(1), x)
    assert torch.allclose(penalty, (x @ a).square().sum(1), atol=1e-12)


def test_patch_logits_are_summed() -> None:
    """Σ over places of w·x_place has the gradient w at each place: places × ‖w‖²."""
    w = torch.tensor([1.0, 2.0], **D64)
    x = torch.zeros(3, 2, 4, 4, **D64, requires_grad=True)
    logits = (x * w[:, None, None]).sum(1, keepdim=True)  # (3, 1, 4, 4)
    assert zero_centred(logits, x).tolist() == pytest.approx([16 * 5.0] * 3, abs=1e-12)


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0])
def test_chain_rule_through_an_augmentation(a: float) -> None:
    """T(x) = a x: the penalty before augmentation is a² times the one after it."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = points(5, 3)
    augmented = a * x
    inside = augmented.detach().requires_grad_()
    before = zero_centred(network(augmented), x)
    after = zero_centred(network(inside), inside)
    assert torch.allclose(before, a**2 * after, atol=1e-12)


def test_derivative_with_respect_to_the_network() -> None:
    weight = torch.nn.Parameter(points(4, 3).detach())
    x = points(5, 3)
    assert torch.autograd.gradcheck(lambda w: zero_centred(torch.tanh(x @ w.T).sum(1), x), weight)


def test_finite_difference_of_a_linear_discriminator() -> None:
    """Mean over directions ‖w‖², for every step; standard deviation √2 ‖w‖²."""
    w = torch.tensor([0.5, -1.5, 2.0], **D64)
    e = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(2), **D64)
    x = torch.ones(200_000, 3, **D64)
    expected = w.square().sum().item()
    for step in (1e-3, 1.0):
        estimate = finite_difference(x @ w, (x + step * e) @ w, step)
        error = 5 * 2**0.5 * expected / 200_000**0.5
        assert estimate.mean().item() == pytest.approx(expected, abs=error)
        assert estimate.std().item() == pytest.approx(2**0.5 * expected, rel=0.05)


def test_finite_difference_approximates_the_gradient() -> None:
    x = points(1, 3).expand(100_000, 3)
    e = torch.randn(100_000, 3, generator=torch.Generator().manual_seed(3), **D64)
    leaf = x[:1].detach().requires_grad_()
    exact = zero_centred(torch.sin(leaf).sum(1), leaf).item()
    estimate = finite_difference(torch.sin(x).sum(1), torch.sin(x + 1e-4 * e).sum(1), 1e-4).mean().item()
    assert estimate == pytest.approx(exact, rel=0.03)


def test_finite_difference_sums_patches() -> None:
    """Four places of 3 each make 12; the precision of float64 is kept, that of bfloat16 is raised to float32."""
    s = torch.zeros(2, 1, 2, 2, **D64)
    assert finite_difference(s, s + 3.0, 0.5).tolist() == [(12 / 0.5) ** 2] * 2
    assert finite_difference(s, s + 3.0, 0.5).dtype == torch.float64
    tiny = finite_difference(torch.ones(1, **D64), torch.ones(1, **D64) + 1e-12, 1e-12).item()
    assert tiny == pytest.approx(1.0, rel=1e-3)
    assert finite_difference(s.bfloat16(), s.bfloat16() + 3.0, 0.5).dtype == torch.float32


@pytest.mark.parametrize("penalty", [zero_centred, one_centred])
def test_full_precision_under_autocast(penalty: object) -> None:
    """The penalty does not depend on being inside autocast, once D's forward pass is not."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(576, 16), torch.nn.Tanh(),
        torch.nn.Linear(16, 1),
    )  # fmt: skip
    x = torch.randn(5, 3, 8, 8, requires_grad=True)
    logits = network(x)
    squares = torch.autograd.grad(logits.sum(), x, create_graph=True)[0].square().flatten(1).sum(1)
    plain = squares if penalty is zero_centred else (squares.sqrt() - 1).square()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = penalty(logits, x)
    assert inside.dtype == torch.float32 and torch.allclose(inside, plain, rtol=1e-5, atol=0)
    slopes = (torch.autograd.grad(p.mean(), network[0].weight, retain_graph=True)[0] for p in (plain, inside))
    assert torch.allclose(*slopes, rtol=1e-4, atol=1e-9)


# ── centred at one ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_one_centred_of_a_linear_discriminator(length: float) -> None:
    """(‖w‖ − 1)² wherever it is measured; one-sided: nothing below 1."""
    w = torch.tensor([2.0, -1.0, 2.0], **D64) * (length / 3.0)
    x = points(5, 3)
    assert torch.allclose(one_centred(x @ w, x), torch.full((5,), (length - 1.0) ** 2, **D64), atol=1e-12)
    above = max(0.0, length - 1.0) ** 2
    assert torch.allclose(one_centred(x @ w, x, one_sided=True), torch.full((5,), above, **D64), atol=1e-12)


def test_one_centred_is_the_norm_of_each_image() -> None:
    w = torch.tensor([1.0, 2.0], **D64)
    x = torch.zeros(3, 2, 4, 4, **D64, requires_grad=True)
    logits = (x * w[:, None, None]).sum(1, keepdim=True)  # gradient w at 16 places: its norm is 4 √5
    assert one_centred(logits, x).tolist() == pytest.approx([(4 * 5**0.5 - 1) ** 2] * 3, abs=1e-12)


def test_one_centred_of_a_constant_moves_nothing() -> None:
    """Where the gradient is 0 it has no direction: no NaN."""
    w = torch.zeros(3, **D64, requires_grad=True)
    x = points(2, 3)
    penalty = one_centred(x @ w, x)
    assert penalty.tolist() == [1.0, 1.0]
    assert torch.autograd.grad(penalty.sum(), w)[0].tolist() == [0.0, 0.0, 0.0]
    assert one_centred(x @ w, x, one_sided=True).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("one_sided", [False, True])
def test_derivative_of_one_centred(one_sided: bool) -> None:
    weight, x = torch.nn.Parameter(points(4, 3).detach()), points(5, 3)

    def penalty(w: torch.Tensor) -> torch.Tensor:
        return one_centred(torch.tanh(x @ w.T).sum(1), x, one_sided=one_sided)

    assert (penalty(weight) > 0).any()
    assert torch.autograd.gradcheck(penalty, weight)


# ── where it is measured ──────────────────────────────────────────────────────────────────────────────────────────


def test_interpolates_lie_between() -> None:
    real, fake, dice = points(400, 2), points(400, 2).detach() + 3, Dice(0, "mix", range(400))
    x = interpolate(real, fake, dice)
    assert x.is_leaf and x.requires_grad and x.dtype == real.dtype
    share = ((x - fake) / (real - fake)).detach()
    assert torch.allclose(share[:, 0], share[:, 1], atol=1e-9)  # one number per sample
    assert torch.allclose(share[:, 0], dice.uniform(1).double()[:, 0], atol=1e-7)
    assert share.min() >= 0 and share.max() < 1 and share.mean().item() == pytest.approx(0.5, abs=0.06)


def test_interpolates_pass_a_gradient_on_to_fakes_that_have_a_graph_and_to_no_other() -> None:
    """Where all players are taught at once G is told of D's penalty; where D is taught alone, a leaf is a leaf."""
    theta, dice = torch.ones((), requires_grad=True), Dice(0, "mix", range(5))
    x = interpolate(torch.zeros(5, 2), theta * torch.ones(5, 2), dice)
    (slope,) = torch.autograd.grad(x.sum(), theta)
    assert slope.item() == pytest.approx(2 * (1 - dice.uniform(1)).sum().item(), rel=1e-6)
    alone = torch.ones(5, 2, requires_grad=True)
    assert interpolate(torch.zeros(5, 2), alone, dice).is_leaf and alone.grad is None


def test_interpolates_of_images_and_of_equal_samples() -> None:
    images = torch.randn(3, 2, 4, 4)
    x = interpolate(images, images, Dice(0, "mix", range(3)))
    assert torch.allclose(x.detach(), images, atol=1e-6) and x.shape == images.shape
    zeros = interpolate(torch.ones(3, 2, 4, 4), torch.zeros(3, 2, 4, 4), Dice(0, "mix", range(3)))
    assert zeros.detach().flatten(1).std(1).tolist() == [0.0, 0.0, 0.0]


def test_zero_centred_on_interpolates_of_a_quadratic() -> None:
    """D = |x|²/2 has the gradient x̂ itself."""
    x = interpolate(points(6, 3), points(6, 3).detach() - 1, Dice(1, "mix", range(6)))
    assert torch.allclose(zero_centred(x.square().sum(1) / 2, x), x.detach().square().sum(1), atol=1e-12)


def test_perturbed_data() -> None:
    images = torch.full((4000, 1, 1, 2), 7.0)
    x = perturb(images, Dice(0, "near", range(4000)), 0.5)
    assert x.is_leaf and x.requires_grad and x.shape == images.shape
    assert x.detach().mean().item() == pytest.approx(7.0, abs=0.03)
    assert x.detach().std().item() == pytest.approx(0.5, rel=0.03)
    assert torch.equal(x.detach() - images, 7.0 + 0.5 * Dice(0, "near", range(4000)).normal(1, 1, 2) - images)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_of_penalties() -> None:
    """Where each is measured, and what: for D(x) = w·x with ‖w‖ = ½, and for D(x) = |x|²/2, whose gradient is x."""
    real, fake, dice = points(6, 2), points(6, 2).detach() + 2, Dice(3, "penalty", range(6))
    places = {
        "r1": real.detach(), "r2": fake, "gp": interpolate(real, fake, dice).detach(), "dragan": real.detach(),
    }  # fmt: skip
    places |= {"gp-one-sided": places["gp"], "gp-zero": places["gp"]}
    flat = {"r1": 0.25, "r2": 0.25, "gp": 0.25, "gp-one-sided": 0.0, "gp-zero": 0.25, "dragan": 0.25}
    w = torch.tensor([0.3, -0.4], **D64)
    assert set(PENALTIES) == set(places)
    for name, penalty in PENALTIES.items():
        x = penalty.at(real, fake, dice)
        assert penalty.name == name and x.is_leaf and x.requires_grad and torch.equal(x.detach(), places[name])
        assert penalty.measure(x @ w, x).tolist() == pytest.approx([flat[name]] * 6, abs=1e-12)
        length = x.detach().norm(dim=1)
        centred = length**2 if "zero" in name or name in ("r1", "r2") else (length - 1) ** 2
        centred = centred * (length > 1) if "one-sided" in name else centred
        assert torch.allclose(penalty.measure(x.square().sum(1) / 2, x), centred, atol=1e-12)
    near = PENALTIES["dragan"].at(real, fake, dice, scale=0.5).detach()
    assert torch.equal(near, perturb(real, dice, 0.5).detach()) and not torch.equal(near, real)
    with pytest.raises(dataclasses.FrozenInstanceError):
        PENALTIES["r1"].name = "r3"


# ── consensus ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_consensus_of_the_bilinear_game() -> None:
    """L_D = ψθ, L_G = −ψθ: v = (θ, −ψ), so ½‖v‖² = (θ² + ψ²)/2, whose gradient is (θ, ψ)."""
    theta, psi = (torch.tensor(value, **D64, requires_grad=True) for value in (0.7, -1.2))
    term = consensus([psi * theta, -psi * theta], [[psi], [theta]])
    assert term.item() == pytest.approx(0.5 * (0.7**2 + 1.2**2), abs=1e-12)
    assert [g.item() for g in torch.autograd.grad(term, [theta, psi])] == pytest.approx([0.7, -1.2], abs=1e-12)


def test_consensus_adds_over_parameters_of_a_player() -> None:
    a, b = torch.tensor([1.0, 2.0], **D64, requires_grad=True), torch.tensor(3.0, **D64, requires_grad=True)
    term = consensus([a.square().sum() + b**2, (a * b).sum()], [[a, b], [b]])
    assert term.item() == pytest.approx(0.5 * (4 + 16 + 36 + 9), abs=1e-12)


def test_derivative_of_consensus() -> None:
    theta, psi = points(1, 3), points(1, 3).detach().mul(0.3).requires_grad_()

    def term(t: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        value = torch.nn.functional.softplus((t * p).sum())
        return consensus([value, -value], [[p], [t]])

    assert torch.autograd.gradcheck(term, (theta, psi))


def test_refusals() -> None:
    for penalty, name in ((zero_centred, "zero_centred"), (one_centred, "one_centred")):
        with pytest.raises(SparringError, match=rf"LOSS-PENALTY.*float32, requires_grad = False.*penalties\.{name}"):
            penalty(torch.zeros(2), torch.zeros(2, 3))
        with pytest.raises(SparringError, match="LOSS-PENALTY.*bfloat16"):
            penalty(torch.zeros(2), torch.zeros(2, 3, dtype=torch.bfloat16, requires_grad=True))
    for shifted, step in ((torch.zeros(2, 1), 0.1), (torch.zeros(2), 0.0), (torch.zeros(2), -1.0)):
        with pytest.raises(SparringError, match="LOSS-SHAPE"):
            finite_difference(torch.zeros(2), shifted, step)
    for real, fake in ((3, 1), (1, 3)):
        with pytest.raises(SparringError, match="LOSS-SHAPE"):
            interpolate(torch.zeros(2, real), torch.zeros(2, fake), Dice(0, "mix", range(2)))
    w = torch.ones(2, requires_grad=True)
    for objectives, parameters in (([w.sum()], []), ([w.sum()], [[w], [w]])):
        with pytest.raises(SparringError, match=r"LOSS-SHAPE.*1 objectives"):
            consensus(objectives, parameters)
    with pytest.raises(TypeError):
        one_centred(w, w, True)  # a bare True would say nothing
