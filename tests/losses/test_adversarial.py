"""Laws of the objectives: exact values on five atoms, the divergences behind the gradients, saturation, stability."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.losses.adversarial import OBJECTIVES, Objectives, least_squares, softplus
from sparring.losses.divergences import js, kl, tv
from sparring.losses.logits import exp, expm1

P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], dtype=torch.float64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], dtype=torch.float64)
OPTIMUM = (P / Q).log()  # logit of D* = p / (p + q)
EXACT = {"abs": 1e-9, "rel": 0}

minimax, nonsaturating = OBJECTIVES["minimax"], OBJECTIVES["nonsaturating"]
wasserstein, relativistic = OBJECTIVES["wasserstein"], OBJECTIVES["relativistic"]
average, hinge = OBJECTIVES["relativistic_average"], OBJECTIVES["hinge"]
likelihood = OBJECTIVES["maximum_likelihood"]


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """All 25 pairs (x from p, y from q): their probability and both logits at the optimum."""
    return torch.outer(P, Q), OPTIMUM[:, None].expand(5, 5), OPTIMUM[None, :].expand(5, 5)


def test_value_of_the_game_on_five_atoms() -> None:
    terms = minimax.discriminator(OPTIMUM, OPTIMUM)
    value = -((P * terms["real"]).sum() + (Q * terms["fake"]).sum())
    assert value.item() == pytest.approx(-0.918194196583, **EXACT)
    assert value.item() == pytest.approx((2 * js(P, Q) - 2 * math.log(2)).item(), **EXACT)


def test_value_of_a_conditional_game() -> None:
    """D that sees the class: the mean over classes of 2 JS(p_c, q_c) − 2 log 2; never less than without the class."""
    classes = torch.tensor([0.3, 0.7], dtype=torch.float64)
    p, q = torch.stack([P, Q.flip(0)]), torch.stack([Q, P])
    s = (p / q).log()
    terms = minimax.discriminator(s, s)
    value = -(classes[:, None] * (p * terms["real"] + q * terms["fake"])).sum()
    wanted = (classes * (2 * js(p, q) - 2 * math.log(2))).sum()
    assert value.item() == pytest.approx(wanted.item(), **EXACT)
    blind = 2 * js(classes @ p, classes @ q) - 2 * math.log(2)
    assert value > blind + 0.01


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


def test_divergences_of_the_five_atoms() -> None:
    assert js(P, Q).item() == pytest.approx(0.234050082268, **EXACT)
    assert kl(P, Q).item() == pytest.approx(1.233724964728, **EXACT)
    assert tv(P, Q).item() == pytest.approx(0.6, **EXACT)
    joint, swapped = torch.outer(P, Q).flatten(), torch.outer(Q, P).flatten()
    assert js(joint, swapped).item() == pytest.approx(0.376889912714, **EXACT)
    assert js(P, Q) <= js(joint, swapped) <= math.log(2)


def test_maximum_likelihood_on_five_atoms() -> None:
    cost = (Q * likelihood.generator(None, OPTIMUM)["fake"]).sum()  # −½ E_q[p/q]
    assert cost.item() == pytest.approx(-0.5, **EXACT)


def value_of_d(name: str, s: Tensor) -> float:
    terms = OBJECTIVES[name].discriminator(s, s)
    return ((P * terms["real"]).sum() + (Q * terms["fake"]).sum()).item()


def test_hinge_on_five_atoms() -> None:
    best = (P - Q).sign()
    assert value_of_d("hinge", best) == pytest.approx(0.8, **EXACT)
    assert value_of_d("hinge", best) == pytest.approx(2 - 2 * tv(P, Q).item(), **EXACT)
    for other in (0.9 * best, 1.1 * best, torch.zeros(5), -best):
        assert value_of_d("hinge", other) > 0.8 + 1e-3


def test_hinge_lowers_total_variation() -> None:
    weights, again = (Q.log().requires_grad_() for _ in range(2))
    (hinge.generator(None, (P - Q).sign())["fake"] * weights.softmax(0)).sum().backward()
    (2 * tv(P, again.softmax(0))).backward()
    assert torch.allclose(weights.grad, again.grad, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (-1.0, 1.0, 1.0), (0.5, 3.0, 2.0)])
def test_least_squares_on_five_atoms(a: float, b: float, c: float) -> None:
    game, best = least_squares(a, b, c), (b * P + a * Q) / (P + Q)
    terms = game.discriminator(best, best)
    value = (P * terms["real"]).sum() + (Q * terms["fake"]).sum()
    assert 2 * value.item() == pytest.approx((b - a) ** 2 * 0.294053267329, abs=1e-8)  # (b − a)² Σ pq / (p + q)
    reached = (P + Q) * game.generator(None, best)["fake"]  # Mao et al. add the same term over reals
    assert 2 * reached.sum().item() == pytest.approx(((P + Q) * (best - c).square()).sum().item(), abs=1e-12)
    if (a, b, c) == (-1.0, 1.0, 0.0):
        assert 2 * reached.sum().item() == pytest.approx(0.823786930683, **EXACT)


def test_least_squares_in_the_table_is_zero_and_one_after_a_change_of_scale() -> None:
    s = torch.linspace(-2, 2, 9, dtype=torch.float64)
    ours, textbook = OBJECTIVES["least_squares"], least_squares(0.0, 1.0, 1.0)
    for half in ("discriminator", "generator"):
        theirs = getattr(textbook, half)((s + 1) / 2, (s.flip(0) + 1) / 2)
        for name, term in getattr(ours, half)(s, s.flip(0)).items():
            assert torch.allclose(term, 4 * theirs[name], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "maximum_likelihood", "relativistic", "js"])
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


LIKELIHOOD = [-0.165, -0.1, -0.035, 0.09, 0.21]  # ½ (q − p), half of the gradient of KL(p‖q)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("minimax", SATURATING), ("nonsaturating", NOT_SATURATING), ("maximum_likelihood", LIKELIHOOD)],
)
def test_gradients_at_the_optimum_are_those_of_divergences(name: str, expected: list[float]) -> None:
    weights = Q.log().requires_grad_()  # q = softmax of its logits, D frozen at D*
    (OBJECTIVES[name].generator(None, OPTIMUM)["fake"] * weights.softmax(0)).sum().backward()
    again = Q.log().requires_grad_()
    q = again.softmax(0)
    {
        "minimax": lambda: 2 * js(P, q),
        "nonsaturating": lambda: kl(q, P) - 2 * js(P, q),
        "maximum_likelihood": lambda: 0.5 * kl(P, q),
    }[name]().backward()
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
    assert -1e-8 < slope("maximum_likelihood", -20.0) < 0
    assert slope("wasserstein", -20.0) == slope("hinge", -20.0) == -1.0
    assert slope("least_squares", -20.0) == -21.0
    assert -1e-8 < slope("total_variation", -20.0) <= 0


@pytest.mark.parametrize("at", [-3.0, -0.5, 0.0, 0.7, 4.0])
def test_weight_of_a_fake_sample(at: float) -> None:
    sigmoid = 1 / (1 + math.exp(-at))
    assert slope("minimax", at) == pytest.approx(-sigmoid, abs=1e-12)  # −σ(s)
    assert slope("nonsaturating", at) == pytest.approx(-(1 - sigmoid), abs=1e-12)  # −σ(−s)
    assert slope("relativistic", at) == pytest.approx(-(1 - sigmoid), abs=1e-12)  # the real logit is 0
    assert slope("maximum_likelihood", at) == pytest.approx(-0.5 * math.exp(at), abs=1e-12)  # −eˢ / 2
    assert slope("hinge", at) == slope("wasserstein", at) == -1.0


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_gradients_against_finite_differences(name: str) -> None:
    real = torch.linspace(-3.1, 3, 7, dtype=torch.float64, requires_grad=True)  # off the kinks of the hinge
    fake = torch.linspace(2, -2.3, 7, dtype=torch.float64, requires_grad=True)
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        assert torch.autograd.gradcheck(lambda r, f, half=half: tuple(half(r, f).values()), (real, fake))
        assert torch.autograd.gradgradcheck(lambda r, f, half=half: tuple(half(r, f).values()), (real, fake))


SLOPES = {  # the steepest slope at |s| ≤ 1e4, per sample, where it is not 1
    "least_squares": 1.1e4, "pearson": 5.1e3, "relativistic_average": 2.0,
    **dict.fromkeys(["maximum_likelihood", "kl", "reverse_kl", "squared_hellinger"], 1.01 * math.exp(40)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_finite_at_huge_logits(name: str, dtype: torch.dtype) -> None:
    real = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    fake = torch.tensor([1e4, -1e4, -1e4, 1e4], dtype=dtype, requires_grad=True)
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        terms = half(real, fake)
        gradients = torch.autograd.grad(sum(t.sum() for t in terms.values()), (real, fake), allow_unused=True)
        assert all(t.isfinite().all() for t in terms.values())
        assert all(g.isfinite().all() and g.abs().max() <= SLOPES.get(name, 1) for g in gradients if g is not None)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_single_precision_follows_double(name: str) -> None:
    """Where nothing is extreme, float32 is right to a few of its digits, values and slopes."""
    s = torch.tensor([-15.0, -3.0, -1e-4, 0.0, 1e-4, 0.5, 3.0, 15.0])
    for half in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        found = []
        for dtype in (torch.float32, torch.float64):
            real, fake = (x.to(dtype, copy=True).requires_grad_() for x in (s, s.flip(0)))
            terms = half(real, fake)
            slopes = torch.autograd.grad(sum(t.sum() for t in terms.values()), (real, fake), allow_unused=True)
            found.append([*terms.values(), *(g for g in slopes if g is not None)])
        for single, double in zip(*found, strict=True):
            assert torch.allclose(single.double(), double, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_signs(name: str) -> None:
    """D's step raises s(real) − s(fake); G's raises s(fake)."""
    real = torch.tensor([0.3, -1.0], requires_grad=True)
    fake = torch.tensor([0.1, 2.0], requires_grad=True)
    loss = sum(t.mean() for t in OBJECTIVES[name].discriminator(real, fake).values())
    d_real, d_fake = torch.autograd.grad(loss, (real, fake))
    assert (d_real < 0).all() and (d_fake > 0).all()
    loss = sum(t.mean() for t in OBJECTIVES[name].generator(real, fake).values())
    slope_g = torch.autograd.grad(loss, fake)[0]
    assert slope_g[0] < 0 and (slope_g[1] < 0 or name == "least_squares")  # which pulls scores above 1 down to it


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


def test_relativistic_loss_and_its_swap() -> None:
    """dL_D/ds(x) = −σ(−(s(x) − s(y))) for each pair; disjoint laws can be told apart for certain."""
    real = torch.tensor([0.4, -2.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([1.0, -3.0], dtype=torch.float64)
    (slope_d,) = torch.autograd.grad(relativistic.discriminator(real, fake)["pair"].sum(), real)
    assert torch.allclose(slope_d, -torch.sigmoid(fake - real), atol=1e-12, rtol=0)
    far = torch.full((3,), 50.0, dtype=torch.float64)
    assert relativistic.discriminator(far, -far)["pair"].max() < 1e-20  # log 2 − JS = 0


def test_relativistic_bound_is_near_twice_js_for_near_laws() -> None:
    near = P + 1e-4 * (Q - P)
    ratio = js(torch.outer(P, near).flatten(), torch.outer(near, P).flatten()) / js(P, near)
    assert ratio.item() == pytest.approx(2.0, abs=1e-3)


def test_relativistic_average() -> None:
    """Against the mean of the other side, by hand; only differences count; G's loss is D's with the roles exchanged."""
    torch.manual_seed(0)
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    terms = average.discriminator(real, fake)
    assert torch.allclose(terms["real"], -torch.sigmoid(real - fake.mean()).log(), atol=1e-12)
    assert torch.allclose(terms["fake"], -(1 - torch.sigmoid(fake - real.mean())).log(), atol=1e-12)
    theirs = average.generator(real, fake)
    assert torch.allclose(theirs["fake"], -torch.sigmoid(fake - real.mean()).log(), atol=1e-12)
    assert torch.allclose(theirs["real"], -(1 - torch.sigmoid(real - fake.mean())).log(), atol=1e-12)
    shifted = average.discriminator(real + 3, fake + 3)
    assert all(torch.allclose(terms[name], shifted[name], atol=1e-12) for name in terms)
    swapped = average.discriminator(fake, real)
    assert torch.equal(swapped["real"], theirs["fake"]) and torch.equal(swapped["fake"], theirs["real"])


def test_relativistic_average_of_one_pair_is_the_pairing_twice() -> None:
    real, fake = torch.tensor([0.7], dtype=torch.float64), torch.tensor([-0.2], dtype=torch.float64)
    for half in ("discriminator", "generator"):
        pair = getattr(relativistic, half)(real, fake)["pair"]
        assert all(torch.allclose(term, pair, atol=1e-14) for term in getattr(average, half)(real, fake).values())


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
    for game in (relativistic, average):
        with pytest.raises(SparringError, match=r"LOSS-SHAPE.*no logits for real samples, \(4,\) for fakes"):
            game.generator(None, torch.zeros(4))
    for real, fake in ((torch.zeros(4, 1), torch.zeros(4)), (torch.zeros(4), torch.zeros(4, 1))):
        with pytest.raises(SparringError, match="LOSS-SHAPE"):
            average.discriminator(real, fake)


def test_relativistic_average_of_patches_and_of_unequal_numbers() -> None:
    """Each place is compared with the mean of the other side at the same place."""
    torch.manual_seed(0)
    real, fake = torch.randn(6, 1, 2, 3, dtype=torch.float64), torch.randn(4, 1, 2, 3, dtype=torch.float64)
    terms = average.discriminator(real, fake)
    assert terms["real"].shape == real.shape and terms["fake"].shape == fake.shape
    assert torch.allclose(terms["real"][3, 0, 1, 2], softplus(fake[:, 0, 1, 2].mean() - real[3, 0, 1, 2]), atol=1e-14)
    assert torch.allclose(terms["fake"][2, 0, 0, 1], softplus(fake[2, 0, 0, 1] - real[:, 0, 0, 1].mean()), atol=1e-14)


def test_softplus_is_exact_beyond_the_threshold_of_torch() -> None:
    s = torch.tensor([-45.0, -30.0, 0.0, 25.0, 39.0, 45.0], dtype=torch.float64)
    expected = torch.tensor([max(v, 0.0) + math.log1p(math.exp(-abs(v))) for v in s.tolist()], dtype=torch.float64)
    assert torch.allclose(softplus(s), expected, atol=1e-15, rtol=1e-14)


def test_exponentials_are_exact_up_to_the_ceiling_and_tangent_above() -> None:
    s = torch.tensor([-700.0, -1.0, -1e-9, 0.0, 1e-9, 5.0, 299.0, 300.0], dtype=torch.float64)
    assert torch.equal(exp(s), s.exp()) and torch.equal(expm1(s), s.expm1())
    for function in (exp, expm1):
        for dtype, ceiling in ((torch.float64, 300.0), (torch.float32, 40.0)):
            s = torch.tensor([ceiling - 1, ceiling + 5, 1e4], dtype=dtype, requires_grad=True)
            value = function(s)
            (slope_,) = torch.autograd.grad(value.sum(), s, create_graph=True)
            top = math.exp(ceiling)
            assert value.tolist() == pytest.approx([top / math.e, 6 * top, top * (1e4 + 1 - ceiling)], rel=1e-6)
            assert slope_.tolist() == pytest.approx([top / math.e, top, top], rel=1e-6)
            (bend,) = torch.autograd.grad(slope_.sum(), s)
            assert bend.tolist() == pytest.approx([top / math.e, 0.0, 0.0], rel=1e-6)


def test_the_table() -> None:
    assert list(OBJECTIVES) == [
        "minimax", "nonsaturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein", "relativistic",
        "relativistic_average", "kl", "reverse_kl", "js", "pearson", "squared_hellinger", "total_variation",
    ]  # fmt: skip
    assert all(name == objective.name for name, objective in OBJECTIVES.items())
    relative = [name for name, objective in OBJECTIVES.items() if objective.relative]
    assert relative == ["relativistic", "relativistic_average"]
    assert minimax.discriminator is nonsaturating.discriminator is likelihood.discriminator
    assert hinge.generator is wasserstein.generator


def test_the_settings_offer_every_objective() -> None:
    assert set(get_args(Objectives)) == set(OBJECTIVES)
