"""Local variance: what is constant has none, noise has its own, blurring lowers it, and edges are not background."""

import pytest
import torch
from torch.nn import functional as F

from sparring.errors import SparringError
from sparring.metrics.texture import local_variance, quiet, texture, textures


def noise(n, c=3, h=32, w=32, seed=0):
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blurred(images, side=3):
    """The mean of side × side pixels, the border repeated."""
    padded = F.pad(images, [side // 2] * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)


@pytest.mark.parametrize("background", [False, True])
def test_noise_of_variance_sigma_squared_has_sigma_squared(background):
    """Also in the quiet half: it is chosen by what is independent of the variance inside a square."""
    for sigma in (0.5, 3.0):
        found = textures(sigma * noise(400), background=background)
        error = float(found.std()) / 400**0.5
        assert float(found.mean()) == pytest.approx(sigma**2, abs=4 * error)
        assert 4 * error < 0.02 * sigma**2


@pytest.mark.parametrize("background", [False, True])
def test_constant_images_have_none_whatever_their_colour(background):
    images = torch.tensor([0, 17, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 17, 11)
    assert torch.equal(textures(images, background=background), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("background", [False, True])
def test_a_constant_beside_them_changes_nothing_and_a_factor_counts_squared(background):
    x = noise(8) + 5 * noise(8, seed=1).cumsum(3)
    before = textures(x, background=background)
    torch.testing.assert_close(textures(x + 100.0, background=background), before)
    torch.testing.assert_close(textures(-3 * x, background=background), 9 * before)


def test_squares_of_one_colour_have_none_and_a_square_that_varies_has_its_sample_variance():
    squares = torch.rand(5, 3, 4, 6).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert float(local_variance(squares).max()) == 0.0
    x = noise(2, c=2, h=8, w=12)
    found = local_variance(x)
    assert found.shape == (2, 2, 3)
    expected = (x[1, 0, 4:8, 8:12].var() + x[1, 1, 4:8, 8:12].var()) / 2
    assert float(found[1, 1, 2]) == pytest.approx(float(expected))
    assert local_variance(F.pad(x, (0, 3, 0, 3), value=9.0)).equal(found)  # what is left of a side does not count


@pytest.mark.parametrize("background", [False, True])
def test_blurring_lowers_it_and_the_more_the_wider(background):
    photographs = noise(64).cumsum(2).cumsum(3) / 16 + noise(64, seed=1)  # smooth shades, and grain
    shares = [texture(blurred(photographs, side), photographs, background=background).value for side in (1, 3, 5, 9)]
    assert shares[0] == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.3


def test_an_edge_is_not_quiet_and_what_lies_behind_it_is():
    images = torch.zeros(1, 1, 32, 32)
    images[..., 8:24, 8:24] = 200.0  # a thing in the middle
    images += 3 * noise(1, c=1, seed=2).float()
    chosen = quiet(images)[0]
    assert int(chosen.sum()) == 32
    assert bool(chosen[0].all()) and bool(chosen[-1].all()) and bool(chosen[:, 0].all())  # the rim
    assert not bool(chosen[2:6, 2].any())  # squares along its inner edge
    assert float(textures(images, background=True)[0]) == pytest.approx(9.0, rel=0.25)


def test_an_averaged_background_is_seen_where_the_whole_image_hardly_shows_it():
    things = torch.zeros(64, 1, 32, 32, dtype=torch.float64)
    things[..., 8:24, 8:24] = 120 * noise(64, c=1, h=16, w=16)
    real = things + 8 * noise(64, c=1, seed=1)
    averaged = things + 8 * noise(64, c=1, seed=1) * (things != 0)
    assert texture(averaged, real).value > 0.97
    assert texture(averaged, real, background=True).value < 0.8


def test_the_interval_covers_the_ratio_about_as_often_as_it_says():
    covered = 0
    for trial in range(60):
        found = texture(noise(20, c=1, h=8, w=8, seed=trial), noise(20, c=1, h=8, w=8, seed=1000 + trial))
        covered += found.low <= 1.0 <= found.high
    assert covered >= 52


def test_real_images_without_any_texture_have_no_ratio_that_is_finite():
    plain = torch.zeros(4, 1, 8, 8)
    assert texture(noise(4, c=1, h=8, w=8), plain).value == float("inf")
    assert texture(plain, noise(4, c=1, h=8, w=8)).value == 0.0
    assert texture(plain, plain).value == 1.0


@pytest.mark.parametrize("shape", [(4, 1, 7, 8), (4, 8, 8)])
def test_what_has_no_squares_is_refused(shape):
    with pytest.raises(SparringError, match="METRIC-SHAPE"):
        local_variance(torch.zeros(shape))
