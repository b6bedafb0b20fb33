"""Which network a generator's checkpoint of the classic repository (pytorch-CycleGAN-and-pix2pix) belongs to, said by
the names and shapes of its tensors alone; and the same weights under our names.

A residual generator is one list of layers, ``model.0`` … : 7×7, two that halve, blocks, two that double, 7×7. A U-Net
is nested, each level within the one above: ``model.model.1.model.3.model.…``. Normalisation over a batch has a scale
and a shift, and convolutions before it no bias; normalisation of instances has neither, and convolutions have a bias,
which it takes away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.export.foreign.plan import Unlike
from sparring.export.foreign.plan import size as _size
from sparring.networks.initialise import without_memory
from sparring.networks.normalise import Norm
from sparring.networks.resnet import ResnetGenerator
from sparring.networks.unet import UNet

MOST_BLOCKS, MOST_DEPTH, MOST_WIDTH, MOST_CHANNELS = 64, 10, 4096, 256


@dataclass(frozen=True)
class Layout:
    """given, made: channels.   width: of the finest map.   count: residual blocks, or halvings of a U-Net.
    dropout: whether there is any, where that shows: in the numbers of the layers of a residual block."""

    network: Literal["resnet", "unet"]
    given: int
    made: int
    width: int
    count: int
    norm: Norm
    dropout: bool | None

    def build(self) -> nn.Module:
        """Our network, of these shapes."""
        if self.network == "resnet":
            return ResnetGenerator(self.given, self.made, self.count, self.width, self.norm, 0.5 * bool(self.dropout))
        return UNet(self.given, self.made, self.count, self.width, self.norm)

    def names(self) -> Iterator[tuple[str, str]]:
        """(our layer, its name there)."""
        yield from _resnet(self.count, bool(self.dropout)) if self.network == "resnet" else _unet(self.count)


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what data parallelism and compilation put before the names, and without running statistics: here every
    image is normalised by its own, as the classic test.py does without --eval."""
    for prefix in ("module.", "_orig_mod."):
        while tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    kept = ("running_mean", "running_var", "num_batches_tracked")
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] not in kept}


def layout(tensors: Mapping[str, Tensor]) -> Layout:
    """What network the tensors (of `plain`) belong to. Raises `Unlike`."""
    if "model.model.0.weight" in tensors:
        return _unet_of(tensors)
    if _shape(tensors, "model.1.weight", 4)[2:] == (7, 7):
        return _resnet_of(tensors)
    if _shape(tensors, "model.0.weight", 4)[2:] in ((4, 4), (1, 1)) or "net.0.weight" in tensors:
        raise Unlike("it looks like a discriminator, and only generators are converted")
    raise Unlike("its tensors are not named like those of a generator: " + ", ".join(sorted(tensors)[:3]))


def state(tensors: Mapping[str, Tensor], found: Layout) -> dict[str, Tensor]:
    """The tensors (of `plain`) under the names of ``found.build()``, each of them used, each name filled. `Unlike`."""
    with without_memory():  # shapes alone: what they claim takes no memory before it is known to be there
        wanted = found.build().state_dict()
    left, ours = dict(tensors), {}
    there = dict(found.names())
    for name, like in wanted.items():
        layer, _, kind = name.rpartition(".")
        tensor = left.pop(f"{there[layer]}.{kind}", None)
        if tensor is None and kind == "bias" and found.norm == "none":
            tensor = torch.zeros(like.shape)  # the classic networks have no bias where nothing normalises
        if tensor is None:
            raise Unlike(f"there is no {there[layer]}.{kind}")
        if tensor.shape != like.shape:
            raise Unlike(f"{there[layer]}.{kind} is {_size(tensor)}, and in such a network {_size(like)}")
        ours[name] = tensor
    if found.norm == "instance":  # biases that the normalisation takes away again
        vain = {f"{layer}.bias" for layer in there.values()}
        left = {name: tensor for name, tensor in left.items() if name not in vain}
    if left:
        raise Unlike(f"it holds more than such a network: {sorted(left)[0]}")
    return ours


def _resnet(blocks: int, dropout: bool) -> Iterator[tuple[str, str]]:
    yield from (("first", "model.1"), ("norms.0", "model.2"))
    yield from (("downs.0", "model.4"), ("norms.1", "model.5"), ("downs.1", "model.7"), ("norms.2", "model.8"))
    second = 6 if dropout else 5  # its place behind a dropout, or without one
    for k in range(blocks):
        block = f"model.{10 + k}.conv_block"
        yield from ((f"blocks.{k}.conv1", f"{block}.1"), (f"blocks.{k}.norm1", f"{block}.2"))
        yield from ((f"blocks.{k}.conv2", f"{block}.{second}"), (f"blocks.{k}.norm2", f"{block}.{second + 1}"))
    up = 10 + blocks
    yield from (("ups.0.conv", f"model.{up}"), ("norms.3", f"model.{up + 1}"))
    yield from (("ups.1.conv", f"model.{up + 3}"), ("norms.4", f"model.{up + 4}"), ("last", f"model.{up + 7}"))


def _unet(depth: int) -> Iterator[tuple[str, str]]:
    level = "model.model"
    yield from (("downs.0", f"{level}.0"), ("ups.0", f"{level}.3"))
    level += ".1.model"
    for k in range(1, depth - 1):
        yield from ((f"downs.{k}", f"{level}.1"), (f"down_norms.{k}", f"{level}.2"))
        yield from ((f"ups.{k}", f"{level}.5"), (f"up_norms.{k}", f"{level}.6"))
        level += ".3.model"
    last = depth - 1
    yield from ((f"downs.{last}", f"{level}.1"), (f"ups.{last}", f"{level}.3"), (f"up_norms.{last}", f"{level}.4"))


def _resnet_of(tensors: Mapping[str, Tensor]) -> Layout:
    blocks = {int(m[1]) for name in tensors if (m := re.fullmatch(r"model\.(\d{1,4})\.conv_block\..*", name))}
    if not blocks or blocks != set(range(10, 10 + len(blocks))):
        raise Unlike("its residual blocks are not where they are after two convolutions that halve")
    if "model.10.conv_block.0.weight" in tensors:
        raise Unlike("its residual blocks pad with zeros; those of the classic options mirror the border")
    first, last = _shape(tensors, "model.1.weight", 4), _shape(tensors, f"model.{10 + len(blocks) + 7}.weight", 4)
    dropout = len(_shape(tensors, "model.10.conv_block.6.weight")) == 4
    return _within("resnet", first[1], last[0], first[0], len(blocks), _norm(tensors, "model.1", "model.2"), dropout)


def _unet_of(tensors: Mapping[str, Tensor]) -> Layout:
    level, depth = "model.model.1.model", 2
    while any(name.startswith(f"{level}.3.model.") for name in tensors) and depth <= MOST_DEPTH:
        level, depth = level + ".3.model", depth + 1
    first, last = _shape(tensors, "model.model.0.weight", 4), _shape(tensors, "model.model.3.weight", 4)
    norm = _norm(tensors, "model.model.0", "model.model.1.model.6" if depth > 2 else "model.model.1.model.4")
    return _within("unet", first[1], last[1], first[0], depth, norm, None)


def _norm(tensors: Mapping[str, Tensor], convolution: str, normalisation: str) -> Norm:
    if f"{normalisation}.weight" in tensors:
        return "affine"
    return "instance" if f"{convolution}.bias" in tensors else "none"


def _within(
    network: Literal["resnet", "unet"], given: int, made: int, width: int, count: int, norm: Norm, dropout: bool | None
) -> Layout:
    most = MOST_BLOCKS if network == "resnet" else MOST_DEPTH
    if not (0 < given <= MOST_CHANNELS and 0 < made <= MOST_CHANNELS and 0 < width <= MOST_WIDTH and count <= most):
        ends = {"first": given, "last": made}
        if missing := [end for end, channels in ends.items() if not channels]:
            raise Unlike(f"it is a {network} whose {missing[0]} layer is missing")
        raise Unlike(f"a network from {given} to {made} channels, {width} wide, with {count} levels or blocks")
    return Layout(network, given, made, width, count, norm, dropout)


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int | None = None) -> tuple[int, ...]:
    """() where it is not there; `Unlike` where it has another number of dimensions."""
    shape = tuple(tensors[name].shape) if name in tensors else ()
    if shape and dimensions is not None and len(shape) != dimensions:
        raise Unlike(f"{name} is {_size(tensors[name])}")
    return shape if shape or dimensions is None else (0,) * dimensions
