"""StyleGAN2's generator (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN"): z → w → image.

The mapping network makes of z a code w. Each layer of the synthesis network turns its w into a style, one factor for
each channel of its input (`ops.modulated`), and adds noise to each pixel. Four spaces can be steered: Z, W (one w), W+
(one w for each layer) and S (the styles themselves, Wu et al. 2021).

**How this relates to published networks.** Names, shapes and sums are those of the published PyTorch networks, so that
their state dicts are ours but for what can be computed: `resample_filter` is a constant here ([1, 3, 3, 1], the only
one that is supported), and `mapping.embed` does not exist (no classes).

    mapping.fc0.weight (w, z), .bias (w,), …      MappingNetwork: lr_multiplier = `rate`, activation lrelu
    mapping.w_avg (w,)                            a buffer
    synthesis.b4.const (C₀, h, w)                 h = w = 4; b8, b16, … are twice as large each, whatever the shape
    synthesis.b8.conv0.weight (C₁, C₀, 3, 3)      SynthesisLayer with up = 2: the kernel is mirrored, as published
    synthesis.b8.conv1.bias, .noise_const (h, w), .noise_strength (), .affine.weight (C₁, w), .affine.bias (C₁,)
    synthesis.b8.torgb.weight (C, C₁, 1, 1), …    ToRGBLayer, not demodulated; its 1/√C₁ scales the weight, here as in S
    synthesis.b8.skip.weight (C₁, C₀, 1, 1)       only in "resnet"

`channels(…, base, most)` is channel_base and channel_max; `clamp` conv_clamp; `architecture` "skip", "resnet" or
"orig"; `noisy` use_noise; `noise=None` is noise_mode "const". In W+ a block's torgb has the w of the next one's conv0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.networks.dcgan import centre_crop, is_channels_last, stages
from sparring.networks.equalised import GAIN, Convolution, Linear, leaky
from sparring.networks.normalise import even
from sparring.ops.modulated import modulated
from sparring.ops.smooth import double

Architecture = Literal["skip", "resnet", "orig"]
"""How blocks are joined: by images that are added up, by residual paths, or not at all."""


def channels(shape: tuple[int, ...], base: int, most: int) -> list[int]:
    """Channels of each block, coarsest first: base / side, at most `most`, where the first block has side 4.

    Published: base 32768 (or 16384), most 512.

    >>> channels((3, 64, 64), 2048, 128)
    [128, 128, 128, 64, 32]
    """
    return [max(1, min(base // 2 ** (k + 2), most)) for k in range(stages(*shape[1:]) + 1)]


def base_of(shape: tuple[int, ...], count: int) -> tuple[int, int]:
    """Sides of the smallest map of `count` blocks, rounded up."""
    factor = 2 ** (count - 1)
    if len(shape) != 3 or count < 2 or min(shape[1:]) < 2 * factor:
        raise UsageError(
            "NET-SHAPE", f"{count} blocks cannot make images of {shape}",
            why="stylegan2 doubles (C, H, W) images once per block, from no less than 2 pixels",
            fix="use fewer channels or a larger --size",
        )  # fmt: skip
    return -(-shape[1] // factor), -(-shape[2] // factor)


class Mapping(nn.Module):
    """z (N, z) → w (N, w): z normalised, then `count` layers that learn `rate` times as fast as the others.

    w_avg: (w,), a running mean of w, towards which `truncated` draws.
    """

    def __init__(self, z: int, w: int, count: int = 8, rate: float = 0.01, normalise: bool = True) -> None:
        super().__init__()
        self.count, self.normalise = count, normalise
        for k in range(count):
            self.add_module(f"fc{k}", Linear(z if k == 0 else w, w, active=True, rate=rate))
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(w))

    def forward(self, z: Tensor) -> Tensor:
        w = even(z) if self.normalise else z
        for k in range(self.count):
            w = self.get_submodule(f"fc{k}")(w)
        return w

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """w_avg + ψ (w − w_avg), w (…, w) (Karras et al. 2019, appendix B)."""
        return w if psi == 1 else self.w_avg + psi * (w - self.w_avg)

    @torch.no_grad()
    def remember(self, w: Tensor, keep: float) -> None:
        """Move the running mean towards w (w,), the mean of a batch, by 1 − keep."""
        self.w_avg.lerp_(w.to(self.w_avg), 1 - keep)


class Styled(nn.Module):
    """x (N, I, H, W), style (N, I) → (N, O, H, W) or twice that: modulated convolution, noise, bias, √2 lrelu.

    noise_const: (h, w), what is added, times noise_strength, where no noise is given.   noisy: whether any is.
    """

    def __init__(
        self, inputs: int, outputs: int, w: int, size: tuple[int, int], *, up: bool = False,
        clamp: float | None = None, noisy: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.up, self.clamp, self.noisy = size, up, clamp, noisy
        self.affine = Linear(w, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        if noisy:
            self.noise_const: Tensor
            self.register_buffer("noise_const", torch.randn(size))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """noise: (N, 1, h, w).   gain: what the output is multiplied by."""
        whole = gain * GAIN
        plus = None
        if self.noisy:
            plus = (self.noise_const if noise is None else noise) * self.noise_strength
        y = modulated(x, self.weight, style, up=self.up, plus=plus, gain=whole)
        y = y + (self.bias * whole).to(y.dtype)[:, None, None]
        return leaky(y, None if self.clamp is None else self.clamp * gain)


class ToImage(nn.Module):
    """x (N, I, H, W), style (N, I) → (N, C, H, W): modulated, not demodulated, no activation."""

    def __init__(self, inputs: int, outputs: int, w: int, clamp: float | None = None) -> None:
        super().__init__()
        self.clamp, self.scale = clamp, 1 / math.sqrt(inputs)
        self.affine = Linear(w, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = modulated(x, self.weight * self.scale, style, demodulate=False)
        y = y + self.bias.to(y.dtype)[:, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """One resolution: (x, image) → (x, image), both twice as large; the first block begins with `const`."""

    const: nn.Parameter | None
    conv0: Styled | None
    torgb: ToImage | None
    skip: Convolution | None

    def __init__(
        self, inputs: int, outputs: int, colours: int, w: int, size: tuple[int, int], architecture: Architecture,
        *, last: bool, clamp: float | None, noisy: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        first = inputs == 0
        self.const = nn.Parameter(torch.randn(outputs, *size)) if first else None
        self.conv0 = None if first else Styled(inputs, outputs, w, size, up=True, clamp=clamp, noisy=noisy)
        self.conv1 = Styled(outputs, outputs, w, size, clamp=clamp, noisy=noisy)
        self.torgb = ToImage(outputs, colours, w, clamp) if last or architecture == "skip" else None
        residual = architecture == "resnet" and not first
        self.skip = Convolution(inputs, outputs, 1, bias=False, active=False, resample="up") if residual else None

    @property
    def convolutions(self) -> list[Styled]:
        return [self.conv1] if self.conv0 is None else [self.conv0, self.conv1]

    def forward(
        self, x: Tensor, image: Tensor | None, styles: Iterator[Tensor], noise: Iterator[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        gain = 1.0 if self.skip is None else math.sqrt(0.5)
        y = None if self.skip is None else self.skip(x, gain)
        if self.conv0 is not None:
            x = self.conv0(x, next(styles), next(noise))
        x = self.conv1(x, next(styles), next(noise), gain)
        x = x if y is None else y + x
        image = image if image is None else double(image)
        if self.torgb is not None:
            seen = self.torgb(x, next(styles)).to(self.torgb.weight.dtype)
            image = seen if image is None else image + seen
        return x, image


class Synthesis(nn.Module):
    """W+ (N, layers, w) → images (N, C, H, W), about [−1, 1] once trained, not bounded.

    shape: (C, H, W); sides that the number of blocks does not divide are made larger and cropped at the centre.
    widths: channels of each block, coarsest first (`channels`).
    """

    def __init__(
        self, w: int, shape: tuple[int, ...], widths: Sequence[int], architecture: Architecture = "skip",
        clamp: float | None = None, noisy: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        height, width = base_of(shape, len(widths))
        self.shape, self.names = shape, [f"b{4 * 2**k}" for k in range(len(widths))]
        for k, (name, outputs) in enumerate(zip(self.names, widths, strict=True)):
            size = (height * 2**k, width * 2**k)
            last = k == len(widths) - 1
            inputs = widths[k - 1] if k else 0
            block = Block(inputs, outputs, shape[0], w, size, architecture, last=last, clamp=clamp, noisy=noisy)
            self.add_module(name, block)

    @property
    def blocks(self) -> list[Block]:
        return [block for block in self.children() if isinstance(block, Block)]

    @property
    def layers(self) -> int:
        """Of how many w W+ is made: one for each convolution, and one for the last image."""
        return len(self.noises) + 1

    @property
    def noises(self) -> list[tuple[int, int]]:
        """(h, w) of the noise of each convolution, in order."""
        return [layer.size for block in self.blocks for layer in block.convolutions]

    def styles(self, w: Tensor) -> tuple[Tensor, ...]:
        """S: (N, layers, w) → for each convolution, and each image after those of its block, (N, channels)."""
        found, at = [], 0
        for block in self.blocks:
            for layer in block.convolutions:
                found.append(layer.affine(w[:, at]))
                at += 1
            if block.torgb is not None:
                found.append(block.torgb.affine(w[:, at]))
        return tuple(found)

    def forward(self, styles: Sequence[Tensor], noise: Sequence[Tensor] | None = None) -> Tensor:
        """noise: (N, 1, h, w) for each convolution (`noises`); None: that of `noise_const`."""
        blocks = self.blocks
        assert blocks[0].const is not None
        x = blocks[0].const.expand(styles[0].shape[0], *blocks[0].const.shape)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        image, given = None, iter(styles)
        noises = iter([None] * len(self.noises) if noise is None else noise)
        for block in blocks:
            x, image = block(x, image, given, noises)
        assert image is not None
        return centre_crop(image, self.shape[1:])


class Generator(nn.Module):
    """z (N, z) → images (N, C, H, W), with the noise of `noise_const`.

    z, w: dimensions.   shape: (C, H, W).   widths: channels of each block, coarsest first (`channels`).
    mapping, rate: layers of the mapping network, and how fast they learn.   normalise: z, in the mapping network.
    noisy: whether layers add noise.

    >>> G = Generator(8, 8, (3, 16, 16), widths=(8, 8, 4))
    >>> G(torch.randn(2, 8)).shape, G.synthesis.layers
    (torch.Size([2, 3, 16, 16]), 6)
    """

    def __init__(
        self, z: int, w: int, shape: tuple[int, ...], widths: Sequence[int], *, mapping: int = 8, rate: float = 0.01,
        normalise: bool = True, architecture: Architecture = "skip", clamp: float | None = None, noisy: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.z = z
        self.mapping = Mapping(z, w, mapping, rate, normalise)
        self.synthesis = Synthesis(w, shape, widths, architecture, clamp, noisy)

    def forward(
        self, z: Tensor | None = None, *, w: Tensor | None = None, noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        """z (N, z), or w of W+ (N, layers, w) → images.   noise: (N, 1, h, w) for each of `synthesis.noises`."""
        if w is None:
            assert z is not None
            w = self.broadcast(self.mapping(z))
        images: Tensor = self.synthesis(self.synthesis.styles(w), noise)
        return images

    def broadcast(self, w: Tensor) -> Tensor:
        """W → W+: (N, w) → (N, layers, w)."""
        return w[:, None].expand(-1, self.synthesis.layers, -1)


def mixed(w: Tensor, other: Tensor, cut: Tensor | int) -> Tensor:
    """Layers below `cut` ((N,) or one number) of w, the others of `other`: (N, layers, w) each.

    Style mixing (Karras et al. 2019, section 3.1): pose and shape of the first, colours and detail of the second.
    """
    layer = torch.arange(w.shape[1], device=w.device)
    cuts = torch.as_tensor(cut, device=w.device).reshape(-1, 1)
    return torch.where((layer < cuts)[:, :, None], w, other)


__all__ = ["Architecture", "Block", "Generator", "Mapping", "Styled", "Synthesis", "ToImage", "channels", "mixed"]
