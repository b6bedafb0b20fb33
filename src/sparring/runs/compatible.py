"""What can be said against a request before its data are opened, and before anything is computed with them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sparring.autoencoder import AutoencoderConfig
from sparring.budget import check_begins, check_seed
from sparring.data import Options
from sparring.data.options import flag
from sparring.data.points import NAMES as POINTS
from sparring.data.sources import lies_in
from sparring.errors import UsageError
from sparring.runs import auto
from sparring.runs.directory import MOST_THREADS, RunDirectory, free_directory
from sparring.runs.recipe import Recipe, load
from sparring.train.engine import world
from sparring.train.match import check_shares
from sparring.types import Space

if TYPE_CHECKING:
    from sparring.runs.plan import Request

_ANY_DATA = ("held_out", "limits", "keep", "on_bad")
"""Options that mean something, or do no harm, whatever the data are."""
_LARGE, _TIMES = 4096, 10
"""A batch of this many is never refused, one of more than so many times the data is."""


def before_data(request: Request) -> Recipe | None:
    """Everything that needs no data: seed, budget, the run's directory, the recipe and the names of its settings.

    Returns the recipe, or None for "auto" where the data decide: then the settings are checked against all that may be
    chosen.
    """
    check_seed(request.seed)
    check_begins(request.budget)
    if request.threads is not None and not 1 <= request.threads <= MOST_THREADS:
        raise UsageError("THREADS", f"threads is a number from 1 to {MOST_THREADS}", where=str(request.threads),
                         fix="leave it out to use what suits the machine")  # fmt: skip
    size = request.options.size
    if size is not None and not all(8 <= side <= 2048 for side in size):
        raise UsageError("SIZE", "each side of the images is 8 to 2048 pixels", where="x".join(map(str, size[::-1])),
                         fix="for example --size 64")  # fmt: skip
    request.options.check_pairs()
    for source in (request.data, request.options.into):
        if source is not None:
            _check_directory(request.out, request.data, source)
    if request.recipe != "auto":
        return load(request.recipe, request.set)
    if found := auto.of_pairs(request.options.pairs, two=request.options.into is not None):
        return load(found[0], request.set, found[1])
    if request.set:
        _fits_one(request.set, auto.MEANT_FOR_POINTS if request.data in POINTS else auto.CHOICES)
    return None


def _fits_one(changes: tuple[str, ...], choices: tuple[str, ...]) -> None:
    """`UsageError` unless the changes suit one of the presets that "auto" chooses from; it is that of the first preset
    that has all of the settings, so that a setting with a wrong value is never called unknown."""
    refused: list[UsageError] = []
    for preset in choices:
        try:
            load(preset, changes)
            return
        except UsageError as error:
            refused.append(error)
    raise next((error for error in refused if error.code != "CONFIG-KEY"), refused[0])


def _check_directory(out: Path | None, data: str, source: str) -> None:
    """The directory is free, and not inside the data `source`: its pictures would be taken for data the next time."""
    if out is not None:
        RunDirectory(out).check_free()
    place = Path(out or free_directory(data)).resolve()
    if lies_in(place, source):
        folder = Path(source).expanduser().resolve()
        free = folder.parent / "runs" / folder.name
        raise UsageError(
            "RUN-IN-DATA", "the run would lie inside its own data", where=str(out or place),
            why="its pictures would be taken for data the next time", fix=f"--out {free}",
        )  # fmt: skip


def check_kind(kind: str, options: Options, recipe: Recipe, data: str) -> None:
    """`UsageError` for what does not go together with this kind of data."""
    if kind != "points":
        return
    # mixtures know their modes, which may be left aside
    usual = Options(labels="none" if options.labels == "none" else "auto")
    for field in dataclasses.fields(Options):
        if field.name not in _ANY_DATA and getattr(options, field.name) != getattr(usual, field.name):
            raise UsageError(
                "POINTS-FLAG", f"{flag(field.name)} is about images, and these data are points", where=data,
                fix=f"leave it out, or train on images instead of {data}",
            )  # fmt: skip
    if recipe.name in auto.IMAGES_ONLY:
        raise UsageError(
            "POINTS-RECIPE", f"--recipe {recipe.preset or recipe.name} is for images, and these data are points",
            where=data, fix="--recipe gan-points, or leave --recipe out; or train on images",
        )  # fmt: skip
    decoder = _decoder(recipe)
    if decoder not in ("", "gaussian"):
        values = "black and white" if decoder == "bernoulli" else "the 256 levels of an image"
        raise UsageError(
            "POINTS-DECODER", f"decoder={decoder} is a law of {values}, and these data are points of real numbers",
            where=data, fix="--set decoder=gaussian",
        )  # fmt: skip


def _decoder(recipe: Recipe) -> str:
    """The law of x given z of a recipe that has one, else ""."""
    return recipe.config.decoder if isinstance(recipe.config, AutoencoderConfig) else ""


def check_pairs(recipe: Recipe, space: Space, data: str) -> None:
    """`UsageError` where the recipe needs images to make others from, or label maps, and the data are not like that;
    and where the data are pairs and the recipe has no use for them."""
    needs, called = recipe.kind(space).needs, recipe.preset or recipe.name
    if "pair" in needs and (space.condition is None or not space.paired):
        raise UsageError(
            "DATA-UNPAIRED", f"recipe {called} needs pairs: an image that is given, and one to be made of it",
            where=data,
            fix="two folders whose files have the same stems: sparring train A/ B/; or halves of one picture: --pairs "
            "side-by-side; or metadata.jsonl with file_A and file_B; or emoji; without pairs: --recipe cyclegan",
        )  # fmt: skip
    if "unpaired" in needs and space.condition is None:
        raise UsageError(
            "DATA-ONE-SET", f"recipe {called} needs two sets of images", where=data,
            fix=f"name two folders: sparring train A/ B/ --recipe {called}",
        )  # fmt: skip
    if "unpaired" in needs and space.paired:
        raise UsageError(
            "DATA-PAIRED", f"recipe {called} needs two sets that are drawn independently, and these are pairs",
            where=data, fix="--pairs unpaired; or --recipe pix2pix, which uses that they belong together",
        )  # fmt: skip
    if "legend" in needs and not space.legend:
        raise UsageError(
            "DATA-NO-MAPS", f"recipe {called} learns label maps, and the images to be made are none", where=data,
            fix="say which side holds them: --maps B; in colours also --palette FILE",
        )  # fmt: skip
    if space.condition is not None and not {"pair", "unpaired"} & needs:
        raise UsageError(
            "DATA-PAIRS", f"recipe {called} makes images out of nothing, and these data are two sets", where=data,
            fix="name one folder; or --recipe pix2pix (pairs), --recipe cyclegan (without pairs)",
        )  # fmt: skip


def unlikely(recipe: Recipe, binarise: str) -> list[str]:
    """What keeps a recipe that could say how likely images are from saying so of these, or makes it say what nobody
    asks."""
    decoder = _decoder(recipe)
    if binarise != "none":
        if getattr(recipe.config, "outcome", "") == "levels":
            return [f"outcome=levels is a law of 256 levels, and --binarise {binarise} leaves black and white: its "
                    "likelihood compares with no other; outcome=binary is of these images"]  # fmt: skip
        if decoder not in ("", "bernoulli"):
            law = "a density of real numbers" if decoder == "gaussian" else "a law of 256 levels"
            return [f"decoder={decoder} is {law}, and --binarise {binarise} leaves black and white: its likelihood "
                    "compares with no other; decoder=bernoulli is of these images"]  # fmt: skip
    if decoder != "bernoulli" or binarise != "none":
        return []
    return ["decoder=bernoulli takes grey values for probabilities, which trains and samples, and gives no likelihood; "
            "--binarise dynamic makes images of black and white that have one"]  # fmt: skip


def notes(kind: str, recipe: Recipe, count: int) -> list[str]:
    """What is possible, but perhaps not meant. count: samples to train on."""
    said, batch = [], recipe.config.batch
    if kind == "images" and recipe.preset in auto.MEANT_FOR_POINTS:
        said.append(f"{recipe.preset} is made for 2-D points; for images leave --recipe out, or take r3gan-minutes")
    if batch > count:
        said.append(
            f"a batch of {batch:,} is more than the {count:,} {kind} there are: every step sees each at least once"
        )
    return said


def check_processes(device: torch.device) -> None:
    """`UsageError` if the processes of this run cannot share this kind of device."""
    _, size = world()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if size == 1:
        return
    if device.type == "mps":
        raise UsageError(
            "PROCESSES-DEVICE", f"--processes {size} and --device mps do not go together",
            why="processes cannot exchange gradients on mps", fix="--processes 1, or --device cpu",
        )  # fmt: skip
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise UsageError(
            "PROCESSES-DEVICE", f"--processes {here} needs as many GPUs, and here are {torch.cuda.device_count()}",
            fix=f"--processes {torch.cuda.device_count()}, or --device cpu",
        )  # fmt: skip


def check_batch(recipe: Recipe, count: int) -> None:
    """`UsageError` if the processes of this run cannot share its batch equally, or it is a slip of the finger: many
    times the `count` samples there are, so that even timing it would take for ever."""
    _, size = world()
    batch = recipe.config.batch
    if batch > max(_LARGE, _TIMES * count):
        raise UsageError(
            "BATCH-DATA", f"a batch of {batch:,} is more than {_TIMES} times the {count:,} samples there are",
            why="every step would see each of them many times over",
            fix=f"--set batch={min(64, max(1, count))}, or any number up to {max(_LARGE, _TIMES * count):,}",
        )  # fmt: skip
    check_shares(batch, size)
