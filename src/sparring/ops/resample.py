"""Change the size of maps by 2 with the filter [1, 2, 1] ⊗ [1, 2, 1] (bilinear; R3GAN, Huang et al. 2024, section 4).

Coarse sample i lies on fine sample 2i. Beyond the edge the last value is repeated, so constants stay constant up to the
border. Both maps are linear: their derivative is their adjoint, written out here, and the derivative of that is the map
itself. So they may be differentiated any number of times without slices of slices being recorded.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_H, _W = 2, 3


def upsample(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2H, 2W): y[2i] = x[i], y[2i + 1] = (x[i] + x[i + 1]) / 2 along each axis.

    Keeps constants and values at the coarse samples. The layout in memory is kept.

    >>> upsample(torch.tensor([[[[1.0, 3.0]]]]))[0, 0, 0]
    tensor([1., 2., 3., 3.])
    """
    result: Tensor = _Up.apply(x)  # type: ignore[no-untyped-call]
    return result


def downsample(x: Tensor) -> Tensor:
    """(N, C, 2H, 2W) → (N, C, H, W): y[i] = (x[2i − 1] + 2 x[2i] + x[2i + 1]) / 4 along each axis.

    Keeps constants. The layout in memory is kept. An odd side is an error.

    >>> downsample(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]] * 2]]))[0, 0, 0]
    tensor([1.2500, 3.0000])
    """
    if x.shape[_H] % 2 or x.shape[_W] % 2:
        raise ValueError(f"downsample needs even sides, not {tuple(x.shape[2:])}")
    result: Tensor = _Down.apply(x)  # type: ignore[no-untyped-call]
    return result


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _up(_up(x, _H), _W)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _UpAdjoint.apply(gradients[0])  # type: ignore[no-untyped-call]


class _UpAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _up_adjoint(_up_adjoint(x, _W), _H)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Up.apply(gradients[0])  # type: ignore[no-untyped-call]


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        taps = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)  # one depthwise convolution beats two passes
        return F.conv2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), kernel, stride=2, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _DownAdjoint.apply(gradients[0])  # type: ignore[no-untyped-call]


class _DownAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _down_adjoint(_down_adjoint(x, _H), _W)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Down.apply(gradients[0])  # type: ignore[no-untyped-call]


# ── one axis, outside the graph ───────────────────────────────────────────────────────────────────────────────────


def _split(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Views of the even and the odd samples along `axis`."""
    return (x[..., 0::2, :], x[..., 1::2, :]) if axis == _H else (x[..., 0::2], x[..., 1::2])


def _doubled(x: Tensor, axis: int) -> Tensor:
    """Room for twice the samples along `axis`, in the layout of x."""
    size = [side * 2 if dim == axis else side for dim, side in enumerate(x.shape)]
    packed = torch.channels_last if _channels_last(x) else torch.contiguous_format
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=packed)


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _up(x: Tensor, axis: int) -> Tensor:
    y, last = _doubled(x, axis), x.shape[axis] - 1
    even, odd = _split(y, axis)
    even.copy_(x)
    torch.add(x.narrow(axis, 0, last), x.narrow(axis, 1, last), out=odd.narrow(axis, 0, last)).mul_(0.5)
    odd.narrow(axis, last, 1).copy_(x.narrow(axis, last, 1))
    return y


def _up_adjoint(g: Tensor, axis: int) -> Tensor:
    even, odd = _split(g, axis)
    last = even.shape[axis] - 1
    y = torch.add(even, odd, alpha=0.5)
    y.narrow(axis, 1, last).add_(odd.narrow(axis, 0, last), alpha=0.5)
    y.narrow(axis, last, 1).add_(odd.narrow(axis, last, 1), alpha=0.5)
    return y


def _down_adjoint(g: Tensor, axis: int) -> Tensor:
    y, last = _doubled(g, axis), g.shape[axis] - 1
    even, odd = _split(y, axis)
    torch.mul(g, 0.5, out=even)
    even.narrow(axis, 0, 1).add_(g.narrow(axis, 0, 1), alpha=0.25)
    torch.add(g.narrow(axis, 0, last), g.narrow(axis, 1, last), out=odd.narrow(axis, 0, last)).mul_(0.25)
    torch.mul(g.narrow(axis, last, 1), 0.25, out=odd.narrow(axis, last, 1))
    return y
