"""Colours as grey."""

from __future__ import annotations

from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""How much of red, green and blue a grey value is (ITU-R BT.601), as Pillow has it."""


def grey(x: Tensor) -> Tensor:
    """(N, 3, H, W) float → (N, 1, H, W), in the same units.

    >>> import torch
    >>> grey(torch.ones(1, 3, 1, 1)).shape
    torch.Size([1, 1, 1, 1])
    """
    return (x * x.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
