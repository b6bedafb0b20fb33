"""Path length: the closed form of a linear generator, the published cut, and independence of batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.smoothness import length, ppl, steps

W = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]], dtype=torch.float64)


def latents(dice: object) -> Tensor:
    return dice.normal(2).double()  # type: ignore[attr-defined]


def test_linear_generator_on_a_line() -> None:
    """E |Wᵀ(z₁ − z₂)|² = 2 |W|², wherever on the line and whatever ε."""
    expected = 2 * float(W.square().sum())
    for epsilon in (1e-4, 1e-2):
        found = steps(lambda z: z @ W, lambda x: x, latents, 20_000, path="lerp", epsilon=epsilon, batch=5000)
        assert found.mean() == pytest.approx(expected, rel=0.04)
    assert steps(lambda z: 3 * z @ W, lambda x: x, latents, 100, path="lerp") == pytest.approx(
        9 * steps(lambda z: z @ W, lambda x: x, latents, 100, path="lerp"), rel=1e-6
    )


def test_great_circle_keeps_its_speed() -> None:
    """Of two latents of length r an angle Ω apart the path has the speed r Ω everywhere."""
    unit = lambda dice: torch.nn.functional.normalize(latents(dice), dim=1)  # noqa: E731
    found = steps(lambda z: z, lambda x: x, unit, 4000, epsilon=1e-3, batch=1000)
    assert found.mean() == pytest.approx(np.pi**2 / 3, rel=0.05)  # Ω uniform in [0, π]
    assert found.max() <= np.pi**2 * 1.001


def test_constant_generator_and_batches() -> None:
    assert ppl(lambda z: torch.zeros(len(z), 3, 4, 4), lambda x: x, latents, 50).value == 0.0
    one, many = (steps(lambda z: z @ W, lambda x: x, latents, 64, batch=b) for b in (64, 7))
    assert many == pytest.approx(one, rel=1e-9)
    ends = steps(lambda z: z @ W, lambda x: x, latents, 64, ends=True)
    assert not np.allclose(ends, one)


def test_cut_is_the_published_one() -> None:
    x = np.random.Generator(np.random.Philox(key=1)).exponential(size=777)
    low, high = np.percentile(x, 1, method="lower"), np.percentile(x, 99, method="higher")
    assert length(x).value == pytest.approx(x[(x >= low) & (x <= high)].mean(), rel=1e-12)
    with pytest.raises(SparringError, match="METRIC-FEW"):
        length(np.array([1.0, np.nan]))


def test_interval_covers() -> None:
    draw = lambda n, s: np.random.Generator(np.random.Philox(key=s)).exponential(size=n)  # noqa: E731
    truth = length(draw(400_000, 9999), times=2).value
    found = [length(draw(400, s), times=100) for s in range(200)]
    assert 0.88 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.99
