"""LPIPS: how different two pictures are to people, by the features of a network trained on ImageNet (Zhang et al. 2018,
"The unreasonable effectiveness of deep features as a perceptual metric", version 0.1).

Features of five layers, each position scaled to length 1; squared differences, weighed by what was learnt from people's
judgements, averaged over positions, summed over layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import MachineError, UsageError
from sparring.networks import imagenet, vgg, weights

Backbone = Literal["alex", "vgg"]
SMALLEST = {"alex": 31, "vgg": 16}
"""Sides in pixels from which on each network has an opinion: below, one of its maps would be empty."""
_SMALL = 1e-10  # as in the authors' code


class AlexNet(nn.Module):
    """The convolutions of AlexNet (Krizhevsky 2014, one column). Standardised images (N, 3, H, W) → its five maps after
    the ReLU, at strides 4, 8, 16, 16, 16.

    >>> [tuple(made.shape[1:]) for made in AlexNet()(torch.zeros(1, 3, 64, 64))]
    [(64, 15, 15), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]
    """

    widths = (64, 192, 384, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, 64, 11, stride=4, padding=2)
        shapes = ((64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))
        others = (nn.Conv2d(i, o, kernel, padding=kernel // 2) for i, o, kernel in shapes)
        self.convolutions = nn.ModuleList([first, *others])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for k, layer in enumerate(self.convolutions):
            x = F.max_pool2d(x, 3, 2) if k in (1, 2) else x
            x = F.relu(layer(x))
            maps.append(x)
        return tuple(maps)


class LPIPS(nn.Module):
    """Two sets of pictures (N, 3, H, W) in [−1, 1] (or one channel, grey) → (N,), 0 for equal ones, about 0.7 for
    unrelated ones. Frozen, in eval mode. Made by `load`.

    sha256: of the weights (`networks.weights.digest`).
    """

    def __init__(self, backbone: AlexNet | vgg.VGG16) -> None:
        super().__init__()
        self.sha256 = ""
        self.backbone = backbone
        self.linear = nn.ParameterList(torch.zeros(width) for width in backbone.widths)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        first, second = (self.backbone(imagenet.standardised(each)) for each in (x, y))
        for one, other, weight in zip(first, second, self.linear, strict=True):
            difference = (_unit(one) - _unit(other)).square()
            total = total + torch.einsum("nchw,c->nhw", difference, weight).mean((1, 2))
        return total


def _unit(maps: Tensor) -> Tensor:
    """Each position's features scaled to length 1."""
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + _SMALL)


@torch.no_grad()
def load(backbone: Backbone = "alex", path: str | Path | None = None) -> LPIPS:
    """The trained network, frozen, float32, on the CPU. path, errors: those of `imagenet.load`.

    AlexNet is what the authors report and recommend; VGG is slower, and rather used as a loss.
    """
    name: imagenet.Name = "alexnet" if backbone == "alex" else "vgg16"
    makes: Callable[[], AlexNet | vgg.VGG16] = AlexNet if backbone == "alex" else vgg.VGG16
    tensors = imagenet.load(name, path)
    network = LPIPS(makes())
    imagenet.take(network.backbone.convolutions, tensors)
    for k, weight in enumerate(network.linear):
        weight.copy_(tensors[f"lin{k}"])
    network.sha256 = weights.digest(tensors)
    return network.eval().requires_grad_(False)


def check(backbone: Backbone, shape: tuple[int, ...]) -> None:
    """Raises where images of this shape cannot be looked at (`UsageError`), or the weights are absent (`MachineError`).

    The latter says that one may train without: ``--set perceptual=0``.
    """
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < SMALLEST[backbone]:
        raise UsageError(
            "LPIPS-SHAPE", f"LPIPS cannot look at images of shape {shape}",
            why=f"it needs one channel or three, and {SMALLEST[backbone]} pixels a side",
            fix="--set perceptual=0, or a larger --size",
        )  # fmt: skip
    try:
        shared(backbone, "cpu")
    except MachineError as error:
        raise MachineError(
            error.code, f"perceptual compares pictures as people do, for which it needs weights: {error.what}",
            where=error.where, why=error.why, fix=f"{error.fix}; or train without: --set perceptual=0",
        ) from error  # fmt: skip


@cache
def shared(backbone: Backbone, device: str) -> LPIPS:
    """The same on a device, one for all that ask: what a game is taught by."""
    return load(backbone).to(device)
