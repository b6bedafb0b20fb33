"""Convolutions as products: the same sums, the same gradients, the same parameters as torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.ops import conv
from sparring.ops.conv import Convolution, TransposedConvolution

SHAPES = [(1, 4, 4, 2, 1), (2, 7, 5, 2, 1), (3, 1, 1, 1, 0), (1, 6, 9, 1, 1), (2, 3, 3, 2, 0)]
"""Images, height, width, stride, padding; kernels have 4, or 3 or 1 sides where 4 do not fit."""


def pair(kind: str, stride: int, padding: int, kernel: int, bias: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    ours, theirs = {
        "down": (Convolution, nn.Conv2d), "up": (TransposedConvolution, nn.ConvTranspose2d),
    }[kind]  # fmt: skip
    one = ours(3, 5, kernel, stride=stride, padding=padding, bias=bias).double()
    other = theirs(3, 5, kernel, stride=stride, padding=padding, bias=bias).double()
    other.load_state_dict(one.state_dict())
    return one, other


def outcome(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """What comes out, and first and second derivatives."""
    x = x.clone().requires_grad_()
    y = layer(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    second = torch.autograd.grad(slope.square().sum(), [x, *layer.parameters()], allow_unused=True)
    first = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
    return [y, slope, *first, *(g for g in second if g is not None)]


@pytest.mark.parametrize("kind", ["down", "up"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_same_sums_and_derivatives(
    kind: str, bias: bool, shape: tuple[int, int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    n, height, width, stride, padding = shape
    kernel = 4 if min(height, width) + 2 * padding >= 4 else min(height, width)
    ours, theirs = pair(kind, stride, padding, kernel, bias)
    x = torch.randn(n, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(conv, "SHARE", 1e9)
    called = []
    function = "unfold" if kind == "down" else "fold"
    real = getattr(conv.F, function)
    monkeypatch.setattr(conv.F, function, lambda *a, **k: called.append(1) or real(*a, **k))
    for found, wanted in zip(outcome(ours, x), outcome(theirs, x), strict=True):
        assert found.shape == wanted.shape
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert called


def test_large_maps_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Tensor:
        raise AssertionError("a large map was taken apart")

    monkeypatch.setattr(conv.F, "unfold", refuse)
    monkeypatch.setattr(conv.F, "fold", refuse)
    down, up = Convolution(2, 2, 4, stride=2, padding=1), TransposedConvolution(2, 2, 4, stride=2, padding=1)
    assert down(torch.zeros(1, 2, 32, 32)).shape == (1, 2, 16, 16)
    assert up(torch.zeros(1, 2, 16, 16)).shape == (1, 2, 32, 32)
    monkeypatch.setattr(conv, "SHARE", 1e9)
    assert Convolution(2, 2, 3, padding=1, groups=2)(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 4, 4)
    assert Convolution(2, 2, 3, padding="same")(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 4, 4)
