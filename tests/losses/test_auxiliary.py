"""The cross entropy of the auxiliary classifier: its value, its gradient, and what does not matter to it."""

from __future__ import annotations

import math

import torch
from torch.autograd import gradcheck

from sparring.losses.auxiliary import class_cross_entropy

C = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], dtype=torch.float64)
Y = torch.tensor([2, 0])


def test_it_is_minus_the_log_of_the_probability_of_the_class() -> None:
    by_hand = [-math.log(math.exp(c[y]) / sum(map(math.exp, c))) for c, y in zip(C.tolist(), Y.tolist(), strict=True)]
    torch.testing.assert_close(class_cross_entropy(C, Y), torch.tensor(by_hand, dtype=torch.float64))


def test_its_gradient_is_softmax_minus_one_hot() -> None:
    c = C.clone().requires_grad_()
    class_cross_entropy(c, Y).sum().backward()
    e = torch.zeros(2, 3, dtype=torch.float64)
    e[0, 2] = e[1, 0] = 1
    torch.testing.assert_close(c.grad, C.exp() / C.exp().sum(1, keepdim=True) - e)
    assert gradcheck(lambda c: class_cross_entropy(c, Y), (C.clone().requires_grad_(),))


def test_a_constant_changes_nothing_and_one_class_costs_nothing() -> None:
    torch.testing.assert_close(class_cross_entropy(C + 7, Y), class_cross_entropy(C, Y))
    assert torch.equal(class_cross_entropy(C[:, :1], torch.zeros(2, dtype=torch.int64)), torch.zeros(2).double())


def test_it_is_finite_and_in_full_precision() -> None:
    sure = torch.tensor([[1e4, -1e4]], dtype=torch.float32)
    assert class_cross_entropy(sure, torch.tensor([1])).tolist() == [2e4]
    assert class_cross_entropy(C.bfloat16(), Y).dtype == torch.float32
