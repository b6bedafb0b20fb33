"""A residual U-Net: what the U-Net of Pix2Pix became, without transposed convolutions.

    64 × 64, width 16    16 → 32 → 64 → 128 → 128 channels on 64² → 32² → 16² → 8² → 4², and back

Residual blocks of two 3×3 convolutions, each after its normalisation and activation (He et al. 2016, "Identity
mappings"), on the way down and up; sizes change by the filter [1, 2, 1], so that no output pixel has another history
than its neighbour and no checkerboard can come from it (Odena et al. 2016); the finest skip has the resolution of the
image, so that edges stay sharp.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise, normalise
from sparring.networks.dcgan import is_channels_last
from sparring.networks.normalise import Norm
from sparring.ops.dropout import dropout
from sparring.ops.resample import downsample, upsample
from sparring.types import Dice

_WIDEST = 8  # the number of channels doubles per level up to 8 × width
_SMALLEST = 4  # pixels: about the shorter side of the coarsest map


def depth_of(height: int, width: int) -> int:
    """How many halvings suit an image: to about 4 pixels, at most 6.

    >>> depth_of(64, 64), depth_of(256, 256), depth_of(100, 75)
    (4, 6, 4)
    """
    return max(1, min(6, (min(height, width) // _SMALLEST).bit_length() - 1))


class Block(nn.Module):
    """x + C(a(n(drop(C(a(n(x))))))): (N, C, H, W) → the same. The last convolution begins at 0: the identity."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.norms = nn.ModuleList(normalise.layer(norm, channels) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none") for _ in range(2)
        )
        initialise.he(self.convolutions[0], initialise.gain_of_leaky_relu())
        initialise.he(self.convolutions[1], 0.0)

    def forward(self, x: Tensor, uniform: Tensor | None = None, p: float = 0.0) -> Tensor:
        """uniform: numbers in [0, 1), of x's shape, by which a share p is dropped; None: nothing is."""
        y = self.convolutions[0](F.leaky_relu(self.norms[0](x), initialise.LEAK))
        y = y if uniform is None else dropout(y, p, uniform)
        return x + self.convolutions[1](F.leaky_relu(self.norms[1](y), initialise.LEAK))  # type: ignore[no-any-return]


class ResidualUNet(nn.Module):
    """Images (N, given, H, W) in [−1, 1] → (N, made, H, W) in [−1, 1]. H and W are multiples of 2^depth.

    given, made: channels.   depth: how often the side is halved.   width: channels at the resolution of the image.
    norm: in every block.    dropout: in use as in training, in the blocks of the two coarsest levels of the way up;
    drawn for each image from `dice`, none where that is None.

    >>> ResidualUNet(1, 3, depth=2, width=4)(torch.zeros(2, 1, 32, 16)).shape
    torch.Size([2, 3, 32, 16])
    """

    def __init__(
        self, given: int, made: int, depth: int, width: int = 16, norm: Norm = "affine", dropout: float = 0.0
    ) -> None:
        super().__init__()
        if depth < 1:
            raise UsageError("NET-SHAPE", f"a U-Net of depth {depth} does not exist", fix="choose a depth from 1")
        self.depth, self.dropout = depth, dropout
        widths = [width * min(2**level, _WIDEST) for level in range(depth + 1)]
        bias = norm == "none"  # a normalisation takes the mean away, and brings its own shift
        self.stem = nn.Conv2d(given, width, 3, padding=1, bias=bias)
        self.left = nn.ModuleList(Block(c, norm) for c in widths)
        self.wider = nn.ModuleList(nn.Conv2d(i, o, 1, bias=bias) for i, o in pairwise(widths))
        self.narrower = nn.ModuleList(nn.Conv2d(o, i, 1, bias=bias) for i, o in pairwise(widths))
        self.merge = nn.ModuleList(nn.Conv2d(2 * c, c, 1, bias=bias) for c in widths[:-1])
        self.right = nn.ModuleList(Block(c, norm) for c in widths[:-1])
        self.norm = normalise.layer(norm, width)
        self.head = nn.Conv2d(width, made, 3, padding=1)
        for layer in (self.stem, *self.wider, *self.narrower, *self.merge):
            initialise.he(layer)
        initialise.he(self.head, 0.5)

    def forward(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.left[0](self.stem(x))
        kept = [x]  # finest first
        for wider, block in zip(self.wider, self.left[1:], strict=True):
            x = block(wider(downsample(x)))
            kept.append(x)
        for k in reversed(range(self.depth)):
            x = self.merge[k](torch.cat([kept[k], upsample(self.narrower[k](x))], dim=1))
            noisy = dice is not None and self.dropout > 0 and k >= self.depth - 2
            # each level has a size, so chance, of its own
            x = self.right[k](x, dice.uniform(*x.shape[1:]) if noisy and dice is not None else None, self.dropout)
        return torch.tanh(self.head(F.leaky_relu(self.norm(x), initialise.LEAK)))
