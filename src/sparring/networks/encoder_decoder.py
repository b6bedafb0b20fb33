"""Encoders x → numbers that say where z is, and decoders z → what is said of x: fully connected and convolutional.

No network here couples the samples of a batch: what is said of x depends on x alone.

    64 × 64, width 32     E: C×64×64 → 32×32×32 → 64×16×16 → 128×8×8 → 256×4×4 → what is said of z
                          D: z → 256×4×4 → 128×8×8 → 64×16×16 → 32×32×32 → C×64×64
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.networks import initialise
from sparring.networks.dcgan import centre_crop, channels, is_channels_last, stages

_SMALLEST = 4
_QUIET = 0.1  # of an encoder that begins near the prior, so that a latent says something only once it pays
_SPEED = 10.0  # how much faster than a weight the logarithm of a scale moves: it has as far to go, and is one number


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
    """Images (N, C, H, W) or points (N, D) → (N, outputs), by an MLP with `hidden` layers.

    >>> Encoder((1, 28, 28), 4, hidden=(16, 8))(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 4])
    """

    def __init__(self, shape: Sequence[int], outputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.net = Perceptron(math.prod(shape), hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """z (N, z) → the location of each value (N, *shape), and the logarithm of its scale (N, 1, …), by an MLP.

    hidden: sizes of its layers, from z on.    scale: see `Scale`.

    >>> raw, log_scale = Decoder(2, (1, 28, 28), hidden=(8, 16))(torch.zeros(3, 2))
    >>> raw.shape, log_scale.shape
    (torch.Size([3, 1, 28, 28]), torch.Size([3, 1, 1, 1]))
    """

    def __init__(self, z: int, shape: Sequence[int], hidden: Sequence[int], scale: float | None = None) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.net = Perceptron(z, hidden, math.prod(shape))
        self.scale = Scale(scale)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.net(z).view(z.shape[0], *self.shape)
        return raw, self.scale(raw)


class ConvolutionalEncoder(nn.Module):
    """Images (N, C, H, W), from 4 px on, → (N, outputs): 4×4 convolutions with stride 2 down to maps of about 4×4.

    width: channels of the finest map; they double at each stage, up to 8 times.

    >>> ConvolutionalEncoder((3, 27, 40), 6, width=4)(torch.zeros(2, 3, 27, 40)).shape
    torch.Size([2, 6])
    """

    def __init__(self, shape: Sequence[int], outputs: int, width: int) -> None:
        super().__init__()
        colours, height, wide = _images(shape)
        count = stages(height, wide)
        widths = channels(width, count)
        self.downs = nn.ModuleList(nn.Conv2d(i, o, 4, 2, padding=1) for i, o in pairwise([colours, *widths]))
        self.act = nn.LeakyReLU(initialise.LEAK, inplace=True)
        self.last = nn.Linear(widths[-1] * (height // 2**count) * (wide // 2**count), outputs)
        for down in self.downs:
            initialise.he(down, initialise.gain_of_leaky_relu())
        initialise.he(self.last, _QUIET)

    def forward(self, x: Tensor) -> Tensor:
        for down in self.downs:
            x = self.act(down(x))  # (N, Cᵢ, H/2, W/2)
        with torch.autocast(x.device.type, enabled=False):
            return self.last(x.flatten(1).to(self.last.weight.dtype))  # type: ignore[no-any-return]


class ConvolutionalDecoder(nn.Module):
    """z (N, z) → the location of each value (N, C, H, W), unbounded, and the logarithm of its scale (N, 1, 1, 1).

    The encoder the other way round, by transposed convolutions. Sizes that are no multiple of the smallest map are made
    larger and cropped.

    >>> ConvolutionalDecoder(6, (3, 27, 40), width=4)(torch.zeros(2, 6))[0].shape
    torch.Size([2, 3, 27, 40])
    """

    def __init__(self, z: int, shape: Sequence[int], width: int, scale: float | None = None) -> None:
        super().__init__()
        colours, *self.size = _images(shape)
        count = stages(*self.size)
        widths = channels(width, count)[::-1]  # coarsest first
        self.base = (widths[0], *(-(-side // 2**count) for side in self.size))
        self.project = nn.Linear(z, math.prod(self.base))
        ups = pairwise([*widths, colours])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(i, o, 4, stride=2, padding=1) for i, o in ups)
        self.act = nn.LeakyReLU(initialise.LEAK, inplace=True)
        self.scale = Scale(scale)
        initialise.he(self.project)
        for up in self.ups:  # the input of each has passed the activation
            initialise.he(up, 1.0 if up is self.ups[-1] else initialise.gain_of_leaky_relu())

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.project(z).view(z.shape[0], *self.base)  # (N, C₀, h, w)
        if is_channels_last(self):
            x = x.contiguous(memory_format=torch.channels_last)
        for up in self.ups:
            x = up(self.act(x))  # (N, Cᵢ, 2h, 2w)
        raw = centre_crop(x, tuple(self.size)).to(self.project.weight.dtype)
        return raw, self.scale(raw)


class Scale(nn.Module):
    """(N, …) → the logarithm of the scale of each value, (N, 1, …): one number for all.

    scale: fixed where it is given; None: learned, from 1 on: what is coarse is learnt first.   Where a law has none,
    give 1.

    >>> Scale(0.5)(torch.zeros(2, 3)).exp().flatten()
    tensor([0.5000, 0.5000])
    """

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.fixed = 0.0 if scale is None else math.log(scale)
        self.slow = nn.Parameter(torch.zeros(())) if scale is None else None

    def forward(self, raw: Tensor) -> Tensor:
        one = raw.new_ones(raw.shape[0], *[1] * (raw.dim() - 1))
        return one * (self.fixed if self.slow is None else _SPEED * self.slow)


def _images(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < _SMALLEST:
        raise UsageError(
            "NET-SHAPE", f"convolutions need images (C, H, W) of at least {_SMALLEST}×{_SMALLEST}, not {tuple(shape)}",
            fix="--set network=mlp",
        )  # fmt: skip
    return int(shape[0]), int(shape[1]), int(shape[2])
