"""Translating files: what IN means, what each result is called, and how it is written.

Names, sizes and formats are kept. Where a format cannot hold a result (colours in a GIF, transparency in a JPEG, a
label map in anything that loses something) it becomes a PNG. No file outside of the run is ever overwritten.
"""

from __future__ import annotations

import glob
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, features

from sparring.data.decode import decoding, header
from sparring.data.formats import HEAD, sniff
from sparring.data.opening import Unusable
from sparring.data.sides import ANY
from sparring.data.sources.archive import ZipSource
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import Source, Unreadable
from sparring.errors import DataError, UsageError
from sparring.generate.sample import refuse_taken
from sparring.runs.translation import Translation, refused

Progress = Callable[[str, int, int], None]

SUFFIXES = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF",
}  # fmt: skip
"""Formats that are written, by the suffixes of their names."""
_READ = frozenset({".heic", ".heif", ".jxl", ".apng", ".dib", ".mpo"})
"""Suffixes of what is read and not written: they become .png."""
_HOLDS = {
    "PNG": {"L", "LA", "RGB", "RGBA", "P"}, "TIFF": {"L", "LA", "RGB", "RGBA", "P"}, "JPEG": {"L", "RGB"},
    "WEBP": {"L", "LA", "RGB", "RGBA"}, "BMP": {"L", "RGB", "P"}, "GIF": {"L", "P"},
    "AVIF": {"L", "LA", "RGB", "RGBA"},
}  # fmt: skip
"""Modes of pictures that a format holds."""
_HOW: dict[str, dict[str, Any]] = {
    "PNG": {}, "TIFF": {"compression": "tiff_adobe_deflate"}, "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95}, "BMP": {}, "GIF": {}, "AVIF": {"quality": 90},
}  # fmt: skip


@dataclass
class Translated:
    """What was done. paths: written, in order.   skipped: (name, why).   notes: what a person should know.
    pixels: of all that was written.   seconds: reading, translating and writing.   compiled: of them for compiling."""

    paths: list[Path] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pixels: int = 0
    seconds: float = 0.0
    compiled: float | None = None

    def line(self) -> str:
        """How fast it was, for a person."""
        spent = self.seconds - (self.compiled or 0.0)
        mega = self.pixels / 1e6
        compiling = f", and {self.compiled:.1f} s for --compile" if self.compiled is not None else ""
        if len(self.paths) == 1:
            return f"{mega:.2g} megapixels in {spent:.2f} s{compiling}"
        each, rate = len(self.paths) / max(spent, 1e-9), mega / max(spent, 1e-9)
        return (
            f"{len(self.paths):,} pictures, {mega:.3g} megapixels in {spent:.1f} s: {each:.3g} pictures/s, "
            f"{rate:.3g} megapixels/s{compiling}"
        )


@dataclass(frozen=True)
class Inputs:
    """Pictures that were named together. name: of all of them, "" of a single file.   names: of each, with folders
    before it.   read: the bytes of picture k; `Unreadable` with a reason.   base: the folder that the names are in,
    None in a zip.   skipped: what is none, (name, why)."""

    name: str
    names: Sequence[str]
    read: Callable[[int], bytes]
    base: Path | None = None
    skipped: Sequence[tuple[str, str]] = ()


def inputs(text: str | bytes, progress: Progress | None = None) -> Inputs:
    """The pictures that `text` names: a file, a folder, a zip, or a pattern such as ``photos/*.jpg``; bytes are a
    picture themselves.

    Raises `DataError` where there is nothing.
    """
    if isinstance(text, bytes):
        return Inputs("", ["picture.png"], lambda number: text)
    path = Path(text).expanduser()
    if path.is_dir():
        return _of_source(FolderSource(path, progress), path)
    if path.is_file():
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"
        return _of_source(ZipSource(path)) if zipped else _of_files("", [path], path.parent)
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))] if glob.has_magic(str(path)) else []
    files = [name for name in found if name.is_file()]
    if files:
        plain = PurePosixPath(path.as_posix().partition("*")[0].partition("?")[0].partition("[")[0])
        base = Path(plain if str(path.as_posix()).startswith(f"{plain}/") else plain.parent)
        return _of_files(base.name or "pictures", files, base)
    raise DataError(
        "TRANSLATE-MISSING",
        "no file is called that" if not glob.has_magic(text) else "no file is called like that",
        where=text,
        fix="a picture, a folder, a zip, a pattern in quotes ('photos/*.jpg'), or - for standard input",
    )


def _of_source(source: Source, base: Path | None = None) -> Inputs:
    def read(number: int) -> bytes:
        found = source.read(number)
        assert isinstance(found, bytes)
        return found

    return Inputs(source.name, source.items.names, read, base, tuple(source.listed_out))


def _of_files(name: str, files: Sequence[Path], base: Path) -> Inputs:
    def read(number: int) -> bytes:
        try:
            return files[number].read_bytes()
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error

    return Inputs(name, [file.relative_to(base).as_posix() for file in files], read, base)


# ── names and formats ─────────────────────────────────────────────────────────────────────────────────────────────


def holds(kind: str, mode: str) -> bool:
    """Whether pictures of a mode can be written in a format as they are."""
    return mode in _HOLDS.get(kind, ()) and (kind not in ("AVIF", "WEBP") or bool(features.check(kind.lower())))


def named(name: str, kind: str, mode: str) -> tuple[str, str]:
    """(name of the result, its format), for a file of that name and content (as `sniff` calls it) and a result of
    `mode`.

    >>> named("a/cat.jpg", "JPEG", "RGB"), named("cat.gif", "GIF", "RGB"), named("cat", "PNG", "RGB")
    (('a/cat.jpg', 'JPEG'), ('cat.png', 'PNG'), ('cat', 'PNG'))
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES or suffix in _READ:
        kept = SUFFIXES.get(suffix, "")
        return (name, kept) if holds(kept, mode) else (name[: -len(suffix)] + ".png", "PNG")
    return (name, kind) if holds(kind, mode) else (name + ".png", "PNG")


def to_file(picture: Image.Image, kind: str) -> bytes:
    """A picture as the bytes of a file; no EXIF, no colour profile: it is upright, and sRGB."""
    file = io.BytesIO()
    picture.save(file, kind, **_HOW[kind])
    return file.getvalue()


def _asked(out: Path, mode: str) -> str:
    """The format of a file that somebody named; `UsageError` where it cannot hold the result."""
    kind = SUFFIXES.get(out.suffix.lower(), "")
    if holds(kind, mode):
        return kind
    what = {"P": "a label map as it is", "L": "grey", "RGB": "colours", "RGBA": "colours with transparency"}[mode]
    can = ", ".join(sorted({s for s, k in SUFFIXES.items() if holds(k, mode)}))
    raise UsageError("TRANSLATE-OUT", f"this is no file for {what}", where=str(out), fix=f"end its name in {can}")


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────────────────────


def translate(
    job: Translation, source: str | bytes, out: Path | None, home: Path, progress: Progress | None = None
) -> Translated:
    """Translate what `source` names into `out`: a file, or a folder. home: the directory of the run, where files are
    replaced, and where results go by default: ``home/translated``.

    What cannot be used is named in the result and left out. Raises `DataError` where nothing can. KeyboardInterrupt on
    the way has a note of what is done.
    """
    start = time.perf_counter()
    given = inputs(source, progress)
    alone = not given.name
    goal = out if out is not None else home / "translated" / given.name
    file = goal if alone and out is not None and not _is_folder(out) else None
    mode = _mode(job)
    asked = None if file is None else _asked(file, mode)
    likely = [file] if file is not None else [goal / named(name, "PNG", mode)[0] for name in given.names]
    refuse_taken(likely, home)
    if given.base is not None and likely[:1] and likely[0].resolve() == (given.base / given.names[0]).resolve():
        raise UsageError("TRANSLATE-OUT", "this would replace what is to be translated", where=str(likely[0]),
                         fix="choose another --out")  # fmt: skip
    done, taken = Translated(skipped=list(given.skipped)), set(given.names)
    far, first = "", None
    with decoding(), _saying(done, len(given.names), goal):
        for number, name in enumerate(given.names):
            if progress is not None and not alone:
                progress("translating", number, len(given.names))
            try:
                data = given.read(number)
                head = header(data, ANY, count_frames=True)
                clear = asked is None or holds(asked, "RGBA")
                picture = job.picture(data, clear=clear, progress=_of_tiles(progress, name, number, len(given.names)))
            except (Unusable, Unreadable) as error:
                first = first or refused(error, name)
                done.skipped.append((name, str(error)))
                continue
            if head.frames > 1:
                done.notes.append(f"{name}: only the first of its {head.frames} pictures")
            far = far or job.far(*picture.size)
            if file is not None:
                path, kind = file, asked or "PNG"
            else:
                called, kind = _free(name, *named(name, sniff(data[:HEAD])[0], picture.mode), taken)
                path = goal / called
            write(to_file(picture, kind), path, goal if file is None else file.parent, home)
            done.paths.append(path)
            done.pixels += picture.width * picture.height
    done.notes += [far] if far else []
    done.seconds, done.compiled = time.perf_counter() - start, job.seconds
    if not done.paths:
        what = source if isinstance(source, str) else "what was given"
        if first is not None and first.code == "TRANSLATE-HALVES":
            raise DataError(first.code, first.what, where=what, why=first.why, fix=first.fix)
        why = f"{done.skipped[0][0]}: {done.skipped[0][1]}" if done.skipped else "there is no file"
        raise DataError("TRANSLATE-NOTHING", "there is no picture that can be used", where=what, why=why)
    done.notes += [first.fix] if first is not None and first.code == "TRANSLATE-HALVES" else []
    return done


def _of_tiles(progress: Progress | None, name: str, number: int, count: int) -> Progress | None:
    """The progress of one picture, by its tiles; of several it says which."""
    if progress is None or count == 1:
        return progress
    said = progress
    return lambda stage, done, total: said(f"{number + 1:,} of {count:,}: {stage} of {name}", done, total)


@contextmanager
def _saying(done: Translated, count: int, goal: Path) -> Iterator[None]:
    """Inside, who stops it is told what is done."""
    try:
        yield
    except KeyboardInterrupt as stop:
        written = f"{len(done.paths):,} of {count:,} pictures {'are' if len(done.paths) != 1 else 'is'} translated"
        stop.add_note(f"{written}, in {goal}; none is half written" if done.paths else "no picture is translated yet")
        raise


def one(job: Translation, data: bytes) -> tuple[bytes, Translated]:
    """The bytes of a picture → those of a PNG, and how fast it was. Raises `DataError`."""
    start = time.perf_counter()
    done = Translated(paths=[Path("-")])
    with decoding():
        try:
            frames = header(data, ANY, count_frames=True).frames
            picture = job.picture(data)
        except Unusable as error:
            raise refused(error) from error
    done.notes += [f"only the first of its {frames} pictures"] if frames > 1 else []
    done.notes += [far] if (far := job.far(*picture.size)) else []
    made = to_file(picture, "PNG")
    done.pixels, done.compiled = picture.width * picture.height, job.seconds
    done.seconds = time.perf_counter() - start
    return made, done


def _is_folder(out: Path) -> bool:
    """Whether a single result goes into `out`, under its own name."""
    return out.is_dir() or not out.suffix


def _mode(job: Translation) -> str:
    """Of what is made, transparency aside."""
    return "P" if job.made.legend else {1: "L", 3: "RGB", 4: "RGBA"}[job.made.channels]


def _free(name: str, called: str, kind: str, taken: set[str]) -> tuple[str, str]:
    """The name of a result; where it differs from the file's and another file has it, ``cat.gif.png``."""
    if called != name and called in taken:
        called = f"{name}.png"
        while called in taken:
            called += ".png"
    taken.add(called)
    return called, kind


def write(data: bytes, path: Path, below: Path, home: Path, *, code: str = "TRANSLATE-NAME") -> None:
    """Write a file in the folder `below`; whole or not at all, and outside of the run in `home` never over another.

    `DataError` with this code where the name leads out of the folder."""
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(below)):
        raise DataError(code, "this name leads out of the folder", where=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_taken([path], home)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
