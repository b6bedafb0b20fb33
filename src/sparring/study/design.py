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
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparring
from sparring.errors import DataError, MachineError, UsageError
from sparring.generate.grid import to_picture
from sparring.runs.evaluate.opening import Place, Wanted, open_side, options_of_run, place
from sparring.runs.evaluate.pairs import Translated
from sparring.runs.evaluate.sides import Side
from sparring.study import plan
from sparring.study.plan import Kind, Model, Picture, Real, Rules, Study

CATCH = 6
"""Catch trials unless a number is asked for: with at most one wrong, 7 of 64 raters that press any key pass, and of
those that look and slip once in fifty times 99 of 100."""
_WHEN = 946_684_800  # the date of every picture: 2000-01-01, so that dates do not tell who is real

Progress = Callable[[str, int, int], None]


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
    a rater sees.   which: the checkpoint of each run.   title: what raters read.   out: a new directory, by default
    ``runs/study-NAME``.

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
        "title": title or _name(places[0], named[0]), "protocol": protocol, "trials": trials, "practice": practice,
        "seconds": seconds or None, "catch": catch, "seed": seed, "one_each": one_each,
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
    drawn = _Drawing(places, named, str(real) if real is not None else None, seed, str(which), device, progress)
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


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────

Drawn = dict[str, list[tuple[str | int, Tensor]]]
"""By "real", "A", "B", …: what each picture is called, and its pixels (C, H, W) uint8."""


class _Drawing:
    """Opens what makes pictures, one after the other.

    real: what the study says of real pictures.   matched: whether equal numbers were made from the same input.
    """

    def __init__(
        self, places: list[Place], named: Sequence[str | Path], real: str | None, seed: int, which: str, device: str,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.places, self.named, self.asked = places, named, real
        self.seed, self.which, self.device, self.progress = seed, which, device, progress
        self.real: Real | None = None
        self.matched = False
        self._told: list[dict[str, Any]] = []
        self._inputs: list[str] = []  # what the pictures of each model were made from, where that is known
        self._open: list[Side] = []
        first = next((at.path for at in places if at.kind != "data"), None)
        self.options = options_of_run(first) if first is not None else None

    def told(self, number: int) -> dict[str, Any]:
        return self._told[number]

    def draw(self, total: int, *, reals: bool, matched: bool | None) -> Drawn:
        """`total` pictures of each model, and as many real ones."""
        found: Drawn = {}
        for k, at in enumerate(self.places):
            side = self._side(at, str(self.named[k]), total)
            self._told.append({"images": side.images, "remarks": tuple(side.changes)})
            self._inputs.append(_input_of(side))
            found[chr(ord("A") + k)] = self._take(side, total, str(self.named[k]))
        if reals:
            found["real"] = self._reals(total)
        self.matched = self._match(matched, reals)
        _check_sizes(found, self.named)
        return found

    def _side(self, at: Place, name: str, total: int) -> Side:
        if at.kind == "data":
            return self._opened(Wanted("files", name, options=self.options, n=total, seed=self.seed))
        which = str(at.checkpoint) if at.checkpoint is not None else self.which
        return self._opened(
            Wanted("drawn", at.path, split="held-out", n=max(3, total), seed=self.seed, which=which, device=self.device)
        )

    def _reals(self, total: int) -> list[tuple[str | int, Tensor]]:
        """Held-out pictures of the data of a run; where they are too few, of all of them, as far as that is fair."""
        text = self.asked if self.asked is not None else self._first_run()
        at = place(text)
        if at.kind == "data":
            side = self._opened(Wanted("files", text, options=self.options, n=total, seed=self.seed))
            self.real = Real(source=text, prepared=side.prepared)
            return self._take(side, total, text)
        wanted = Wanted("rows", at.path, split="held-out", of_run=True, n=max(3, total), seed=self.seed)
        side = self._opened(wanted)
        split, remarks = "held-out", list(side.changes)
        if len(side) < total and not any(self._inputs):
            remarks.append(f"only {len(side)} pictures were held out, so real ones are of all data")
            side = self._opened(replace(wanted, split="all"))
            split = "all"
        self.real = Real(source=at.path, split=split, prepared=side.prepared, remarks=tuple(remarks))
        return self._take(side, total, at.path)

    def _first_run(self) -> str:
        path = next((at.path for at in self.places if at.kind != "data"), None)
        if path is None:
            raise UsageError("STUDY-REAL", "nobody knows which pictures are real", where=str(self.named[0]),
                             why="a run would know its data; this is none", fix="--real DATA")  # fmt: skip
        return path

    def _match(self, asked: bool | None, reals: bool) -> bool:
        """Whether equal numbers belong to one input, as far as that is asked for."""
        own = self.asked is None or not reals
        can = bool(self._inputs[0]) and len(set(self._inputs)) == 1 and own
        if asked and not can:
            raise UsageError(
                "STUDY-MATCHED", "pictures cannot be matched", fix="leave --matched out",
                why="only runs that translate pairs make pictures that belong to an input, and all of the same data",
            )  # fmt: skip
        return can and (not reals if asked is None else asked)

    def _opened(self, wanted: Wanted) -> Side:
        side = open_side(wanted, self.progress)
        self._open.append(side)
        return side

    def _take(self, side: Side, total: int, name: str) -> list[tuple[str | int, Tensor]]:
        found: dict[int, Tensor] = {}
        for start in range(0, min(total, len(side)), 16):
            for positions, images in side.groups(start, min(start + 16, total)):
                found |= dict(zip(positions, images))
            if self.progress is not None:
                self.progress("pictures", min(start + 16, total), total)
        if len(found) < total:
            held = " held-out" if side.split == "held-out" else ""
            raise DataError(
                "STUDY-FEW", f"there are {len(found)}{held} pictures that can be used, and the study needs {total}",
                where=name, why="every picture is shown once to a rater, else it is known again",
                fix="ask for fewer --trials, --practice and --catch, or give more data",
            )  # fmt: skip
        return [(side.name(k), found[k]) for k in sorted(found)]

    def __enter__(self) -> _Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        for side in self._open:
            side.close()


def _input_of(side: Side) -> str:
    """What names the inputs of translations of pairs; "" of anything else."""
    if not isinstance(side, Translated) or not side.scene.paired:
        return ""
    return f"{side.scene.dataset.fingerprint} {side.split} {side.scene.numbers.tolist()}"


def _check_sizes(found: Drawn, named: Sequence[str | Path]) -> None:
    """`UsageError` where pictures differ in size or channels, by which raters would know them."""
    shapes = {of: {tuple(pixels.shape) for _, pixels in some} for of, some in found.items()}
    if len(set().union(*shapes.values())) == 1:
        return
    names = {"real": "real"} | {chr(ord("A") + k): str(name) for k, name in enumerate(named)}
    said = "; ".join(
        f"{names[of]}: {' and '.join(f'{w}x{h}, {c} channels' for c, h, w in sorted(some)[:2])}"
        for of, some in shapes.items()
    )
    raise UsageError(
        "STUDY-SIZES", "pictures of different sizes cannot be compared by looking", why=said,
        fix="compare runs of one size; real pictures and folders are brought to the size of the first run",
    )  # fmt: skip


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
    """The directory, study.yaml last: without it there is no study."""
    folder = goal / plan.PICTURES
    try:
        folder.mkdir(parents=True)
        for name in sorted(pixels):
            file = folder / f"{name}.png"
            to_picture(np.ascontiguousarray(pixels[name].permute(1, 2, 0).numpy())).save(file, "PNG")
            os.utime(file, (_WHEN, _WHEN))
        plan.write(study, goal)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise MachineError("STUDY-OUT", "the study cannot be written", where=str(goal), why=str(error)) from None
