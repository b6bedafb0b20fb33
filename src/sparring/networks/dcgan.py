"""The DCGAN topology (Radford et al. 2016): 4×4 convolutions with stride 2, for any size and number of channels.

A size (H, W) has k stages of a factor 2, with k chosen so that the smallest map is about 4 on its shorter side.
Sizes that 2ᵏ does not divide are generated larger and cropped at the centre.

    64 × 64, width 64     G: z → 512×4×4 → 256×8×8 → 128×16×16 → 64×32×32 → C×64×64, tanh
                          D: C×64×64 → 64×32×32 → 128×16×16 → 256×8×8 → 512×4×4 → one logit
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.networks import initialise
from sparring.networks.conditioning import ConditionalBatchNorm, with_planes
from sparring.networks.normalise import even
from sparring.types import Layered

Shape = tuple[int, int, int]
"""(C, H, W)."""

GeneratorNorm = Literal["batch", "none", "pixel", "conditional"]
DiscriminatorNorm = Literal["batch", "none"]

_WIDEST = 8  # the number of channels doubles per stage up to 8 × width, as in the paper's 1024-512-256-128


def stages(height: int, width: int) -> int:
    """Number of factors of 2 between an image and its smallest map, whose shorter side is about 4. At least 1.

    >>> stages(64, 64), stages(96, 64), stages(28, 28), stages(100, 75)
    (4, 4, 3, 4)
    """
    return max(1, round(math.log2(min(height, width) / 4)))


def channels(width: int, count: int) -> list[int]:
    """Channels of `count` stages, finest first: width, 2 width, 4 width, … at most 8 width."""
    return [width * min(2**k, _WIDEST) for k in range(count)]


def _checked(shape: tuple[int, ...], norm: str, norms: tuple[str, ...]) -> Shape:
    if len(shape) != 3 or min(shape[1:]) < 8:
        raise UsageError(
            "NET-SHAPE", f"dcgan needs images (C, H, W) of at least 8×8, not {shape}", fix="use a larger --size, or mlp"
        )
    if norm not in norms:
        raise UsageError("NET-NORM", f"unknown norm {norm!r}", fix=f"choose from {', '.join(norms)}")
    return shape


class PixelNorm(nn.Module):
    """x / √(mean over channels of x² + ε), per pixel (Karras et al. 2018, section 4.2). (N, C, H, W) → the same."""

    def forward(self, x: Tensor) -> Tensor:
        return even(x)


def _norm(name: str, count: int, told: int = 0) -> nn.Module:
    match name:
        case "batch":
            return nn.BatchNorm2d(count)
        case "conditional":
            return ConditionalBatchNorm(count, told)
        case "pixel":
            return PixelNorm()
        case _:
            return nn.Identity()


class Generator(nn.Module):
    """z (N, z) → images (N, C, H, W) in [−1, 1].

    z:     latent dimensions.    shape: (C, H, W).    width: channels of the finest hidden map.
    norm:  "batch" (the paper: ReLU, N(0, 0.02), no biases), "pixel" or "none" (leaky ReLU, He initialisation, biases),
           or "conditional": as "batch", with scale and shift a function of what G is told.
    told:  how many numbers (N, told) G is told, such as a class: beside z, or, with "conditional", in every norm.

    With batch normalisation the images of a batch influence each other while training; `eval()` uses the running
    statistics, so that a latent always gives the same image. Sample in eval mode.

    >>> Generator(8, (3, 16, 16), width=4)(torch.randn(2, 8)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self, z: int, shape: tuple[int, ...], width: int = 64, norm: GeneratorNorm = "batch", told: int = 0
    ) -> None:
        super().__init__()
        self.shape = _checked(shape, norm, ("batch", "none", "pixel", "conditional"))
        self.z, self.conditional = z, norm == "conditional"
        batched = norm in ("batch", "conditional")
        count, bias = stages(*self.shape[1:]), not batched
        widths = channels(width, count)[::-1]  # coarsest first
        self.base = (widths[0], *(-(-side // 2**count) for side in self.shape[1:]))  # (C₀, h, w): rounded up
        # A 4×4 transposed convolution of a 1×1 map is a matrix product, and 3.6 times as fast written as one.
        self.project = nn.Linear(z if self.conditional else z + told, math.prod(self.base), bias=bias)
        self.norms = nn.ModuleList(_norm(norm, count, told) for count in widths)
        outputs = [*widths[1:], self.shape[0]]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, stride=2, padding=1, bias=bias) for i, o in zip(widths, outputs, strict=True)
        )
        self.act: nn.Module = nn.ReLU(inplace=True) if batched else nn.LeakyReLU(initialise.LEAK, inplace=True)
        if batched:
            initialise.dcgan(self)
        else:
            initialise.he(self.project)
            for index, up in enumerate(self.ups):  # the input of `up` has passed the activation
                last = index == len(self.ups) - 1
                initialise.he(up, 1.0 if last else initialise.gain_of_leaky_relu())

    def forward(self, z: Tensor, told: Tensor | None = None) -> Tensor:
        known = (told,) if self.conditional else ()  # what each norm is told
        if told is not None and not self.conditional:
            z = torch.cat([z, told.to(z.dtype)], dim=1)
        x = self.project(z).view(z.shape[0], *self.base)  # (N, C₀, h, w)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(self.act(norm(x, *known)))  # (N, Cᵢ, 2h, 2w)
        return centre_crop(torch.tanh(x), self.shape[1:])


class Discriminator(nn.Module, Layered):
    """Images (N, C, H, W) in [−1, 1] → logits (N,), float32 even under bf16 autocast.

    shape: (C, H, W).    width: channels of the finest hidden map.
    norm:  "batch" (the paper: none in the first layer, N(0, 0.02), no biases) or "none" (He initialisation, biases):
           gradient penalties need "none", since batch statistics couple the samples.
    told:  how many numbers (N, told) D is told, such as a class: each is a constant map beside the channels of x.

    >>> Discriminator((3, 16, 16), width=4)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2])
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 64, norm: DiscriminatorNorm = "batch", told: int = 0
    ) -> None:
        super().__init__()
        self.shape = _checked(shape, norm, ("batch", "none"))
        count, bias = stages(*self.shape[1:]), norm != "batch"
        widths = [self.shape[0] + told, *channels(width, count)]
        self.downs = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1, bias=bias) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(_norm(norm if k else "none", o) for k, o in enumerate(widths[1:]))
        self.act = nn.LeakyReLU(initialise.LEAK, inplace=True)
        height, wide = (side // 2**count for side in self.shape[1:])
        # A convolution that covers the whole map, as in the paper, is this linear form.
        self.head = nn.Linear(widths[-1] * height * wide, 1, bias=bias)
        if norm == "batch":
            initialise.dcgan(self)
        else:
            for down in self.downs:
                initialise.he(down, initialise.gain_of_leaky_relu())
            initialise.he(self.head)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        features = self.features(x, told)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(features).squeeze(1)  # type: ignore[no-any-return]

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple(zip(self.downs, self.norms, strict=True))

    def features(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """φ(x), (N, F): the last map as one vector, in the precision of `head`, which makes the logit of it."""
        x = x if told is None else with_planes(x, told)
        for down, norm in zip(self.downs, self.norms, strict=True):
            x = self.act(norm(down(x)))  # (N, Cᵢ, H/2, W/2)
        return x.flatten(1).to(self.head.weight.dtype)


def is_channels_last(module: nn.Module) -> bool:
    """Whether the convolutions of `module` were laid out channels_last, so that its first map should be too."""
    weights = (p for p in module.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1)
    return all(
        not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last) for weight in weights
    )  # in this order: under vmap only the first can be asked, and it is decisive


def centre_crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The central (H, W) of (N, C, H', W'), with H' ≥ H and W' ≥ W; an odd rest is cut off below and on the right."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return (
        x
        if (top, left) == (0, 0) and x.shape[-2:] == tuple(size)
        else x[..., top : top + size[0], left : left + size[1]]
    )
