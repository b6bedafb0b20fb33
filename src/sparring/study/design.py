"""From trained runs to a study: draws pictures, writes them under names that say nothing, and states the rules.

A study is a directory::

    study.yaml   what it is: protocol, seeds, rules, models, and what each picture is (`plan.Study`)
    images/      every picture as a PNG written by us, all of one size, one date and random names
    study.db     the answers (`store.Store`)
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparring
from sparring.errors import MachineError, UsageError
from sparring.generate.grid import to_picture
from sparring.runs.evaluate.opening import Place, place
from sparring.study import plan
from sparring.study.pictures import Drawing, Drawn, Progress
from sparring.study.plan import Kind, Model, Picture, Rules, Study

CATCH = 6
"""Catch trials unless a number is asked for: with at most one wrong, 7 of 64 raters that press any key pass, and of
those that look and slip once in fifty times 99 of 100."""
_WHEN = 946_684_800  # the date of every picture: 2000-01-01, so that dates do not tell who is real


def new(
    runs: str | Path | Sequence[str | Path],
    real: str | Path | None = None,
    protocol: plan.Protocol = "paired",
    trials: int = 50,
    seconds: float | None = None,
    practice: int = 10,
    seed: int = 0,
    *,
    catch: int = CATCH,
    matched: bool | None = None,
    one_each: bool = False,
    images: int | None = None,
    which: str | int = "best",
    device: str = "auto",
    title: str = "",
    rules: Rules | dict[str, Any] | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make a study of runs; its directory. Read it with `plan.read`, ask people with `store.Store`.

    runs: directories of runs; or folders and zips of pictures that something else made.   real: data, or a run, which
    stands for the data that it was trained on; None: those of the first run, what was held out of them.
    protocol, trials, practice, seed, catch, one_each: see `plan.Study`.   seconds: how long pictures are seen; 0: until
    the answer; None: 1 of "paired", else 0.   matched: both pictures of a trial are of one input (runs that translate
    pairs); None: in a preference of such runs.   images: different pictures of each model that count; None: as many as
    a rater sees.   which: the checkpoint of each run.   title: what raters read, by default one that names no model.
    out: a new directory, by default ``runs/study-NAME``.

    Raises `UsageError` for what cannot be asked, `DataError` where there are too few real pictures.
    """
    named = [runs] if isinstance(runs, (str, Path)) else list(runs)
    places = [place(str(run)) for run in named]
    if not places:
        raise UsageError("STUDY-RUNS", "a study needs something that was made", fix="name a run")
    goal = _free(Path(out) if out is not None else Path("runs") / f"study-{_name(places[0], named[0])}")
    if seconds is None:
        seconds = 1.0 if protocol == "paired" else 0.0
    asked: dict[str, Any] = {
        "title": title or plan.TITLES.get(protocol, "A study"), "protocol": protocol, "trials": trials,
        "practice": practice, "seconds": seconds or None, "catch": catch, "seed": seed, "one_each": one_each,
        "rules": rules.model_dump() if isinstance(rules, Rules) else rules or {},
        "models": [_model(k, at, name).model_dump() for k, (at, name) in enumerate(zip(places, named))],
        "real": {"source": str(real or named[0])} if protocol != "preference" else None,
        "made_by": sparring.__version__,
    }  # fmt: skip
    study = plan.usable(asked)
    pool = max(study.scored, images or 0)
    if images is not None and images < study.scored:
        raise UsageError("STUDY-IMAGES", f"a rater sees {study.scored} pictures that count", where=str(images),
                         fix=f"--images {study.scored} or more, or fewer --trials")  # fmt: skip
    drawn = Drawing(places, named, str(real) if real is not None else None, seed, str(which), device, progress)
    with drawn:
        uses: list[tuple[Kind, int]] = [("scored", pool), ("practice", study.practice), ("catch", study.catch)]
        found = drawn.draw(sum(count for _, count in uses), reals=protocol != "preference", matched=matched)
    models = [m.model_copy(update=drawn.told(k)) for k, m in enumerate(study.models)]
    pictures, pixels = _laid_out(found, uses, seed)
    whole = study.model_copy(
        update={"models": tuple(models), "matched": drawn.matched, "real": drawn.real, "pictures": tuple(pictures)}
    )
    _write(plan.usable(whole.model_dump()), pixels, goal)
    return goal


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────


def _name(at: Place, named: str | Path) -> str:
    return Path(at.path).resolve().name if at.kind != "data" or Path(named).exists() else str(named).replace("/", "-")


def _model(number: int, at: Place, named: str | Path) -> Model:
    if number >= 26:
        raise UsageError("STUDY-RUNS", "a study compares at most 26 models", fix="make several studies")
    kind = "data" if at.kind == "data" else "run"
    return Model(letter=chr(ord("A") + number), name=_name(at, named), path=str(named), kind=kind)


def _free(goal: Path) -> Path:
    if goal.exists() and (not goal.is_dir() or any(goal.iterdir())):
        what = "the directory is not empty" if goal.is_dir() else "this is a file, not a directory"
        raise UsageError("STUDY-OUT", what, where=str(goal), fix="choose another --out; nothing was changed")
    return goal


# ── what is written ───────────────────────────────────────────────────────────────────────────────────────────────


def _laid_out(found: Drawn, uses: list[tuple[Kind, int]], seed: int) -> tuple[list[Picture], dict[str, Tensor]]:
    """What each picture is for, and its pixels by its new name, in the order of these names."""
    pictures, pixels = [], {}
    for of, some in found.items():
        first = 0
        for use, count in uses:
            for item, (source, image) in enumerate(some[first : first + count]):
                name = secrets.token_hex(8)
                pixels[name] = image
                pictures.append(Picture(name=name, of=of, use=use, item=item, source=source))
            first += count
    shape = tuple(next(iter(pixels.values())).shape)
    for item in range(dict(uses)["catch"]):
        name = secrets.token_hex(8)
        pixels[name] = _noise(shape, seed, item)
        pictures.append(Picture(name=name, of="noise", use="catch", item=item, source=item))
    return sorted(pictures, key=lambda picture: picture.name), pixels


def _noise(shape: tuple[int, ...], seed: int, item: int) -> Tensor:
    """(C, H, W) uint8: every value by itself, opaque. Nobody takes it for a picture."""
    levels = np.random.default_rng((seed, item)).integers(0, 256, shape, np.uint8)
    if shape[0] == 4:
        levels[3] = 255
    return torch.from_numpy(levels)


def _write(study: Study, pixels: dict[str, Tensor], goal: Path) -> None:
    """The directory: written aside, then renamed, so that there is all of a study or none."""
    aside = goal.with_name(f".{goal.name}.{os.getpid()}.tmp")
    folder = aside / plan.PICTURES
    try:
        folder.mkdir(parents=True)
        for name in sorted(pixels):
            file = folder / f"{name}.png"
            to_picture(np.ascontiguousarray(pixels[name].permute(1, 2, 0).numpy())).save(file, "PNG")
            os.utime(file, (_WHEN, _WHEN))
        plan.write(study, aside)
        if goal.is_dir():
            goal.rmdir()  # empty: `_free` has looked
        aside.rename(goal)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise MachineError("STUDY-OUT", "the study cannot be written", where=str(goal), why=str(error)) from None
