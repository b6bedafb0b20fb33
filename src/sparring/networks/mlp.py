"""Fully connected networks, for points and for small images, with optional random Fourier features at the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.networks import initialise
from sparring.types import Layered


class FourierFeatures(nn.Module):
    """x (N, D) → (N, D + 2 count): x itself, cos(x·ω) and sin(x·ω), scaled by √2 so that each has mean square 1.

    Rahimi & Recht 2007; Tancik et al. 2020. A plain MLP learns low frequencies first; these let it place narrow modes.
    The directions of ω are uniform on the sphere and their lengths log-uniform in [low, high] radians per unit of x.
    They are drawn once and are a buffer, so they are saved with the network and never trained.

    >>> FourierFeatures(2, 16, 0.5, 8.0)(torch.zeros(3, 2)).shape
    torch.Size([3, 34])
    """

    def __init__(self, dimensions: int, count: int, low: float, high: float) -> None:
        super().__init__()
        if not (0 < low <= high and count >= 1):
            raise ValueError(f"needs 0 < low ≤ high and count ≥ 1, not {low}, {high}, {count}")
        directions = nn.functional.normalize(torch.randn(dimensions, count), dim=0)
        lengths = torch.exp(torch.empty(count).uniform_(math.log(low), math.log(high)))
        self.frequencies: Tensor
        self.register_buffer("frequencies", directions * lengths)  # (D, count)
        self.out_features = dimensions + 2 * count

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # bf16 phases of 40 rad are wrong by a tenth of a turn
            angle = x.to(self.frequencies.dtype) @ self.frequencies  # (N, count)
            waves = torch.cat([angle.cos(), angle.sin()], dim=1) * math.sqrt(2.0)
            return torch.cat([x.to(waves.dtype), waves], dim=1)


class Jumps(nn.Module):
    """x (N, D) → (N, count): on which side of random lines (hyperplanes) x lies, −1 or 1.

    A generator is otherwise continuous: between two modes it draws a bridge, on which some of its samples lie. With
    these features it may jump wherever x crosses one of the lines. Their normals are uniform on the sphere and their
    distances from the origin standard normal, like the latents; drawn once, a buffer, never trained. No gradient with
    respect to x passes.

    >>> Jumps(2, 64)(torch.zeros(3, 2)).abs().sum(dim=1)
    tensor([64., 64., 64.])
    """

    def __init__(self, dimensions: int, count: int) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"needs count ≥ 1, not {count}")
        self.normals: Tensor
        self.offsets: Tensor
        self.register_buffer("normals", nn.functional.normalize(torch.randn(dimensions, count), dim=0))  # (D, count)
        self.register_buffer("offsets", torch.randn(count))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):  # a side is a side at any precision
            above = x.to(self.normals.dtype) @ self.normals > self.offsets
            return 2.0 * above.to(self.normals.dtype) - 1.0


Fourier = tuple[int, float, float]
"""(count, low, high): how many frequencies, and their range in radians per unit of x."""


class MLP(nn.Module):
    """x (N, inputs) → (N, outputs): `depth` hidden layers of `width` leaky ReLUs, He initialisation.

    fourier: (count, low, high) puts `FourierFeatures` in front; None (default) does not.
    jumps: how many `Jumps` of x go in beside it; 0 (default): none, and the network is continuous.
    told: how many numbers (N, told) `forward` is given beside x, such as a class; they pass by the Fourier features.

    >>> MLP(2, 1, width=64, depth=3)(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, depth: int, fourier: Fourier | None = None, told: int = 0,
        jumps: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = FourierFeatures(inputs, *fourier) if fourier is not None else None
        self.jumps = Jumps(inputs, jumps) if jumps else None
        sizes = [told + jumps + (inputs if self.features is None else self.features.out_features), *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], outputs)
        for layer in self.hidden:
            initialise.he(layer, initialise.gain_of_leaky_relu())
        initialise.he(self.last)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        x = self.body(x, told)
        with torch.autocast(x.device.type, enabled=False):  # outputs (logits, points) in full precision
            return self.last(x)  # type: ignore[no-any-return]

    def body(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """(N, inputs) → (N, width): what the last layer is given, in its precision."""
        sides = [] if self.jumps is None else [self.jumps(x)]
        x = x if self.features is None else self.features(x)
        x = torch.cat([x, *(side.to(x.dtype) for side in sides)], dim=1) if sides else x
        x = x if told is None else torch.cat([x, told.to(x.dtype)], dim=1)
        for layer in self.hidden:
            x = nn.functional.leaky_relu(layer(x), initialise.LEAK)
        return x.to(self.last.weight.dtype)


class Generator(nn.Module):
    """z (N, z) → points (N, D), unbounded, or images (N, C, H, W) in [−1, 1] through tanh.

    Goodfellow et al. 2014 used such a network for digits. told: how many numbers it is told beside z, such as a class.

    >>> Generator(8, (1, 28, 28), width=16, depth=2)(torch.randn(4, 8)).shape
    torch.Size([4, 1, 28, 28])
    """

    def __init__(
        self, z: int, shape: Sequence[int], width: int = 256, depth: int = 3, fourier: Fourier | None = None,
        told: int = 0, jumps: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.z, self.shape = z, tuple(shape)
        self.net = MLP(z, math.prod(self.shape), width, depth, fourier, told, jumps)

    def forward(self, z: Tensor, told: Tensor | None = None) -> Tensor:
        x: Tensor = self.net(z, told)
        return x if len(self.shape) == 1 else torch.tanh(x).view(z.shape[0], *self.shape)


class Discriminator(nn.Module, Layered):
    """Points (N, D) or images (N, C, H, W) → logits (N,), float32 even under bf16 autocast.

    told: how many numbers it is told beside x, such as a class.

    >>> Discriminator((2,), width=64, depth=3, fourier=(32, 0.5, 40.0))(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    def __init__(
        self, shape: Sequence[int], width: int = 256, depth: int = 3, fourier: Fourier | None = None, told: int = 0
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.net = MLP(math.prod(self.shape), 1, width, depth, fourier, told)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        return self.net(x.flatten(1), told).squeeze(1)  # type: ignore[no-any-return]

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple((layer,) for layer in self.net.hidden)

    def features(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """φ(x), (N, F): the logit is `head` of it."""
        return self.net.body(x.flatten(1), told)

    @property
    def head(self) -> nn.Linear:
        return self.net.last
