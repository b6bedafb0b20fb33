"""VGG-16 (Simonyan & Zisserman 2015), configuration D: its convolutions, and its first two fully connected layers read
as convolutions (Long et al. 2015), so that images of any size go in.

`trained()` has the convolutions of ImageNet. Of the fully connected layers there are no weights: who needs them
(FCN-8s) trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.networks import imagenet, initialise

BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of each block; a pool halves the map between two blocks."""
STRIDES = (1, 2, 4, 8, 16)
"""Of the five maps that `VGG16` gives."""


class VGG16(nn.Module):
    """Thirteen convolutions of 3 × 3. Images (N, inputs, H, W), standardised (`imagenet.standardised`) → the last map
    of each block, before its pool: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3, at `STRIDES`, with `widths` channels.

    width: of the first block; the others have 2, 4, 8 and 8 times as many. Weights begin as He et al. 2015 have them.

    >>> [tuple(made.shape) for made in VGG16(width=2)(torch.zeros(1, 3, 32, 48))]
    [(1, 2, 32, 48), (1, 4, 16, 24), (1, 8, 8, 12), (1, 16, 4, 6), (1, 16, 2, 3)]
    """

    def __init__(self, inputs: int = 3, width: int = 64) -> None:
        super().__init__()
        self.widths = (width, 2 * width, 4 * width, 8 * width, 8 * width)
        channels = [inputs, *(w for w, count in zip(self.widths, BLOCKS, strict=True) for _ in range(count))]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(channels))
        for layer in self.convolutions:
            initialise.he(layer, 2**0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps, first = [], 0
        for count in BLOCKS:
            x = pool(x) if first else x
            for layer in self.convolutions[first : first + count]:
                x = F.relu(layer(x))
            maps.append(x)
            first += count
        return tuple(maps)


def pool(x: Tensor) -> Tensor:
    """The maximum of 2 × 2, half the size: what stands between two blocks, and after the last (stride 32)."""
    return F.max_pool2d(x, 2)


class Fully(nn.Module):
    """fc6 and fc7 as convolutions: pool5 (N, inputs, h, w) → (N, width, h, w). 7 × 7 padded by 3, then 1 × 1.

    drop: applied after each of the two; default: nothing is dropped.
    """

    def __init__(self, inputs: int = 512, width: int = 4096) -> None:
        super().__init__()
        self.fc6 = nn.Conv2d(inputs, width, 7, padding=3)
        self.fc7 = nn.Conv2d(width, width, 1)
        for layer in (self.fc6, self.fc7):
            initialise.he(layer, 2**0.5)

    def forward(self, x: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        for layer in (self.fc6, self.fc7):
            x = F.relu(layer(x))
            x = x if drop is None else drop(x)
        return x


@torch.no_grad()
def trained(path: str | Path | None = None) -> VGG16:
    """The trunk with ImageNet's convolutions, float32, on the CPU. path, errors: those of `imagenet.load`."""
    return take(VGG16(), imagenet.load("vgg16", path))


def take(network: VGG16, tensors: Mapping[str, Tensor]) -> VGG16:
    """The network, with the convolutions of `imagenet.load` put into it."""
    imagenet.take(network.convolutions, tensors)
    return network
