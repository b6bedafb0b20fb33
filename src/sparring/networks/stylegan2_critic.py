"""StyleGAN2's discriminator (Karras et al. 2020, section 4): halving blocks, then how much the batch varies.

Names and shapes are those of the published PyTorch networks (`networks.stylegan2` says how they relate): b64.fromrgb,
b64.conv0, b64.conv1 (down), b64.skip in "resnet", …, b4.conv, b4.fc, b4.out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.equalised import Convolution, Linear
from sparring.networks.r3gan import border
from sparring.networks.stylegan2 import Architecture, base_of
from sparring.ops.smooth import halve
from sparring.types import Layered


def with_deviation(x: Tensor, group: int) -> Tensor:
    """(N, C, H, W) → (N, C + 1, H, W): beside x, by how much samples differ, one number for each group.

    Minibatch standard deviation (Karras et al. 2018, section 3): √(variance over the group + ε) of each feature,
    averaged. Neighbours form groups of `group`, or of its largest divisor that N allows: so pieces of a batch, and
    processes, that hold whole groups give what the whole batch gives. (Published networks deal samples out in turn.)

    >>> with_deviation(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), 4)[:, 1].flatten()
    tensor([1., 1.])
    """
    n = x.shape[0]
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    y = x.reshape(n // size, size, *x.shape[1:])
    y = y - y.mean(1, keepdim=True)
    deviation = (y.square().mean(1) + 1e-8).sqrt().mean((1, 2, 3))  # (N / size,)
    plane = deviation.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, plane], dim=1)


class Halving(nn.Module):
    """(x, image) → (x, image), half as large; the first block has no x, and begins with the image."""

    fromrgb: Convolution | None
    skip: Convolution | None

    def __init__(
        self, inputs: int, between: int, outputs: int, colours: int, architecture: Architecture, clamp: float | None
    ) -> None:
        super().__init__()
        self.pyramid = architecture == "skip"
        sees = inputs == 0 or self.pyramid
        self.fromrgb = Convolution(colours, between, 1, clamp=clamp) if sees else None
        self.conv0 = Convolution(between, between, 3, clamp=clamp)
        self.conv1 = Convolution(between, outputs, 3, resample="down", clamp=clamp)
        residual = architecture == "resnet"
        self.skip = Convolution(between, outputs, 1, bias=False, active=False, resample="down") if residual else None

    def forward(self, x: Tensor | None, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.fromrgb is not None:
            seen = self.fromrgb(image)
            x = seen if x is None else x + seen
            image = halve(image) if self.pyramid else image
        if self.skip is None:
            return self.conv1(self.conv0(x)), image
        half = math.sqrt(0.5)
        return self.skip(x, half) + self.conv1(self.conv0(x), half), image


class Epilogue(nn.Module):
    """(N, C, h, w) → (N,): how much the batch varies, a convolution, and two layers."""

    fromrgb: Convolution | None

    def __init__(
        self, width: int, colours: int, size: tuple[int, int], architecture: Architecture, group: int,
        clamp: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.group = group
        self.fromrgb = Convolution(colours, width, 1) if architecture == "skip" else None
        self.conv = Convolution(width + (group > 1), width, 3, clamp=clamp)
        self.fc = Linear(width * math.prod(size), width, active=True)
        self.out = Linear(width, 1)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.fc.weight.dtype)
            x = x if self.fromrgb is None else x + self.fromrgb(image.to(x.dtype))
            x = self.conv(with_deviation(x, self.group) if self.group > 1 else x)
            logits: Tensor = self.out(self.fc(x.flatten(1))).squeeze(1)
            return logits


class Discriminator(nn.Module, Layered):
    """Images (N, C, H, W) in [−1, 1] → logits (N,), float32 even under bf16 autocast.

    shape: (C, H, W); sides that the number of blocks does not divide are padded with 0 (mid-grey).
    widths: channels of each block, coarsest first (`stylegan2.channels`).
    group: of how many samples the deviation is told; 1: none, and samples are judged by themselves.

    >>> Discriminator((3, 16, 16), widths=(8, 8, 4))(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2])
    """

    def __init__(
        self, shape: tuple[int, ...], widths: Sequence[int], *, architecture: Architecture = "resnet", group: int = 4,
        clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape = shape
        height, width = base_of(shape, len(widths))
        factor = 2 ** (len(widths) - 1)
        self.border = border(shape[1:], (height * factor, width * factor))
        for k in range(len(widths) - 1, 0, -1):
            inputs = 0 if k == len(widths) - 1 else widths[k]
            block = Halving(inputs, widths[k], widths[k - 1], shape[0], architecture, clamp)
            self.add_module(f"b{4 * 2**k}", block)
        self.b4 = Epilogue(widths[0], shape[0], (height, width), architecture, group, clamp)

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple((block,) for block in self.children() if isinstance(block, Halving))

    def forward(self, x: Tensor) -> Tensor:
        image = F.pad(x, self.border) if any(self.border) else x
        features: Tensor | None = None
        for (block,) in self.layers:
            features, image = block(features, image)
        assert features is not None
        logits: Tensor = self.b4(features, image)
        return logits
