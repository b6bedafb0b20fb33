"""What a run can be used for, from what its recipe.yaml says alone: no checkpoint is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparring.runs.directory import RunDirectory
from sparring.runs.plan import game_of
from sparring.runs.run import classes_of
from sparring.train.checkpoint import Store
from sparring.types import HasLatents, Samples, Translates, TranslatesBack


@dataclass(frozen=True)
class Uses:
    """recipe: its name.   kind: of the data, "images" or "points".   shape: of a sample, (C, H, W) or (D,).
    classes: how many.   ready: whether there is a checkpoint, so that it can be used at all."""

    recipe: str
    kind: str
    shape: tuple[int, ...]
    classes: int
    samples: bool
    latents: bool
    translates: bool
    back: bool
    ready: bool


def uses(path: Path | str) -> Uses:
    """Of the run in a directory. Raises `SparringError` for what is no run, or one of a game that is not known here."""
    directory = RunDirectory(path)
    document = directory.document()
    game, data = game_of(document), document["data"]
    return Uses(
        str(document["recipe"]), str(data["kind"]), tuple(int(n) for n in data["shape"]), len(classes_of(document)),
        issubclass(game, Samples), issubclass(game, HasLatents), issubclass(game, Translates),
        issubclass(game, TranslatesBack), bool(Store(directory.checkpoints).moments),
    )  # fmt: skip
