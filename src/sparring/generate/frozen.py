"""Networks that only have to be used, made faster once: `sparring translate --compile`.

On a CPU most of a translation is convolutions, and at every call of one oneDNN brings the weights into the layout that
it computes in. In a U-Net, whose small maps have most of the weights, that is half of the time. Here each weight is
brought into that layout once, at its first use, and images stay in channels_last between the convolutions. It takes a
second and no compiler, and was as fast as inductor with freezing, which takes half a minute
(benchmarks/results/speed_translate.json). On a GPU the function is compiled by `torch.compile`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sparring.ops.conv import Convolution, TransposedConvolution

_FEW = 4
"""Channels out of a transposed convolution up to which a product is the faster way."""

Pair = int | tuple[int, ...]
Forward = Callable[..., Tensor]


class Frozen:
    """Calls a function of a network in its faster form. seconds: that freezing or compiling has taken so far.

    The weights must not change as long as this is in use. What cannot be made faster runs as it is.
    """

    def __init__(self, game: nn.Module) -> None:
        self.seconds = 0.0
        self._packed = _Packed()
        self._layers = [m for m in game.modules() if isinstance(m, (Convolution, TransposedConvolution))]
        self._compiled: dict[str, Forward] = {}
        self._seen: set[tuple[str, tuple[int, ...], bool]] = set()

    def __call__(self, function: Forward, x: Tensor, dice: Any) -> Tensor:
        """``function(x, dice)``, the same to 1e-4 for outputs in [-1, 1]."""
        if x.device.type == "cpu":
            with self._packed, self._plain():
                made = function(x, dice)
            self.seconds = self._packed.seconds
            return made
        if x.device.type != "cuda":
            return function(x, dice)
        name = function.__name__
        key = (name, tuple(x.shape), dice is None)
        start = time.perf_counter()
        if name not in self._compiled:
            self._compiled[name] = torch.compile(function, dynamic=False)
        made = self._compiled[name](x, dice)
        if key not in self._seen:
            torch.cuda.synchronize(x.device)
            self.seconds += time.perf_counter() - start
            self._seen.add(key)
        return made

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """Small maps as convolutions, which are faster than products once their weights are packed."""
        for layer in self._layers:
            layer.products = False
        try:
            yield
        finally:
            for layer in self._layers:
                layer.products = True


class _Packed(TorchFunctionMode):
    """While this is entered, convolutions of float images on the CPU use weights in oneDNN's own layout."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._packed: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._made: dict[Any, Forward] = {F.conv2d: self._conv, F.conv_transpose2d: self._transposed}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        ours = self._made.get(func)
        return func(*args, **(kwargs or {})) if ours is None else ours(*args, **(kwargs or {}))

    def _conv(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1, padding: Pair | str = 0,
        dilation: Pair = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        how = (_two(padding), _two(stride), _two(dilation), groups) if not isinstance(padding, str) else None
        packed = None if how is None else self._weight(input, weight, _pack, how)
        if packed is None or how is None:
            return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
        x = input.contiguous(memory_format=torch.channels_last)
        made: Tensor = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *how, "none", [], "")
        return made

    def _transposed(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1, padding: Pair = 0,
        output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1,
    ) -> Tensor:  # fmt: skip
        how = (_two(padding), _two(output_padding), _two(stride), _two(dilation), groups)
        if weight.shape[1] <= _FEW and groups == 1 and how[1] == [0, 0] and how[3] == [1, 1] and input.dim() == 4:
            return _as_product(input, weight, bias, how[0], how[2])
        packed = self._weight(input, weight, _pack_transposed, how)
        if packed is None:
            return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)
        x = input.contiguous(memory_format=torch.channels_last)
        made: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(x, packed, bias, *how, "none", [], "")
        return made

    def _weight(self, x: Tensor, weight: Tensor, pack: Callable[..., Tensor], how: tuple[Any, ...]) -> Tensor | None:
        """The weight in oneDNN's layout, made at its first use; None where that is not possible."""
        plain = x.dim() == 4 and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
        if not plain or not isinstance(weight, torch.nn.Parameter) or torch.is_autocast_enabled("cpu"):
            return None
        found = self._packed.get(id(weight))
        if found is None:
            start = time.perf_counter()
            try:
                packed = pack(weight.detach(), *how, list(x.shape))
            except (AttributeError, RuntimeError):  # a torch that was built without oneDNN, or another one of it
                packed = None
            found = self._packed[id(weight)] = (weight, packed)  # which is kept, so that its id stays its own
            self.seconds += time.perf_counter() - start
        return found[1]


def _as_product(x: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], stride: list[int]) -> Tensor:
    """A transposed convolution to few channels, as the last one of a U-Net: oneDNN computes many and keeps few."""
    kernel = weight.shape[2:]
    size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], stride, padding, kernel, strict=True))
    rows = x.permute(0, 2, 3, 1).flatten(1, 2) @ weight.flatten(1)  # (N, h·w, O·k·k)
    made = F.fold(rows.transpose(1, 2), size, tuple(kernel), padding=tuple(padding), stride=tuple(stride))
    return made if bias is None else made + bias[:, None, None]


def _pack(weight: Tensor, *how: Any) -> Tensor:
    made: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *how)
    return made


def _pack_transposed(weight: Tensor, *how: Any) -> Tensor:
    made: Tensor = torch.ops.mkldnn._reorder_convolution_transpose_weight(weight, *how)
    return made


def _two(value: Pair) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
