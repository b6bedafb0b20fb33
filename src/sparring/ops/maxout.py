"""The largest of several linear pieces, with a backward pass that costs no more than the forward one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_JUST_BELOW = -1.4e-45  # the smallest float32 below 0: no difference of two different floats lies between


class _Largest(torch.autograd.Function):
    """amax over the second last axis. torch's own backward passes (of amax and of max) take most of a step of a small
    network: they gather and scatter, or divide the gradient among ties. Here every tied piece receives all of it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.amax(-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, largest = ctx.saved_tensors
        # threshold_backward(g, t, c) is g where t > c, else 0: one pass over memory, differentiable in g again
        behind = (x - largest.unsqueeze(-2)).detach()  # 0 for the largest, less for the others
        return torch.ops.aten.threshold_backward(gradients[0].unsqueeze(-2), behind, _JUST_BELOW)  # type: ignore[no-any-return]


def maxout(x: Tensor, pieces: int) -> Tensor:
    """(N, pieces · F) → (N, F): the largest of x[:, f], x[:, F + f], x[:, 2F + f], … (Goodfellow et al. 2013)

    Its gradient goes to the largest piece. It can be differentiated twice, and be used inside `torch.vmap`.

    >>> maxout(torch.tensor([[1.0, 5.0, 3.0, 2.0]]), 2)
    tensor([[3., 5.]])
    """
    if x.shape[-1] % pieces:
        raise ValueError(f"{x.shape[-1]} features are not {pieces} equal pieces")
    return _Largest.apply(x.unflatten(-1, (pieces, -1)))  # type: ignore[no-any-return, no-untyped-call]
