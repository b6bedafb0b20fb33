"""Diversity: the Vendi score's closed forms, collapse, and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.metrics import energy
from sparring.metrics.diversity import mean_distance, ratio, vendi, width_of


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_counts_what_differs() -> None:
    spots = 100.0 * torch.arange(5.0)[:, None].expand(5, 40)
    assert vendi(spots, 1.0) == pytest.approx(5.0)
    assert vendi(spots.repeat(7, 1), 1.0) == pytest.approx(5.0)
    assert vendi(spots[:1].repeat(9, 1), 1.0) == pytest.approx(1.0)
    uneven = torch.cat([spots[:1].repeat(3, 1), spots[1:2]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert vendi(uneven, 1.0) == pytest.approx(math.exp(entropy))


def test_two_samples_in_closed_form() -> None:
    """λ = (1 ± k) / 2."""
    k = math.exp(-0.5)
    p, q = (1 + k) / 2, (1 - k) / 2
    assert vendi(torch.tensor([[0.0], [2.0]]), 2.0) == pytest.approx(math.exp(-p * math.log(p) - q * math.log(q)))


def test_units_and_width() -> None:
    real, fake = normal(200, 40), 0.7 * normal(200, 40, 1)
    one, two = ratio(fake, real), ratio(50 * fake, 50 * real)
    assert two.ratio.value == pytest.approx(one.ratio.value, rel=1e-4) and two.width == pytest.approx(50 * one.width)
    pairs = torch.pdist(real.double()).numpy()
    assert width_of(real, 0.5) == pytest.approx(np.quantile(pairs, 0.5, method="inverted_cdf"), rel=1e-5)


def test_collapse() -> None:
    real = normal(400, 8)
    values = [ratio(normal(k, 8, 1).repeat(400 // k, 1), real).ratio for k in (400, 40, 4)]
    assert values[0].low < 1 < values[0].high and values[0].value > values[1].value > values[2].value
    assert values[1].high < 0.9 and values[2].high < 0.2
    assert ratio(normal(900, 8, 1), real).n == 400


def test_interval_covers() -> None:
    """Of the mean ratio at this n."""
    found = [ratio(0.6 * normal(100, 2, 2 * s), normal(100, 2, 2 * s + 1)).ratio for s in range(200)]
    mean = np.mean([f.value for f in found])
    assert 0.9 <= np.mean([f.low <= mean <= f.high for f in found]) <= 0.995


def test_mean_distance() -> None:
    for d in (3, 64):
        x = normal(90, d)
        found = mean_distance(x.double())
        assert found.value == pytest.approx(energy.mean_distance(x), rel=1e-9)
        keep = [mean_distance(torch.cat([x[:i], x[i + 1 :]]).double()).value for i in range(90)]
        assert found.standard_error == pytest.approx(math.sqrt(89 * np.var(keep)), rel=1e-6)
