"""Closed forms of the penalties on linear and quadratic discriminators."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import SparringError
from sparring.losses.penalties import finite_difference, zero_centred

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


def test_full_precision_under_autocast() -> None:
    """The penalty does not depend on being inside autocast, once D's forward pass is not."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = points(5, 3, dtype=torch.float32)
    plain = torch.autograd.grad(zero_centred(network(x), x).mean(), network[0].weight)[0]
    logits = network(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty = zero_centred(logits, x)
    assert penalty.dtype == torch.float32
    assert torch.equal(torch.autograd.grad(penalty.mean(), network[0].weight)[0], plain)


def test_refusals() -> None:
    with pytest.raises(SparringError, match="LOSS-PENALTY"):
        zero_centred(torch.zeros(2), torch.zeros(2, 3))
    with pytest.raises(SparringError, match="LOSS-SHAPE"):
        finite_difference(torch.zeros(2), torch.zeros(2, 1), 0.1)
    with pytest.raises(SparringError, match="LOSS-SHAPE"):
        finite_difference(torch.zeros(2), torch.zeros(2), 0.0)
