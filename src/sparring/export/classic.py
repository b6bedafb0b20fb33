"""A run made of a generator that the classic repository (pytorch-CycleGAN-and-pix2pix) trained."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import sparring
from sparring.data import Options, SideSpec
from sparring.errors import UsageError
from sparring.export.classic_file import read, wrong
from sparring.export.classic_layout import Layout, Unlike, layout, plain, state
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory, free_directory
from sparring.runs.recipe import Recipe, load
from sparring.train.checkpoint import Store

Method = Literal["pix2pix", "cyclegan"]
Dropout = Literal["auto", "on", "off"]

SIDE = 256
"""Pixels that the classic options cut images to."""


@dataclass(frozen=True)
class Converted:
    """path: the run's directory.   lines: what was found, for people."""

    path: Path
    lines: tuple[str, ...]


def convert(
    source: Path,
    method: Method,
    *,
    back: Path | None = None,
    out: Path | None = None,
    size: int | None = None,
    dropout: Dropout = "auto",
) -> Converted:
    """Make a run of the generator in `source`: ``latest_net_G.pth``, or of a cyclegan ``latest_net_G_A.pth``.

    back: the generator of the other way, ``latest_net_G_B.pth``.   out: a new directory.   size: side of the images
    that it was trained on; of a U-Net a multiple of its stride.   dropout: whether it was trained with any: "auto" is
    what the classic options have where the file does not say (on for pix2pix, off for cyclegan).

    Raises `CheckpointError` for files that are no such generator, `UsageError` for what does not go together.
    """
    if back is not None and method != "cyclegan":
        raise UsageError("CONVERT-BACK", "only cyclegan has a way back", where=str(back), fix="--as cyclegan")
    directory = RunDirectory(out or free_directory(source.name))
    directory.check_free()
    files = [source] if back is None else [source, back]
    found = [_opened(path) for path in files]
    if len(found) == 2:
        _check_alike(found[0][0], found[1][0], back)
    network = found[0][0]
    noise = _dropout(network, dropout, method)
    side = _side(network, size)
    recipe = load(method, _settings(network, method, noise, one_way=back is None), "converted")
    document = _document(recipe, network, side, files)
    game = plans.build(recipe, plans.space_of_document(document), 0)
    generators = [game.players["G"]] if method == "pix2pix" else list(game.players["G"].children())
    for generator, (_, tensors) in zip(generators, found, strict=True):
        generator.load_state_dict(tensors)
    directory.create(document, {"converted": [str(path) for path in files]})
    players = {name: dict(player.state_dict()) for name, player in game.players.items()}
    Store(directory.checkpoints).save(1, players, {"round": 0, "drawn": 0})
    return Converted(directory.path, tuple(_lines(network, noise, dropout, side, back is not None, method)))


def _opened(path: Path) -> tuple[Layout, dict[str, Tensor]]:
    tensors = plain(read(path))
    try:
        found = layout(tensors)
        named = state(tensors, found)
    except Unlike as unlike:
        raise wrong(path, str(unlike)) from None
    if not all(bool(tensor.isfinite().all()) for tensor in named.values()):
        raise wrong(path, "it holds numbers that are not finite")
    if not {found.given, found.made} <= {1, 3, 4}:
        raise wrong(path, f"it makes {found.made} channels of {found.given}, and images have 1, 3 or 4")
    return found, named


def _check_alike(there: Layout, back: Layout, path: Path | None) -> None:
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
            "CONVERT-SIZE", f"this generator takes sides that are multiples of {stride}", where=f"--size {side}",
            fix=f"from 32 to 4096 pixels; it was probably {max(SIDE, stride)}",
        )  # fmt: skip
    return side


def _settings(network: Layout, method: Method, noise: float, *, one_way: bool) -> Sequence[str]:
    """What the recipe must say for this generator to be built."""
    said = [f"generator={network.network}", f"width={network.width}", f"norm={network.norm}", f"dropout={noise}"]
    said.append(f"{'blocks' if network.network == 'resnet' else 'depth'}={network.count}")
    if method == "cyclegan":
        said += ["identity=0"] * (network.given != network.made) + ["ways=AtoB"] * one_way
    return said


def _document(recipe: Recipe, network: Layout, side: int, files: Sequence[Path]) -> dict[str, Any]:
    """recipe.yaml of a run that was never trained here."""
    options = Options(
        size=(side, side), channels=network.made, given_channels=network.given, held_out=0.0, labels="none",
        pairs="unpaired" if recipe.name == "cyclegan" else "stems",
    )  # fmt: skip
    origin = [{"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in files]
    return {
        **recipe.document(),
        "data": {
            "source": str(files[0]), "kind": "images", "shape": [network.made, side, side],
            **options.record(),
            "sides": {"given": SideSpec(network.given).record(), "made": SideSpec(network.made).record()},
            "fingerprint": "converted", "classes": [], "captions": False,
        },
        "run": {
            "seed": 0, "images": 1, "horizon": 1, "device": "cpu", "threads": torch.get_num_threads(), "processes": 1,
            "rate": 0.0, "preset": recipe.preset, "why": recipe.why, "rescue": False, "stop": "budget",
            "sparring": sparring.__version__, "torch": str(torch.__version__),
            "converted": {"from": origin, "layout": {k: v for k, v in asdict(network).items() if k != "dropout"}},
        },
    }  # fmt: skip


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
