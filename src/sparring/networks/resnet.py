"""The residual generator of CycleGAN: an image in, an image of the same size out.

Zhu et al. 2017, appendix 7.2, after Johnson et al. 2016: a 7×7 convolution, two that halve, residual blocks on a
quarter of the size, two that double, a 7×7 convolution, tanh.

    256 × 256, width 64, 9 blocks    c7s1-64, d128, d256, R256 × 9, u128, u64, c7s1-C
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise, normalise
from sparring.networks.normalise import Norm
from sparring.ops.dropout import dropout
from sparring.types import Dice

Up = Literal["transposed", "resize"]
"""How a map is doubled: by a transposed convolution (the paper), or by repeating pixels and a convolution, which leaves
no checkerboard (Odena et al. 2016)."""

STRIDE = 4


class Reflected(nn.Conv2d):
    """A convolution that keeps the size and sees the image mirrored at its border; where a map is too small for that,
    its outermost pixels repeated. (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, channels: int, made: int, kernel: int, *, bias: bool) -> None:
        super().__init__(channels, made, kernel, bias=bias)
        self.margin = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        mode = "reflect" if min(x.shape[-2:]) > self.margin else "replicate"
        return super().forward(F.pad(x, (self.margin,) * 4, mode=mode))


class Block(nn.Module):
    """x + n(conv(drop(ReLU(n(conv(x)))))), n the normalisation: (N, C, H, W) → the same."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1, self.conv2 = (Reflected(channels, channels, 3, bias=bias) for _ in range(2))
        self.norm1, self.norm2 = (normalise.layer(norm, channels) for _ in range(2))

    def forward(self, x: Tensor, uniform: Tensor | None = None, p: float = 0.0) -> Tensor:
        """uniform: numbers in [0, 1), of x's shape, by which a share p is dropped; None: nothing is."""
        y = F.relu(self.norm1(self.conv1(x)))
        if uniform is not None:
            y = dropout(y, p, uniform)
        made: Tensor = self.norm2(self.conv2(y))
        return x + made


class Double(nn.Module):
    """(N, C, H, W) → (N, C', 2H, 2W)."""

    def __init__(self, channels: int, made: int, up: Up, *, bias: bool) -> None:
        super().__init__()
        self.resize = up == "resize"
        self.conv: nn.Module = (
            Reflected(channels, made, 3, bias=bias)
            if self.resize
            else nn.ConvTranspose2d(channels, made, 3, stride=2, padding=1, output_padding=1, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.resize else x)
        return made


class ResnetGenerator(nn.Module):
    """(N, given, H, W) → (N, made, H, W) in [−1, 1]; H and W multiples of `STRIDE`.

    blocks: residual ones; the paper has 6 up to 128 pixels, 9 from 256 on.   width: channels of the finest map.
    norm: "instance" (the paper), "affine" or "none"; see `normalise`.   up: see `Up`.
    dropout: share of the numbers within each block that are dropped, in training and in use alike, where `forward` is
    given dice; none in the paper.

    >>> net = ResnetGenerator(1, 3, blocks=1, width=4)
    >>> net(torch.zeros(2, 1, 12, 16)).shape
    torch.Size([2, 3, 12, 16])
    """

    def __init__(
        self,
        given: int,
        made: int,
        blocks: int = 9,
        width: int = 64,
        norm: Norm = "instance",
        dropout: float = 0.0,
        up: Up = "transposed",
    ) -> None:
        super().__init__()
        self.given, self.made, self.width, self.dropout = given, made, width, dropout
        bias = norm == "none"  # else the normalisation takes it away again
        self.first = Reflected(given, width, 7, bias=bias)
        self.downs = nn.ModuleList(
            nn.Conv2d(width * k, 2 * width * k, 3, stride=2, padding=1, bias=bias) for k in (1, 2)
        )
        self.blocks = nn.ModuleList(Block(4 * width, norm) for _ in range(blocks))
        self.ups = nn.ModuleList(Double(2 * width * k, width * k, up, bias=bias) for k in (2, 1))
        self.last = Reflected(width, made, 7, bias=True)
        self.norms = nn.ModuleList(normalise.layer(norm, width * k) for k in (1, 2, 4, 2, 1))
        initialise.dcgan(self)

    def forward(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        """dice: of what is dropped, one row for each image; None: nothing is."""
        if x.shape[-2] % STRIDE or x.shape[-1] % STRIDE:
            raise UsageError(
                "NET-STRIDE", "the sides of an image are multiples of 4 here", where=f"{x.shape[-1]}×{x.shape[-2]}",
                fix="pad it first (`sparring translate` does)",
            )  # fmt: skip
        layers = iter(self.norms)
        y = F.relu(next(layers)(self.first(x)))
        for down in self.downs:
            y = F.relu(next(layers)(down(y)))
        drops: list[Tensor | None] = [None] * len(self.blocks)
        if dice is not None and self.dropout > 0:
            drops = list(dice.uniform(len(self.blocks), *y.shape[1:]).unbind(1))
        for block, uniform in zip(self.blocks, drops, strict=True):
            y = block(y, uniform, self.dropout)
        for up in self.ups:
            y = F.relu(next(layers)(up(y)))
        return torch.tanh(self.last(y))
