"""CMMD by its definition, and kernel distances against other people's code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.metrics import kernel
from sparring.metrics.kernel import cmmd, cmmd_unbiased, kid


def normal(n: int, d: int, seed: int = 0, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(x: Tensor) -> np.ndarray:
    return (x / x.norm(dim=1, keepdim=True)).numpy()


def test_cmmd_is_the_published_formula() -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    x, y = normal(60, 16), normal(50, 16, 1, 0.3)
    k = lambda a, b: rbf_kernel(unit(a), unit(b), gamma=1 / 200)  # noqa: E731
    expected = 1000 * (k(x, x).mean() + k(y, y).mean() - 2 * k(x, y).mean())
    assert cmmd(x, y).value == pytest.approx(expected, abs=1e-9)
    without = lambda a: (k(a, a).sum() - len(a)) / (len(a) * (len(a) - 1))  # noqa: E731
    unbiased = 1000 * (without(x) + without(y) - 2 * k(x, y).mean())
    found = cmmd_unbiased(x, y)
    assert found.value == pytest.approx(unbiased, abs=1e-9)
    assert (cmmd(x, y).low, cmmd(x, y).high) == (found.low, found.high)


def test_cmmd_laws() -> None:
    x, y = normal(60, 16), normal(50, 16, 1, 0.3)
    assert cmmd(x, x).value == pytest.approx(0.0, abs=1e-9)
    assert cmmd(x, y).value == pytest.approx(cmmd(y, x).value, abs=1e-9)
    assert cmmd(7 * x, y).value == pytest.approx(cmmd(x, y).value, abs=1e-9)  # only directions count
    values = [cmmd(x, normal(50, 16, 1, shift)).value for shift in (0.0, 0.3, 1.0)]
    assert sorted(values) == values


def test_cmmd_null_and_coverage() -> None:
    """Unbiased: 0 on average for equal laws; intervals hold 0 and a true distance."""
    null = [cmmd_unbiased(normal(80, 4, 2 * s), normal(80, 4, 2 * s + 1)) for s in range(200)]
    values = np.array([e.value for e in null])
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert np.mean([e.low <= 0 <= e.high for e in null]) >= 0.9
    apart = [cmmd_unbiased(normal(80, 4, 2 * s), normal(80, 4, 2 * s + 1, 0.5)) for s in range(200)]
    truth = cmmd_unbiased(normal(4000, 4, 1000), normal(4000, 4, 1001, 0.5)).value
    assert 0.9 <= np.mean([e.low <= truth <= e.high for e in apart]) <= 0.99


def test_kid_agrees_with_scikit_learn() -> None:
    from sklearn.metrics.pairwise import polynomial_kernel

    x, y = normal(70, 32), normal(60, 32, 1, 0.4)
    k = lambda a, b: polynomial_kernel(a.numpy(), b.numpy(), degree=3, gamma=1 / 32, coef0=1)  # noqa: E731
    within = lambda a: (k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1))  # noqa: E731
    expected = within(x) + within(y) - 2 * k(x, y).mean()
    assert kid(x, y).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Metric", "ignore:std")
def test_kid_and_inception_score_agree_with_torchmetrics() -> None:
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    from sparring.metrics.inception_score import score

    x, y = normal(200, 16), normal(150, 16, 1, 0.4)
    theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=150).set_dtype(torch.float64)
    theirs.update(x[:150], real=True)
    theirs.update(y, real=False)
    assert kid(x[:150], y).value == pytest.approx(float(theirs.compute()[0]), rel=1e-6)
    logits = 3 * normal(300, 10)
    whole = InceptionScore(feature=torch.nn.Identity(), splits=1).set_dtype(torch.float64)
    whole.update(logits)
    assert score(logits.softmax(1)).value == pytest.approx(float(whole.compute()[0]), rel=1e-6)


def test_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(100, 4), normal(90, 4, 1)
    whole = cmmd(x, y)
    monkeypatch.setattr(kernel, "_ROWS", 7)
    assert cmmd(x, y).value == pytest.approx(whole.value, abs=1e-9)
    assert cmmd(x, y).low == pytest.approx(whole.low, abs=1e-9)
