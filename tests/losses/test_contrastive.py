"""Closed forms of symmetric InfoNCE."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.losses.contrastive import equal, info_nce


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_equal_logits_cost_log_n(n: int) -> None:
    for paid in info_nce(torch.full((n, n), 3.5, dtype=torch.float64)):
        torch.testing.assert_close(paid, torch.full((n,), math.log(n), dtype=torch.float64))


def test_it_is_symmetric_and_shifts_of_all_logits_are_nothing() -> None:
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    text, image = info_nce(logits)
    other_image, other_text = info_nce(logits.t())
    torch.testing.assert_close(text, other_text)
    torch.testing.assert_close(image, other_image)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    torch.testing.assert_close(info_nce(logits[order][:, order])[0], text[order])
    torch.testing.assert_close(info_nce(logits + 9)[0], text)


def test_perfect_pairs_cost_nothing_and_the_gradient_is_softmax_minus_one_hot() -> None:
    assert float(info_nce(100 * torch.eye(5))[0].max()) < 1e-6
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    text, image = info_nce(logits)
    (slope,) = torch.autograd.grad(text.sum() + image.sum(), logits)
    torch.testing.assert_close(slope, logits.softmax(1) + logits.softmax(0) - 2 * torch.eye(4, dtype=torch.float64))


def test_a_text_is_no_wrong_answer_for_its_double() -> None:
    """Two pairs with one text: each costs what it would cost without the other."""
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    same = equal(["a", "b", "a", "c"])
    assert same.sum() == 6 and torch.equal(same, same.t())
    text, image = info_nce(logits, same)
    without = [0, 1, 3]
    alone = info_nce(logits[without][:, without])
    torch.testing.assert_close(text[0], alone[0][0])
    torch.testing.assert_close(image[0], alone[1][0])
    assert bool((text <= info_nce(logits)[0]).all())
    torch.testing.assert_close(info_nce(logits, torch.ones(4, 4, dtype=torch.bool))[0], torch.zeros(4).double())
