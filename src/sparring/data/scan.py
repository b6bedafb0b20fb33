"""The first look at a source: which items are images, their content hashes, sizes and colours. No full decode."""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Header, Limits, Unusable, decoding
from sparring.data.pairing import Content, header
from sparring.data.sources import Source, Two, Unreadable
from sparring.data.split import words
from sparring.errors import DataError

HASH_BYTES = 16
_CHUNK = 512
_SIDES = (256, 128, 64, 32)
_SLOW = 2.0  # MB/s

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, items done, items in all)."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class Scan:
    """Usable pictures of a source. number: (n,) their items in it.   frame: (n,) which picture of the item.
    hashes: (n, 16) of their content.   sides: (n, 2) width and height as stored.   grey: (n,).
    mode: (n,) their kind of pixels, a number of `modes`.   excluded: (name, reason).
    given_grey, given_mode: (n,) the same of what is given with each, in pairs.
    lasting: whether another look at unchanged files would find the same."""

    number: NDArray[np.int64]
    frame: NDArray[np.int32]
    hashes: NDArray[np.uint8]
    sides: NDArray[np.int32]
    grey: NDArray[np.bool_]
    mode: NDArray[np.uint8]
    given_grey: NDArray[np.bool_]
    given_mode: NDArray[np.uint8]
    modes: tuple[str, ...]
    excluded: list[tuple[str, str]]
    warnings: tuple[str, ...] = ()
    lasting: bool = True

    def without(self, gone: dict[int, str], source: Source) -> Scan:
        """The scan without these rows, which could be read once and no more (row: reason)."""
        keep = np.ones(len(self), np.bool_)
        keep[list(gone)] = False
        excluded = self.excluded + [(source.items[int(self.number[row])].name, why) for row, why in gone.items()]
        if not keep.any():
            raise nothing_usable(source, excluded)
        return replace(self, excluded=excluded, lasting=False, **{k: getattr(self, k)[keep] for k in _COLUMNS})

    def __len__(self) -> int:
        return len(self.number)

    def key(self, preparation: str) -> str:
        """The name of these contents, prepared so: whatever their names, their order and where they lie."""
        digest = hashlib.blake2b(preparation.encode(), digest_size=HASH_BYTES)
        high, low = words(self.hashes)
        digest.update(self.hashes[np.lexsort((low, high))].tobytes())
        return digest.hexdigest()

    def together(self) -> NDArray[np.uint8]:
        """(n, 16): for pictures of one file of several the hash of the file, else zeros."""
        marks = np.zeros_like(self.hashes)
        rows = np.flatnonzero(self.frame)
        if len(rows):
            first = {int(number): self.hashes[row] for row, number in enumerate(self.number) if not self.frame[row]}
            several = np.isin(self.number, self.number[rows])
            for row in np.flatnonzero(several):
                marks[row] = first.get(int(self.number[row]), self.hashes[row])
        return marks

    def auto_size(self) -> tuple[int, int]:
        """A square: the median shorter side, rounded down to 256, 128, 64 or 32 (32 too where images are smaller)."""
        median = float(np.median(self.sides.min(axis=1)))
        side = next((side for side in _SIDES if side <= median), _SIDES[-1])
        return side, side

    def small_size(self) -> tuple[int, int] | None:
        """A square of the median shorter side where that is less than `auto_size` gives, which would enlarge; else
        None."""
        median = int(np.median(self.sides.min(axis=1)))
        return (median, median) if median < _SIDES[-1] else None

    def auto_channels(self, *, given: bool = False) -> int:
        """1 where most images are grey, else 3. given: of what is given with them."""
        return 1 if 2 * int((self.given_grey if given else self.grey).sum()) > len(self) else 3

    def histogram(self) -> dict[str, int]:
        """The ten most frequent sizes as ``{"640x480": 12, …}`` (width x height), the rest under "other"."""
        counts = Counter(f"{width}x{height}" for width, height in self.sides.tolist())
        top = dict(counts.most_common(10))
        rest = len(self) - sum(top.values())
        return {**top, "other": rest} if rest else top

    def save(self, folder: Path) -> dict[str, Any]:
        for name in _COLUMNS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        return {"excluded": self.excluded, "modes": self.modes, "warnings": self.warnings}

    @classmethod
    def load(cls, folder: Path, meta: dict[str, Any]) -> Scan:
        arrays = {name: np.load(folder / f"{name}.npy") for name in _COLUMNS}
        excluded = [(name, reason) for name, reason in meta["excluded"]]
        return cls(**arrays, excluded=excluded, modes=tuple(meta["modes"]), warnings=tuple(meta["warnings"]))


_COLUMNS = ("number", "frame", "hashes", "sides", "grey", "mode", "given_grey", "given_mode")


class _Found:
    """What is found, row by row, in a few bytes each: a million images are ordinary."""

    def __init__(self) -> None:
        self.number, self.frame, self.sides = array("q"), array("i"), array("i")
        self.hashes, self.grey, self.mode = bytearray(), bytearray(), bytearray()
        self.given_grey, self.given_mode = bytearray(), bytearray()
        self.modes: dict[str, int] = {}

    def add(self, number: int, digest: bytes, header: Header, given: Header | None) -> None:
        """All pictures of one item."""
        for frame in range(header.frames):
            self.number.append(number)
            self.frame.append(frame)
            self.hashes += picture_hash(digest, frame)
            self.sides.extend((header.width, header.height))
            self.grey.append(header.grey)
            self.mode.append(self._number(header.mode))
            self.given_grey.append(given is not None and given.grey)
            self.given_mode.append(self._number(given.mode) if given is not None else 0)

    def _number(self, mode: str) -> int:
        return min(255, self.modes.setdefault(mode, len(self.modes)))

    def done(self, excluded: list[tuple[str, str]], warnings: tuple[str, ...], lasting: bool) -> Scan:
        return Scan(
            number=np.array(self.number, np.int64),
            frame=np.array(self.frame, np.int32),
            hashes=np.frombuffer(bytes(self.hashes), np.uint8).reshape(-1, HASH_BYTES),
            sides=np.array(self.sides, np.int32).reshape(-1, 2),
            grey=np.frombuffer(bytes(self.grey), np.bool_),
            mode=np.frombuffer(bytes(self.mode), np.uint8),
            given_grey=np.frombuffer(bytes(self.given_grey), np.bool_),
            given_mode=np.frombuffer(bytes(self.given_mode), np.uint8),
            modes=tuple(self.modes),
            excluded=excluded,
            warnings=warnings,
            lasting=lasting,
        )


def threads() -> int:
    """Pillow and zlib release the interpreter lock, so threads decode in parallel."""
    return min(8, os.cpu_count() or 1)


def each(pool: ThreadPoolExecutor, function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """``map`` in order, with a bounded number of items in flight; where there are many, several are one task, since
    to hand over a small image takes as long as to decode it."""
    for start in range(0, len(items), _CHUNK):
        part = items[start : start + _CHUNK]
        together = max(1, min(16, len(part) // (8 * threads())))
        tasks = [part[at : at + together] for at in range(0, len(part), together)]
        for found in pool.map(lambda task: [function(item) for item in task], tasks):
            yield from found


def content_hash(data: Content) -> bytes:
    """16 bytes: of a file's bytes, or of pixels with their shape; of a pair of both, and which is which."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    if isinstance(data, Two):
        parts = (content_hash(data.given), content_hash(data.made), ",".join(data.halves).encode())
        data = b"pair" + b"".join(parts)
    if isinstance(data, np.ndarray):
        digest.update(f"{data.shape}".encode())
        data = np.ascontiguousarray(data).tobytes()
    digest.update(data)
    return digest.digest()


def place_hash(data: Two) -> bytes:
    """16 bytes of a pair, whichever of the two is given: what its place in the split depends on, so that a run from A
    to B and one from B to A hold out the same pairs."""
    parts = zip((data.given, data.made), data.halves, strict=True)
    return hashlib.blake2b(b"".join(sorted(content_hash(one) + half.encode() for one, half in parts)),
                           digest_size=HASH_BYTES).digest()  # fmt: skip


def picture_hash(digest: bytes, frame: int) -> bytes:
    """16 bytes: of one picture of a file with this `content_hash`; of the first it is that of the file."""
    return content_hash(digest + frame.to_bytes(8, "little")) if frame else digest


def scan(
    source: Source, limits: Limits, progress: Progress | None = None, *, frames: Literal["first", "all"] = "first"
) -> Scan:
    """Read every item once. Raises `DataError` if none is usable."""

    def look(number: int) -> tuple[bytes, Header, Header | None, int] | Unreadable | Unusable:
        try:
            data = source.read(number)
            size = len(data.given) + len(data.made) if isinstance(data, Two) else len(data)
            return content_hash(data), *header(data, limits, count_frames=frames == "all"), size
        except (Unreadable, Unusable) as error:
            return error

    total = len(source.items)
    excluded = list(source.listed_out)
    found, lasting = _Found(), True
    began, size = time.monotonic(), 0
    with ThreadPoolExecutor(threads()) as pool, decoding():
        for number, result in enumerate(each(pool, look, range(total))):
            if isinstance(result, Unreadable | Unusable):
                excluded.append((source.items[number].name, str(result)))
                lasting = lasting and not (isinstance(result, Unreadable) and result.passing)
            else:
                found.add(number, *result[:3])
                size += result[3]
            if progress and (number + 1 == total or number % 64 == 63):
                progress("looking", number + 1, total)
    if not found.number:
        raise nothing_usable(source, excluded)
    return found.done(excluded, _slow(size, time.monotonic() - began), lasting)


def _slow(size: int, seconds: float) -> tuple[str, ...]:
    """A warning where reading took long: a network drive, a USB stick, files that lie in a cloud."""
    rate = size / 2**20 / max(seconds, 1e-9)
    if seconds < 30 or rate > _SLOW:
        return ()
    return (f"the files are read slowly ({rate:.1f} MB/s): copy them to a local disk, or pack them (sparring pack)",)


def nothing_usable(source: Source, excluded: list[tuple[str, str]]) -> DataError:
    """Says what was found instead, by extension, with one reason each."""
    kinds: dict[str, list[str]] = {}
    for name, reason in excluded:
        kinds.setdefault(PurePosixPath(name).suffix.lower() or "no extension", []).append(reason)
    every = [reason for _, reason in excluded]
    limits = {
        flag: sum(word in reason for reason in every)
        for flag, word in (
            ("--min-side", "shorter side below"), ("--max-aspect", "sides differ"), ("--max-megapixels", "megapixels")
        )
    }  # fmt: skip
    flag, count = max(limits.items(), key=lambda item: item[1])
    fix = "give a folder or zip with PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF images"
    if 2 * count > len(every):
        other = "lower" if flag == "--min-side" else "higher"
        fix = f"{count:,} of {len(every):,} are left out by {flag}: a {other} one keeps them"
    found = [f"{len(reasons):,} {kind} ({Counter(reasons).most_common(1)[0][0]})" for kind, reasons in kinds.items()]
    return DataError(
        "DATA-EMPTY",
        "no usable image",
        where=source.place,
        why="found " + (", ".join(found[:8]) if found else "no file at all"),
        fix=fix,
    )
