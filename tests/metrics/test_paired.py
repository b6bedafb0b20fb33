"""L1, PSNR, SSIM, LPIPS: against torchmetrics, closed forms, and laws of distances between pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics import paired
from sparring.networks import imagenet, lpips


def pictures(n: int, seed: int, channels: int = 3, side: int = 24) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 6, 6, generator=chance)
    fine = torch.nn.functional.interpolate(coarse, size=(side, side + 5), mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_torchmetrics_where_the_window_lies_inside(channels: int) -> None:
    """torchmetrics also counts places at the border, with mirrored pixels; Wang's own code does not."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = pictures(11, 0, channels), pictures(11, 1, channels)
    found = structural_similarity_index_measure(
        x.double() / 255, y.double() / 255, data_range=1.0, reduction="none", return_full_image=True
    )
    assert isinstance(found, tuple)
    theirs = found[1][:, :, 5:-5, 5:-5].mean((1, 2, 3))
    assert torch.allclose(paired.ssim(x, y), theirs.double(), atol=1e-9)


def test_psnr_and_l1_by_hand() -> None:
    x, y = pictures(5, 0), pictures(5, 1)
    d = (x.double() - y.double()) / 255
    assert torch.allclose(paired.mse(x, y), d.square().mean((1, 2, 3)))
    assert paired.psnr(paired.mse(x, y)).value == pytest.approx(-10 * math.log10(float(d.square().mean())))
    assert torch.allclose(paired.l1(x, y), d.abs().mean((1, 2, 3)))


def test_equal_images_are_as_near_as_can_be() -> None:
    x = pictures(4, 0)
    assert paired.l1(x, x).tolist() == [0.0] * 4 and paired.psnr(paired.mse(x, x)).value == math.inf
    assert torch.allclose(paired.ssim(x, x), torch.ones(4).double(), atol=1e-9)


def test_psnr_of_a_set_is_not_moved_by_pairs_that_are_equal_beyond_what_they_are() -> None:
    """Three pairs that are equal halve the mean squared error, 3 dB, whatever infinity is taken for; with an interval
    that holds the value, however few pairs there are."""
    errors = torch.tensor([0.01, 0.02, 0.03], dtype=torch.float64)
    one, half = paired.psnr(errors), paired.psnr(torch.cat([errors, torch.zeros(3, dtype=torch.float64)]))
    assert half.value == pytest.approx(one.value + 10 * math.log10(2)) and one.value == pytest.approx(16.9897, abs=1e-4)
    for found in (one, half, paired.psnr(torch.cat([errors, torch.zeros(1)]).repeat(10))):
        assert math.isfinite(found.low) and found.low < found.value < found.high < math.inf


def test_more_damage_is_further_away_by_every_measure() -> None:
    x = pictures(6, 0)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    little, much = ((x + scale * noise).clamp(0, 255).to(torch.uint8) for scale in (8, 60))
    assert bool((paired.l1(little, x) < paired.l1(much, x)).all())
    assert bool((paired.mse(little, x) < paired.mse(much, x)).all())
    assert bool((paired.ssim(little, x) > paired.ssim(much, x)).all())


def test_what_cannot_be_seen_does_not_count() -> None:
    one, other = (torch.cat([pictures(2, seed), torch.zeros(2, 1, 24, 29, dtype=torch.uint8)], 1) for seed in (0, 1))
    assert paired.l1(one, other).tolist() == [0.0, 0.0]


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pictures(9, 0), pictures(9, 1)
    whole = [measure(x, y) for measure in (paired.l1, paired.mse, paired.ssim)]
    monkeypatch.setattr(paired, "_PIECE", 2)
    for measure, before in zip((paired.l1, paired.mse, paired.ssim), whole, strict=True):
        assert torch.allclose(measure(x, y), before, atol=1e-12)


@pytest.mark.skipif(imagenet._packaged("alexnet") is None, reason=imagenet.INSTALL)
def test_lpips_of_small_grey_and_clear_pictures() -> None:
    network = lpips.load()
    for channels in (1, 3, 4):
        x = pictures(3, 0, channels, side=12)
        if channels == 4:
            x[:, 3] = 255
        found = paired.lpips(network, x, x.flip(2))
        assert found.shape == (3,) and float(found.min()) > 0.01 and float(paired.lpips(network, x, x).max()) == 0.0


def test_the_interval_holds_the_mean_of_fresh_pairs() -> None:
    chance = np.random.default_rng(0)
    for n in (10, 60):
        covered = 0
        for _ in range(100):
            found = paired.mean(torch.from_numpy(chance.gamma(4.0, 0.25, n)))
            covered += found.low <= 1.0 <= found.high
        assert 86 <= covered <= 100
    assert math.isnan(paired.mean(torch.ones(1)).low)


@pytest.mark.parametrize("other", [torch.zeros(2, 3, 24, 28, dtype=torch.uint8), torch.zeros(2, 3, 24, 29)])
def test_what_is_no_pair_is_refused(other: Tensor) -> None:
    with pytest.raises(DataError):
        paired.l1(pictures(2, 0), other)


def test_ssim_of_images_smaller_than_its_window_is_refused() -> None:
    x = torch.zeros(1, 1, 10, 40, dtype=torch.uint8)
    with pytest.raises(DataError, match="11 pixels"):
        paired.ssim(x, x)
