"""The filter [1, 3, 3, 1] ⊗ [1, 3, 3, 1] / 64 between resolutions (StyleGAN2, Karras et al. 2020, section 4 and B).

It has an even number of taps, so a filtered map lies half a pixel off and its side changes with the border of zeros:
`blur` says which. Halving and doubling lie half a pixel symmetrically: coarse sample i covers fine samples 2i and
2i + 1. Beyond the edge is 0, as in the published networks, so constants fade at the border.

All maps are linear and each one's adjoint is another of them, so that derivatives of any order cost what the map costs.
One depthwise convolution, in channels_last, was twice as fast on a CPU as two passes along the axes, and ten times as
fast as sums of slices.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (0.125, 0.375, 0.375, 0.125)


def blur(x: Tensor, before: int = 1, after: int = 1) -> Tensor:
    """(N, C, H, W) → (N, C, H + p − 3, W + p − 3), p = before + after, from 0 to 3 zeros each on each side.

    y[j] = Σₜ f[t] x[j + t − before] along each axis, f = [1, 3, 3, 1] / 8. The layout in memory is kept.

    >>> blur(torch.ones(1, 1, 5, 5), 0, 0)[0, 0, 0]
    tensor([1., 1.])
    """
    result: Tensor = _Blur.apply(x, before, after)  # type: ignore[no-untyped-call]
    return result


def halve(x: Tensor) -> Tensor:
    """(N, C, 2H, 2W) → (N, C, H, W): y[i] = (x[2i − 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8 along each axis.

    An odd side is an error.

    >>> halve(torch.ones(1, 1, 6, 6))[0, 0, 1]
    tensor([0.8750, 1.0000, 0.8750])
    """
    if x.shape[2] % 2 or x.shape[3] % 2:
        raise ValueError(f"halve needs even sides, not {tuple(x.shape[2:])}")
    result: Tensor = _Halve.apply(x)  # type: ignore[no-untyped-call]
    return result


def double(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2H, 2W): y[2i] = (x[i − 1] + 3 x[i]) / 4, y[2i + 1] = (3 x[i] + x[i + 1]) / 4 along each
    axis; four times the adjoint of `halve`.

    >>> double(torch.ones(1, 1, 3, 3))[0, 0, 2]
    tensor([0.7500, 1.0000, 1.0000, 1.0000, 1.0000, 0.7500])
    """
    result: Tensor = _Double.apply(x)  # type: ignore[no-untyped-call]
    return result


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(N, I, H, W), (O, I, k, k) with k odd → (N, O, H, W), zeros around."""
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)


def convolve_up(x: Tensor, weight: Tensor) -> Tensor:
    """(N, I, H, W), (O, I, k, k), k 1 or 3 → (N, O, 2H, 2W): zeros between samples, kernel, filter.

    As in the published networks the kernel is that of a transposed convolution: mirrored, in comparison to `convolve`.
    """
    if weight.shape[2] == 1:
        return double(F.conv2d(x, weight))
    return blur(F.conv_transpose2d(x, 4 * weight.transpose(0, 1), stride=2), 1, 1)


def convolve_down(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(N, I, 2H, 2W), (O, I, k, k), k 1 or 3 → (N, O, H, W): filter, kernel, every second sample."""
    if weight.shape[2] == 1:
        return F.conv2d(halve(x), weight, bias)
    return F.conv2d(blur(x, 2, 2), weight, bias, stride=2)


# ── outside the graph ─────────────────────────────────────────────────────────────────────────────────────────────


def _kernel(x: Tensor) -> Tensor:
    """(C, 1, 4, 4), a view."""
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    return torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, before: int, after: int) -> Tensor:
        ctx.zeros = (before, after)
        if before == after:
            return F.conv2d(x, _kernel(x), padding=before, groups=x.shape[1])
        return F.conv2d(F.pad(x, (before, after, before, after)), _kernel(x), groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        before, after = ctx.zeros  # f is its own mirror image
        return _Blur.apply(gradients[0], 3 - before, 3 - after), None, None  # type: ignore[no-untyped-call]


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.conv2d(x, _kernel(x), stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return 0.25 * _Double.apply(gradients[0])  # type: ignore[no-untyped-call]


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, 4 * _kernel(x), stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return 4 * _Halve.apply(gradients[0])  # type: ignore[no-untyped-call]
