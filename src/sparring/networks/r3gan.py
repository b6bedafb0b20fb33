"""R3GAN's networks, configuration E (Huang et al. 2024, "The GAN is dead; long live the GAN!", section 4).

Residual blocks of grouped convolutions in an inverted bottleneck, no normalisation anywhere, fix-up initialisation,
[1, 2, 1] resampling between stages, biases only in front of activations. `taps = 4` resamples with [1, 3, 3, 1] and
zeros beyond the edge instead, as the authors' code does: for models that were trained with it.

`widths` gives the channels of each stage, coarsest first, for G and for D alike; S stages make a factor of 2^(S − 1)
between the smallest map and the image. Five stages on 64 × 64 begin at 4 × 4. For sizes that this factor does not
divide G generates larger and crops at the centre, and D pads the same border with 0 (mid-grey).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise
from sparring.networks.conditioning import with_planes
from sparring.networks.dcgan import centre_crop, is_channels_last, stages
from sparring.ops.resample import downsample, upsample
from sparring.ops.smooth import double, halve
from sparring.types import Layered

Taps = Literal[3, 4]
"""Of the filter between stages: [1, 2, 1], a coarse sample lying on a fine one, the edge repeated (`ops.resample`); or
[1, 3, 3, 1], a coarse sample lying between two fine ones, zeros beyond the edge (`ops.smooth`)."""


class Block(nn.Module):
    """x + C₁ₓ₁(φ(b₂ + C₃ₓ₃(φ(b₁ + E₁ₓ₁ x)))), φ a leaky ReLU; (N, C, H, W) → the same.

    E widens to `expansion` × C channels, C₃ₓ₃ acts in groups of `group_width` channels. The last convolution begins at
    0, so the block begins as the identity; the others are shrunk by `gain` (fix-up, `initialise.fixup_gain`).
    """

    def __init__(self, channels: int, expansion: int, group_width: int, gain: float = 1.0) -> None:
        super().__init__()
        wide = channels * expansion
        if wide % group_width:
            raise UsageError(
                "NET-WIDTH",
                f"{channels} channels × expansion {expansion} cannot be cut into groups of {group_width}",
                fix="choose widths so that group_width divides width × expansion",
            )
        self.expand = nn.Conv2d(channels, wide, 1)
        self.grouped = nn.Conv2d(wide, wide, 3, padding=1, groups=wide // group_width)
        self.contract = nn.Conv2d(wide, channels, 1, bias=False)
        for layer in (self.expand, self.grouped):
            initialise.he(layer, gain * initialise.gain_of_leaky_relu())
        initialise.he(self.contract, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.expand(x), initialise.LEAK)
        y = F.leaky_relu(self.grouped(y), initialise.LEAK)
        return x + self.contract(y)  # type: ignore[no-any-return]


class Transition(nn.Module):
    """From one stage to the next: a 1×1 convolution where the width changes, before going up or after going down."""

    def __init__(self, inputs: int, outputs: int, *, up: bool, taps: Taps = 3) -> None:
        super().__init__()
        self.up, self.taps = up, taps
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        if self.mix is not None:
            initialise.he(self.mix)

    def forward(self, x: Tensor) -> Tensor:
        if not self.up:
            x = downsample(x) if self.taps == 3 else halve(x)
        x = x if self.mix is None else self.mix(x)
        if not self.up:
            return x
        return upsample(x) if self.taps == 3 else double(x)


def _blocks(widths: Sequence[int], blocks: int, expansion: int, group_width: int) -> nn.ModuleList:
    """One sequence of `blocks` residual blocks per stage."""
    gain = initialise.fixup_gain(len(widths) * blocks) if blocks else 1.0
    return nn.ModuleList(
        nn.Sequential(*(Block(width, expansion, group_width, gain) for _ in range(blocks))) for width in widths
    )


def _base(shape: tuple[int, ...], widths: Sequence[int]) -> tuple[int, int]:
    """Sides of the smallest map, rounded up."""
    factor = 2 ** (len(widths) - 1)
    if len(shape) != 3 or not widths or min(shape[1:]) < 2 * factor:
        raise UsageError(
            "NET-SHAPE",
            f"{len(widths)} stages cannot make images of {shape}",
            why="r3gan halves (C, H, W) images once per stage, down to no less than 2 pixels",
            fix="use fewer widths or a larger --size",
        )
    return -(-shape[1] // factor), -(-shape[2] // factor)


class Generator(nn.Module):
    """z (N, z) → images (N, C, H, W), about [−1, 1] once trained, not bounded.

    The first map is a learned basis (C₀, h, w), each channel scaled by a linear function of z.

    z: latent dimensions.   shape: (C, H, W).   widths: channels per stage, coarsest first.   blocks: per stage.
    expansion, group_width: of the inverted bottleneck; published: 2 and 16.
    told: how many numbers (N, told) G is told beside z, such as a class.   taps: of the resampling.

    >>> Generator(8, (3, 32, 32), widths=(16, 16, 16, 8))(torch.randn(2, 8)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        z: int,
        shape: tuple[int, ...],
        widths: Sequence[int],
        blocks: int = 2,
        expansion: int = 2,
        group_width: int = 16,
        told: int = 0,
        taps: Taps = 3,
    ) -> None:
        super().__init__()
        self.z, self.shape = z, shape
        self.basis = nn.Parameter(torch.randn(widths[0], *_base(shape, widths)))
        self.modulate = nn.Linear(z + told, widths[0], bias=False)
        self.stages = _blocks(widths, blocks, expansion, group_width)
        self.transitions = nn.ModuleList(Transition(i, o, up=True, taps=taps) for i, o in pairwise(widths))
        self.to_image = nn.Conv2d(widths[-1], shape[0], 1, bias=False)
        initialise.he(self.modulate)
        initialise.he(self.to_image)

    def forward(self, z: Tensor, told: Tensor | None = None) -> Tensor:
        z = z if told is None else torch.cat([z, told.to(z.dtype)], dim=1)
        x = self.basis * self.modulate(z)[:, :, None, None]  # (N, C₀, h, w)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stages[0](x)
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(transition(x))  # (N, Cᵢ, 2h, 2w)
        return centre_crop(self.to_image(x).to(self.basis.dtype), self.shape[1:])


class Discriminator(nn.Module, Layered):
    """Images (N, C, H, W) in [−1, 1] → logits (N,), float32 even under bf16 autocast.

    The last map is weighted by a learned basis (a depthwise convolution that covers it) and mapped to one number.

    shape, widths (coarsest first), blocks, expansion, group_width: as in `Generator`.
    told: how many numbers (N, told) D is told, such as a class: each is a constant map beside the channels of x.

    >>> Discriminator((3, 32, 32), widths=(16, 16, 16, 8))(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2])
    """

    def __init__(
        self, shape: tuple[int, ...], widths: Sequence[int], blocks: int = 2, expansion: int = 2,
        group_width: int = 16, told: int = 0, taps: Taps = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape = shape
        height, width = _base(shape, widths)
        factor = 2 ** (len(widths) - 1)
        self.border = border(shape[1:], (height * factor, width * factor))
        down = list(widths)[::-1]
        self.from_image = nn.Conv2d(shape[0] + told, down[0], 1, bias=False)
        self.stages = _blocks(down, blocks, expansion, group_width)
        self.transitions = nn.ModuleList(Transition(i, o, up=False, taps=taps) for i, o in pairwise(down))
        self.basis = nn.Parameter(torch.randn(down[-1], height, width) / (height * width) ** 0.5)
        self.head = nn.Linear(down[-1], 1, bias=False)
        initialise.he(self.from_image)
        initialise.he(self.head)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        features = self.features(x, told)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(features).squeeze(1)  # type: ignore[no-any-return]

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        """Each is what leads to a resolution, and the blocks there."""
        return tuple(zip((self.from_image, *self.transitions), self.stages, strict=True))

    def features(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """φ(x), (N, C): the weighted last map, in the precision of `head`, which makes the logit of it."""
        x = x if told is None else with_planes(x, told)
        x = self.from_image(F.pad(x, self.border) if any(self.border) else x)
        for stage, transition in zip(self.stages[:-1], self.transitions, strict=True):
            x = transition(stage(x))  # (N, Cᵢ, H/2, W/2)
        x = self.stages[-1](x)
        with torch.autocast(x.device.type, enabled=False):
            return (x.to(self.basis.dtype) * self.basis).sum((2, 3))


def border(size: tuple[int, ...], padded: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, right, top, bottom: where `centre_crop` of the padded image would give the image back."""
    top, left = (padded[0] - size[0]) // 2, (padded[1] - size[1]) // 2
    return left, padded[1] - size[1] - left, top, padded[0] - size[0] - top


def widths(shape: tuple[int, ...], finest: int) -> list[int]:
    """Channels of each residual stage, coarsest first: doubled per stage up to 4 times the finest.

    >>> widths((3, 64, 64), 64)
    [256, 256, 256, 128, 64]
    """
    return [finest * min(2**k, 4) for k in range(stages(*shape[1:]) + 1)][::-1]
