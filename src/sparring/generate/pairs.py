"""Pictures of what a game that translates was given, what it made of it, and what it should have made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.generate.grid import VISIBLE, grid

_WITHIN, _BETWEEN = 2, 8  # pixels of paper in a pair, and between pairs


def visible(images: Tensor, palette: NDArray[np.uint8] | None = None) -> Tensor:
    """(N, C, H, W) in [-1, 1] → (N, 3, H, W) in [-1, 1], for people: grey as grey, transparency on white; with a
    `palette`, (C, 3), the colour of each pixel's likeliest class: of a label map.

    >>> visible(torch.zeros(2, 1, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    channels = images.shape[1]
    if palette is not None:
        inks = torch.from_numpy(np.array(palette)).float() / 127.5 - 1
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


def in_pairs(first: Tensor, second: Tensor) -> Image.Image:
    """Number k of `first` beside number k of `second`, (N, 3, H, W) in [-1, 1] each, about as wide as high; small ones
    enlarged in whole steps. Between pairs there is more room than in them.

    >>> in_pairs(torch.zeros(3, 3, 16, 16), torch.zeros(3, 3, 16, 16)).size
    (114, 176)
    """
    factor = -(-VISIBLE // min(first.shape[-2:]))
    a, b = (images.repeat_interleave(factor, 2).repeat_interleave(factor, 3) for images in (first, second))
    pairs = torch.cat([a, a.new_ones(len(a), 3, a.shape[2], _WITHIN), b], dim=3)
    across = max(1, round((len(pairs) * pairs.shape[2] / pairs.shape[3]) ** 0.5))
    return grid(pairs, columns=across, padding=_BETWEEN)
