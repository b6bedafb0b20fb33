"""R3GAN's generator (Huang et al. 2024) as its authors' program pickles it, under the names of `networks.r3gan`.

A snapshot is ``{"G", "D", "G_ema", "training_set_kwargs", "cur_nimg", "G_opt_state", "D_opt_state"}``; the generator
holds all behind ``Model.``. Stages are lists, coarsest first, in which the transition comes before the blocks:

    MainLayers.0.Layers.0.Basis (C₀, 4, 4), .LinearLayer.weight (C₀, z + e)    basis, modulate
    MainLayers.s.Layers.0.LinearLayer.Layer.weight, .Resampler.Kernel (4, 4)   transitions.(s − 1).mix
    MainLayers.s.Layers.k.LinearLayer1.Layer.weight, .NonLinearity1.Bias       stages.s.(k − 1).expand
                         .LinearLayer2.Layer.weight, .NonLinearity2.Bias                      .grouped
                         .LinearLayer3.Layer.weight                                           .contract
    AggregationLayer.Layer.weight, EmbeddingLayer.weight (e, classes)          to_image

A class comes as e numbers beside z, a linear function of its one-hot vector, into a linear function: one linear
function of the class, which is what our conditional game has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sparring.export.foreign.plan import Plan, Unlike, check_image, shape_of
from sparring.export.foreign.sandbox import Found

KERNEL = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64
MOST_STAGES = 11
_STAGE = re.compile(r"MainLayers\.(\d{1,2})\.Layers\.(\d{1,2})\.")


def is_one(tensors: Mapping[str, Tensor]) -> bool:
    """Whether names are those of such a generator."""
    return "MainLayers.0.Layers.0.Basis" in _bare(tensors)


def plan(found: Found) -> Plan:
    """How a generator of R3GAN becomes a run. `Unlike`."""
    left = _bare(found.tensors)
    widths, blocks = _stages(left)
    z, classes = _inputs(left)
    wide = shape_of(left, "MainLayers.0.Layers.1.LinearLayer2.Layer.weight", 4)
    if wide[0] != 2 * widths[0] or wide[2:] != (3, 3):
        raise Unlike(
            f"its blocks widen {widths[0]} channels to {wide[0]}, {wide[2]}×{wide[3]}; published are twice, 3×3"
        )
    side = 4 * 2 ** (len(widths) - 1)
    shape = (shape_of(left, "AggregationLayer.Layer.weight", 4)[0], side, side)
    check_image(shape)
    tensors = _renamed(left, z, classes)
    settings = [
        f"z={z}",
        f"widths={widths}",
        f"width={widths[-1]}",
        f"d_width={widths[-1]}",
        f"blocks={blocks}",
        f"group={wide[1]}",
        "taps=4",
        "precision=fp32",
    ]
    settings += ["network=residual"] if classes else ["generator=r3gan", "discriminator=r3gan"]
    layout = {"network": "r3gan", "z": z, "widths": widths, "blocks": blocks, "group": wide[1], "classes": classes}
    said = f"R3GAN of {len(widths)} stages, {'-'.join(map(str, widths))} channels, {blocks} blocks each, z {z}"
    lines = [
        f"found     {said}" + (f", {classes} classes" if classes else ""),
        f"weights   those of {found.called or 'the checkpoint'}; D begins anew",
        f"images    {shape[0]} × {side} × {side}, computed in float32 (there: bfloat16 in the finest stages)",
    ]
    return Plan("cgan" if classes else "r3gan", settings, shape, tensors, layout, lines, classes)


def _bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module.").removeprefix("Model."): tensor for name, tensor in tensors.items()}


def _stages(left: Mapping[str, Tensor]) -> tuple[list[int], int]:
    """Channels of each stage, coarsest first, and blocks in each."""
    found = {(int(match[1]), int(match[2])) for name in left if (match := _STAGE.match(name))}
    count = 1 + max(stage for stage, _ in found)
    blocks = max(layer for _, layer in found)
    if count > MOST_STAGES or blocks < 1 or found != {(s, k) for s in range(count) for k in range(blocks + 1)}:
        raise Unlike("its stages differ in the number of their blocks, which published ones do not")
    return [shape_of(left, f"MainLayers.{s}.Layers.1.LinearLayer1.Layer.weight", 4)[1] for s in range(count)], blocks


def _inputs(left: Mapping[str, Tensor]) -> tuple[int, int]:
    """Dimensions of z, and classes."""
    inputs = shape_of(left, "MainLayers.0.Layers.0.LinearLayer.weight", 2)[1]
    if "EmbeddingLayer.weight" not in left:
        return inputs, 0
    embedded, classes = shape_of(left, "EmbeddingLayer.weight", 2)
    if inputs <= embedded:
        raise Unlike("its classes take more room than its latents")
    return inputs - embedded, classes


def _renamed(left: dict[str, Tensor], z: int, classes: int) -> dict[str, Tensor]:
    """The tensors under our names; those that are left over keep theirs."""
    ours = {
        "basis": left.pop("MainLayers.0.Layers.0.Basis"),
        "to_image.weight": left.pop("AggregationLayer.Layer.weight"),
    }
    modulate = left.pop("MainLayers.0.Layers.0.LinearLayer.weight")
    if classes:  # ours is told √classes times the one-hot vector
        told = modulate[:, z:] @ left.pop("EmbeddingLayer.weight") / math.sqrt(classes)
        modulate = torch.cat([modulate[:, :z], told], dim=1)
    ours["modulate.weight"] = modulate
    for name in [name for name in left if name.endswith(".Resampler.Kernel")]:
        if left[name].shape != (4, 4) or not torch.allclose(left.pop(name), KERNEL, atol=1e-6):
            raise Unlike("it resamples by another filter than [1, 2, 1] between neighbours")
    for name, tensor in left.items():
        ours[next(_ours(name), name)] = tensor
    return ours


def _ours(name: str) -> Iterator[str]:
    match = _STAGE.match(name)
    if match is None:
        return
    stage, layer, rest = int(match[1]), int(match[2]), name[match.end() :]
    if layer == 0 and rest == "LinearLayer.Layer.weight":
        yield f"transitions.{stage - 1}.mix.weight"
    parts = {"LinearLayer1.Layer.weight": "expand.weight", "NonLinearity1.Bias": "expand.bias",
             "LinearLayer2.Layer.weight": "grouped.weight", "NonLinearity2.Bias": "grouped.bias",
             "LinearLayer3.Layer.weight": "contract.weight"}  # fmt: skip
    if layer and rest in parts:
        yield f"stages.{stage}.{layer - 1}.{parts[rest]}"
