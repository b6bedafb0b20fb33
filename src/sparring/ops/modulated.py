"""The modulated convolution of StyleGAN2 (Karras et al. 2020, section 2.2, eq. 1 to 3).

A style s scales the inputs of a convolution, and what it did to the spread of each output is divided out again:

    w'ᵢⱼ = sᵢ wᵢⱼ,     w''ᵢⱼ = w'ᵢⱼ / √(Σᵢₖ w'ᵢⱼₖ² + ε)

Each sample has kernels of its own, so the literal form is a convolution in N groups. Scaling inputs instead of kernels,
and outputs instead of kernels, is the same sum with one set of kernels for all: what is done here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ops.smooth import convolve, convolve_up

EPSILON = 1e-8


def modulated(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: bool = False, plus: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:  # fmt: skip
    """(N, I, H, W), (O, I, k, k), (N, I) → (N, O, H, W), or with `up` (N, O, 2H, 2W), by `ops.smooth.convolve_up`.

    demodulate: so that independent inputs of variance 1 give outputs of variance 1, whatever the style.
    plus, gain: noise (…, 1, H, W) that is added, and by what the sum is multiplied; of demodulated ones alone.

    >>> x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    >>> modulated(x, weight, torch.ones(2, 3), up=True).shape
    torch.Size([2, 4, 16, 16])
    """
    y = (convolve_up if up else convolve)(x * style[:, :, None, None].to(x.dtype), weight)
    if not demodulate:
        return y
    factor = demodulation(weight, style) * gain
    if plus is None:
        return y * factor[:, :, None, None].to(y.dtype)
    return torch.addcmul((plus * gain).to(y.dtype), y, factor[:, :, None, None].to(y.dtype))


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """(O, I, k, k), (N, I) → (N, O): 1 / √(Σᵢₖ (sᵢ wᵢⱼₖ)² + ε), in the precision of the weights."""
    with torch.autocast(weight.device.type, enabled=False):
        power = weight.square().sum((2, 3))  # (O, I)
        return torch.rsqrt(style.to(weight.dtype).square() @ power.T + EPSILON)
