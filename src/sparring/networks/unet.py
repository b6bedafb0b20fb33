"""The U-Net of Pix2Pix (Isola et al. 2017, appendix 6.1.1), and the encoder-decoder that it is compared with.

    depth 8, width 64, 256 × 256    down  64 128 256 512 512 512 512 512      256 → 128 → … → 1 pixel a side
                                    up    512 512 512 512 256 128 64 C        1 → 2 → … → 256

Convolutions are 4×4 with stride 2. In the U-Net each up-convolution sees, beside what comes from below, the map of the
same size from the way down, so that edges need not pass through the bottleneck. Layers and initialisation are those of
the authors' published code, which differs from the paper in two places: no normalisation of the 1×1 map, and dropout
in the second to fourth up-block instead of the first to third.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise, normalise
from sparring.networks.dcgan import is_channels_last
from sparring.networks.normalise import Norm
from sparring.ops.conv import Convolution, TransposedConvolution
from sparring.ops.dropout import dropout
from sparring.types import Dice

_WIDEST = 8  # the number of channels doubles per level up to 8 × width
DEEPEST = 8
"""Halvings of the published U-Net for 256 × 256; larger images keep a larger bottleneck."""
_PADDED = 1.3  # how much larger an image may become by padding before another level is not worth it


def depth_of(height: int, width: int) -> int:
    """How many halvings suit an image: down to one pixel, at most `DEEPEST`, without much padding.

    >>> depth_of(256, 256), depth_of(64, 64), depth_of(96, 64), depth_of(100, 75), depth_of(512, 512)
    (8, 6, 5, 4, 8)
    """
    deepest = min(DEEPEST, min(height, width).bit_length() - 1)
    for depth in range(deepest, 1, -1):
        unit = 2**depth
        if -(-height // unit) * unit * -(-width // unit) * unit <= _PADDED * height * width:
            return depth
    return 1


class Resized(nn.Conv2d):
    """A convolution of the map with every pixel repeated: (N, C, h, w) → (N, C', 2h, 2w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """Images (N, given, H, W) in [−1, 1] → (N, made, H, W) in [−1, 1]. H and W are multiples of 2^depth.

    given, made: channels.   depth: how often the side is halved; `depth_of` says what suits a size.
    width:   channels of the finest map; 2, 4, 8, 8, … times as many further down.
    norm:    after all convolutions but the first, the innermost one of the way down, and the last.
    skips:   False makes it the plain encoder-decoder.
    dropout: the noise of Pix2Pix: probability, in the up-blocks after the innermost one that keep 8 × width channels
             (one where there are few). In training and in use alike: drawn for each image from `dice`, none where that
             is None.
    resized: so many of the finest levels repeat pixels and convolve them, 3×3, instead of a transposed convolution: no
             pixel then has another history than its neighbour, and no checkerboard comes of it (Odena et al. 2016).

    >>> UNet(1, 3, depth=4, width=4)(torch.zeros(2, 1, 32, 16)).shape
    torch.Size([2, 3, 32, 16])
    """

    def __init__(
        self,
        given: int,
        made: int,
        depth: int,
        width: int = 64,
        norm: Norm = "affine",
        skips: bool = True,
        dropout: float = 0.5,
        resized: int = 0,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise UsageError("NET-SHAPE", f"a U-Net of depth {depth} does not exist", fix="choose a depth from 1")
        self.depth, self.skips, self.dropout = depth, skips, dropout
        widths = [width * min(2**level, _WIDEST) for level in range(depth)]
        inputs, bias, last = [given, *widths[:-1]], norm != "affine", depth - 1
        self.downs = nn.ModuleList(
            Convolution(inputs[k], widths[k], 4, stride=2, padding=1, bias=bias) for k in range(depth)
        )
        self.down_norms = nn.ModuleList(
            normalise.layer(norm if 0 < k < last else "none", widths[k]) for k in range(depth)
        )
        outputs = [made, *widths[:-1]]  # of the way up, by level: the outermost first
        below = [c * (2 if skips and k < last else 1) for k, c in enumerate(widths)]
        self.ups = nn.ModuleList(
            Resized(below[k], outputs[k], 3, padding=1, bias=bias or k == 0)
            if k < resized
            else TransposedConvolution(below[k], outputs[k], 4, stride=2, padding=1, bias=bias or k == 0)
            for k in range(depth)
        )
        self.up_norms = nn.ModuleList(normalise.layer(norm if k else "none", outputs[k]) for k in range(depth))
        self.noisy = range(max(1, last - max(1, depth - 5)), last)  # levels with dropout
        begin(self, norm)

    def forward(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        left: list[Tensor] = []  # the maps of the way down, finest first
        for down, norm in zip(self.downs, self.down_norms, strict=True):
            x = F.leaky_relu(norm(down(x)), initialise.LEAK, inplace=True)
            left.append(x)
        for k in reversed(range(self.depth)):
            if self.skips and k < self.depth - 1:
                x = F.relu(torch.cat([left[k], x], dim=1), inplace=True)  # undoes the leak of what was left
            else:
                x = F.relu(x)
            x = self.up_norms[k](self.ups[k](x))  # (N, C, 2h, 2w)
            if k in self.noisy and dice is not None and self.dropout > 0:
                x = dropout(x, self.dropout, dice.uniform(*x.shape[1:]))  # each level has a size, so chance, of its own
        return torch.tanh(x)


def begin(module: nn.Module, norm: Norm) -> None:
    """Weights N(0, 0.02) as published; without normalisation that would fade from layer to layer: He et al. 2015."""
    if norm != "none":
        initialise.dcgan(module)
        return
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            initialise.he(layer, initialise.gain_of_leaky_relu())
