"""Reconstructions of files: which pictures are meant, what each result is called, and the sheet of the first."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.data import cache
from sparring.data.decode import decoding
from sparring.data.formats import HEAD, sniff
from sparring.data.opening import Unusable
from sparring.data.options import Options
from sparring.data.sources import open_source
from sparring.data.sources.items import Two, Unreadable
from sparring.errors import DataError, UsageError
from sparring.generate.grid import to_picture
from sparring.generate.pairs import in_pairs, visible
from sparring.generate.sample import refuse_taken
from sparring.metrics.paired import decibels
from sparring.runs.evaluate.opening import data_of
from sparring.runs.reconstruction import Pixels, Reconstruction
from sparring.runs.release import Release
from sparring.runs.translation_files import Progress, inputs, to_file, write

SHEET = "sheet.png"
"""What is given and its reconstruction, side by side."""
WRITTEN = ".reconstructed"
"""In a folder of the run: the names of what was written there, a line each, so that the next call can replace it."""
_ON_SHEET = 64
HELD_OUT = 64
"""Held-out pictures that are taken where none are named."""
_NAME = "name pictures: sparring reconstruct RUN photos/"


@dataclass
class Reconstructed:
    """What was done. paths: written, in order.   sheet: of the first pictures, `shown` in number.
    skipped: (name, why).   odd: (name, why) of what was reconstructed, and training and evaluation leave out.
    l1, mse: of each picture, in the units of [0, 1], against what the run was given.   of: what that is."""

    paths: list[Path] = field(default_factory=list)
    sheet: Path | None = None
    shown: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    l1: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    of: str = ""
    odd: list[tuple[str, str]] = field(default_factory=list)

    def line(self) -> str:
        """How near the reconstructions are, for a person, and what of them the sheet shows."""
        n = len(self.paths)
        mean = sum(self.l1) / n
        them = "them" if n != 1 else "it"
        shows = them if self.shown == n else f"the first {self.shown:,} of {n:,}"
        return (
            f"{n:,} picture{'s' * (n != 1)}: L1 {mean:.4f}, PSNR {decibels(sum(self.mse) / n):.2f} dB, against "
            f"{them} as the run is given {them}: {self.of}; {SHEET} shows {shows}: given | reconstruction"
        )


@dataclass(frozen=True)
class Named:
    """A picture. name: as its source has it.   called: the file that its reconstruction becomes.   read: its bytes, or
    (H, W, C) uint8.   ready: whether it is prepared already."""

    name: str
    called: str
    read: Callable[[], bytes | Pixels]
    ready: bool = False


def reconstruct(
    job: Reconstruction, sources: Sequence[str], out: Path | None, *, most: int | None = None,
    progress: Progress | None = None,
) -> Reconstructed:  # fmt: skip
    """Reconstruct the first `most` pictures that `sources` name (default: all) into the folder `out`, by default
    ``RUN/reconstructed``; without sources held-out pictures of the run (`HELD_OUT`). One PNG for each, of the same
    stem, and a sheet of the first.

    What cannot be used is named and left out. In the directory of the run what an earlier call wrote is replaced;
    elsewhere no file is. Raises `DataError`, `UsageError`.
    """
    home = job.run.home
    goal = out if out is not None else home / "reconstructed"
    _check_out(goal, home, sources)
    done, taken = Reconstructed(of=job.of), {SHEET}
    columns: tuple[list[Tensor], list[Tensor]] = ([], [])
    many = _named(sources, progress) if sources else _held_out(job, HELD_OUT if most is None else most, progress)
    with decoding(), closing(many):
        for number, one in enumerate(many):
            if progress is not None:
                progress("reconstructing", number, 0)
            try:
                data = one.read()
                given = np.asarray(data) if one.ready else job.prepared(data)
                odd = "" if one.ready else job.odd(data)
            except (Unusable, Unreadable) as error:
                done.skipped.append((one.name, str(error)))
                continue
            made = job(given)
            if not done.paths:
                _clear(goal, home)
            path = goal / _free(one.called, taken)
            _write(to_file(to_picture(made), "PNG"), path, goal, home)
            done.paths.append(path)
            done.odd += [(one.name, odd)] if odd else []
            apart = (made.astype(np.float64) - given) / 255
            done.l1.append(float(np.abs(apart).mean()))
            done.mse.append(float(np.square(apart).mean()))
            for column, pixels in zip(columns, (given, made), strict=True):
                if len(column) < _ON_SHEET:
                    tile = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
                    column.append(visible(tile))
            if len(done.paths) == most:
                break
    if not done.paths:
        why = f"{done.skipped[0][0]}: {done.skipped[0][1]}" if done.skipped else "there is no picture"
        raise DataError("RECONSTRUCT-NOTHING", "there is no picture that can be used", where=", ".join(sources),
                        why=why, fix=_NAME)  # fmt: skip
    done.sheet, done.shown = goal / SHEET, len(columns[0])
    _write(to_file(in_pairs(*(torch.cat(column) for column in columns)), "PNG"), done.sheet, goal, home)
    return done


# ── where to ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_out(goal: Path, home: Path, sources: Sequence[str]) -> None:
    """`UsageError` unless reconstructions can go there."""
    if goal.is_file():
        raise UsageError("RECONSTRUCT-OUT", "this is a file, and --out is a folder", where=str(goal),
                         fix="choose another --out")  # fmt: skip
    refuse_taken([goal / SHEET], home)
    for text in sources if goal.resolve().is_relative_to(home.resolve()) else ():
        place = Path(text).expanduser()
        if place.exists() and goal.exists() and place.resolve().is_relative_to(goal.resolve()):
            raise UsageError("RECONSTRUCT-OUT", "these pictures lie where their reconstructions would go", where=text,
                             fix="choose another --out")  # fmt: skip


def _clear(goal: Path, home: Path) -> None:
    """Remove what an earlier call wrote into a folder of the run."""
    listing = goal / WRITTEN
    if not goal.resolve().is_relative_to(home.resolve()) or not listing.is_file():
        return
    for name in listing.read_text("utf-8").splitlines():
        path = goal / name
        if name and path.resolve().is_relative_to(goal.resolve()):
            path.unlink(missing_ok=True)
    listing.unlink()


def _write(data: bytes, path: Path, goal: Path, home: Path) -> None:
    """Write a file; in a folder of the run also its name, first, so that what is there is always listed."""
    if goal.resolve().is_relative_to(home.resolve()):
        goal.mkdir(parents=True, exist_ok=True)
        with (goal / WRITTEN).open("a", encoding="utf-8") as listing:
            listing.write(f"{path.relative_to(goal).as_posix()}\n")
    write(data, path, goal, home, code="RECONSTRUCT-NAME")


def _called(names: Sequence[str]) -> list[str]:
    """What the reconstructions of pictures of one source are called: ``a/cat.jpg`` → ``a/cat.png``; where several have
    that stem, each says which it is.

    >>> _called(["a/cat.jpg", "b.jpg", "b.webp", "7"])
    ['a/cat.png', 'b-jpg.png', 'b-webp.png', '7.png']
    """
    plain = [PurePosixPath(name.replace(os.sep, "/")) for name in names]
    stems = [str(one.with_suffix("")) if one.suffix else str(one) for one in plain]
    often = Counter(stem.casefold() for stem in stems)
    return [
        f"{stem}-{one.suffix[1:]}.png" if often[stem.casefold()] > 1 and one.suffix else f"{stem}.png"
        for one, stem in zip(plain, stems, strict=True)
    ]


def _free(called: str, taken: set[str]) -> str:
    """That name or, where a picture of another source has it, ``cat-2.png``."""
    name, number = called, 1
    while name.casefold() in taken:
        number += 1
        name = f"{called.removesuffix('.png')}-{number}.png"
    taken.add(name.casefold())
    return name


# ── which pictures ────────────────────────────────────────────────────────────────────────────────────────────────


def _named(sources: Sequence[str], progress: Progress | None) -> Generator[Named]:
    """The pictures of each source: a file, a pattern, or anything that data are opened from."""
    for text in sources:
        path = Path(text).expanduser()
        if (glob.has_magic(text) and not path.exists()) or _is_picture(path):
            found = inputs(text, progress)
            for number, (name, called) in enumerate(zip(found.names, _called(found.names), strict=True)):
                yield Named(name, called, lambda found=found, number=number: found.read(number))  # type: ignore[misc]
            continue
        root, _ = cache.directory(None)
        source = open_source(text, Options(), root, progress)
        try:
            names = source.items.names
            for number, (name, called) in enumerate(zip(names, _called(names), strict=True)):

                def read(source: Any = source, number: int = number) -> bytes | Pixels:
                    data: bytes | Pixels | Two = source.read(number)
                    if isinstance(data, Two):
                        raise Unusable("this is a pair")
                    return data

                yield Named(name, called, read)
        finally:
            source.close()


def _is_picture(path: Path) -> bool:
    """Whether it is a file that is a picture by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        kind, _ = sniff(file.read(HEAD))
    return bool(kind)


def _held_out(job: Reconstruction, most: int, progress: Progress | None) -> Generator[Named]:
    """The first held-out pictures of the run, as it was measured on them."""
    if isinstance(job.run, Release):
        raise UsageError("RECONSTRUCT-IMAGES", "an exported model has no data of its own", where=str(job.run.path),
                         fix=_NAME)  # fmt: skip
    dataset, _, _ = data_of(job.run.path, progress)
    try:
        count = min(most, len(dataset.held_out))
        if not count:
            raise DataError("RECONSTRUCT-IMAGES", "the run held no pictures out", where=str(job.run.path), fix=_NAME)
        names = [dataset.file(row) for row in range(count)]
        for row, (name, called) in enumerate(zip(names, _called(names), strict=True)):
            yield Named(name, called, lambda row=row: np.array(dataset.held_out[row]), ready=True)  # type: ignore[misc]
    finally:
        dataset.close()
