"""Padding to a multiple: what comes back is of the size given, and the network sees nothing but multiples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.ops.padding import padded

SIZES = [(h, w) for h in (1, 3, 4, 5, 8, 11) for w in (1, 2, 4, 9, 12)]


@pytest.mark.parametrize("stride", [1, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_what_was_padded_is_cut_off(size: tuple[int, int], stride: int) -> None:
    x = torch.rand(2, 3, *size)
    seen: list[Tensor] = []

    def network(padded: Tensor) -> Tensor:
        seen.append(padded)
        return padded

    assert torch.equal(padded(network, x, stride), x)
    (given,) = seen
    for axis, side in zip((2, 3), size):
        assert given.shape[axis] % stride == 0 and 0 <= given.shape[axis] - side < stride
    rows, columns = (torch.arange(length).clamp(max=side - 1) for length, side in zip(given.shape[2:], size))
    assert torch.equal(given, x[:, :, rows][:, :, :, columns])  # the last row and column, repeated


def test_multiples_are_left_alone() -> None:
    x = torch.rand(1, 1, 8, 4)
    assert padded(lambda x: x, x, 4) is x


def test_channels_may_change_and_gradients_stay_in_the_image() -> None:
    x = torch.rand(1, 2, 3, 5, requires_grad=True)
    weight = torch.rand(4, 2, 1, 1)
    y = padded(lambda x: F.conv2d(x, weight), x, 4)
    torch.testing.assert_close(y, F.conv2d(x, weight))
    (found,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(found, weight.sum(0)[None].expand(1, 2, 3, 5))
