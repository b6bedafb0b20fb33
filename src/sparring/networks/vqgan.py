"""The residual encoder and decoder of VQGAN (Esser et al. 2021, "Taming transformers", appendix A and table 7), small.

    64 × 64, factor 8, width 32, multipliers (1, 2, 4)
        32 → 32 → 64 → 128 → 128 channels on 64² → 32² → 16² → 8², a middle, and d numbers for each of the 8 × 8 places;
        the decoder the other way round

A level has residual blocks of two 3 × 3 convolutions, each after group normalisation and SiLU; sizes are halved by a
convolution of stride 2, and doubled by repeating pixels and a convolution. The middle has two blocks, and between them,
if asked for, attention over all places. Images of any sides that are multiples of the factor will do.

With a fold of n the networks see n × n pixels as the channels of one place (Shi et al. 2016), so that the finest maps,
which cost the most, are left out; the first level is then of n times fewer places a side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise
from sparring.networks.dcgan import is_channels_last
from sparring.networks.quantise import Quantiser

_GAIN = math.sqrt(2.0)  # about what keeps the second moment behind a SiLU, as behind a ReLU


def groups(channels: int) -> int:
    """Groups of the normalisation: of 8 channels or more each, at most 32 (the paper's).

    >>> groups(4), groups(32), groups(96), groups(512)
    (1, 4, 12, 32)
    """
    return next(n for n in range(min(32, max(1, channels // 8)), 0, -1) if channels % n == 0)


def widths(width: int, multipliers: Sequence[int], factor: int) -> list[int]:
    """Channels of each level, the finest first; the last multiplier stands for all coarser levels. factor: by which
    levels differ in size, the first from the last.

    >>> widths(32, (1, 2, 4), 8)
    [32, 64, 128, 128]
    """
    levels = factor.bit_length()
    return [width * multipliers[min(k, len(multipliers) - 1)] for k in range(levels)]


class Block(nn.Module):
    """s(x) + C(a(n(C(a(n(x)))))): (N, i, H, W) → (N, o, H, W), s a 1 × 1 convolution where i ≠ o. It begins as s."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups(i), i), nn.GroupNorm(groups(o), o)
        self.conv1, self.conv2 = nn.Conv2d(i, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1)
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()
        initialise.he(self.conv1, _GAIN)
        initialise.he(self.conv2, 0.0)
        if i != o:
            initialise.he(self.skip)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return self.skip(x) + y  # type: ignore[no-any-return]


class Attention(nn.Module):
    """x + O(attention of each place over all places of n(x)), one head: (N, C, H, W) → the same. It begins as x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups(channels), channels)
        self.ask, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        initialise.he(self.ask)
        initialise.he(self.out, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.flatten(2).mT[:, None] for part in self.ask(self.norm(x)).chunk(3, dim=1))  # (N, 1, HW, C)
        found = F.scaled_dot_product_attention(q, k, v)[:, 0].mT.reshape(x.shape)
        return x + self.out(found)  # type: ignore[no-any-return]


def middle(channels: int, attention: bool) -> nn.Sequential:
    """What happens at the coarsest level."""
    between = [Attention(channels)] if attention else []
    return nn.Sequential(Block(channels, channels), *between, Block(channels, channels))


class Encoder(nn.Module):
    """Images (N, C, H, W) → (N, d, H / f, W / f).   channels: C of each level, the finest first."""

    def __init__(self, given: int, channels: Sequence[int], blocks: int, made: int, attention: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(given, channels[0], 3, padding=1)
        parts: list[nn.Module] = []
        i = channels[0]
        for level, o in enumerate(channels):
            if level:
                parts.append(nn.Conv2d(i, i, 3, stride=2, padding=1))
            for _ in range(blocks):
                parts.append(Block(i, o))
                i = o
        self.levels = nn.Sequential(*parts, middle(i, attention))
        self.norm, self.head = nn.GroupNorm(groups(i), i), nn.Conv2d(i, made, 1)
        for layer in (self.stem, self.head, *(part for part in parts if isinstance(part, nn.Conv2d))):
            initialise.he(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.silu(self.norm(self.levels(self.stem(x)))))  # type: ignore[no-any-return]


class Doubled(nn.Conv2d):
    """Pixels repeated, and a 3 × 3 convolution: (N, C, H, W) → (N, C, 2 H, 2 W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)
        initialise.he(self)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Decoder(nn.Module):
    """(N, d, h, w) → images (N, C, f h, f w), not limited to [−1, 1]; one block more in each level than the encoder.

    last: the weight of its last layer, by which a game and a reconstruction are balanced."""

    def __init__(self, given: int, channels: Sequence[int], blocks: int, made: int, attention: bool) -> None:
        super().__init__()
        i = channels[-1]
        self.stem = nn.Conv2d(given, i, 3, padding=1)
        parts: list[nn.Module] = [middle(i, attention)]
        for level, o in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                parts.append(Block(i, o))
                i = o
            if level:
                parts.append(Doubled(i))
        self.levels = nn.Sequential(*parts)
        self.norm, self.head = nn.GroupNorm(groups(i), i), nn.Conv2d(i, made, 3, padding=1)
        initialise.he(self.stem)
        initialise.he(self.head, 0.5)

    @property
    def last(self) -> Tensor:
        return self.head.weight

    def forward(self, z: Tensor) -> Tensor:
        return self.head(F.silu(self.norm(self.levels(self.stem(z)))))  # type: ignore[no-any-return]


class VQAutoencoder(nn.Module):
    """An encoder, a quantiser, a decoder: what is one player.   factor, fold: pixels of a token, and of a place of the
    finest map, by side."""

    def __init__(self, encoder: Encoder, quantiser: Quantiser, decoder: Decoder, factor: int, fold: int) -> None:
        super().__init__()
        self.encoder, self.quantiser, self.decoder = encoder, quantiser, decoder
        self.factor, self.fold = factor, fold

    def vectors(self, x: Tensor) -> Tensor:
        """Images → what is quantised, (N, d, h, w) float32."""
        if any(side % self.factor for side in x.shape[2:]):
            raise UsageError(
                "NET-SHAPE", f"images of {x.shape[3]}x{x.shape[2]} pixels have no whole number of tokens",
                why=f"a token stands for {self.factor}x{self.factor} pixels", fix=f"--size: multiples of {self.factor}",
            )  # fmt: skip
        x = F.pixel_unshuffle(x, self.fold)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        return self.quantiser.ready(self.encoder(x))

    def images(self, codes: Tensor) -> Tensor:
        """(N, d, h, w) → images, not limited to [−1, 1]."""
        return F.pixel_shuffle(self.decoder(codes), self.fold)


def build(
    shape: tuple[int, int, int], quantiser: Quantiser, dimensions: int, *, factor: int, width: int,
    multipliers: Sequence[int], blocks: int, attention: bool, fold: int = 1,
) -> VQAutoencoder:  # fmt: skip
    """For images of this shape, (C, H, W)."""
    if shape[1] % factor or shape[2] % factor or factor & (factor - 1):
        fits = min(shape[1] & -shape[1], shape[2] & -shape[2])
        raise UsageError(
            "NET-SHAPE", f"images of {shape[2]}x{shape[1]} pixels have no whole number of tokens",
            why=f"a token stands for {factor}x{factor} pixels",
            fix=f"--set factor={min(factor, fits)}, or another --size",
        )  # fmt: skip
    if fold > factor:
        raise UsageError(
            "NET-SHAPE", f"{fold}x{fold} pixels are to be one place, and a token stands for {factor}x{factor}",
            fix=f"--set fold={factor}",
        )  # fmt: skip
    channels, pixels = widths(width, multipliers, factor // fold), shape[0] * fold**2
    encoder = Encoder(pixels, channels, blocks, dimensions, attention)
    decoder = Decoder(dimensions, channels, blocks, pixels, attention)
    return VQAutoencoder(encoder, quantiser, decoder, factor, fold)
