"""Samples of a trained game, in memory and as files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.grid import to_bytes, to_picture
from sparring.generate.instead import instead_of_samples, why_no_samples
from sparring.types import TEXT_ROWS, Samples, SamplesByClass, SamplesByText, pictured

MOST = 1_000_000
"""Samples that one call makes at most."""


class Trained(Protocol):
    """What generating needs of a run: its game, with the averaged weights in place."""

    @property
    def game(self) -> Any: ...


def device_of(game: object) -> torch.device:
    """Where the game's parameters live; the CPU when it has none."""
    parameters = game.parameters() if isinstance(game, torch.nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))


def checked(n: int, seed: int, truncation: float = 1.0) -> None:
    """`UsageError` unless 1 ≤ n ≤ `MOST`, 0 ≤ seed < 2^63 and 0 < truncation ≤ 2 (NaN is refused too)."""
    if not 1 <= n <= MOST:
        raise UsageError(
            "SAMPLE-COUNT", f"between 1 and {MOST:,} samples are possible", where=str(n), fix="for example -n 64"
        )
    if not 0 <= seed < 2**63:
        raise UsageError(
            "SAMPLE-SEED", "a seed is a number from 0 to 2^63 − 1", where=str(seed), fix="for example --seed 0"
        )
    if not 0 < truncation <= 2:
        raise UsageError(
            "SAMPLE-TRUNCATION",
            "truncation is above 0, at most 2",
            where=str(truncation),
            why="1.0 is the prior as trained; below 1 gives safer and less varied samples",
            fix="for example --truncation 0.7",
        )


def class_of(run: Trained, label: str | int, classes: Sequence[str]) -> int:
    """The number of the class that `label` names among `classes`, or is the number of; a name comes before a number.

    `UsageError` if there is none, with the nearest names, or if the game of the run cannot be asked for a class.
    """
    if not (classes and isinstance(run.game, SamplesByClass)):
        name = type(run.game).__name__
        raise UsageError(
            "SAMPLE-LABEL",
            "this run was not told classes, so it cannot be asked for one",
            where=str(label),
            why=f"the game ({name}) does not use labels" if classes else "its data has no labels",
            fix="leave --label out; or train --recipe cgan, or pixelcnn with conditioning=auto, or taming with "
            "conditioning=class, on labelled data (docs/data.md)",
        )
    if str(label) in classes:
        return list(classes).index(str(label))
    if str(label).isdecimal() and int(label) < len(classes):
        return int(label)
    near = difflib.get_close_matches(str(label), classes, n=3, cutoff=0.5)
    shown = ", ".join(classes[:50]) + (f" and {len(classes) - 50} more" if len(classes) > 50 else "")
    raise UsageError(
        "SAMPLE-LABEL",
        "the run has no such class",
        where=str(label),
        why=f"its {len(classes)} classes are {shown}",
        fix=f"did you mean {' or '.join(near)}?" if near else f"use one of the names, or 0 to {len(classes) - 1}",
    )


def wording(run: Trained, text: str | None, label: object = None) -> str | None:
    """The text that is asked for, its spaces in order; None where none is.

    `UsageError` where it says nothing or is no UTF-8, where a class is asked for too, or where the game of the run is
    told no texts.
    """
    if text is None:
        return None
    shown = repr(text)[:60]
    if not isinstance(run.game, SamplesByText):
        name = type(run.game).__name__
        raise UsageError(
            "SAMPLE-TEXT", "this run was not told texts, so it cannot be asked for one", where=shown,
            why=f"the game ({name}) does not use captions",
            fix="leave --text out; or train --recipe text2image, or taming, on images with captions (docs/text.md)",
        )  # fmt: skip
    if not isinstance(text, str):
        raise UsageError(
            "SAMPLE-TEXT", "all samples of a call are of one text", where=shown,
            fix='text="a red apple"; a call for each of several',
        )  # fmt: skip
    if label is not None:
        raise UsageError(
            "SAMPLE-TEXT", "samples are asked for by a class or by a text, not by both", where=f"{label}, {shown}",
            fix="leave one of them out",
        )  # fmt: skip
    if not any(sign.isprintable() and not sign.isspace() for sign in text):
        raise UsageError("SAMPLE-TEXT", "the text says nothing", where=shown, fix='for example "a red apple"')
    if any("\ud800" <= sign <= "\udfff" for sign in text):  # what Python makes of bytes that are no UTF-8
        raise UsageError("SAMPLE-TEXT", "the text is not in UTF-8", where=shown, fix="write it in UTF-8")
    return " ".join(text.split())


def rows_of(game: object, classes: int) -> int | None:
    """Rows of a picture of samples of all classes: one for each, if the game (or its type) is told 2 to 16. Of a game
    that is told texts, one for each of its first captions (`types.pictured`)."""
    if isinstance(game, SamplesByText):
        return min(TEXT_ROWS, len(game.remembered))
    kind = game if isinstance(game, type) else type(game)
    return classes if issubclass(kind, SamplesByClass) and 2 <= classes <= 16 else None


def shown(rows: int | None) -> int:
    """How many images a picture shows: 64 or, with a row for each class or text, whole columns of 8 to 16 of each.

    >>> shown(None), shown(10), shown(2)
    (64, 80, 32)
    """
    return 64 if rows is None else rows * min(16, max(8, 64 // rows))


@torch.no_grad()
def draw(
    run: Trained, n: int, *, seed: int = 0, truncation: float = 1.0, label: int | None = None, text: str | None = None,
    first: int = 0, at_once: int = 64, rows: bool = False,
) -> Tensor:  # fmt: skip
    """Samples number first … first + n − 1 of `seed`: images (n, C, H, W) in [-1, 1], or points (n, D), on the CPU.

    label: number of the one class to draw from (the game must be `SamplesByClass`); None: of all, sample k of class
    k mod classes.   text: of all of them (the game must be `SamplesByText`); None: captions of the training data in
    turn.   rows: instead the n samples that a picture of all shows (`types.pictured`).
    Sample k is the same whatever `n`, `first` and `at_once` are: its latent exactly, its pixels within one 8-bit level.
    """
    checked(n, seed, truncation)
    game = run.game
    if not isinstance(game, Samples):
        raise UsageError(
            "SAMPLE-CANNOT", f"{type(game).__name__} does not make samples of its own",
            why=why_no_samples(game), fix=instead_of_samples(game),
        )  # fmt: skip
    device = device_of(game)
    parts = []
    whole = [range(start, min(start + at_once, first + n)) for start in range(first, first + n, at_once)]
    for numbers in pictured(game, n, at_once) if rows else whole:
        dice = Dice(seed, "sample", numbers, device=device)
        if text is not None:
            assert isinstance(game, SamplesByText)
            samples = game.sample(dice, truncation=truncation, text=[text] * len(dice))
        elif label is None:
            samples = game.sample(dice, truncation=truncation)
        else:
            assert isinstance(game, SamplesByClass)
            samples = game.sample(dice, truncation=truncation, label=torch.full((len(dice),), label, device=device))
        parts.append(samples.float().cpu())
    return torch.cat(parts)


def files(folder: Path, n: int, *, points: bool = False, first: int = 0) -> list[Path]:
    """Where `save` puts n samples, in order.

    >>> [path.name for path in files(Path("out"), 2)]
    ['000000.png', '000001.png']
    """
    return [folder / "points.csv"] if points else [folder / f"{k:06d}.png" for k in range(first, first + n)]


def refuse_taken(paths: Sequence[Path], ours: Path) -> None:
    """`UsageError` if one is a file already, and not below `ours`, the directory of the run: what lies elsewhere is
    somebody's, and is never overwritten. Directories in the way are left to whoever writes."""
    own = ours.resolve()
    taken = next((path for path in paths if path.is_file() and not path.resolve().is_relative_to(own)), None)
    if taken is not None:
        raise UsageError(
            "SAMPLE-OUT",
            "this file is there already, and files outside of the run are never overwritten",
            where=str(taken),
            fix="choose another --out, or move the file away; nothing was written",
        )


def save(samples: Tensor, folder: Path, *, first: int = 0) -> list[Path]:
    """One PNG per image, ``000000.png`` counted from `first`, or one ``points.csv``; returns the paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = files(folder, len(samples), points=samples.dim() == 2, first=first)
    if samples.dim() == 2:
        path = paths[0]
        names = ",".join(f"x{i}" for i in range(samples.shape[1]))
        np.savetxt(path, samples.numpy(), delimiter=",", header=names, comments="", fmt="%.7g")
        return paths
    for path, pixels in zip(paths, to_bytes(samples), strict=True):
        to_picture(pixels).save(path)
    return paths
