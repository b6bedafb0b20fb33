"""Augmentation of images that belong together: what happens to one side happens to the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.chance import Dice, Dices

ENLARGED = 286 / 256
"""By how much a side grows before it is cut back (Isola et al. 2017, appendix 6.2: 256 → 286 → 256)."""


def jitter(images: Sequence[Tensor], dice: Dice | Dices) -> tuple[Tensor, ...]:
    """Each image enlarged by `ENLARGED`, bilinear, and cut back to its size at a random place: (N, Cᵢ, H, W) each.

    images: that belong together, sample by sample, all of one size.   dice: of the N samples.
    Both sides of a pair are cut at the same place. Values stay in their range; a one-hot label map becomes a mixture
    where its regions meet.

    >>> x = torch.rand(4, 3, 32, 32)
    >>> a, b = jitter([x, x[:, :1]], Dice(0, "jitter", range(4)))
    >>> a.shape, bool(torch.equal(a[:, :1], b))
    (torch.Size([4, 3, 32, 32]), True)
    """
    height, width = images[0].shape[2:]
    tall, wide = (int(side * ENLARGED + 0.5) for side in (height, width))
    tops, lefts = dice.of("y").integers(tall - height + 1), dice.of("x").integers(wide - width + 1)  # (N,)
    places = list(zip(tops.tolist(), lefts.tolist(), strict=True))

    def cut(image: Tensor) -> Tensor:
        large = F.interpolate(image, size=(tall, wide), mode="bilinear", align_corners=False)
        rows = [one[:, y : y + height, x : x + width] for one, (y, x) in zip(large, places, strict=True)]
        return torch.stack(rows).contiguous(memory_format=_layout(image))

    return tuple(cut(image) for image in images)


def _layout(x: Tensor) -> torch.memory_format:
    packed = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if packed else torch.contiguous_format
