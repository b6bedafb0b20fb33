"""`open_data`: from what a person typed to a `Dataset` that a stream can read, decoded once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, points
from sparring.data.decode import Crop, Decoded, Limits, Recipe, Unusable, decode, decoding
from sparring.data.report import DataReport
from sparring.data.scan import HASH_BYTES, Progress, Scan, content_hash, each, nothing_usable, scan, threads
from sparring.data.sources import Source, Unreadable, open_source
from sparring.errors import DataError, UsageError

_FORMAT = 1  # of the cache's own files
_LIMITS = Limits()
_FEW = 100


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data ready for training, and what is set aside to judge it.

    kind:     "images" or "points".                     shape: (C, H, W) or (D,) of one sample.
    train:    (N, H, W, C) uint8, memory-mapped, read-only; or points (N, D) float32.
    held_out: (M, …) the same, never trained on; M may be 0.
    report:   what was found, converted, left out.      fingerprint: changes with content, preparation and split.
    labels, held_out_labels: (N,), (M,) int64, or None.
    index, held_out_index:   positions in `names` (images), so that a row can be traced to its file.
    scale, modes, spread:    points only; `train · scale` are the coordinates in which `modes` (K, D) are given and
                             each mode has the standard deviation `spread`.
    """

    name: str
    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    train: NDArray[Any]
    held_out: NDArray[Any]
    report: DataReport
    fingerprint: str
    labels: NDArray[np.int64] | None = None
    held_out_labels: NDArray[np.int64] | None = None
    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    held_out_index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    names: Sequence[str] = ()
    scale: float = 1.0
    modes: NDArray[np.float32] | None = None
    spread: float | None = None

    def __len__(self) -> int:
        return len(self.train)


def open_data(
    source: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    crop: Crop = "center",
    background: tuple[int, int, int] = (255, 255, 255),
    held_out: float = 0.05,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    limits: Limits = _LIMITS,
) -> Dataset:
    """Open images (a folder, a zip, idx files, "emoji", "fashion") or 2-D points ("ring", "grid", …).

    size: (H, W) in pixels; None takes the median shorter side, rounded down to 256, 128, 64 or 32, square.
    channels: 1, 3 or 4; None takes 1 where most images are grey, else 3. Transparency is kept only with 4.
    crop: "center" cuts to the aspect of `size`, "squeeze" distorts, "pad" adds `background`.
    held_out: fraction set aside, at least 50 images where there are 500, 0 for none.
    progress: called with (stage, done, total).

    Raises `DataError` (nothing usable, all images equal, no such file), `UsageError` (arguments), `MachineError`.

    >>> open_data("ring").shape
    (2,)
    """
    _check(size, channels, crop, background, held_out)
    if str(source) in points.NAMES:
        return _open_points(str(source), held_out)
    root, warning = cache.directory(cache_dir)
    opened = open_source(str(source))
    try:
        asked = (_FORMAT, size, channels, crop, background, held_out, limits)
        ticket = root / "opened" / hashlib.blake2b(f"{opened.stamp} {asked}".encode(), digest_size=16).hexdigest()
        meta = cache.meta(ticket)
        if meta is None or cache.meta(root / "images" / meta["key"]) is None:
            work = _Opening(opened, root, limits, progress)
            meta = work.run(ticket, size, channels, crop, background, held_out)
        return _assemble(opened, root, ticket, meta, warning)
    finally:
        opened.close()


def _check(
    size: tuple[int, int] | None, channels: int | None, crop: str, background: tuple[int, ...], held_out: float
) -> None:
    if size is not None and not (len(size) == 2 and all(1 <= side <= 4096 for side in size)):
        raise UsageError("DATA-SIZE", f"size {size} is not usable", fix="give height and width between 1 and 4096")
    if channels not in (None, 1, 3, 4):
        raise UsageError("DATA-CHANNELS", f"{channels} channels", fix="1 is grey, 3 is colour, 4 has transparency")
    if crop not in get_args(Crop):
        raise UsageError("DATA-CROP", f"no crop policy {crop!r}", fix=f"choose one of {', '.join(get_args(Crop))}")
    if len(background) != 3 or not all(0 <= level <= 255 for level in background):
        raise UsageError("DATA-BACKGROUND", f"background {background}", fix="red, green and blue, each 0 to 255")
    if not 0.0 <= held_out <= 0.5:
        raise UsageError("DATA-HELD-OUT", f"held-out fraction {held_out}", fix="0 to 0.5; 0.05 is the default")


def held_out_count(n: int, fraction: float) -> int:
    """How many of n images to set aside: the fraction, but at least 50 where n ≥ 500 and 1 where n ≥ 20.

    >>> [held_out_count(n, 0.05) for n in (1, 19, 20, 203, 500, 9303)]
    [0, 0, 1, 10, 50, 465]
    """
    if fraction <= 0.0:
        return 0
    least = 50 if n >= 500 else 1 if n >= 20 else 0
    return min(max(int(n * fraction), least), n // 2)


def _open_points(name: str, held_out: float) -> Dataset:
    made = points.make(name)
    n = len(made.values)
    aside = points.make(name, count=held_out_count(n, held_out), start=n)
    fingerprint = content_hash(made.values.view(np.uint8)).hex()
    report = DataReport(
        source=name, kind="points", found=n + len(aside.values), used=n, held_out=len(aside.values),
        fingerprint=fingerprint,
    )  # fmt: skip
    return Dataset(
        name=name, kind="points", shape=made.values.shape[1:], train=made.values, held_out=aside.values, report=report,
        fingerprint=fingerprint, scale=made.scale, modes=made.modes, spread=made.spread,
    )  # fmt: skip


def _assemble(source: Source, root: Path, ticket: Path, meta: dict[str, Any], warning: str) -> Dataset:
    report = DataReport.of(meta["report"])
    if warning:
        report.warnings.append(warning)
    images = np.load(root / "images" / meta["key"] / "images.npy", mmap_mode="r")
    index = np.load(ticket / "index.npy")
    labels = source.labels[index] if source.labels is not None else None
    k = report.held_out
    return Dataset(
        name=source.name,
        kind="images",
        shape=(images.shape[3], images.shape[1], images.shape[2]),
        train=images[k:],
        held_out=images[:k],
        report=report,
        fingerprint=report.fingerprint,
        labels=None if labels is None else labels[k:],
        held_out_labels=None if labels is None else labels[:k],
        index=index[k:],
        held_out_index=index[:k],
        names=[item.name for item in source.items],
    )


class _Gone(Exception):
    """Items that could be read at the first look and not at the second: {row of the scan: reason}."""

    def __init__(self, rows: dict[int, str]) -> None:
        super().__init__(rows)
        self.rows = rows


class _Opening:
    """The slow path: look at everything, decode what is not in the cache yet, divide, report."""

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
        key = found.key(f"{recipe.key} split-{_FORMAT}")
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
        k = _boundary(groups, held_out_count(len(hashes), held_out))
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
        name = hashlib.blake2b(f"{_FORMAT} {self.source.stamp} {self.limits}".encode(), digest_size=16).hexdigest()
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
        rows, groups = _split_order([row.tobytes() for row in found.hashes], pixel_hashes)
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


def _split_order(hashes: list[bytes], pixel_hashes: list[bytes]) -> tuple[list[int], NDArray[np.int64]]:
    """Rows in the order of the split, and the group of equal images of each: the first rows are the held-out ones.

    The order depends on content alone: never on names, on the order of files, or on chance. Groups of equal images stay
    together, and images without a duplicate come first, so that the held-out ones are as different as possible.
    """
    members: dict[bytes, list[int]] = {}
    for row, digest in enumerate(pixel_hashes):
        if digest:
            members.setdefault(digest, []).append(row)

    def place(group: list[int]) -> tuple[int, bytes]:
        first = min(hashes[row] for row in group)
        return len(group), hashlib.blake2b(first, digest_size=16, person=b"held-out").digest()

    rows: list[int] = []
    groups: list[int] = []
    for number, group in enumerate(sorted(members.values(), key=place)):
        rows += sorted(group, key=lambda row: (hashes[row], row))
        groups += [number] * len(group)
    return rows, np.array(groups, np.int64)


def _boundary(groups: NDArray[np.int64], k: int) -> int:
    """`k`, moved to where no group of equal images is cut: onwards, or back if that took more than half."""
    n, end = len(groups), k
    while 0 < end < n and groups[end] == groups[end - 1]:
        end += 1
    if end <= n // 2:
        return end
    while 0 < k < n and groups[k] == groups[k - 1]:
        k -= 1
    return k


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
        said.append(f"only {n:,} images: a generator will learn them by heart")
    return said
