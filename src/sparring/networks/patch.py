"""PatchGAN: a discriminator that judges patches (Isola et al. 2017, section 3.2 and appendix 6.1.2).

Each logit sees a square of the image, its receptive field; so what is judged is texture and style, for any size of
image. With `layers` convolutions of stride 2 the square has this side:

    layers           0    1    2    3    4    5    6
    receptive field  1   16   34   70  142  286  574

0 is the paper's PixelGAN, 3 its usual 70 × 70 patches, 5 its ImageGAN (286 × 286) at 256 × 256.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise, normalise
from sparring.networks.dcgan import is_channels_last, stages
from sparring.networks.normalise import Norm
from sparring.networks.unet import begin
from sparring.types import Layered

MOST = 6
_WIDEST = 8  # the number of channels doubles per layer up to 8 × width


def receptive_field(layers: int) -> int:
    """Side in pixels of what one logit sees.

    >>> [receptive_field(layers) for layers in range(7)]
    [1, 16, 34, 70, 142, 286, 574]
    """
    side = 1
    for stride in [1, 1] + [2] * layers if layers else []:  # from the logit down to the image
        side = (side - 1) * stride + 4
    return side


def smallest(layers: int) -> int:
    """Side in pixels of the smallest image with a logit; smaller than the receptive field, since borders are padded.

    >>> smallest(0), smallest(1), smallest(3)
    (1, 6, 24)
    """
    return 3 * 2**layers if layers else 1


class PatchDiscriminator(nn.Module, Layered):
    """Images (N, C, H, W), what is given beside what is judged → logits (N, 1, h, w), float32 even under autocast.

    layers: convolutions of stride 2, 0 … 6: the size of the patches.   width: channels of the finest map.
    norm: after all convolutions but the first and the last.

    >>> PatchDiscriminator(4, layers=2, width=4)(torch.zeros(2, 4, 64, 64)).shape
    torch.Size([2, 1, 14, 14])
    """

    def __init__(self, channels: int, layers: int = 3, width: int = 64, norm: Norm = "affine") -> None:
        super().__init__()
        if not 0 <= layers <= MOST:
            raise UsageError(
                "NET-PATCH", f"there are no patches of {layers} layers", fix=f"choose from 0 (a pixel) to {MOST}"
            )
        self.side = smallest(layers)
        widths = [channels, *(width * min(2**k, _WIDEST) for k in range(layers + 1))]
        strides = [2] * layers + [1]
        if layers == 0:
            widths, strides = [channels, width, 2 * width], [1, 1]
        size, padding = (4, 1) if layers else (1, 0)
        bias = norm == "none"  # a normalisation takes it away again
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, size, stride=stride, padding=padding, bias=bias or k == 0)
            for k, ((i, o), stride) in enumerate(zip(pairwise(widths), strides, strict=True))
        )
        self.norms = nn.ModuleList(normalise.layer(norm if k else "none", o) for k, o in enumerate(widths[1:]))
        self.head = nn.Conv2d(widths[-1], 1, size, padding=padding, bias=norm != "affine" or layers > 0)
        begin(self, norm)

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple(zip(self.convolutions, self.norms, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.side:
            raise UsageError(
                "NET-PATCH", f"no patch fits into {x.shape[-2]}×{x.shape[-1]}",
                why=f"these patches need at least {self.side} pixels a side", fix="fewer layers, or larger images",
            )  # fmt: skip
        x = _laid_out(self, x)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.leaky_relu(norm(convolution(x)), initialise.LEAK)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.to(self.head.weight.dtype))  # type: ignore[no-any-return]


class FullDiscriminator(nn.Module, Layered):
    """Images (N, C, H, W) → one logit each, (N,), which sees all of the image; float32 even under autocast.

    shape: (C, H, W), the channels of what is given counted.   width, norm: as of `PatchDiscriminator`.

    >>> FullDiscriminator((4, 32, 32), width=4)(torch.zeros(2, 4, 32, 32)).shape
    torch.Size([2])
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 64, norm: Norm = "affine") -> None:
        super().__init__()
        count, bias = stages(*shape[1:]), norm != "affine"
        widths = [shape[0], *(width * min(2**k, _WIDEST) for k in range(count))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 4, stride=2, padding=1, bias=bias or k == 0) for k, (i, o) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList(normalise.layer(norm if k else "none", o) for k, o in enumerate(widths[1:]))
        height, wide = (side // 2**count for side in shape[1:])
        self.head = nn.Linear(widths[-1] * height * wide, 1)
        begin(self, norm)

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple(zip(self.convolutions, self.norms, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        x = _laid_out(self, x)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.leaky_relu(norm(convolution(x)), initialise.LEAK)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.flatten(1).to(self.head.weight.dtype)).squeeze(1)  # type: ignore[no-any-return]


def _laid_out(module: nn.Module, x: Tensor) -> Tensor:
    """x in the layout of the weights of `module`."""
    return x.contiguous(memory_format=torch.channels_last) if is_channels_last(module) else x
