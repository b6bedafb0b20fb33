"""A run made of a generator that the classic repository (pytorch-CycleGAN-and-pix2pix) trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sparring.data import Options, SideSpec
from sparring.errors import UsageError
from sparring.export.foreign.classic_layout import Layout, layout, plain, state
from sparring.export.foreign.plan import Converted, Plan, Unlike, make
from sparring.export.foreign.sandbox import Found, wrong
from sparring.runs.directory import RunDirectory

Method = Literal["pix2pix", "cyclegan"]
Dropout = Literal["auto", "on", "off"]

SIDE = 256
"""Pixels that the classic options cut images to."""


def convert(
    files: Sequence[tuple[Path, Found]],
    asked: str | None = None,
    *,
    out: RunDirectory,
    size: int | None = None,
    dropout: Dropout = "auto",
) -> Converted:
    """Make a run of a generator; of two, there and back, a cyclegan.

    files: each with what is in it.   asked: what it is, by the user.   size: side of the images that it was trained
    on; of a U-Net a multiple of its stride.   dropout: as of `convert.convert`.
    """
    found = [_opened(path, each.tensors) for path, each in files]
    network = found[0][0]
    method = _method(network, asked, files[0][0], both=len(files) == 2)
    if len(found) == 2:
        _check_alike(network, found[1][0], files[1][0])
    noise = _dropout(network, dropout, method)
    side = _side(network, size)
    layout = {k: v for k, v in asdict(network).items() if k != "dropout"}
    lines = _lines(network, noise, dropout, side, len(files) == 2, method)
    settings = _settings(network, method, noise, one_way=len(files) == 1)
    plan = Plan(method, settings, (network.made, side, side), {}, layout, lines, data=_data(network, method, side))
    paths = ["G"] if method == "pix2pix" else ["G.AtoB", "G.BtoA"]
    generators = {path: tensors for path, (_, tensors) in zip(paths, found, strict=False)}
    make(plan, generators, [path for path, _ in files], out)
    return Converted(out.path, tuple(lines), method)


def _opened(path: Path, tensors: Mapping[str, Tensor]) -> tuple[Layout, dict[str, Tensor]]:
    tensors = plain(tensors)
    try:
        found = layout(tensors)
        named = state(tensors, found)
    except Unlike as unlike:
        raise wrong(path, str(unlike)) from None
    if not {found.given, found.made} <= {1, 3, 4}:
        raise wrong(path, f"it makes {found.made} channels of {found.given}, and images have 1, 3 or 4")
    return found, named


def _method(network: Layout, asked: str | None, path: Path, *, both: bool) -> Method:
    """What it was trained as: what is asked for, or what the classic options have for such a network."""
    if asked is not None and asked not in ("pix2pix", "cyclegan"):
        raise UsageError("CONVERT-AS", "this is a generator of the classic repository", where=str(path),
                         why=f"and --as says {asked}", fix="--as pix2pix, or --as cyclegan")  # fmt: skip
    if asked is not None or both:
        return "pix2pix" if asked == "pix2pix" else "cyclegan"
    usual: dict[tuple[str, str], Method] = {("unet", "affine"): "pix2pix", ("resnet", "instance"): "cyclegan"}
    if (network.network, network.norm) not in usual:
        raise UsageError("CONVERT-AS", "its weights do not show what it was trained as", where=str(path),
                         fix="--as pix2pix, or --as cyclegan")  # fmt: skip
    return usual[network.network, network.norm]


def _check_alike(there: Layout, back: Layout, path: Path) -> None:
    if replace(back, given=back.made, made=back.given) != there:
        raise UsageError(
            "CONVERT-BACK", "the two generators do not belong together", where=str(path),
            why=f"one is {_described(there)}, the other {_described(back)}",
        )  # fmt: skip


def _dropout(network: Layout, asked: Dropout, method: Method) -> float:
    """The share that is dropped: half, or none."""
    if network.dropout is not None and asked != "auto" and network.dropout != (asked == "on"):
        raise UsageError(
            "CONVERT-DROPOUT", f"this generator was trained {'with' if network.dropout else 'without'} dropout",
            where=f"--dropout {asked}", why="its layers are numbered so", fix="leave --dropout out",
        )  # fmt: skip
    known = network.dropout if network.dropout is not None else method == "pix2pix"
    return 0.5 * (known if asked == "auto" else asked == "on")


def _side(network: Layout, asked: int | None) -> int:
    stride = 2**network.count if network.network == "unet" else 4
    side = max(SIDE, stride) if asked is None else asked
    if not 32 <= side <= 4096 or side % stride:
        raise UsageError(
            "CONVERT-SIZE", f"it takes sides that are multiples of {stride}, from {max(32, stride)} to 4096",
            where=f"--size {side}", fix=f"it was probably --size {max(SIDE, stride)}, which is taken without --size",
        )  # fmt: skip
    return side


def _settings(network: Layout, method: Method, noise: float, *, one_way: bool) -> Sequence[str]:
    """What the recipe must say for this generator to be built."""
    said = [f"generator={network.network}", f"width={network.width}", f"norm={network.norm}", f"dropout={noise}"]
    said.append(f"{'blocks' if network.network == 'resnet' else 'depth'}={network.count}")
    if method == "cyclegan":
        said += ["identity=0"] * (network.given != network.made) + ["ways=AtoB"] * one_way
    return said


def _data(network: Layout, method: Method, side: int) -> dict[str, Any]:
    """What recipe.yaml says of data that are not known here."""
    options = Options(
        size=(side, side), channels=network.made, given_channels=network.given, held_out=0.0, labels="none",
        pairs="unpaired" if method == "cyclegan" else "stems",
    )  # fmt: skip
    sides = {"given": SideSpec(network.given).record(), "made": SideSpec(network.made).record()}
    return {**options.record(), "sides": sides}


def _described(network: Layout) -> str:
    what = "block" if network.network == "resnet" else "halving"
    size = f"{network.count} {what}{'s' if network.count > 1 else ''}"
    norm = {"affine": "batch", "instance": "instance", "none": "no"}[network.norm]
    name = "a residual generator" if network.network == "resnet" else "a U-Net"
    return f"{name} of {size}, {network.width} wide, {network.given} → {network.made} channels, {norm} normalisation"


def _lines(network: Layout, noise: float, asked: Dropout, side: int, both: bool, method: Method) -> list[str]:
    said = [f"found     {_described(network)}"]
    if network.dropout is not None:
        said.append(f"dropout   {'on' if noise else 'off'}: its layers are numbered so")
    else:
        why = "as you say" if asked != "auto" else "as in the classic options; weights do not show it (--dropout)"
        said.append(f"dropout   {'on' if noise else 'off'}: {why}")
    if network.norm == "affine":
        said.append("norm      by the statistics of each image, as the classic test.py without --eval")
    said.append(f"size      {side} pixels a side; others are padded or tiled")
    if method == "cyclegan":
        said.append("ways      there and back" if both else "ways      one; --back latest_net_G_B.pth adds the other")
    return said
