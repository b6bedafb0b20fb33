"""The judge's rules: quantisation, channels, size, independence of the batch; and what KID says about known damage."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics import features
from sparring.metrics.kernel import kid


@pytest.fixture(scope="module")
def judge() -> features.EfficientNetFeatures:
    return features.default()


def images(n: int, channels: int = 3, height: int = 64, width: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8)


def test_quantise() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(features.quantise(levels.float() / 127.5 - 1), levels)  # the inverse of the usual scaling
    assert features.quantise(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_channels() -> None:
    grey = images(2, 1)
    assert torch.equal(features.prepare(grey, 64), grey.expand(-1, 3, -1, -1).float())
    colour, opaque, clear = images(2), torch.full((2, 1, 64, 64), 255), torch.zeros(2, 1, 64, 64)
    solid = features.prepare(torch.cat([colour, opaque.to(torch.uint8)], 1), 64)
    assert torch.equal(solid, colour.float())
    assert (features.prepare(torch.cat([colour, clear.to(torch.uint8)], 1), 64) == 255).all()


def test_resize_is_antialiased() -> None:
    """A fine checkerboard becomes its mean, not one of its colours."""
    board = ((torch.arange(256)[:, None] + torch.arange(256)) % 2 * 255).to(torch.uint8).expand(1, 3, 256, 256)
    small = features.prepare(board, 32)
    assert small.shape == (1, 3, 32, 32)
    assert (small - 127.5).abs().max() < 1.0
    flat = features.prepare(torch.full((1, 3, 50, 30), 77, dtype=torch.uint8), 112)
    assert torch.allclose(flat, torch.tensor(77.0), atol=1e-3)


def test_features_have_one_length_and_ignore_the_batch(judge: features.EfficientNetFeatures) -> None:
    x = images(5)
    together = features.embed(judge, x, batch=5)
    assert together.shape == (5, judge.dimensions) and together.dtype == torch.float32
    assert torch.allclose(together.square().mean(1), torch.ones(5), atol=1e-5)
    assert torch.allclose(features.embed(judge, x, batch=2), together, atol=1e-4)
    assert features.embed(judge, x[:0]).shape == (0, judge.dimensions)


def test_an_extractor_says_what_it_is(judge: features.EfficientNetFeatures) -> None:
    extractor: features.Extractor = judge
    assert (extractor.name, extractor.version, extractor.size) == ("efficientnet-lite0", "2", 112)
    assert len(extractor.weights_sha256) == 64 and extractor.preprocessing and extractor.device.type == "cpu"


@pytest.mark.parametrize("bad", [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8), images(1, 2)])
def test_wrong_images_are_refused(bad: Tensor) -> None:
    with pytest.raises(DataError, match="METRIC-IMAGES"):
        features.prepare(bad, 112)


def test_anchors_on_cats(shared_data: Path, judge: features.EfficientNetFeatures) -> None:
    """Real against real is 0 within its error; blur costs, more blur more; noise saturates near 8."""
    with zipfile.ZipFile(shared_data / "cat_faces_64.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        names = [names[k] for k in np.random.default_rng(0).permutation(len(names))[:160]]
        cats = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]

    def pixels(pictures: list[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)

    def blurred(size: int) -> Tensor:
        small = [cat.resize((size, size), Image.Resampling.BILINEAR) for cat in cats[80:]]
        return pixels([s.resize((64, 64), Image.Resampling.BILINEAR) for s in small])

    real = features.embed(judge, pixels(cats[:80]))
    same = kid(real, features.embed(judge, pixels(cats[80:])))
    assert abs(same.value) < 3 * same.standard_error + 0.02
    found = [kid(real, features.embed(judge, x)).value for x in (blurred(32), blurred(16), images(80))]
    assert found == pytest.approx([0.6, 2.2, 8.15], rel=0.15)
