"""Small folders of images, and a cache of its own for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import Dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of this test."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """noise(seed, width=16, height=16, channels=3): an image unlike any with another seed."""

    def make(seed: int, width: int = 16, height: int = 16, channels: int = 3) -> Image.Image:
        values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
        return Image.fromarray(values[..., 0] if channels == 1 else values)

    return make


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., Image.Image]) -> Callable[..., Path]:
    """folder(n, name="images"): a folder of n different 16 x 16 PNGs."""

    def make(n: int, name: str = "images") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for number in range(n):
            noise(number).save(root / f"{number:04d}.png")
        return root

    return make


@pytest.fixture
def rows() -> Callable[[Dataset], set[bytes]]:
    """All images of a data set as bytes, to compare as a set."""
    return lambda dataset: {image.tobytes() for image in (*dataset.train, *dataset.held_out)}
