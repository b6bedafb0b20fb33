"""Energy at the Nyquist frequencies: checkerboards have it, smooth images have not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.spectrum import checkerboard, nyquist_share


def noise(n: int, seed: int, size: int = 16) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def smooth(n: int, seed: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(noise(n, seed, 34), 5, stride=2) + 0.02 * noise(n, seed + 1000, 15)


@pytest.mark.parametrize(("h", "w"), [(8, 8), (9, 12), (7, 5)])
def test_white_noise(h: int, w: int) -> None:
    lines = lambda n: 1 if n % 2 == 0 else 2  # noqa: E731
    x = torch.randn(2000, 1, h, w, generator=torch.Generator().manual_seed(0))
    expected = (h * w - (h - lines(h)) * (w - lines(w))) / (h * w - 1)
    assert float(nyquist_share(x).mean()) == pytest.approx(expected, rel=0.03)


def test_patterns() -> None:
    rows = torch.tensor([1.0, -1.0]).repeat(8)
    stripes = rows[:, None].expand(16, 16)[None, None]
    wave = torch.cos(torch.arange(16) * 2 * math.pi / 16)[:, None].expand(16, 16)[None, None]
    assert nyquist_share(stripes).item() == pytest.approx(1.0) and nyquist_share(wave).item() == pytest.approx(0.0)
    # half the energy each
    assert nyquist_share(stripes + wave * 2**0.5).item() == pytest.approx(0.5)
    x = noise(5, 0)
    assert torch.allclose(nyquist_share(7 * x + 3), nyquist_share(x))  # neither brightness nor contrast counts
    eight_bit = (x * 40 + 128).clamp(0, 255).to(torch.uint8)
    assert torch.allclose(nyquist_share(eight_bit), nyquist_share(eight_bit.float()))


def test_ratio() -> None:
    real, fake = smooth(60, 0), smooth(60, 1)
    fair = checkerboard(fake, real)
    assert fair.low < 1 < fair.high
    board = torch.tensor([1.0, -1.0]).repeat(8)[:15]
    worse = [checkerboard(fake + a * board[:, None] * board, real) for a in (0.0, 0.05, 0.2)]
    assert worse[0].value < worse[1].value < worse[2].value and worse[2].low > 2
    flat = torch.ones(4, 3, 8, 8)
    assert checkerboard(flat, flat).value == 1.0 and checkerboard(noise(4, 0, 8), flat).value == math.inf


def test_interval_covers() -> None:
    found = [checkerboard(noise(40, 2 * s, 8), noise(40, 2 * s + 1, 8)) for s in range(200)]
    assert 0.9 <= np.mean([f.low <= 1 <= f.high for f in found]) <= 0.99


def test_errors() -> None:
    with pytest.raises(SparringError, match="METRIC-SHAPE"):
        nyquist_share(torch.zeros(2, 3, 3, 8))
    with pytest.raises(SparringError, match="METRIC-SHAPE"):
        checkerboard(noise(4, 0), noise(4, 0, 8))
