"""The inception score's two ends, its bounds and interval, and when it is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparring.errors import SparringError
from sparring.metrics.inception_score import figure, refusal, score


def drawn(n: int, seed: int) -> torch.Tensor:
    return (2 * torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).softmax(1)


def test_ends() -> None:
    for k in (2, 10, 100):
        assert score(torch.eye(k).repeat(3, 1)).value == pytest.approx(k, rel=1e-9)
        assert score(torch.full((30, k), 1 / k)).value == pytest.approx(1.0, abs=1e-6)
    assert score(torch.eye(4)[:1].repeat(9, 1)).value == pytest.approx(1.0)  # sure, but always of the same


def test_splits_and_order() -> None:
    p = drawn(200, 0)
    parts = [score(part).value for part in torch.tensor_split(p, 5)]
    assert score(p, splits=5).value == pytest.approx(np.mean(parts), rel=1e-12)
    assert score(p.flip(0)).value == pytest.approx(score(p).value, rel=1e-12)


def test_interval_covers() -> None:
    truth = score(drawn(400_000, 999)).value
    found = [score(drawn(600, s)) for s in range(200)]
    assert 0.9 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.99


def test_refusals() -> None:
    assert "no classes" in refusal(["a", "b"], [])
    assert "does not know 1 of 2" in refusal(["a", "b"], ["A ", "c"])
    assert "one class" in refusal(["a", "b"], ["a"])
    assert refusal(["a", "b"], ["B", "a"]) == ""
    refused = figure(torch.eye(3), ["a"], [])
    assert refused.value is None and refused.refused and refused.n_fake == 3
    shown = figure(torch.eye(3), ["a", "b", "c"], ["a", "b", "c"])
    assert shown.value == pytest.approx(3.0) and "bias" in shown.warning


def test_errors() -> None:
    with pytest.raises(SparringError, match="METRIC-PROBABILITIES"):
        score(torch.tensor([[3.0, -1.0], [0.0, 1.0]]))
    with pytest.raises(SparringError, match="METRIC-SHAPE"):
        score(torch.eye(3), splits=3)
