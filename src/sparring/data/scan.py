"""The first look at a source: which items are images, their content hashes, sizes and colours. No full decode."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Limits, Unusable, decoding, header
from sparring.data.sources import Source, Unreadable
from sparring.errors import DataError

HASH_BYTES = 16
_CHUNK = 512
_SIDES = (256, 128, 64, 32)

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, items done, items in all)."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Scan:
    """Usable items of a source. number: (n,) their positions in it.   hashes: (n, 16) of their content.
    sides: (n, 2) width and height as stored.   grey: (n,).   excluded: (name, reason).
    lasting: whether another look at unchanged files would find the same."""

    number: NDArray[np.int64]
    hashes: NDArray[np.uint8]
    sides: NDArray[np.int32]
    grey: NDArray[np.bool_]
    excluded: list[tuple[str, str]]
    lasting: bool = True

    def without(self, gone: dict[int, str], source: Source) -> Scan:
        """The scan without these rows, which could be read once and no more (row: reason)."""
        keep = np.array([row not in gone for row in range(len(self))], np.bool_)
        excluded = self.excluded + [(source.items[int(self.number[row])].name, why) for row, why in gone.items()]
        if not keep.any():
            raise nothing_usable(source, excluded)
        return Scan(self.number[keep], self.hashes[keep], self.sides[keep], self.grey[keep], excluded, lasting=False)

    def __len__(self) -> int:
        return len(self.number)

    def key(self, preparation: str) -> str:
        """The name of these contents, prepared so: whatever their names, their order and where they lie."""
        digest = hashlib.blake2b(preparation.encode(), digest_size=HASH_BYTES)
        digest.update(b"".join(sorted(row.tobytes() for row in self.hashes)))
        return digest.hexdigest()

    def auto_size(self) -> tuple[int, int]:
        """A square: the median shorter side, rounded down to 256, 128, 64 or 32 (32 too where images are smaller)."""
        median = float(np.median(self.sides.min(axis=1)))
        side = next((side for side in _SIDES if side <= median), _SIDES[-1])
        return side, side

    def auto_channels(self) -> int:
        """1 where most images are grey, else 3."""
        return 1 if 2 * int(self.grey.sum()) > len(self) else 3

    def histogram(self) -> dict[str, int]:
        """The ten most frequent sizes as ``{"640x480": 12, …}`` (width x height), the rest under "other"."""
        counts = Counter(f"{width}x{height}" for width, height in self.sides.tolist())
        top = dict(counts.most_common(10))
        rest = len(self) - sum(top.values())
        return {**top, "other": rest} if rest else top

    def save(self, folder: Path) -> dict[str, Any]:
        for name in ("number", "hashes", "sides", "grey"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        return {"excluded": self.excluded}

    @classmethod
    def load(cls, folder: Path, meta: dict[str, Any]) -> Scan:
        arrays = {name: np.load(folder / f"{name}.npy") for name in ("number", "hashes", "sides", "grey")}
        return cls(**arrays, excluded=[(name, reason) for name, reason in meta["excluded"]])


def threads() -> int:
    """Pillow and zlib release the interpreter lock, so threads decode in parallel."""
    return min(8, os.cpu_count() or 1)


def each(pool: ThreadPoolExecutor, function: Callable[[A], B], items: list[A]) -> Iterator[B]:
    """``map`` in order, with a bounded number of items in flight."""
    for start in range(0, len(items), _CHUNK):
        yield from pool.map(function, items[start : start + _CHUNK])


def content_hash(data: bytes | NDArray[np.uint8]) -> bytes:
    """16 bytes: of a file's bytes, or of pixels with their shape."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    if isinstance(data, np.ndarray):
        digest.update(f"{data.shape}".encode())
        data = np.ascontiguousarray(data).tobytes()
    digest.update(data)
    return digest.digest()


def scan(source: Source, limits: Limits, progress: Progress | None = None) -> Scan:
    """Read every item once. Raises `DataError` if none is usable."""

    def look(number: int) -> tuple[bytes, tuple[int, int], bool] | Exception:
        try:
            data = source.read(number)
            found = header(data, limits)
        except (Unreadable, Unusable) as error:
            return error
        return content_hash(data), (found.width, found.height), found.grey

    total = len(source.items)
    excluded = list(source.listed_out)
    numbers: list[int] = []
    seen: list[tuple[bytes, tuple[int, int], bool]] = []
    lasting = True
    with ThreadPoolExecutor(threads()) as pool, decoding():
        for number, result in enumerate(each(pool, look, list(range(total)))):
            if isinstance(result, Exception):
                excluded.append((source.items[number].name, str(result)))
                lasting = lasting and not (isinstance(result, Unreadable) and result.passing)
            else:
                numbers.append(number)
                seen.append(result)
            if progress and (number + 1 == total or number % 64 == 63):
                progress("looking", number + 1, total)
    if not numbers:
        raise nothing_usable(source, excluded)
    return Scan(
        number=np.array(numbers, np.int64),
        hashes=np.frombuffer(b"".join(row[0] for row in seen), np.uint8).reshape(-1, HASH_BYTES),
        sides=np.array([row[1] for row in seen], np.int32),
        grey=np.array([row[2] for row in seen], np.bool_),
        excluded=excluded,
        lasting=lasting,
    )


def nothing_usable(source: Source, excluded: list[tuple[str, str]]) -> DataError:
    """Says what was found instead, by extension, with one reason each."""
    kinds: dict[str, list[str]] = {}
    for name, reason in excluded:
        kinds.setdefault(PurePosixPath(name).suffix.lower() or "no extension", []).append(reason)
    found = [f"{len(reasons)} {kind} ({Counter(reasons).most_common(1)[0][0]})" for kind, reasons in kinds.items()]
    return DataError(
        "DATA-EMPTY",
        "no usable image",
        where=source.place,
        why="found " + (", ".join(found[:8]) if found else "no file at all"),
        fix="give a folder or zip with PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF images",
    )
