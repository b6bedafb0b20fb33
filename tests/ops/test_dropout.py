"""Dropout: kept share, unchanged mean, a mask that comes only from outside."""

from __future__ import annotations

import pytest
import torch

from sparring.chance import Dice
from sparring.ops.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_share_and_mean(p: float) -> None:
    x = torch.ones(10_000, 10)
    y = dropout(x, p, Dice(0, "dropout", range(10_000)).uniform(10))
    error = 5 * (p * (1 - p) / 1e5) ** 0.5
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=error)
    assert y.mean().item() == pytest.approx(1.0, abs=error / (1 - p))


def test_ends() -> None:
    x, u = torch.randn(4, 3), torch.rand(4, 3)
    assert dropout(x, 0.0, u) is x
    assert torch.equal(dropout(x, 1.0, u), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        dropout(x, 1.5, u)


def test_whole_maps() -> None:
    y = dropout(torch.ones(64, 8, 5, 5), 0.5, Dice(0, "dropout", range(64)).uniform(8, 1, 1))
    per_map = y.flatten(2)
    assert ((per_map == 0).all(2) | (per_map == 2).all(2)).all()
    assert 0 < (per_map == 0).all(2).float().mean() < 1
