"""Pictures of any size, through a game that sees only multiples of its stride."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate import translate as module
from sparring.generate.memory import bytes_per_pixel
from sparring.generate.tiles import Axis, cut, whole
from sparring.generate.translate import Translator, number_of, resized
from sparring.networks.resnet import ResnetGenerator
from sparring.networks.unet import UNet
from sparring.types import Translates, TranslatesBack

ROOT = Path(__file__).resolve().parents[2]


class Same(nn.Module, TranslatesBack):
    """What comes in goes out; back, as a negative. Remembers the sizes it was given."""

    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def translate(self, image, dice):
        self.seen.append(tuple(image.shape))
        assert image.shape[2] % self.stride == image.shape[3] % self.stride == 0
        return image

    def translate_back(self, image, dice):
        return -image


class Noisy(nn.Module, Translates):
    """Noise alone."""

    stride = 4

    def translate(self, image, dice):
        return torch.zeros_like(image) if dice is None else 2 * dice.uniform(*image.shape[1:]) - 1


class Net(nn.Module, Translates):
    def __init__(self, net: nn.Module, stride: int) -> None:
        super().__init__()
        self.net, self._stride = net, stride

    @property
    def stride(self):
        return self._stride

    def translate(self, image, dice):
        return self.net(image, dice)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


SIZES = [(1, 1), (3, 400), (400, 3), (37, 101), (16, 16), (15, 17), (100, 33), (1, 64), (2, 2), (128, 128)]


@pytest.mark.parametrize("tile", [None, 1, 16, 48, 100])
@pytest.mark.parametrize("size", SIZES)
def test_the_identity_gives_every_picture_back(size, tile):
    image = picture(*size)
    assert (Translator(Same(), tile=tile)(image) == image).all()
    floats = image.astype(np.float32) / 255
    assert np.abs(Translator(Same(), tile=tile)(floats) - floats).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_number_of_channels(channels):
    image = picture(20, 30, channels)
    assert (Translator(Same(), tile=16)(image) == image).all()
    assert (Translator(Same(), back=True)(image) == 255 - image).all()


def test_weights_of_all_tiles_add_up_to_one():
    random = np.random.default_rng(0)
    for _ in range(300):
        stride, length, tile = (int(random.choice(c)) for c in ([1, 2, 6, 16, 64], range(1, 900), range(16, 500)))
        axis = cut(length, stride, tile)
        total = np.zeros(axis.total)
        for start, weight in zip(axis.starts, axis.weights(), strict=True):
            assert weight.min() >= 0 and len(weight) == axis.side and axis.side % stride == 0
            total[start : start + axis.side] += weight
        assert np.abs(total - 1).max() < 1e-6
        assert axis.before + length <= axis.total < axis.before + length + max(stride, 8)
        assert axis.side <= max(tile, stride)


def test_neighbouring_tiles_share_a_quarter_of_their_side():
    axis = cut(10_000, 256, 1024)
    steps = np.diff(axis.starts)
    assert axis.side == 1024 and steps.min() > 0 and steps.max() <= 768
    assert all(start % 8 == 0 for start in axis.starts)


def test_the_border_of_a_tile_counts_for_nothing_inside_the_image():
    first, *_, last = cut(1000, 16, 256).weights()
    assert first[-1] == 0 and first[0] == 1 and last[0] == 0 and last[-1] == 1


def test_a_step_between_tiles_becomes_a_slope():
    """Each tile becomes its own mean, as where statistics of tiles differ: no jump is larger than a ramp allows."""

    class Mean(Same):
        def translate(self, image, dice):
            return image.mean((2, 3), keepdim=True).expand_as(image)

    image = np.repeat(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], 32, axis=0)
    made = Translator(Mean(), tile=128)(image).astype(int)[0, :, 0]
    assert made.max() - made.min() > 128 and np.abs(np.diff(made)).max() <= 8


def test_what_does_not_fit_into_memory_is_cut(monkeypatch):
    game = Same()
    made = Translator(game)(picture(300, 700))
    assert made.shape == (300, 700, 3) and game.seen[-1] == (1, 3, 304, 704)
    monkeypatch.setattr(module, "MEMORY", 12 * 128 * 128)
    monkeypatch.setattr(module, "bytes_per_pixel", lambda forward, image: 12.0)
    game = Same()
    assert (Translator(game)(picture(300, 700)) == picture(300, 700)).all()
    assert set(game.seen) == {(1, 3, 128, 128)}


def test_bytes_of_a_pixel_are_those_of_the_maps_held_at_once():
    net = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 3, 1))
    assert bytes_per_pixel(net, torch.zeros(1, 3, 32, 32)) == 2 * 16 * 4
    wide = nn.Linear(1000, 1000)
    assert bytes_per_pixel(lambda x: x + wide.weight.t().sum(), torch.zeros(1, 3, 32, 32)) < 13  # weights do not count


def test_beyond_the_border_lies_the_mirror_image():
    game = Same()
    inputs = []
    game.translate = lambda image, dice: inputs.append(image) or image
    Translator(game)(np.arange(8, dtype=np.uint8)[:, None, None].repeat(8, axis=1))
    rows = ((inputs[0][0, 0, :, 0] + 1) * 127.5).round().int().tolist()
    assert rows == [4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3]


_LARGE = """
import re
from pathlib import Path
import numpy as np
from tests.generate.test_translate import Net
from sparring.generate import translate
from sparring.networks.resnet import ResnetGenerator
job = translate.Translator(Net(ResnetGenerator(3, 3, blocks=1, width=8).eval().requires_grad_(False), 4))
job(np.zeros((260, 260, 3), np.uint8))
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
peaks = [peak()]  # not ru_maxrss, which remembers the program that started this one
for translate.MEMORY in (2**23, 2**40):
    job(np.zeros((1000, 1400, 3), np.uint8))
    peaks.append(peak())
print(*(1024 * (later - first) for first, later in zip(peaks, peaks[1:])))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what memory was used")
def test_a_large_picture_takes_no_more_memory_than_allowed(forked):
    """The small version of benchmarks/translate.py: tiles of 8 MiB, two bands, the picture before and after."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = forked.python("-c", _LARGE, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    cut_up, whole_at_once = map(int, done.stdout.split())
    assert cut_up < 60e6 < whole_at_once, (cut_up, whole_at_once)


# ── noise ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_noise_depends_on_the_seed_and_on_what_the_picture_shows():
    one, other = picture(9, 14), picture(9, 14, seed=1)
    made = Translator(Noisy())(one)
    assert (Translator(Noisy())(one.copy()) == made).all()
    assert (Translator(Noisy())(other) != made).any() and (Translator(Noisy(), seed=1)(one) != made).any()
    assert (Translator(Noisy(), deterministic=True)(one) == 128).all()
    floats = Translator(Noisy())(one.astype(np.float32) / 255)
    assert np.abs(floats * 255 - made).max() <= 0.51


def test_tiles_of_an_image_have_noise_of_their_own():
    made = Translator(Noisy(), tile=32)(picture(32, 200)).astype(float)
    assert np.abs(np.corrcoef(made[:, :20].ravel(), made[:, -20:].ravel())[0, 1]) < 0.1


def test_the_number_of_a_picture_is_that_of_its_levels():
    image = picture(40, 30)
    assert number_of(image) == number_of(image.astype(np.float32) / 255) != number_of(image[:, ::-1])
    assert number_of(picture(4, 6, 1)) != number_of(picture(4, 6, 1).reshape(6, 4, 1))
    assert 0 <= number_of(image) < 2**47


def test_the_noise_of_a_picture_is_that_of_its_number():
    image = picture(8, 8)
    dice = Dice(3, "translate", range(number_of(image), number_of(image) + 1), (0, 0))
    expected = dice.uniform(3, 8, 8)[0].permute(1, 2, 0).numpy()
    assert np.allclose(Translator(Noisy(), seed=3)(image.astype(np.float32) / 255), expected, atol=1e-6)


# ── at another size, and label maps ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", SIZES)
def test_at_another_size_and_back(size):
    game = Same()
    image = np.full((*size, 3), 77, np.uint8)
    assert (Translator(game, size=24)(image) == image).all()
    assert min(game.seen[0][2:]) == 32 if max(size) <= 16 * min(size) else max(game.seen[0][2:]) == 384


def test_resizing_keeps_what_is_smooth_and_mixes_no_classes():
    slope = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(64, axis=0)
    assert np.abs(resized(resized(slope, (32, 32), smooth=True), (64, 64), smooth=True) - slope).max() < 0.02
    classes = picture(30, 30, 1) // 64
    assert set(np.unique(resized(classes, (77, 50), smooth=False))) <= {0, 1, 2, 3}


def test_label_maps_come_out_as_class_numbers():
    image = np.zeros((20, 33, 3), np.uint8)
    image[:, :10, 0], image[:, 10:25, 1], image[:, 25:, 2] = 255, 255, 255
    for how in ({}, {"tile": 16}, {"size": 40}):
        made = Translator(Same(), labels=True, paints=True, **how)(image)
        assert made.shape == (20, 33, 1) and made.dtype == np.uint8
        assert (made[:, :10] == 0).mean() > 0.9 and (made[:, 26:] == 2).mean() > 0.9


# ── refused ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", [{"tile": 0}, {"size": -1}, {"tile": 2**17}, {"seed": -1}, {"seed": 2**63}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="TRANSLATE-SIZE|SAMPLE-SEED"):
        Translator(Same(), **wrong)


def test_a_game_that_cannot_says_what_can():
    with pytest.raises(UsageError, match=r"TRANSLATE-CANNOT(.|\n)*sparring sample"):
        Translator(nn.Identity())
    with pytest.raises(UsageError, match=r"TRANSLATE-BACK(.|\n)*cyclegan"):
        Translator(Noisy(), back=True)


# ── frozen ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Odd(nn.Module):
    """Convolutions of every kind that is not usual."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([
            nn.Conv2d(3, 8, 3, padding="same"), nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4),
            nn.Conv2d(8, 8, (1, 3), padding=(0, 1), padding_mode="reflect"),
            nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1, groups=2), nn.Conv2d(4, 3, 2, stride=2),
        ])  # fmt: skip

    def forward(self, x, dice=None):
        for conv in self.convs:
            x = conv(x)
        return torch.tanh(F.conv2d(x, torch.ones(3, 1, 3, 3) / 9, padding=1, groups=3))


@pytest.mark.parametrize(
    ("net", "stride"),
    [
        (lambda: UNet(3, 3, depth=4, width=8), 16),
        (lambda: UNet(3, 3, depth=3, width=4, norm="none", skips=False), 8),
        (lambda: ResnetGenerator(3, 3, blocks=2, width=8), 4),
        (lambda: ResnetGenerator(3, 3, blocks=1, width=8, up="resize", norm="affine", dropout=0.5), 4),
        (Odd, 2),
    ],
)
def test_a_frozen_network_does_the_same(net, stride):
    torch.manual_seed(0)
    game = Net(net().eval().requires_grad_(False), stride)
    plain, frozen = Translator(game), Translator(game, freeze=True)
    for size in ((32, 48), (64, 16), (48, 48)):  # weights are packed for the first, and used for all
        image = picture(*size).astype(np.float32) / 255
        assert np.abs(plain(image) - frozen(image)).max() < 5e-5
    assert frozen.frozen is not None and frozen.frozen.seconds > 0
    assert all(p.shape == q.shape for p, q in zip(net().parameters(), game.parameters(), strict=True))


def test_whole_and_cut_agree_where_one_tile_is_enough():
    assert cut(37, 16, 64) == whole(37, 16) == Axis(37, 48, (0,), 5)
