"""Samples of a PixelCNN: pixel after pixel, each drawn given those before it.

`sample` computes for a new pixel one column of each layer, and what it needs of earlier columns is kept: of the stack
above, the last rows of each layer's input, from which its next row is made at once; of the row, the features to the
left. `sample_naively` calls the whole network for each pixel. Both draw the same.

Numbers are float64 where the device has them: what is drawn depends on which side of a bound a probability lies, so
that in float32 the rounding of another batch size would now and then change a pixel, and all that come after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.networks.pixelcnn import FIRST, Block, PixelCNN

Draw = Callable[[Tensor, int, int], Tensor]
"""(n, P) what is said of the pixel, its row and column → (n, C) its values."""


@torch.no_grad()
def sample(net: PixelCNN, n: int, draw: Draw, told: Tensor | None = None) -> Tensor:
    """(n, C, H, W): each pixel by `draw`, in raster order, with the cost of one column of the network. told: (n, T)."""
    return Cache(net, n, told).run(draw)


@torch.no_grad()
def sample_naively(net: PixelCNN, n: int, draw: Draw, told: Tensor | None = None) -> Tensor:
    """The same by a forward pass of the whole network for each pixel."""
    weight = net.out.weight
    x = weight.new_zeros(n, *net.shape)
    for row in range(net.shape[1]):
        for column in range(net.shape[2]):
            x[:, :, row, column] = draw(net(x, told)[:, :, row, column], row, column)
    return x


class Cache:
    """What n samples that are being drawn keep of each layer.

    Left of the first column are zeros, as many columns as a window sees, so that a window is one piece of memory:
    columns c − m + 1 … c of n samples are (n, m p), and a layer is one product with (m p, 2 p) for both halves of its
    gate.
    """

    def __init__(self, net: PixelCNN, n: int, told: Tensor | None) -> None:
        self.net, self.n = net, n
        weight = net.out.weight
        self.inputs, self.seen = net.shape[0] + 1, FIRST // 2
        self.x = weight.new_zeros(n, *net.shape)
        self.strip = weight.new_zeros(n, net.shape[2] + self.seen, self.inputs)  # the row, behind zeros
        self.left = _columns(net.left)
        self.blocks = [_Layer(cast(Block, block), n, net.shape[2], told) for block in net.blocks]
        self.head, self.out = _columns(net.head), _columns(net.out)

    def run(self, draw: Draw) -> Tensor:
        for row in range(self.net.shape[1]):
            links = self._rows_above(row)
            self.strip.zero_()
            for column in range(self.net.shape[2]):
                value = draw(self._column(column, links), row, column)
                self.x[:, :, row, column] = value
                self.strip[:, column + self.seen, :-1] = value
                self.strip[:, column + self.seen, -1] = 1.0
        return self.x

    def _rows_above(self, row: int) -> list[Tensor]:
        """What each layer of the row's stack is given from above, for all columns at once: (W, n, p or 2 p) each."""
        above = self.x.new_zeros(self.n, self.inputs, self.seen, self.net.shape[2])
        known = min(row, self.seen)
        if known:
            above[:, :-1, -known:] = self.x[:, :, row - known : row]
            above[:, -1, -known:] = 1.0
        v = F.conv2d(above, self.net.above.weight, self.net.above.bias, padding=(0, FIRST // 2))
        links = [_across(F.conv2d(v, self.net.link.weight, self.net.link.bias))]
        for layer in self.blocks:
            v, link = layer.above(v)
            links.append(link)
        return links

    def _column(self, column: int, links: list[Tensor]) -> Tensor:
        """(n, P): what is said of the pixel in this column."""
        window = self.strip.view(self.n, -1)[:, column * self.inputs : (column + self.seen) * self.inputs]
        h = torch.addmm(links[0][column], window, self.left)
        for layer, link in zip(self.blocks, links[1:], strict=True):
            h = layer.column(h, column, link[column])
        h = torch.addmm(self.net.head.bias, F.relu(h), self.head)  # type: ignore[arg-type]
        return torch.addmm(self.net.out.bias, F.relu(h), self.out)  # type: ignore[arg-type]


class _Layer:
    """The same of one block."""

    def __init__(self, block: Block, n: int, width: int, told: Tensor | None) -> None:
        above, left, link = (cast("list[nn.Conv2d]", list(pair)) for pair in (block.above, block.left, block.link))
        p, self.taps = above[0].out_channels, left[0].kernel_size[1]
        self.p = p
        self.weight_above, self.side = torch.cat([layer.weight for layer in above]), above[0].kernel_size[1] // 2
        self.weight_link = torch.cat([layer.weight for layer in link])
        self.weight_left = torch.cat([_columns(layer) for layer in left], dim=1)
        self.mix = _columns(block.mix)
        of_v, of_h = (torch.cat([_bias(layer) for layer in pair]).expand(n, -1) for pair in (above, left))
        if told is not None and block.told is not None:
            told_v, told_h = block.told(told.to(of_v.dtype)).chunk(2, dim=1)
            of_v, of_h = of_v + told_v, of_h + told_h
        self.bias_v, self.bias_h = of_v[:, :, None, None], of_h[:, :, None, None]
        self.rows = of_v.new_zeros(n, p, above[0].kernel_size[0], width)  # the last rows of v
        self.strip = of_v.new_zeros(n, width + self.taps - 1, p)  # h of the row, behind zeros

    def above(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The next row of v, (n, p, 1, W) → that of the layer's output, and its link to the row's stack."""
        self.rows = torch.cat([self.rows[:, :, 1:], v], dim=2)
        v = v + _gated(F.conv2d(self.rows, self.weight_above, padding=(0, self.side)) + self.bias_v)
        return v, _across(F.conv2d(v, self.weight_link) + self.bias_h)

    def column(self, h: Tensor, column: int, link: Tensor) -> Tensor:
        """The next column of h, (n, p), and its link, (n, 2 p) → that of the layer's output."""
        self.strip[:, column + self.taps - 1] = h
        window = self.strip.view(len(h), -1)[:, column * self.p : (column + self.taps) * self.p]
        return torch.addmm(h, _gated(torch.addmm(link, window, self.weight_left)), self.mix)


def _gated(z: Tensor) -> Tensor:
    a, b = z.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


def _columns(layer: nn.Conv2d) -> Tensor:
    """The weights of a convolution along a row as (taps · inputs, outputs)."""
    return layer.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _across(row: Tensor) -> Tensor:
    """(n, p, 1, W) → (W, n, p): column after column."""
    return row[:, :, 0].permute(2, 0, 1).contiguous()
