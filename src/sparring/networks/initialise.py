"""How weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LEAK = 0.2
"""Slope of the leaky ReLU for negative inputs (Radford et al. 2016; Huang et al. 2024)."""


def gain_of_leaky_relu(slope: float = LEAK) -> float:
    """√(2 / (1 + slope²)): what a weight must be multiplied by so that a leaky ReLU keeps the second moment.

    He et al. 2015, eq. 15. `slope` = 1 is the identity (gain 1), 0 the ReLU (gain √2).
    """
    return math.sqrt(2.0 / (1.0 + slope**2))


def inputs_per_output(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """How many inputs one output of `layer` sums over (its fan-in).

    A transposed convolution with stride s reaches each output with only one in s² of its taps.

    >>> inputs_per_output(nn.Conv2d(8, 4, 3, groups=2)), inputs_per_output(nn.ConvTranspose2d(8, 5, 4, stride=2))
    (36.0, 32.0)
    """
    if isinstance(layer, nn.Linear):
        return float(layer.in_features)
    taps = float(math.prod(layer.kernel_size)) * layer.in_channels / layer.groups
    return taps / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else taps


@torch.no_grad()
def he(layer: nn.Module, gain: float = 1.0) -> None:
    """Weights N(0, gain² / fan-in), bias 0 (He et al. 2015, eq. 10). In place; gain 0 silences the layer."""
    if not isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        raise TypeError(f"cannot initialise a {type(layer).__name__}")
    layer.weight.normal_(0.0, 1.0).mul_(gain / math.sqrt(inputs_per_output(layer)))
    if layer.bias is not None:
        layer.bias.zero_()


@torch.no_grad()
def dcgan(module: nn.Module) -> None:
    """Weights N(0, 0.02), batch normalisation N(1, 0.02) with bias 0, other biases 0; in place, over all of `module`.

    Radford et al. 2016, section 4 (weights); the scale of batch normalisation as in the DCGAN tutorials.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.normal_(0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            layer.weight.normal_(1.0, 0.02)
        else:
            continue
        if isinstance(layer.bias, Tensor):
            layer.bias.zero_()


def fixup_gain(blocks: int, layers: int = 3) -> float:
    """L^(−1 / (2m − 2)): by how much to shrink the layers of L residual blocks of m layers each, the last one being 0.

    Zhang et al. 2019, "Fixup initialization", section 3: then one step changes the function by O(learning rate),
    whatever the depth, without normalisation.

    >>> fixup_gain(16)
    0.5
    """
    return float(blocks ** (-1.0 / (2 * layers - 2)))


@contextmanager
def without_memory() -> Iterator[None]:
    """Networks that are built in this context have shapes and no numbers: they take no memory, whatever their size.

    It is ``torch.device("meta")`` in which nothing is drawn from a normal law, nor divided by a number: there are
    no numbers to do it with, and for that PyTorch would load its compiler, which takes seconds.

    >>> with without_memory():
    ...     nn.Embedding(10**9, 10**6).weight.shape
    torch.Size([1000000000, 1000000])
    """
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are where their shape is all that would be left of what was to be done."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        named = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else named["tensor"]
        if function is Tensor.div and isinstance(args[1], (int, float)) and args[0].is_floating_point():
            return args[0]
        return function(*args, **named)
