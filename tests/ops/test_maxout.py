"""Maxout: the largest piece, its gradient, twice, and under vmap."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from sparring.ops.maxout import maxout


def test_largest_and_gradient_as_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 15, requires_grad=True)
    g = torch.randn(7, 3)
    ours, theirs = maxout(x, 5), x.view(7, 5, 3).max(1).values
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.autograd.grad(ours, x, g)[0], torch.autograd.grad(theirs, x, g)[0])


@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e30])
def test_one_piece_receives_the_gradient_at_any_scale(scale: float) -> None:
    torch.manual_seed(0)
    x = (scale * torch.rand(50, 15)).requires_grad_()
    (gradient,) = torch.autograd.grad(maxout(x, 5).sum(), x)
    assert torch.equal(gradient.view(50, 5, 3).sum(1), torch.ones(50, 3))


def test_one_piece_is_the_identity() -> None:
    x = torch.randn(4, 3)
    assert torch.equal(maxout(x, 1), x)


def test_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t: maxout(t, 4), (x,))
    assert gradgradcheck(lambda t: maxout(t, 4).square(), (x,))


def test_vmap() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6)
    loss = lambda t: maxout(t, 3).square().sum()  # noqa: E731
    assert torch.equal(torch.vmap(lambda t: maxout(t, 3))(x), torch.stack([maxout(t, 3) for t in x]))
    gradients = torch.vmap(torch.func.grad(loss))(x)
    torch.testing.assert_close(gradients, torch.stack([torch.func.grad(loss)(t) for t in x]))


def test_backward_through_vmap() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, requires_grad=True)
    (ours,) = torch.autograd.grad(torch.vmap(lambda t: maxout(t, 3))(x).square().sum(), x, create_graph=True)
    (solo,) = torch.autograd.grad(torch.stack([maxout(t, 3) for t in x]).square().sum(), x, create_graph=True)
    torch.testing.assert_close(ours, solo)
    (twice,) = torch.autograd.grad(ours.square().sum(), x)
    torch.testing.assert_close(twice, torch.autograd.grad(solo.square().sum(), x)[0])


def test_unequal_pieces() -> None:
    with pytest.raises(ValueError, match="5 equal pieces"):
        maxout(torch.zeros(2, 7), 5)
