"""DF-GAN's networks (Tao et al. 2022, "DF-GAN: A simple and effective baseline for text-to-image synthesis").

One generator for the whole size, steered by z and the text s in every block, without normalisation; a discriminator of
residual blocks that is told the text at its smallest map. For any size that `dcgan.stages` allows:

    32 × 32, width 32    G: z → 128×4×4 → 128×8×8 → 64×16×16 → 32×32×32 → C×32×32, tanh
                         D: C×32×32 → 32×32×32 → 64×16×16 → 128×8×8 → 256×4×4, beside s → one logit
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import initialise
from sparring.networks.conditioning import with_planes
from sparring.networks.dcgan import centre_crop, channels, is_channels_last, stages


class Affine(nn.Module):
    """γ(c) x + β(c), channel by channel; γ and β are small networks of the condition c, and begin as 1 and 0.

    (N, C, H, W), (N, told) → (N, C, H, W). Tao et al. 2022, section 3.4.
    """

    def __init__(self, told: int, count: int, hidden: int) -> None:
        super().__init__()
        self.inside = nn.Linear(told, 2 * hidden)  # of γ, and of β
        self.scale, self.shift = nn.Linear(hidden, count), nn.Linear(hidden, count)
        for layer, bias in ((self.scale, 1.0), (self.shift, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        for_scale, for_shift = F.relu(self.inside(c)).chunk(2, dim=1)
        scale, shift = self.scale(for_scale), self.shift(for_shift)
        return scale[:, :, None, None] * x + shift[:, :, None, None]  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """affine – leaky ReLU – affine – leaky ReLU – 3×3 convolution: (N, I, H, W), (N, told) → (N, O, H, W)."""

    def __init__(self, told: int, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = Affine(told, inputs, hidden), Affine(told, inputs, hidden)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x, c), initialise.LEAK)
        x = F.leaky_relu(self.second(x, c), initialise.LEAK)
        return self.conv(x)  # type: ignore[no-any-return]


class UpBlock(nn.Module):
    """Twice the size, then x + two fusions of x with the condition: (N, I, H, W), (N, told) → (N, O, 2H, 2W)."""

    def __init__(self, told: int, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.first = Fusion(told, inputs, outputs, hidden)
        self.second = Fusion(told, outputs, outputs, hidden)
        self.mix = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        straight = x if self.mix is None else self.mix(x)  # mixing before enlarging is the same, for a quarter
        x, straight = (F.interpolate(t, scale_factor=2, mode="nearest") for t in (x, straight))
        return straight + self.second(self.first(x, c), c)  # type: ignore[no-any-return]


class Generator(nn.Module):
    """z (N, z), s (N, told) → images (N, C, H, W) in [−1, 1]; not `bounded`: about that once trained.

    z: latent dimensions.   told: numbers of an encoded text.   shape: (C, H, W).   width: channels of the finest map,
    doubled per coarser stage up to 8 times.   hidden: units of the networks that make γ and β.
    bounded: by tanh. Without normalisation a tanh can be driven to where it has no slope, and G then learns no more.

    >>> Generator(4, 6, (3, 16, 16), width=4, hidden=8)(torch.randn(2, 4), torch.randn(2, 6)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self, z: int, told: int, shape: tuple[int, ...], width: int = 32, hidden: int = 256, *, bounded: bool = True
    ) -> None:
        super().__init__()
        count = stages(*_images(shape)[1:])
        widths = channels(width, count)[::-1]
        self.shape, self.bounded = shape, bounded
        self.base = (widths[0], *(-(-side // 2**count) for side in shape[1:]))  # (C₀, h, w): rounded up
        self.project = nn.Linear(z, math.prod(self.base))
        self.blocks = nn.ModuleList(UpBlock(z + told, i, o, hidden) for i, o in pairwise([widths[0], *widths]))
        self.last = nn.Conv2d(width, shape[0], 3, padding=1)

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        c = torch.cat([z, s.to(z.dtype)], dim=1)
        x = self.project(z).view(len(z), *self.base)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, c)
        x = self.last(F.leaky_relu(x, initialise.LEAK))
        return centre_crop(torch.tanh(x) if self.bounded else x, self.shape[1:])


class DownBlock(nn.Module):
    """Half the size: x + γ r(x), r two convolutions, γ a learned number that begins as 0: (N, I, H, W) → (N, O, H/2,
    W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.conv = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.halve(x), initialise.LEAK)
        y = F.leaky_relu(self.conv(y), initialise.LEAK)
        straight = F.avg_pool2d(x, 2)
        return (straight if self.mix is None else self.mix(straight)) + self.gate * y


class Discriminator(nn.Module):
    """Images (N, C, H, W) in [−1, 1], s (N, told) → logits (N,), float32 even under bf16 autocast.

    It looks at the image first and is told the text then, so that one look serves several texts: `features`, `judge`.
    No normalisation: penalties need samples that are not coupled. Arguments as of `Generator`.

    >>> D = Discriminator(6, (3, 16, 16), width=4)
    >>> D(torch.zeros(2, 3, 16, 16), torch.randn(2, 6)).shape
    torch.Size([2])
    """

    def __init__(self, told: int, shape: tuple[int, ...], width: int = 32) -> None:
        super().__init__()
        count = stages(*_images(shape)[1:])
        widths = channels(width, count + 1)
        self.first = nn.Conv2d(shape[0], width, 3, padding=1)
        self.blocks = nn.ModuleList(DownBlock(i, o) for i, o in pairwise(widths))
        self.joint = nn.Conv2d(widths[-1] + told, 2 * width, 3, padding=1, bias=False)
        height, wide = (side // 2**count for side in shape[1:])
        self.head = nn.Linear(2 * width * height * wide, 1, bias=False)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        return self.judge(self.features(x), s)

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, F, h, w), the smallest map."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x

    def judge(self, features: Tensor, s: Tensor) -> Tensor:
        """(N, F, h, w), (N, told) → logits (N,)."""
        x = F.leaky_relu(self.joint(with_planes(features, s.to(features.dtype))), initialise.LEAK)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.flatten(1).to(self.head.weight.dtype)).squeeze(1)  # type: ignore[no-any-return]


def _images(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 3 or min(shape[1:]) < 8:
        raise UsageError(
            "NET-SHAPE", f"text2image needs images (C, H, W) of at least 8×8, not {shape}", fix="use a larger --size"
        )
    return shape
