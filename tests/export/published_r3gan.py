"""R3GAN's generator, said again as plainly as possible, with the attributes of the published one."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from tests.export.published_networks import TAPS, filtered_up
from torch import Tensor, nn


class Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.Layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.Layer(x)  # type: ignore[no-any-return]


class BiasedActivationCUDA(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.Bias = nn.Parameter(torch.randn(inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.Bias[:, None, None], 0.2)


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.LinearLayer1 = Convolution(channels, 2 * channels, 1)
        self.LinearLayer2 = Convolution(2 * channels, 2 * channels, 3, groups)
        self.LinearLayer3 = Convolution(2 * channels, channels, 1)
        self.NonLinearity1 = BiasedActivationCUDA(2 * channels)
        self.NonLinearity2 = BiasedActivationCUDA(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.LinearLayer2(self.NonLinearity1(self.LinearLayer1(x)))
        return x + self.LinearLayer3(self.NonLinearity2(y))  # type: ignore[no-any-return]


class InterpolativeUpsamplerCUDA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("Kernel", torch.outer(TAPS, TAPS) / 64)

    def forward(self, x: Tensor) -> Tensor:
        return filtered_up(x, self.Kernel, 2, 1)


class UpsampleLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.Resampler = InterpolativeUpsamplerCUDA()
        if inputs != outputs:
            self.LinearLayer = Convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.Resampler(self.LinearLayer(x) if "LinearLayer" in self._modules else x)  # type: ignore[no-any-return]


class GenerativeBasis(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.randn(outputs, 4, 4))
        self.LinearLayer = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.Basis * self.LinearLayer(x)[:, :, None, None]  # type: ignore[no-any-return]


class GeneratorStage(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int, blocks: int, first: bool) -> None:
        super().__init__()
        transition = GenerativeBasis(inputs, outputs) if first else UpsampleLayer(inputs, outputs)
        self.Layers = nn.ModuleList([transition, *(ResidualBlock(outputs, groups) for _ in range(blocks))])
        self.DataType = torch.bfloat16  # what it computes in on a GPU

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.Layers:
            x = layer(x)
        return x


class Model(nn.Module):
    def __init__(self, z: int, widths: list[int], width: int, blocks: int, colours: int, classes: int) -> None:
        super().__init__()
        stages = [GeneratorStage(z + 5 * bool(classes), widths[0], 2 * widths[0] // width, blocks, True)]
        for inputs, outputs in pairwise(widths):
            stages.append(GeneratorStage(inputs, outputs, 2 * outputs // width, blocks, False))
        self.MainLayers = nn.ModuleList(stages)
        self.AggregationLayer = Convolution(widths[-1], colours, 1)
        if classes:
            self.EmbeddingLayer = nn.Linear(classes, 5, bias=False)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = z if c is None else torch.cat([z, self.EmbeddingLayer(c)], dim=1)
        for layer in self.MainLayers:
            x = layer(x)
        return self.AggregationLayer(x)  # type: ignore[no-any-return]


class Generator(nn.Module):
    def __init__(
        self, z: int, widths: list[int], width: int = 4, blocks: int = 2, colours: int = 3, classes: int = 0
    ) -> None:
        super().__init__()
        self.Model = Model(z, widths, width, blocks, colours, classes)
        self.z_dim, self.c_dim, self.img_resolution = z, classes, 4 * 2 ** (len(widths) - 1)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.Model(z, c)  # type: ignore[no-any-return]
