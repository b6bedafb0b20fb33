"""Soft labels, instance noise, packing, lazy penalties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.losses import lazy
from sparring.losses.adversarial import OBJECTIVES, least_squares
from sparring.losses.packing import pack, packed_shape
from sparring.losses.smoothing import instance_noise, smooth

D64 = {"dtype": torch.float64}
P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], **D64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], **D64)
LABELLED = ["minimax", "nonsaturating", "maximum_likelihood", "least_squares"]


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", LABELLED)
def test_best_discriminator_with_soft_labels(name: str) -> None:
    """Cross entropy: D* = αp/(p + q). Least squares: the same after s = 2D − 1. D's loss is stationary there."""
    target = 0.8
    best = target * P / (P + Q)
    s = (best.logit() if name != "least_squares" else 2 * best - 1).requires_grad_()
    terms = smooth(OBJECTIVES[name], target).discriminator(s, s)
    loss = (P * terms["real"]).sum() + (Q * terms["fake"]).sum()
    (slope,) = torch.autograd.grad(loss, s)
    assert slope.abs().max() < 1e-12


@pytest.mark.parametrize("name", LABELLED)
def test_soft_labels_change_the_real_term_alone(name: str) -> None:
    s = torch.linspace(-3, 3, 7, **D64)
    plain, soft = OBJECTIVES[name], smooth(OBJECTIVES[name], 0.9)
    assert soft.name == name and soft.generator is plain.generator and soft.relative is plain.relative
    assert torch.equal(soft.discriminator(s, s)["fake"], plain.discriminator(s, s)["fake"])
    assert not torch.allclose(soft.discriminator(s, s)["real"], plain.discriminator(s, s)["real"])
    hard = smooth(plain, 1.0).discriminator(s, s)["real"]
    assert torch.allclose(hard, plain.discriminator(s, s)["real"], atol=1e-14)


def test_soft_cross_entropy_by_hand() -> None:
    s = torch.tensor([1.3], **D64)
    d = 1 / (1 + math.exp(-1.3))
    wanted = -0.9 * math.log(d) - 0.1 * math.log(1 - d)
    assert smooth(OBJECTIVES["minimax"], 0.9).discriminator(s, s)["real"].item() == pytest.approx(wanted, abs=1e-14)


def test_soft_least_squares_with_other_labels() -> None:
    """α of the way from a to b: 0, 1 with α = 0.9 is the label 0.9."""
    s = torch.tensor([0.9, 0.4], **D64)
    terms = smooth(least_squares(0.0, 1.0, 1.0), 0.9).discriminator(s, s)
    assert terms["real"].tolist() == pytest.approx([0.0, 0.125], abs=1e-15)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in LABELLED])
def test_refused_where_there_are_no_labels(name: str) -> None:
    with pytest.raises(UsageError, match=f"LOSS-SMOOTHING.*label smoothing and the objective '{name}'"):
        smooth(OBJECTIVES[name], 0.9)


@pytest.mark.parametrize("target", [0.5, 0.0, 1.1, math.nan])
def test_refused_targets(target: float) -> None:
    with pytest.raises(UsageError, match=r"LOSS-SMOOTHING.*is not in \]0.5, 1\]"):
        smooth(OBJECTIVES["minimax"], target)


def test_only_once() -> None:
    with pytest.raises(UsageError, match="LOSS-SMOOTHING"):
        smooth(smooth(OBJECTIVES["minimax"], 0.9), 0.9)


@pytest.mark.parametrize("name", LABELLED)
def test_gradients_of_soft_labels_against_finite_differences(name: str) -> None:
    s = torch.linspace(-3, 3, 7, **D64, requires_grad=True)

    def real(s: Tensor) -> Tensor:
        return smooth(OBJECTIVES[name], 0.9).discriminator(s, s)["real"]

    assert torch.autograd.gradcheck(real, s) and torch.autograd.gradgradcheck(real, s)


# ── noise ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_instance_noise() -> None:
    x = torch.full((5000, 1, 2), 3.0, **D64, requires_grad=True)
    noisy = instance_noise(x, Dice(0, "noise", range(5000)), 0.7)
    assert noisy.dtype == x.dtype and noisy.shape == x.shape
    assert noisy.mean().item() == pytest.approx(3.0, abs=0.03)
    assert noisy.std().item() == pytest.approx(0.7, rel=0.03)
    assert torch.autograd.grad(noisy.sum(), x)[0].eq(1).all()
    again = instance_noise(x, Dice(0, "noise", range(5000)), 1.4)
    assert torch.allclose(again - x, 2 * (noisy - x))  # the same dice, twice the σ
    assert torch.equal(noisy, x + 0.7 * Dice(0, "noise", range(5000)).normal(1, 2).double())
    assert instance_noise(x, Dice(0, "noise", range(5000)), 0.0) is x
    mirrored = instance_noise(x, Dice(0, "noise", range(5000)), -0.7)
    assert torch.allclose(mirrored - x, x - noisy)


# ── packs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_packs_hold_neighbours() -> None:
    x = torch.arange(12.0).view(6, 2)
    assert pack(x, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    images = torch.arange(4 * 3 * 2 * 2.0).view(4, 3, 2, 2)
    packed = pack(images.contiguous(memory_format=torch.channels_last), 2)
    assert packed.shape == (2, *packed_shape((3, 2, 2), 2)) == (2, 6, 2, 2)
    assert torch.equal(packed[1, :3], images[2]) and torch.equal(packed[1, 3:], images[3])


def test_a_pack_of_one_is_the_plain_game() -> None:
    x = torch.randn(6, 2)
    assert pack(x, 1) is x and packed_shape((3, 8, 8), 1) == (3, 8, 8)


def test_packed_games_see_products_of_laws() -> None:
    """On two atoms, every pair: the best packed D gives 2 JS(p⊗p, q⊗q) − 2 log 2, more than without packing."""
    p, q = torch.tensor([0.5, 0.5], **D64), torch.tensor([0.9, 0.1], **D64)
    pairs = pack(torch.tensor([[0.0], [0.0], [0.0], [1.0], [1.0], [0.0], [1.0], [1.0]], **D64), 2).long()
    pp, qq = (law[pairs[:, 0]] * law[pairs[:, 1]] for law in (p, q))
    values = []
    for a, b in ((p, q), (pp, qq)):
        s = (a / b).log()
        terms = OBJECTIVES["minimax"].discriminator(s, s)
        values.append(-((a * terms["real"]).sum() + (b * terms["fake"]).sum()).item())
        middle = (a + b) / 2
        js = 0.5 * (a * (a / middle).log() + b * (b / middle).log()).sum().item()
        assert values[-1] == pytest.approx(2 * js - 2 * math.log(2), abs=1e-12)
    assert values[1] > values[0] + 0.05


@pytest.mark.parametrize("m", [0, -1, 4])
def test_refused_packs(m: int) -> None:
    with pytest.raises(UsageError, match=f"LOSS-PACKING.*6 samples cannot be packed by {m}"):
        pack(torch.zeros(6, 2), m)


# ── lazy penalties ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("interval", [1, 4, 16])
def test_a_lazy_penalty_costs_the_same_over_all_rounds(interval: int) -> None:
    paid = [lazy.weight(0.7, interval) if round_ % interval == 0 else 0.0 for round_ in range(48)]
    assert sum(paid) == pytest.approx(48 * 0.7)


def test_lazy_adam() -> None:
    """k + 1 steps go as far and forget as much as k did."""
    lr, beta1, beta2 = lazy.adam(0.002, 0.5, 0.99, 4)
    assert 5 * lr == pytest.approx(4 * 0.002)
    assert beta1**5 == pytest.approx(0.5**4) and beta2**5 == pytest.approx(0.99**4)
    assert lazy.adam(0.002, 0.0, 0.99, 16)[1] == 0.0
