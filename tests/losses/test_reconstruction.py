"""L1 and L2, element by element."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import SparringError
from sparring.losses.reconstruction import RECONSTRUCTIONS, l1, l2


def test_the_best_constant_is_the_median_and_the_mean() -> None:
    truth = torch.tensor([-1.0, -0.8, -0.9, 0.2, 1.0])
    guesses = torch.linspace(-1, 1, 2001)
    for loss, best in ((l1, truth.median()), (l2, truth.mean())):
        paid = torch.stack([loss(g.expand(5), truth).mean() for g in guesses])
        assert abs(float(guesses[paid.argmin()] - best)) < 2e-3


def test_nothing_is_reduced_and_shapes_must_agree() -> None:
    made, truth = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    for loss in RECONSTRUCTIONS.values():
        assert loss(made, truth).shape == made.shape and float(loss(truth, truth).sum()) == 0
        with pytest.raises(SparringError):
            loss(made, truth[:1])
    (slope,) = torch.autograd.grad(l1(made, truth).sum(), made)
    assert torch.equal(slope, (made - truth).sign())
