"""Convolutions of small maps as plain matrix products.

On a CPU, oneDNN brings the weights of a convolution into its own layout at every call. Where the map is small and the
weights are many, as at the bottom of a U-Net, that costs more than the arithmetic: there the same sums are taken as one
product of the weights with the patches of the map (measured: docs/performance.md, "pix2pix").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARE = 0.5
"""The product is the faster way up to this many places (of the smaller map, over all images) per channel."""


def _plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, ...] | None:
    """The padding of a layer with one group, no dilation and zeros around; None for any other layer."""
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    return layer.padding if plain and isinstance(layer.padding, tuple) else None


def _small(x: Tensor, layer: Convolution | TransposedConvolution, height: int, width: int) -> bool:
    """Whether the product is worth it where the smaller map is of this height and width; never in a program that is
    exported, in which they may be any number."""
    if x.device.type != "cpu" or not layer.products or torch.compiler.is_exporting():
        return False
    return len(x) * height * width <= SHARE * min(layer.in_channels, layer.out_channels)


class Convolution(nn.Conv2d):
    """`nn.Conv2d`, faster on a CPU where maps are small: same parameters, same sums, other rounding.

    >>> Convolution(4, 8, 4, stride=2, padding=1).state_dict().keys() == nn.Conv2d(4, 8, 4).state_dict().keys()
    True
    """

    products = True
    """False where something else makes small maps fast: weights that are kept in oneDNN's own layout."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) → (N, O, h, w)."""
        padding = _plain(self)
        if padding is None:
            return super().forward(input)
        height, width = (
            (side + 2 * pad - kernel) // stride + 1
            for side, pad, kernel, stride in zip(input.shape[2:], padding, self.kernel_size, self.stride, strict=True)
        )
        if not _small(input, self, height, width):
            return super().forward(input)
        patches = F.unfold(input, self.kernel_size, padding=padding, stride=self.stride)  # (N, C·k·k, h·w)
        rows = patches.transpose(1, 2).flatten(0, 1)  # (N·h·w, C·k·k)
        out = F.linear(rows, self.weight.reshape(self.out_channels, -1), self.bias)  # (N·h·w, O)
        return out.view(len(input), height, width, -1).permute(0, 3, 1, 2).contiguous()


class TransposedConvolution(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d`, faster on a CPU where maps are small: same parameters, same sums, other rounding.

    >>> TransposedConvolution(4, 8, 2, stride=2).state_dict().keys() == nn.ConvTranspose2d(4, 8, 2).state_dict().keys()
    True
    """

    products = True

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, h, w) → (N, O, H, W)."""
        padding = _plain(self)
        if padding is None or output_size is not None or not _small(input, self, input.shape[2], input.shape[3]):
            return super().forward(input, output_size)
        height, width = (
            (side - 1) * stride - 2 * pad + kernel + more
            for side, pad, kernel, stride, more in zip(
                input.shape[2:], padding, self.kernel_size, self.stride, self.output_padding, strict=True
            )
        )
        rows = input.flatten(2).transpose(1, 2).flatten(0, 1)  # (N·h·w, C)
        patches = rows @ self.weight.reshape(self.in_channels, -1)  # (N·h·w, O·k·k)
        patches = patches.view(len(input), -1, patches.shape[1]).transpose(1, 2)  # (N, O·k·k, h·w)
        out = F.fold(patches, (height, width), self.kernel_size, padding=padding, stride=self.stride)
        return out if self.bias is None else out + self.bias[:, None, None]
