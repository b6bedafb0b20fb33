"""A trained run as a folder that works without it: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sparring.errors import MachineError, UsageError
from sparring.export import card, onnx, safetensors
from sparring.runs import own
from sparring.runs.directory import check_above, write_atomically
from sparring.runs.release import CONFIG, WEIGHTS, Release, kept
from sparring.runs.run import Run
from sparring.runs.values import unknown

FORMS = ("safetensors", "onnx", "hub")
"""``safetensors``: what sparring opens.   ``onnx``: for other programs.   ``hub``: as the first, to be published."""
OURS = (CONFIG, WEIGHTS, "model.onnx", "back.onnx", card.CARD, card.PICTURE)
"""Every file that an export may write."""

Progress = Callable[..., None]


@dataclass(frozen=True)
class Exported:
    """A folder that was written. files: in it.   onnx: what its ONNX files compute.   remarks: what to know of it."""

    path: Path
    files: tuple[Path, ...]
    onnx: tuple[onnx.Written, ...] = ()
    remarks: tuple[str, ...] = ()


def forms(to: str | Sequence[str]) -> tuple[str, ...]:
    """What is asked for, checked: ``"safetensors,onnx"`` or a list of such words."""
    words = to.split(",") if isinstance(to, str) else list(to)
    named = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    for word in named:
        if word not in FORMS:
            raise unknown("EXPORT-FORM", "there is no such form", word, FORMS, where="--to")
    if not named:
        raise UsageError("EXPORT-FORM", "say in which form", fix=f"--to {' or '.join(FORMS)}")
    return named


def check(run: Run, to: Sequence[str], licence: str = "") -> None:
    """Raise what can be said against an export before anything is written."""
    if "onnx" in to:
        onnx.check(str(run.path))
    recipe = str(run.document["recipe"])
    if "hub" in to and own.is_own(recipe):
        raise UsageError(
            "EXPORT-OWN", "a game in a file of one's own is not published: who gets it does not have the file",
            where=recipe, why="a folder holds numbers and never a program", fix="--to onnx needs no program; or "
            "--to safetensors, for yourself",
        )  # fmt: skip
    if licence and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,63}", licence):
        raise UsageError("EXPORT-LICENSE", "a licence is named as the hub names it", where=licence,
                         fix="such as apache-2.0, mit, cc-by-sa-4.0 or other")  # fmt: skip


def export(
    run: Run, to: Sequence[str], out: Path, *, licence: str = "", inputs: bool = False, place: str = "",
    progress: Progress | None = None,
) -> Exported:  # fmt: skip
    """Write the folder `out`. It is new, or empty, or an earlier export in the run; else `UsageError`.

    licence: of the model, for its card.   inputs: show beside translations the pictures that they were made from.
    place: what the card calls the folder; default: its path, or of ``hub`` where it will be.
    """
    check(run, to, licence)
    _refuse_taken(out, run.path)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    remarks: list[str] = []
    try:
        part.mkdir(parents=True)
        said = safetensors.described(run)
        if {"safetensors", "hub"} & set(to):
            said = safetensors.write(run, part, said)
            _compare(run, part)
        written = onnx.write(run, part, progress) if "onnx" in to else []
        if WEIGHTS not in os.listdir(part):
            safetensors.write_config(part, said)
        shown, words = card.draw(run, inputs=inputs)
        if shown is not None:
            shown.save(part / card.PICTURE)
        elif words:
            remarks.append(words)
        place = place or (card.ANYWHERE if "hub" in to else str(out))
        told = card.text(said, place, licence=licence, shows=words if shown is not None else "", onnx=written)
        write_atomically(part / card.CARD, told)
        _replace(part, out)
    except OSError as error:
        raise MachineError("EXPORT-OUT", "the folder cannot be written", where=str(out), why=str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(part)
    names = [name for name in OURS if (out / name).is_file()]
    return Exported(out, tuple(out / name for name in names), tuple(written), tuple(remarks))


def _compare(run: Run, folder: Path) -> None:
    """`MachineError` unless the folder opens as the very numbers of the run."""
    again = kept(Release(folder, device="cpu").game)
    for name, tensor in kept(run.game).items():
        if not torch.equal(again[name], tensor.cpu()):
            raise MachineError("EXPORT-OUT", "the disk gave back other numbers than were written", where=name)


def _refuse_taken(out: Path, ours: Path) -> None:
    """`UsageError` if something is at `out` that is not an earlier export of this run."""
    if not out.exists():
        check_above(out, "EXPORT-OUT")
        return
    if not out.is_dir():
        raise UsageError("EXPORT-OUT", "there is a file in the way", where=str(out), fix="choose another --out")
    there, below = os.listdir(out), out.resolve() != ours.resolve() and out.resolve().is_relative_to(ours.resolve())
    if there and not (below and CONFIG in there):
        raise UsageError(
            "EXPORT-OUT", "the folder is not empty, and files outside of the run are never overwritten", where=str(out),
            fix="choose another --out, or empty it; nothing was written",
        )  # fmt: skip


def _replace(part: Path, out: Path) -> None:
    """Give the finished folder its name. Of an earlier export only what is not ours stays, such as samples of it."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    try:
        part.rename(out)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(out)
        raise
    if old.exists():
        for name in set(os.listdir(old)) - set(OURS):
            (old / name).rename(out / name)
        shutil.rmtree(old)
