"""The slow path of `open_data`: look at everything, decode what is not in the cache yet, divide, report."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache
from sparring.data.decode import Crop, Decoded, Limits, Recipe, Unusable, decode, decoding
from sparring.data.report import DataReport
from sparring.data.scan import HASH_BYTES, Progress, Scan, content_hash, each, nothing_usable, scan, threads
from sparring.data.sources import Source, Unreadable
from sparring.data.split import boundary, held_out_count, split_order
from sparring.errors import DataError

FORMAT = 1  # of the cache's own files
_FEW = 100


class _Gone(Exception):
    """Items that could be read at the first look and not at the second: {row of the scan: reason}."""

    def __init__(self, rows: dict[int, str]) -> None:
        super().__init__(rows)
        self.rows = rows


class Preparation:
    """One source on its way into the cache."""

    def __init__(self, source: Source, root: Path, limits: Limits, progress: Progress | None) -> None:
        self.source, self.root, self.limits, self.progress = source, root, limits, progress
        self.found: Scan | None = None

    def run(
        self,
        ticket: Path,
        size: tuple[int, int] | None,
        channels: int | None,
        crop: Crop,
        background: tuple[int, int, int],
        held_out: float,
    ) -> dict[str, Any]:
        """Everything, ending with the ticket by which the next call finds all this at once."""
        found = self.found = self.found or self._scan()
        recipe = Recipe(size or found.auto_size(), channels or found.auto_channels(), crop, background, self.limits)
        key = found.key(f"{recipe.key} split-{FORMAT}")
        entry = self.root / "images" / key
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            meta = cache.create(entry, lambda folder: self._build(folder, found, recipe), self._waiting)
        except _Gone as gone:  # between the first look and the second: leave these out, keep nothing of it
            self.found = found.without(gone.rows, self.source)
            return self.run(ticket, size, channels, crop, background, held_out)
        hashes, groups = np.load(entry / "hashes.npy"), np.load(entry / "groups.npy")
        if len(hashes) > 1 and groups[0] == groups[-1]:
            raise DataError(
                "DATA-IDENTICAL", f"all {len(hashes):,} images are the same", where=self.source.place,
                fix="check how the images were exported",
            )  # fmt: skip
        index, unused = self._index(found, hashes)
        bad = {bytes.fromhex(digest): reason for digest, reason in meta["bad"].items()}
        excluded = found.excluded + [
            (self.source.items[int(found.number[row])].name, bad[found.hashes[row].tobytes()]) for row in unused
        ]
        k = boundary(groups, held_out_count(len(hashes), held_out))
        fingerprint = hashlib.blake2b(f"{key} {k}".encode(), digest_size=HASH_BYTES).hexdigest()
        report = DataReport(
            source=self.source.place, kind="images", found=len(index) + len(excluded), used=len(index) - k, held_out=k,
            excluded=sorted(excluded), ignored=dict(self.source.ignored), conversions=meta["conversions"],
            sizes=found.histogram(), size=recipe.size, channels=recipe.channels, crop=recipe.crop,
            background=recipe.background, warnings=_warnings(found, recipe, meta, groups), fingerprint=fingerprint,
        )  # fmt: skip

        def write(folder: Path) -> dict[str, Any]:
            np.save(folder / "index.npy", index)
            return {"key": key, "report": report.record()}

        ticket.parent.mkdir(parents=True, exist_ok=True)
        cache.forget(ticket)
        said = cache.create(ticket, write)
        if not found.lasting:
            cache.forget(ticket)
        return said

    def _waiting(self) -> None:
        if self.progress:
            self.progress("waiting for another process that decodes the same images", 0, 1)

    def _scan(self) -> Scan:
        """The scan of this source, from the cache if no file has changed since."""
        name = hashlib.blake2b(f"{FORMAT} {self.source.stamp} {self.limits}".encode(), digest_size=16).hexdigest()
        folder = self.root / "scans" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        made: list[Scan] = []

        def write(part: Path) -> dict[str, Any]:
            made.append(scan(self.source, self.limits, self.progress))
            return made[0].save(part)

        meta = cache.create(folder, write, self._waiting)
        if made and not made[0].lasting:
            cache.forget(folder)
        return made[0] if made else Scan.load(folder, meta)

    def _index(self, found: Scan, hashes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], list[int]]:
        """For each row of the cache its item in the source, and the rows of the scan that are not in the cache."""
        waiting: dict[bytes, list[int]] = {}
        for row in range(len(found) - 1, -1, -1):
            waiting.setdefault(found.hashes[row].tobytes(), []).append(row)
        rows = [waiting[digest.tobytes()].pop() for digest in hashes]
        return found.number[rows], sorted(row for left in waiting.values() for row in left)

    def _build(self, folder: Path, found: Scan, recipe: Recipe) -> dict[str, Any]:
        """Decode everything into `folder`: images.npy (in the order of the split), hashes.npy, groups.npy."""
        n, shape = len(found), (*recipe.size, recipe.channels)
        cache.require_space(folder, 2 * n * int(np.prod(shape)))
        unordered = np.lib.format.open_memmap(folder / "unordered.npy", mode="w+", dtype=np.uint8, shape=(n, *shape))
        pixel_hashes: list[bytes] = [b""] * n
        bad: dict[str, str] = {}
        gone: dict[int, str] = {}
        counts: Counter[str] = Counter()
        flat = 0
        with ThreadPoolExecutor(threads()) as pool, decoding():
            for row, result in enumerate(each(pool, lambda row: self._decode(found, row, recipe), list(range(n)))):
                if isinstance(result, Unreadable):
                    gone[row] = str(result)
                elif isinstance(result, Unusable):
                    bad[found.hashes[row].tobytes().hex()] = str(result)
                else:
                    unordered[row] = result.pixels
                    pixel_hashes[row] = content_hash(result.pixels)
                    counts.update(result.notes)
                    flat += result.flat
                if self.progress and (row + 1 == n or row % 64 == 63):
                    self.progress("decoding", row + 1, n)
        if gone:
            raise _Gone(gone)
        rows, groups = split_order([row.tobytes() for row in found.hashes], pixel_hashes)
        if not rows:
            names = [self.source.items[int(number)].name for number in found.number]
            reasons = [bad[digest.tobytes().hex()] for digest in found.hashes]
            raise nothing_usable(self.source, found.excluded + list(zip(names, reasons, strict=True)))
        _reorder(unordered, rows, folder / "images.npy")
        del unordered
        (folder / "unordered.npy").unlink()
        np.save(folder / "hashes.npy", found.hashes[rows])
        np.save(folder / "groups.npy", groups)
        return {"bad": bad, "conversions": dict(counts), "flat": flat}

    def _decode(self, found: Scan, row: int, recipe: Recipe) -> Decoded | Unreadable | Unusable:
        try:
            data = self.source.read(int(found.number[row]))
            if content_hash(data) != found.hashes[row].tobytes():
                return Unreadable("changed while it was being read")
            return decode(data, recipe)
        except (Unreadable, Unusable) as error:
            return error


def _reorder(images: NDArray[np.uint8], rows: list[int], path: Path) -> None:
    """`images[rows]` to `path`, in pieces of about 64 MiB."""
    ordered = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(rows), *images.shape[1:]))
    piece = max(1, 2**26 // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(rows), piece):
        ordered[start : start + piece] = images[rows[start : start + piece]]
    ordered.flush()


def _warnings(found: Scan, recipe: Recipe, meta: dict[str, Any], groups: NDArray[np.int64]) -> list[str]:
    """What a person should know before training, in plain words."""
    n, said = len(groups), []
    enlarged = meta["conversions"].get("enlarged", 0)
    if enlarged:
        reached = int(np.sort(found.sides.min(axis=1))[len(found) // 20])
        said.append(
            f"{enlarged:,} of {n:,} images are smaller than {recipe.size[1]}x{recipe.size[0]} and were enlarged; "
            f"95 % have a shorter side of at least {reached}"
        )
    repeated = n - len(np.unique(groups))
    if repeated:
        said.append(f"{repeated:,} of {n:,} images are exact duplicates of others")
    if meta["flat"]:
        said.append(f"{meta['flat']:,} images are one flat colour")
    if n < _FEW:
        said.append(f"only {n:,} image{'s' if n > 1 else ''}: a generator will learn what is there by heart")
    return said
