"""Penalised games with a known answer: what D's best move and its value are, whatever the network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.penalties import interpolate, one_centred, zero_centred

D64 = {"dtype": torch.float64}
wasserstein = OBJECTIVES["wasserstein"]


def lowest(loss: object, parameters: Tensor) -> float:
    """The minimum over `parameters`, found by L-BFGS, in place."""
    optimiser = torch.optim.LBFGS(
        [parameters], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
    return loss().item()


@pytest.mark.parametrize("weight", [1.0, 10.0])
@pytest.mark.parametrize("shift", [0.0, 0.4, -1.5])
def test_wgan_gp_of_a_shift(shift: float, weight: float) -> None:
    """A linear critic of two laws that differ by a shift d: |w*| = 1 + |d|/(2λ), and its value |d| + d²/(4λ)."""
    x = torch.linspace(-1, 1, 8, **D64)[:, None]
    fake = x - shift
    w = torch.tensor([0.8 if shift >= 0 else -0.8], **D64, requires_grad=True)

    def loss() -> Tensor:
        between = interpolate(x, fake, Dice(0, "mix", range(8)))
        terms = wasserstein.discriminator(x @ w, fake @ w)
        return terms["real"].mean() + terms["fake"].mean() + weight * one_centred(between @ w, between).mean()

    value = lowest(loss, w)
    assert abs(w.item()) == pytest.approx(1 + abs(shift) / (2 * weight), abs=1e-6)
    assert -value == pytest.approx(abs(shift) + shift**2 / (4 * weight), abs=1e-9)


def test_one_sided_penalty_leaves_gentle_critics_alone() -> None:
    """Without a shift the two-sided penalty wants slope 1, the one-sided is content with any slope up to 1."""
    x = torch.linspace(-1, 1, 8, **D64)[:, None].requires_grad_()
    for slope, both, one in ((0.5, 0.25, 0.0), (1.0, 0.0, 0.0), (1.5, 0.25, 0.25)):
        s = slope * x[:, 0]
        assert one_centred(s, x).mean().item() == pytest.approx(both, abs=1e-12)
        assert one_centred(s, x, one_sided=True).mean().item() == pytest.approx(one, abs=1e-12)


class Broken(torch.nn.Module):
    """A D that is linear between knots, and free at each of them: (N, 1) → (N,)."""

    def __init__(self, knots: Tensor) -> None:
        super().__init__()
        self.knots = knots

    def forward(self, x: Tensor, heights: Tensor) -> Tensor:
        i = (torch.searchsorted(self.knots, x[:, 0].detach()) - 1).clamp(0, len(self.knots) - 2)
        left, right = self.knots[i], self.knots[i + 1]
        share = (x[:, 0] - left) / (right - left)
        return (1 - share) * heights[i] + share * heights[i + 1]


@pytest.mark.parametrize("gamma", [0.25, 1.0])
def test_penalised_game_of_a_shifted_gaussian(gamma: float) -> None:
    """sup_D ½(E_p D − E_q D) − γ E_m|D'|², m = (p + q)/2, is d²/(16γ) for N(0, 1) and N(d, 1), d small.

    The library's γ/2 (R1 + R2) must be γ E_m|D'|²: a lost factor of two shows here.
    """
    shift = 0.05
    knots = torch.linspace(-8, 8, 801, **D64)
    x = (0.5 * (knots[1:] + knots[:-1]))[:, None].requires_grad_()  # the middle of every piece
    step = 16 / 800
    p, q = (step * torch.exp(-0.5 * (x.detach()[:, 0] - m) ** 2) / math.sqrt(2 * math.pi) for m in (0.0, shift))
    D = Broken(knots)

    def loss(heights: Tensor) -> Tensor:
        s = D(x, heights)
        terms = wasserstein.discriminator(s, s)
        slopes = zero_centred(s, x)
        penalty = 0.5 * gamma * ((p * slopes).sum() + (q * slopes).sum())  # γ/2 (R1 + R2)
        return 0.5 * ((p * terms["real"]).sum() + (q * terms["fake"]).sum()) + penalty

    # quadratic in the heights: its minimum solves a linear system; D + const is free, so pin one height
    zero = torch.zeros(801, **D64)
    slope = torch.autograd.functional.jacobian(loss, zero)
    bend = torch.zeros(801, 801, **D64)
    flat = zero.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(flat), flat, create_graph=True)
    for offset in range(3):  # each height meets its neighbours only: three probes give the whole Hessian
        probe = torch.zeros(801, **D64)
        probe[offset::3] = 1.0
        (answer,) = torch.autograd.grad(gradient, flat, probe, retain_graph=True)
        for j in range(offset, 801, 3):
            rows = slice(max(0, j - 1), min(801, j + 2))
            bend[rows, j] = answer[rows]
    keep = torch.arange(801) != 400
    heights = torch.zeros(801, **D64)
    heights[keep] = torch.linalg.solve(bend[keep][:, keep], -slope[keep])
    assert -loss(heights).item() == pytest.approx(shift**2 / (16 * gamma), rel=2e-3)
    middle = (x[:, 0].abs() < 2).nonzero()[:, 0]
    slopes = heights.diff()[middle] / step  # the best D is linear: D' = −d/(4γ)
    assert torch.allclose(slopes, torch.full_like(slopes, -shift / (4 * gamma)), rtol=5e-3)
