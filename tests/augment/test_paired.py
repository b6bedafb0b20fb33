"""Jitter: the same for both sides, inside the image, a function of the dice."""

from __future__ import annotations

import torch

from sparring.augment.paired import jitter
from sparring.chance import Dice


def test_equal_sides_stay_equal() -> None:
    x = torch.rand(16, 3, 32, 48) * 2 - 1
    a, b, c = jitter([x, x.clone(), x[:, :1]], Dice(0, "jitter", range(16)))
    assert torch.equal(a, b) and torch.equal(a[:, :1], c) and a.shape == x.shape
    assert float(a.abs().max()) <= 1


def test_it_is_enlarged_and_moved_everywhere() -> None:
    """A ramp keeps its slope divided by 286 / 256, and begins anywhere within what was cut off."""
    ramp = torch.arange(256.0).expand(400, 1, 8, 256)
    (out,) = jitter([ramp], Dice(1, "jitter", range(400)))
    inside = out[:, 0, 0, 20:230]
    torch.testing.assert_close(inside.diff(dim=1).mean(1), torch.full((400,), 256 / 286), rtol=1e-4, atol=1e-4)
    first = out[:, 0, 0, 0]
    assert float(first.min()) < 1 and 25 < float(first.max()) < 27 and len(first.unique()) == 31


def test_each_sample_has_its_own_place_whoever_is_with_it() -> None:
    x = torch.randn(6, 2, 16, 16)
    (all_,) = jitter([x], Dice(2, "jitter", range(6)))
    (some,) = jitter([x[2:4]], Dice(2, "jitter", range(2, 4)))
    assert torch.equal(all_[2:4], some)


def test_the_layout_is_kept() -> None:
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    (out,) = jitter([x], Dice(0, "jitter", range(2)))
    assert out.is_contiguous(memory_format=torch.channels_last)
