"""The generators of StyleGAN2 and R3GAN, said again as plainly as possible, with the attributes of the published ones:
styles multiply the kernel of each sample by itself, resampling inserts zeros and convolves. Nothing but tests uses it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])


def filtered_up(x: Tensor, f: Tensor, before: int, after: int) -> Tensor:
    """Zeros between the samples, and around; then the filter, four times as strong."""
    n, c, h, w = x.shape
    wide = torch.zeros(n, c, 2 * h, 2 * w)
    wide[:, :, ::2, ::2] = x
    padded = F.pad(wide, (before, after, before, after))
    return F.conv2d(padded.flatten(0, 1)[:, None], 4 * f.flip(0, 1)[None, None]).unflatten(0, (n, c))[:, :, 0]


class FullyConnectedLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, activation: str = "linear", rate: float = 1, bias: float = 0) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full([outputs], np.float32(bias)) + 0.1 * torch.randn(outputs))
        self.weight_gain, self.bias_gain = rate / np.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        y = x @ (self.weight * float(self.weight_gain)).T + self.bias * self.bias_gain
        return y if self.activation == "linear" else F.leaky_relu(y, 0.2) * math.sqrt(2)


class MappingNetwork(nn.Module):
    def __init__(self, z: int, w: int, layers: int, rate: float, classes: int = 0) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_layers, self.w_avg_beta = z, classes, w, layers, 0.995
        if classes:
            self.embed = FullyConnectedLayer(classes, w)
        for k in range(layers):
            setattr(self, f"fc{k}", FullyConnectedLayer(w if k else z + w * bool(classes), w, "lrelu", rate))
        self.register_buffer("w_avg", torch.randn(w))

    def forward(self, z: Tensor, psi: float) -> Tensor:
        x = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
        for k in range(self.num_layers):
            x = getattr(self, f"fc{k}")(x)
        return self.w_avg + psi * (x - self.w_avg)


class SynthesisLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, w: int, side: int, up: int = 1, clamp: float | None = None) -> None:
        super().__init__()
        self.resolution, self.up, self.use_noise, self.activation, self.conv_clamp = side, up, True, "lrelu", clamp
        self.register_buffer("resample_filter", torch.outer(TAPS, TAPS) / 64)
        self.padding, self.act_gain = 1, np.sqrt(2)
        self.affine = FullyConnectedLayer(w, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3).to(memory_format=torch.channels_last))
        self.register_buffer("noise_const", torch.randn(side, side))
        self.noise_strength = nn.Parameter(torch.tensor(0.3))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor, w: Tensor, gain: float = 1) -> Tensor:
        made = []
        for one, style in zip(x, self.affine(w), strict=True):
            kernel = self.weight * style[None, :, None, None]
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if self.up == 2:  # a convolution: the kernel is mirrored
                y = F.conv2d(filtered_up(one[None], self.resample_filter, 3, 2), kernel.flip(2, 3))
            else:
                y = F.conv2d(one[None], kernel, padding=1)
            made.append(y)
        y = torch.cat(made) + self.noise_const * self.noise_strength + self.bias[:, None, None]
        y = F.leaky_relu(y, 0.2) * math.sqrt(2) * gain
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


class ToRGBLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, w: int, clamp: float | None) -> None:
        super().__init__()
        self.conv_clamp, self.weight_gain = clamp, 1 / np.sqrt(inputs)
        self.affine = FullyConnectedLayer(w, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * float(self.weight_gain)
        y = torch.stack([F.conv2d(one, self.weight * s[None, :, None, None]) for one, s in zip(x, styles, strict=True)])
        y = y + self.bias[:, None, None]
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)


class Conv2dLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation, self.up, self.down, self.conv_clamp, self.bias = "linear", 2, 1, None, None
        self.register_buffer("resample_filter", torch.outer(TAPS, TAPS) / 64)
        self.weight_gain = 1 / np.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight * float(self.weight_gain))
        return filtered_up(x, self.resample_filter, 2, 1) * math.sqrt(0.5)


class SynthesisBlock(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, w: int, side: int, colours: int, last: bool, architecture: str,
        clamp: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels, self.resolution, self.architecture, self.use_fp16 = inputs, side, architecture, False
        self.register_buffer("resample_filter", torch.outer(TAPS, TAPS) / 64)
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w, side, 2, clamp)
        else:
            self.const = nn.Parameter(torch.randn(outputs, side, side))
        self.conv1 = SynthesisLayer(outputs, outputs, w, side, 1, clamp)
        self.torgb = ToRGBLayer(outputs, colours, w, clamp) if last or architecture == "skip" else None
        self.skip = Conv2dLayer(inputs, outputs) if inputs and architecture == "resnet" else None
        self.num_conv, self.num_torgb = 1 + bool(inputs), int(self.torgb is not None)


class SynthesisNetwork(nn.Module):
    def __init__(self, w: int, widths: list[int], colours: int, architecture: str, clamp: float | None) -> None:
        super().__init__()
        self.w_dim, self.block_resolutions = w, [4 * 2**k for k in range(len(widths))]
        self.img_resolution, self.num_ws = self.block_resolutions[-1], 2 * len(widths)
        for k, side in enumerate(self.block_resolutions):
            last = side == self.img_resolution
            inputs = widths[k - 1] if k else 0
            block = SynthesisBlock(inputs, widths[k], w, side, colours, last, architecture, clamp)
            setattr(self, f"b{side}", block)

    def forward(self, w: Tensor) -> Tensor:
        x, image, at = None, None, 0
        for side in self.block_resolutions:
            block: Any = getattr(self, f"b{side}")
            if x is None:
                x = block.const.expand(len(w), -1, -1, -1)
                x = block.conv1(x, w[:, at])
            else:
                y = block.skip(x) if block.skip is not None else None
                x = block.conv1(block.conv0(x, w[:, at]), w[:, at + 1], 1 if y is None else math.sqrt(0.5))
                x = x if y is None else x + y
            at += block.num_conv
            image = image if image is None else filtered_up(image, block.resample_filter, 2, 1)
            if block.torgb is not None:
                image = block.torgb(x, w[:, at]) + (0 if image is None else image)
        assert image is not None
        return image


class Generator(nn.Module):
    """StyleGAN2's."""

    def __init__(
        self, z: int, w: int, widths: list[int], colours: int = 3, architecture: str = "skip", layers: int = 3,
        rate: float = 0.01, clamp: float | None = None, classes: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.img_channels = z, classes, w, colours
        self._init_args, self._init_kwargs = (), {"synthesis_kwargs": EasyDict(channel_max=8, conv_clamp=clamp)}
        self.synthesis = SynthesisNetwork(w, widths, colours, architecture, clamp)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z, w, layers, rate, classes)

    def forward(self, z: Tensor, psi: float = 1) -> Tensor:
        return self.synthesis(self.mapping(z, psi)[:, None].expand(-1, self.num_ws, -1))


class EasyDict(dict[str, Any]):
    """A dictionary of a class of its own, which its pickle names."""
