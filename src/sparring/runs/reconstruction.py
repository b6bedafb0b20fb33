"""Pictures that a run encodes and decodes again: what of them its code keeps, beside what they were.

What is given is prepared as the run's data were (size, channels, cut, made black and white); the code is one draw of
the posterior, and what comes out is the mean of the decoder. Each picture is as if it were alone: its chance depends on
its content and the seed.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Options, cache
from sparring.data.binary import drawn_at, threshold
from sparring.data.decode import Recipe, decode, decoding
from sparring.data.formats import HEAD, sniff
from sparring.data.opening import Unusable
from sparring.data.sides import ANY
from sparring.data.sources import open_source
from sparring.data.sources.items import Two, Unreadable
from sparring.errors import DataError, UsageError
from sparring.generate.grid import to_bytes, to_picture
from sparring.generate.pairs import side_by_side, visible
from sparring.generate.sample import refuse_taken
from sparring.metrics.paired import decibels
from sparring.recipes import RECIPES
from sparring.runs.evaluate.opening import data_of
from sparring.runs.recipe import game_class
from sparring.runs.release import Release
from sparring.runs.run import Run
from sparring.runs.translation import encoded
from sparring.runs.translation_files import Progress, inputs, to_file, write
from sparring.types import Reconstructs

Pixels = NDArray[np.uint8]
SHEET = "sheet.png"
"""What is given and its reconstruction, side by side."""
_ON_SHEET = 64
HELD_OUT = 64
"""Held-out pictures that are taken where none are named."""


@dataclass
class Reconstructed:
    """What was done. paths: written, in order.   sheet: of the first pictures.   skipped: (name, why).
    l1, mse: of each picture, in the units of [0, 1], against what the run was given.   of: what that is."""

    paths: list[Path] = field(default_factory=list)
    sheet: Path | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    l1: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    of: str = ""

    def line(self) -> str:
        """How near the reconstructions are, for a person."""
        n = len(self.paths)
        mean = sum(self.l1) / n
        return (
            f"{n:,} picture{'s' * (n != 1)}: L1 {mean:.4f}, PSNR {decibels(sum(self.mse) / n):.2f} dB, against "
            f"{'them' if n != 1 else 'it'} as the run is given {'them' if n != 1 else 'it'}: {self.of}"
        )


class Reconstruction:
    """A run that encodes and decodes, and how.   seed: of the draws.   Raises `UsageError` for one that does not."""

    def __init__(self, run: Run, seed: int = 0) -> None:
        document, self.run, self.seed = run.document, run, seed
        if not isinstance(run.game, Reconstructs):
            able = [name for name in RECIPES if issubclass(game_class(name), Reconstructs)]
            raise UsageError(
                "RECONSTRUCT-CANNOT", f"a run of {document['recipe']} has no encoder: it makes pictures and reads none",
                where=str(run.path), fix=f"a run of {' or '.join(able)} encodes and decodes",
            )  # fmt: skip
        if document["data"]["kind"] != "images":
            raise UsageError("RECONSTRUCT-POINTS", "this run is on points, and pictures are reconstructed",
                             where=str(run.path), fix="name a run that was trained on images")  # fmt: skip
        self.options = Options.of(document["data"])
        self.channels, height, width = document["data"]["shape"]
        self.recipe = Recipe((height, width), self.channels, self.options.crop, self.options.background, ANY,
                             self.options.levels)  # fmt: skip

    @property
    def of(self) -> str:
        """What a picture is when the run gets it."""
        height, width = self.recipe.size
        kinds = {1: "grey", 3: "colour", 4: "colour with transparency"}
        how = f", binary ({self.options.binarise})" if self.options.binarise != "none" else ""
        return f"{width}x{height}, {kinds[self.channels]}{how}"

    def prepared(self, data: bytes | Pixels) -> Pixels:
        """The bytes of a file, or (h, w, c) uint8, as the run's data were prepared: (H, W, C) uint8. `Unusable`."""
        pixels = decode(data, self.recipe).pixels
        if self.options.binarise == "threshold":
            return threshold(pixels)
        if self.options.binarise != "none":
            at = self._number(pixels)
            return drawn_at(pixels[None], self.seed, range(at, at + 1))[0]
        return pixels

    @torch.no_grad()
    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, C) uint8, as `prepared` gives it, encoded and decoded."""
        at = self._number(pixels)
        dice = Dice(self.seed, "reconstruct", range(at, at + 1), device=self.run.device)
        x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].to(self.run.device)
        game: Any = self.run.game
        made: Pixels = to_bytes(game.reconstruct(x.float() / 127.5 - 1, dice))[0]
        return made

    def _number(self, pixels: Pixels) -> int:
        """Of a content, for its draws."""
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=6)
        return int.from_bytes(digest.digest(), "little")

    # ── Python ───────────────────────────────────────────────────────────────────────────────────────────────────

    def any(self, image: Any) -> Any:
        """Any picture, as the same kind of picture: see `Run.reconstruct`."""
        try:
            if isinstance(image, (str, Path)):
                return to_picture(self(self.prepared(_bytes(Path(image)))))
            if isinstance(image, Image.Image):
                return to_picture(self(self.prepared(encoded(image))))
            if isinstance(image, np.ndarray):
                return self._array(image)
            if isinstance(image, Tensor):
                if image.dim() == 4:
                    return torch.stack([self.any(one) for one in image])
                made = self._array(image.detach().cpu().permute(1, 2, 0).numpy())
                return torch.from_numpy(np.ascontiguousarray(made)).permute(2, 0, 1).contiguous().to(image)
        except Unusable as error:
            raise DataError("RECONSTRUCT-IMAGE", "this is no picture that can be used", why=str(error)) from error
        raise UsageError(
            "RECONSTRUCT-IMAGE", "this is no picture", where=type(image).__name__,
            fix="a path, a PIL image, an array (H, W, C) of uint8 or of floats in [0, 1], or a tensor (C, H, W)",
        )  # fmt: skip

    def _array(self, image: NDArray[Any]) -> NDArray[Any]:
        """(h, w) or (h, w, c), uint8 or floats in [0, 1] → (H, W, C) of the same type."""
        shaped = image[..., None] if image.ndim == 2 else image
        floats = np.issubdtype(shaped.dtype, np.floating)
        fine = (
            shaped.ndim == 3 and shaped.size and shaped.shape[2] in (1, 3, 4) and (floats or shaped.dtype == np.uint8)
        )
        if not fine or (floats and not (np.isfinite(shaped).all() and shaped.min() >= -0.01 and shaped.max() <= 1.01)):
            raise UsageError(
                "RECONSTRUCT-IMAGE", "this is no picture", where=f"{image.dtype} {image.shape}",
                fix="(H, W, C) with C = 1, 3 or 4, of uint8 or of floats in [0, 1]",
            )  # fmt: skip
        levels = np.rint(np.clip(shaped, 0, 1) * 255).astype(np.uint8) if floats else shaped
        made = self(self.prepared(np.ascontiguousarray(levels)))
        return (made / 255).astype(image.dtype) if floats else made


def _bytes(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise DataError("RECONSTRUCT-MISSING", "this file cannot be read", where=str(path),
                        why=error.strerror or str(error)) from error  # fmt: skip


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Named = Iterator[tuple[str, Callable[[], Pixels]]]
"""Names of pictures, and what gives each as the run gets it."""


def reconstruct(
    job: Reconstruction, sources: Sequence[str], out: Path | None, *, most: int = HELD_OUT,
    progress: Progress | None = None,
) -> Reconstructed:  # fmt: skip
    """Reconstruct what `sources` name into the folder `out`, by default ``RUN/reconstructed``; without sources the
    first `most` held-out pictures of the run. One PNG for each, of the same stem, and a sheet of the first.

    What cannot be used is named and left out. Outside of the run no file is replaced. Raises `DataError`, `UsageError`.
    """
    home = job.run.home
    goal = out if out is not None else home / "reconstructed"
    if goal.is_file():
        raise UsageError("RECONSTRUCT-OUT", "this is a file, and --out is a folder", where=str(goal))
    refuse_taken([goal / SHEET], home)
    done, taken = Reconstructed(of=job.of), {SHEET}
    columns: tuple[list[Tensor], list[Tensor]] = ([], [])
    many = _named(job, sources, progress) if sources else _held_out(job, most, progress)
    with decoding():
        for number, (name, read) in enumerate(many):
            if progress is not None:
                progress("reconstructing", number, 0)
            try:
                given = read()
            except (Unusable, Unreadable) as error:
                done.skipped.append((name, str(error)))
                continue
            made = job(given)
            path = goal / _free(name, taken)
            write(to_file(to_picture(made), "PNG"), path, goal, home, code="RECONSTRUCT-NAME")
            done.paths.append(path)
            apart = (made.astype(np.float64) - given) / 255
            done.l1.append(float(np.abs(apart).mean()))
            done.mse.append(float(np.square(apart).mean()))
            for column, pixels in zip(columns, (given, made), strict=True):
                if len(column) < _ON_SHEET:
                    tile = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
                    column.append(visible(tile))
    if not done.paths:
        why = f"{done.skipped[0][0]}: {done.skipped[0][1]}" if done.skipped else "there is no picture"
        raise DataError(
            "RECONSTRUCT-NOTHING", "there is no picture that can be used", where=", ".join(sources), why=why
        )
    done.sheet = goal / SHEET
    write(to_file(side_by_side([torch.cat(column) for column in columns]), "PNG"), done.sheet, goal, home)
    return done


def _named(job: Reconstruction, sources: Sequence[str], progress: Progress | None) -> Named:
    """The pictures of each source: a file, a pattern, or anything that data are opened from."""
    for text in sources:
        path = Path(text).expanduser()
        if (glob.has_magic(text) and not path.exists()) or _is_picture(path):
            found = inputs(text, progress)
            for number, name in enumerate(found.names):
                yield name, lambda found=found, number=number: job.prepared(found.read(number))  # type: ignore[misc]
            continue
        root, _ = cache.directory(None)
        source = open_source(text, Options(), root, progress)
        try:
            for number, name in enumerate(source.items.names):

                def read(source: Any = source, number: int = number) -> Pixels:
                    data = source.read(number)
                    if isinstance(data, Two):
                        raise Unusable("this is a pair")
                    return job.prepared(data)

                yield name, read
        finally:
            source.close()


def _is_picture(path: Path) -> bool:
    """Whether it is a file that is a picture by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        kind, _ = sniff(file.read(HEAD))
    return bool(kind)


def _held_out(job: Reconstruction, most: int, progress: Progress | None) -> Named:
    """The first held-out pictures of the run, as it was measured on them."""
    if isinstance(job.run, Release):
        raise UsageError(
            "RECONSTRUCT-IMAGES", "an exported model has no data of its own", where=str(job.run.path),
            fix="name pictures: sparring reconstruct RUN photos/",
        )  # fmt: skip
    dataset, _, _ = data_of(job.run.path, progress)
    try:
        count = min(most, len(dataset.held_out))
        if not count:
            raise DataError("RECONSTRUCT-IMAGES", "the run held no pictures out", where=str(job.run.path),
                            fix="name pictures: sparring reconstruct RUN photos/")  # fmt: skip
        for row in range(count):
            yield dataset.file(row), lambda row=row: np.asarray(dataset.held_out[row])  # type: ignore[misc]
    finally:
        dataset.close()


def _free(name: str, taken: set[str]) -> str:
    """``a/cat.jpg`` → ``a/cat.png``; where another picture has that name, ``a/cat.jpg.png``."""
    plain = PurePosixPath(name.replace(os.sep, "/"))
    called = str(plain.with_suffix(".png")) if plain.suffix else f"{plain}.png"
    while called in taken:
        plain = PurePosixPath(f"{plain}.png")
        called = str(plain)
    taken.add(called)
    return called
