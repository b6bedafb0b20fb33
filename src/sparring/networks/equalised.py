"""Layers with an equalised learning rate (Karras et al. 2018, section 4.1), as StyleGAN2 uses them.

Weights begin as N(0, 1) and are multiplied by c/√fan-in at each use, not once at the beginning: so Adam, whose steps
are as long whatever the scale of a gradient, changes every layer at the same relative speed. c is `rate`, which makes a
layer learn slower (0.01 in the mapping network) and starts its weights at 1/c.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.ops.smooth import convolve, convolve_down, convolve_up

LEAK = 0.2
GAIN = math.sqrt(2.0)
"""What a leaky ReLU is multiplied by, so that a second moment of 1 stays about 1."""

Resampling = Literal["same", "up", "down"]


def leaky(x: Tensor, clamp: float | None = None) -> Tensor:
    """lrelu(x), then cut to ± clamp. A gain belongs to what makes x, where it costs less: lrelu(c x) = c lrelu(x)."""
    x = F.leaky_relu(x, LEAK)
    return x if clamp is None else x.clamp(-clamp, clamp)


class Linear(nn.Module):
    """(N, I) → (N, O): x (c/√I W)ᵀ + c b, and where `active` √2 lrelu of it.

    start: of the bias, as it is used.   rate: c.
    """

    def __init__(self, inputs: int, outputs: int, *, active: bool = False, start: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start / rate))
        self.active, self.scale, self.rate = active, rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            gain = GAIN if self.active else 1.0
            weight, bias = self.weight * (gain * self.scale), self.bias * (gain * self.rate)
            y = F.linear(x.to(weight.dtype), weight, bias)
            return leaky(y) if self.active else y


class Convolution(nn.Module):
    """(N, I, H, W) → (N, O, H', W'): a k×k convolution, bias, and where `active` √2 lrelu.

    resample: "same", or "up" or "down" by 2 with the filter of `ops.smooth`.   clamp: outputs are cut to ± this.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, active: bool = True,
        resample: Resampling = "same", clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.active, self.clamp = active, clamp
        self.resample = resample

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """gain: what the output is multiplied by; √½ where two paths are added."""
        clamp, whole = self.clamp, gain * GAIN if self.active else gain
        weight, bias = self.weight * (whole * self.scale), None if self.bias is None else self.bias * whole
        if self.resample == "up":
            assert bias is None
            y = convolve_up(x, weight)
        else:
            y = (convolve_down if self.resample == "down" else convolve)(x, weight, bias)
        if self.active:
            return leaky(y, None if clamp is None else clamp * gain)
        return y if clamp is None else y.clamp(-clamp * gain, clamp * gain)
