"""Encoders x → numbers that say where z is, and decoders z → what is said of x: fully connected and convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.networks import initialise


class Perceptron(nn.Module):
    """(N, inputs) → (N, outputs) through hidden layers of ReLUs of the given sizes.

    >>> Perceptron(5, (8, 4), 2)(torch.zeros(3, 5)).shape
    torch.Size([3, 2])
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise([inputs, *hidden]))
        self.last = nn.Linear([inputs, *hidden][-1], outputs)
        for layer in self.hidden:
            initialise.he(layer, initialise.gain_of_leaky_relu(0.0))
        initialise.he(self.last)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = nn.functional.relu(layer(x))
        with torch.autocast(x.device.type, enabled=False):  # what is said of z or x is said in full precision
            return self.last(x.to(self.last.weight.dtype))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Images (N, C, H, W) or points (N, D) → (N, outputs), by an MLP with `hidden` layers."""

    def __init__(self, shape: Sequence[int], outputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.net = Perceptron(math.prod(shape), hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """z (N, z) → the location of each value (N, *shape), and the logarithm of its scale (N, 1, …), by an MLP.

    scale: fixed; None: learned, one for all values, from 1 on; 0: there is none, and log_scale is 0.
    """

    def __init__(self, z: int, shape: Sequence[int], hidden: Sequence[int], scale: float | None = None) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.net = Perceptron(z, hidden, math.prod(shape))
        self.scale = Scale(scale)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.net(z).view(z.shape[0], *self.shape)
        return raw, self.scale(raw)


class Scale(nn.Module):
    """(N, …) → the logarithm of the scale, (N, 1, …): learned from `scale` = None, fixed else, 0 where that is 0."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.fixed = None if scale is None else math.log(scale or 1.0)
        self.log_scale = nn.Parameter(torch.zeros(())) if scale is None else None

    def forward(self, raw: Tensor) -> Tensor:
        one = raw.new_ones(raw.shape[0], *[1] * (raw.dim() - 1))
        return one * (self.fixed if self.log_scale is None else self.log_scale)
