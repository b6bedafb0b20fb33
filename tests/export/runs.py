"""Runs of nano games, written as training writes them but without training: milliseconds instead of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.train.arena import BUILT, CLASSES, EVERY, match_of, tokenizer

import sparring
from sparring.data.sides import SideSpec
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import plain
from sparring.runs.run import Run
from sparring.train.checkpoint import Store
from sparring.types import Classifies, SamplesByClass, Segments, Translates

CLASS_NAMES = tuple("abcde")
MAP = ("sky", "wall", "door")


def run_of(name: str, out: Path, *, rounds: int = 2, **settings: Any) -> Run:
    """A run of a nano game of the arena after some rounds, in `out`; its averages are not its raw weights."""
    match = match_of(name, **settings)
    for _ in range(rounds):
        match.step()
    directory = RunDirectory(out)
    directory.create(document_of(name, match.game, match.training, match.images), {"used": 40, "held_out": 4})
    Store(directory.checkpoints).save(match.images, match.tensors(), match.state())
    return Run(out, device="cpu")


def document_of(name: str, game: Any, config: Any, images: int) -> dict[str, Any]:
    """What recipe.yaml says of it, with paths that are nobody else's business."""
    recipe, shape, _ = EVERY[name]
    told = isinstance(game, (SamplesByClass, Classifies))
    data: dict[str, Any] = {
        "source": "/home/me/secret place/my photos", "kind": "images" if len(shape) == 3 else "points",
        "shape": list(shape), "crop": "center", "background": [255, 255, 255], "held_out": 0.05, "fingerprint": "f",
        "classes": list(CLASS_NAMES[:CLASSES]) if told else [], "captions": False,
    }  # fmt: skip
    if isinstance(game, (Translates, Segments)):
        made = SideSpec(1, MAP, colours=((0, 0, 0), (9, 9, 9), (200, 0, 0))) if recipe == "fcn8s" else SideSpec(3)
        data |= {
            "into": "/home/me/secret place/drawings", "pairs": "unpaired" if recipe == "cyclegan" else "stems",
            "sides": {"given": SideSpec(3).record(), "made": made.record()},
        }  # fmt: skip
    run = {
        "seed": 0, "images": 10 * images, "horizon": 400, "device": "cpu", "threads": 1, "processes": 1,
        "preset": recipe, "sparring": sparring.__version__, "torch": str(torch.__version__),
    }  # fmt: skip
    tokens = tokenizer()
    other = {"run": "/home/me/secret place/tokens", "images": 8, "sha256": "s", "recipe": "vqgan",
             "config": plain(tokens.config), "data": {"kind": "images", "shape": list(shape)}}  # fmt: skip
    others = {"others": {"tokens": other}} if name in BUILT else {}
    return {"recipe": recipe, "config": plain(config), **others, "data": data, "run": run}
