"""StyleGAN2's generator as stylegan2-ada-pytorch and stylegan3 pickle it, with the names of `networks.stylegan2`.

What tensors show is taken from them: dimensions, channels, layers, how blocks are joined. What they do not show is
taken from the attributes of the layers in the file: how fast the mapping network learns, where outputs are cut, the
activation. Where there are none (a plain state dict), it is what the published programs have by default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparring.export.foreign.plan import Plan, Unlike, check_image, shape_of
from sparring.export.foreign.r3gan import KERNEL
from sparring.export.foreign.sandbox import Found
from sparring.networks.stylegan2 import Architecture, channels

MOST_LAYERS, MOST_BLOCKS = 8, 9
RATE = 0.01


def is_one(tensors: Mapping[str, Tensor]) -> bool:
    """Whether names are those of such a generator."""
    return "synthesis.b4.const" in tensors and "mapping.fc0.weight" in tensors


def plan(found: Found) -> Plan:
    """How a generator of StyleGAN2 becomes a run. `Unlike`."""
    tensors = dict(found.tensors)
    if "mapping.embed.weight" in tensors:
        classes = shape_of(tensors, "mapping.embed.weight", 2)[1]
        raise Unlike(f"it is a StyleGAN2 that is told one of {classes} classes, and stylegan2 here knows none")
    _drop_filters(tensors)
    _check(found.layers)
    z, w, count = _mapping(tensors)
    shape, widths = _blocks(tensors)
    architecture = _architecture(tensors, len(widths))
    base, most = widths[-1] * 4 * 2 ** (len(widths) - 1), widths[0]
    if channels(shape, base, most) != widths:
        raise Unlike(f"its blocks have {'-'.join(map(str, widths))} channels, and published ones at most base / side")
    rate, clamp = _rate(found.layers), _clamp(found.layers)
    quiet = _without_noise(tensors)
    settings = [f"z={z}", f"w={w}", f"mapping={count}", f"mapping_rate={rate!r}", f"base={base}", f"most={most}",
                f"architecture={architecture}", f"clamp={clamp!r}"]  # fmt: skip
    side, said = " × ".join(map(str, shape[1:])), f"StyleGAN2 ({architecture}), {'-'.join(map(str, widths))} channels"
    lines = [
        f"found     {said}, z {z}, w {w}, {count} mapping layers",
        f"weights   those of {found.called or 'the checkpoint'}; D begins anew",
        f"images    {shape[0]} × {side}, in float32, with the noise that the file keeps (there: --noise-mode=const)",
    ]
    lines += ["noise     none: this network adds none"] * quiet
    if "mapping.w_avg" not in tensors:
        tensors["mapping.w_avg"] = torch.zeros(w)
        lines.append("mean w    not in the file: --truncation draws towards 0")
    layout = {"network": "stylegan2", "z": z, "w": w, "mapping": count, "mapping_rate": rate, "clamp": clamp,
              "channels": widths, "architecture": architecture}  # fmt: skip
    return Plan("stylegan2", settings, shape, tensors, layout, lines)


def _drop_filters(tensors: dict[str, Tensor]) -> None:
    """The resampling filters, which are constants here."""
    for name in [name for name in tensors if name.endswith(".resample_filter")]:
        if tensors[name].shape != (4, 4) or not torch.allclose(tensors.pop(name), KERNEL, atol=1e-6):
            raise Unlike("it resamples by another filter than [1, 3, 3, 1]")


def _mapping(tensors: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """(z, w, layers) of the mapping network."""
    count = len([name for name in tensors if re.fullmatch(r"mapping\.fc\d{1,2}\.weight", name)])
    shapes = [shape_of(tensors, f"mapping.fc{k}.weight", 2) for k in range(count)]
    w = shapes[-1][0]
    if count > MOST_LAYERS or any(shape != (w, w) for shape in shapes[1:]):
        raise Unlike(
            f"its mapping network has {count} layers, or wider ones than w; here it has up to 8, all of them w"
        )
    return shapes[0][1], w, count


def _blocks(tensors: Mapping[str, Tensor]) -> tuple[tuple[int, int, int], list[int]]:
    """(C, H, W) of the images, and the channels of each block, coarsest first."""
    const = shape_of(tensors, "synthesis.b4.const", 3)
    count = 1
    while f"synthesis.b{4 * 2**count}.conv0.weight" in tensors and count <= MOST_BLOCKS:
        count += 1
    names = [f"synthesis.b{4 * 2**k}" for k in range(count)]
    widths = [shape_of(tensors, f"{name}.conv1.weight", 4)[0] for name in names]
    if count > MOST_BLOCKS or min(const[1:]) != 4:
        raise Unlike(f"it begins with a map of {const[1]} × {const[2]} and has {count} blocks")
    made = shape_of(tensors, f"{names[-1]}.torgb.weight", 4)[0]
    shape = (made, const[1] * 2 ** (count - 1), const[2] * 2 ** (count - 1))
    check_image(shape)
    return shape, widths


def _architecture(tensors: Mapping[str, Tensor], count: int) -> Architecture:
    if "synthesis.b8.skip.weight" in tensors:
        return "resnet"
    return "skip" if "synthesis.b4.torgb.weight" in tensors or count == 1 else "orig"


def _without_noise(tensors: dict[str, Tensor]) -> bool:
    """Whether it was trained without noise, which is then filled in as none."""
    layers = [
        name.removesuffix(".weight") for name in tensors if re.fullmatch(r"synthesis\.b\d+\.conv[01]\.weight", name)
    ]
    lacking = [layer for layer in layers if f"{layer}.noise_strength" not in tensors]
    side = shape_of(tensors, "synthesis.b4.const", 3)[1:]
    for layer in lacking:
        times = int(layer.split(".")[1].removeprefix("b")) // 4
        tensors[f"{layer}.noise_strength"] = torch.zeros(())
        tensors[f"{layer}.noise_const"] = torch.zeros(side[0] * times, side[1] * times)
    return bool(lacking)


def _said(layers: Mapping[str, Mapping[str, Any]], pattern: str, attribute: str) -> list[Any]:
    """What the layers of these paths say of an attribute, each answer once."""
    paths = (path for path in layers if re.fullmatch(pattern, path))
    said = [layers[path][attribute] for path in paths if attribute in layers[path]]
    return [value for k, value in enumerate(said) if value not in said[:k]]


def _check(layers: Mapping[str, Mapping[str, Any]]) -> None:
    """`Unlike` for layers that compute something else than published ones."""
    for pattern, attribute, usual in (
        (r"mapping\.fc\d+|synthesis\.b\d+\.conv[01]", "activation", "lrelu"),
        (r"synthesis\.b\d+\.conv0", "up", 2),
        (r"synthesis\.b\d+\.conv1", "up", 1),
        (r"synthesis\.b\d+\.(conv[01]|torgb)\.affine", "activation", "linear"),
    ):
        said = _said(layers, pattern, attribute)
        if said not in ([], [usual]):
            raise Unlike(f"its layers have {attribute} {said[0]!r}, and published ones {usual!r}")


def _rate(layers: Mapping[str, Mapping[str, Any]]) -> float:
    said = _said(layers, r"mapping\.fc\d+", "bias_gain") or [RATE]
    if len(said) > 1 or not isinstance(said[0], int | float) or not 0 < said[0] <= 1:
        raise Unlike("the layers of its mapping network learn at different speeds")
    return float(said[0])


def _clamp(layers: Mapping[str, Mapping[str, Any]]) -> float:
    """Where outputs are cut; 0: nowhere."""
    said = _said(layers, r"synthesis\.b\d+\.(conv[01]|torgb)", "conv_clamp") or [None]
    if len(said) > 1 or not isinstance(said[0], int | float | None) or (said[0] is not None and not 0 < said[0] < 1e6):
        raise Unlike("its layers are cut at different values")
    return float(said[0] or 0.0)
