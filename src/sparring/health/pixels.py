"""What can be wrong with images before any network looks at them: their range, their borders, their finest pattern.

Everything is measured on fakes and on real images alike, so that a property of the data is not held against G.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.metrics import spectrum

FILLS = (127.5, 0.0)
"""Levels with which augmentation fills what it moves or cuts out: 0 in [−1, 1] is mid-grey; and black."""
_NEAR = 6.0  # levels from a fill that still count as it: G draws it with a network
_EVEN = 2.0  # levels between the darkest and the lightest pixel of an image that is constant
_LIVELY = 12.0  # standard deviation, in levels, of what is left of an image beside its border or hole
_COMMON = 0.1  # share of reals beyond which such borders or holes are how the data looks, and no sign of anything
_PIECE, _SPECTRA = 32, 128  # images at a time; images whose spectrum is taken
_BORDER, _WINDOW = 1 / 16, 1 / 4  # of a side: the least border and the least hole that count


@dataclass(frozen=True)
class Pixels:
    """What is measured on images (n, C, H, W) uint8.

    spread: standard deviation of each channel over all pixels, in levels.   saturated: share of values 0 or 255.
    constant: share of images of one colour.   checkerboard: mean share of energy at the highest frequencies
    (`spectrum.nyquist_share`) of the first `_SPECTRA` images; NaN of images below 4 px.
    filled: for each of `FILLS` the share of images with a border or a hole of that level.
    """

    spread: tuple[float, ...]
    saturated: float
    constant: float
    checkerboard: float
    filled: tuple[float, ...]

    @classmethod
    def of(cls, images: Tensor) -> Pixels:
        """A few images at a time: what is in between takes some 30 MB at 256 px, however many there are."""
        n, channels = images.shape[:2]
        total, squares = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
        ends = even = 0.0
        filled = [0.0] * len(FILLS)
        for piece in torch.split(images, _PIECE):
            x = piece.float()
            flat = (x - 127.5).flatten(2)
            total += flat.sum((0, 2), dtype=torch.float64)
            squares += flat.square().sum((0, 2), dtype=torch.float64)
            ends += float(((piece == 0) | (piece == 255)).sum())
            even += float(((flat.amax(2) - flat.amin(2)) <= _EVEN).all(1).sum())
            filled = [f + float(_filled(x, level).sum()) for f, level in zip(filled, FILLS, strict=True)]
        count = images.numel() / channels
        variance = (squares / count - (total / count).square()).clamp_min(0.0)
        return cls(
            spread=tuple(variance.sqrt().tolist()),
            saturated=ends / images.numel(),
            constant=even / n,
            checkerboard=_finest(images),
            filled=tuple(f / n for f in filled),
        )

    def against(self, real: Pixels) -> dict[str, float]:
        """`contrast`, `saturated`, `constant`, `checkerboard`, `leak`: see `signals`."""
        return {
            "contrast": worst([f / r for f, r in zip(self.spread, real.spread, strict=True) if r > 0]),
            "saturated": self.saturated - real.saturated,
            "constant": self.constant,
            "checkerboard": self.checkerboard / real.checkerboard if real.checkerboard > 0 else math.nan,
            "leak": max(f - r if r <= _COMMON else 0.0 for f, r in zip(self.filled, real.filled, strict=True)),
        }


def worst(ratios: list[float]) -> float:
    """The ratio that is furthest from 1, whichever way; NaN of none.

    >>> worst([1.5, 0.5, 1.2])
    0.5
    """
    return max(ratios, key=lambda r: abs(math.log(max(r, 1e-12))), default=math.nan)


def _filled(x: Tensor, level: float) -> Tensor:
    """(n,) bool: whether an image (of (n, C, H, W), in levels) has a border or a hole that is all of one level.

    A border is a strip of at least 1/16 along one whole side, a hole a square of at least 1/4 of the smaller side. What
    is left of the image has to be lively: an image that is grey all over has lost nothing to augmentation. A fourth
    channel (alpha) does not count.
    """
    x = x[:, :3] if x.shape[1] == 4 else x
    even = ((x - level).abs() <= _NEAR).all(1, keepdim=True).float()  # (n, 1, H, W)
    height, width = x.shape[2:]
    strip = [max(1, round(side * _BORDER)) for side in (height, width)]
    rows, columns = even.amin(3).squeeze(1), even.amin(2).squeeze(1)  # (n, H), (n, W): all of this line
    edges = (rows[:, : strip[0]], rows[:, -strip[0] :], columns[:, : strip[1]], columns[:, -strip[1] :])
    border = torch.stack([edge.amin(1) for edge in edges]).amax(0)
    window = max(2, round(min(height, width) * _WINDOW))
    hole = (1.0 - F.max_pool2d(1.0 - even, window, stride=1)).amax((1, 2, 3))
    weight = 1.0 - even  # the pixels beside it
    total = weight.sum((1, 2, 3)).clamp_min(1.0)
    grey = x.mean(1, keepdim=True)
    mean = (grey * weight).sum((1, 2, 3)) / total
    variance = ((grey - mean[:, None, None, None]).square() * weight).sum((1, 2, 3)) / total
    lively = (variance.sqrt() >= _LIVELY) & (weight.mean((1, 2, 3)) > 0.1)
    return ((border + hole) > 0) & lively


def _finest(images: Tensor) -> float:
    if min(images.shape[2:]) < 4:
        return math.nan
    return float(torch.cat([spectrum.nyquist_share(p) for p in torch.split(images[:_SPECTRA], _PIECE)]).mean())
