"""Pictures of what a game that translates was given, what it made of it, and what it should have made."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.generate.grid import grid

_TURN = 0.618034  # of the circle of hues from one class to the next: neighbours look different


def colours(classes: int) -> NDArray[np.uint8]:
    """(classes, 3): colours for label maps that bring none of their own; the first one is black.

    >>> colours(3)[0]
    array([0, 0, 0], dtype=uint8)
    """
    found = [(0.0, 0.0, 0.0)]
    found += [colorsys.hsv_to_rgb(k * _TURN % 1, 0.65 + 0.35 * (k % 2), 1 - 0.3 * (k % 3 == 0)) for k in range(classes)]
    return np.round(255 * np.array(found[:classes])).astype(np.uint8)


def visible(images: Tensor, *, is_map: bool = False, palette: NDArray[np.uint8] | None = None) -> Tensor:
    """(N, C, H, W) in [-1, 1] → (N, 3, H, W) in [-1, 1], for people: grey as grey, transparency on white, and of a
    label map (`is_map`) the colour of each pixel's likeliest class, of `palette` (C, 3) or of `colours`.

    >>> visible(torch.zeros(2, 1, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    channels = images.shape[1]
    if is_map:
        inks = torch.from_numpy(colours(channels) if palette is None else np.array(palette)).float() / 127.5 - 1
        return inks.to(images.device)[images.argmax(1)].permute(0, 3, 1, 2)
    if channels == 1:
        return images.expand(-1, 3, -1, -1)
    if channels == 4:
        opaque = images[:, 3:].add(1).div(2).clamp(0, 1)
        return images[:, :3] * opaque + (1 - opaque)
    return images[:, :3] if channels > 3 else torch.nn.functional.pad(images, (0, 0, 0, 0, 0, 3 - channels), value=-1.0)


def side_by_side(columns: Sequence[Tensor], *, across: int | None = None) -> Image.Image:
    """Rows of pictures that belong together: number k of each of `columns`, (N, 3, H, W) in [-1, 1] each.

    across: how many such groups stand in one row; default: so that the picture is about as wide as high.
    """
    n, _, height, width = columns[0].shape
    together = torch.stack(list(columns), dim=1)  # (N, columns, 3, H, W)
    fit = max(1, round((n * height / (width * len(columns))) ** 0.5)) if across is None else across
    return grid(together.flatten(0, 1), columns=min(fit, n) * len(columns))
