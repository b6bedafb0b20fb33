"""Cutting an image into tiles that overlap, and weights with which they become one image again.

The two axes are cut alike, and the weight of a pixel is the product of a weight for its row and one for its column. The
weights of each axis add up to 1 everywhere: tile i fades into tile i + 1 along half a period of a cosine in the middle
of their overlap, and what the ramp takes from one it gives to the other. The outermost pixels of a tile, which see the
padding of convolutions instead of their neighbours, count for nothing where another tile knows better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHARED = 4  # of a tile's side, a quarter lies in its neighbour too
_RAMP = 0.75  # share of an overlap along which one tile fades into the next
_PHASE = 8  # tiles begin at multiples of this: what strides of 2 make of a texture then agrees in an overlap


@dataclass(frozen=True)
class Axis:
    """How one axis of an image is cut. length: of the image.   side: of every tile.   starts: of each tile, ascending.
    before: pixels that are added before the image; what is missing up to `total` is added after it."""

    length: int
    side: int
    starts: tuple[int, ...] = (0,)
    before: int = 0

    @property
    def total(self) -> int:
        """Pixels of the padded axis."""
        return self.starts[-1] + self.side

    def weights(self) -> list[NDArray[np.float32]]:
        """(side,) for each tile, in [0, 1]. At every pixel those of all tiles add up to 1.

        >>> [[f"{weight:.2f}" for weight in part] for part in Axis(6, 4, (0, 2)).weights()]
        [['1.00', '1.00', '0.93', '0.07'], ['0.07', '0.93', '1.00', '1.00']]
        """
        # Tile i has what the ramp before it gives and the ramp after it does not yet take: the sum telescopes to 1.
        ramps = [_ramp(later, first + self.side) for first, later in zip(self.starts, self.starts[1:], strict=False)]
        parts = []
        for number, start in enumerate(self.starts):
            place = np.arange(start, start + self.side, dtype=np.float64) + 0.5
            rise = ramps[number - 1](place) if number else np.ones(self.side)
            fall = ramps[number](place) if number < len(ramps) else np.zeros(self.side)
            parts.append((rise - fall).astype(np.float32))
        return parts


def _ramp(low: int, high: int) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """A raised cosine from 0 to 1 in the middle of [low, high]."""
    centre, width = (low + high) / 2, max((high - low) * _RAMP, 1e-6)

    def rise(place: NDArray[Any]) -> NDArray[np.float64]:
        return 0.5 - 0.5 * np.cos(np.pi * np.clip((place - centre) / width + 0.5, 0.0, 1.0))

    return rise


def whole(length: int, stride: int) -> Axis:
    """An axis in one tile, padded evenly on both sides to a multiple of `stride`.

    >>> whole(37, 16)
    Axis(length=37, side=48, starts=(0,), before=5)
    """
    side = -(-length // stride) * stride
    return Axis(length, side, before=(side - length) // 2)


def cut(length: int, stride: int, tile: int) -> Axis:
    """An axis in tiles of at most `tile` pixels (but at least `stride`), multiples of `stride`: one where it fits.

    >>> cut(1000, 16, 512).starts
    (0, 240, 488)
    """
    axis, side = whole(length, stride), max(stride, tile // stride * stride)
    if axis.side <= side:
        return axis
    shared = max(1, side // _SHARED)
    grain = math.gcd(stride, _PHASE, shared)
    shared = min(-(-shared // grain) * grain, side - 1)
    end = -(-length // grain) * grain
    gaps = max(1, -(-(end - side) // (side - shared)))
    return Axis(length, side, tuple(k * (end - side) // (gaps * grain) * grain for k in range(gaps + 1)))
