"""Pictures that look like something, for the tests of what is seen in pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scene(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    """A soft picture unlike any with another seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for k in (3, 5, 9, 17):
        coarse = Image.fromarray(rng.integers(0, 256, (k, k, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64) / k**0.5
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))
