"""The slow path of `open_data`: look at everything, decode what is not in the cache yet, divide, report."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, duplicates, legends
from sparring.data.decode import Decoded, Recipe, Unusable, decoding
from sparring.data.halves import side_by_side
from sparring.data.map_verdicts import Found
from sparring.data.maps import Legend, MapRecipe, painted
from sparring.data.opening import decoders
from sparring.data.options import Options
from sparring.data.pairing import AnyRecipe, PairRecipe, decode
from sparring.data.remarks import SIDE_BY_SIDE, blank, converted, few, repeated, smaller
from sparring.data.report import DataReport
from sparring.data.scan import (
    HASH_BYTES,
    Progress,
    Scan,
    content_hash,
    each,
    nothing_usable,
    place_hash,
    scan,
    threads,
)
from sparring.data.sides import SideSpec
from sparring.data.sources import Source, Unreadable
from sparring.data.sources.items import Two
from sparring.data.split import boundary, held_out_count, joined, numbered, split_order
from sparring.errors import DataError

FORMAT, _STORED = 4, 3  # of the cache's own files; of images in it
SURVEYED = ("sides", "mode", "hashes", "equal", "flat", "look", "made")
"""What an entry of the cache knows of each image beside its pixels."""


class _Gone(Exception):
    """Items that could be read at the first look and not at the second: {row of the scan: reason}."""

    def __init__(self, rows: dict[int, str]) -> None:
        super().__init__(rows)
        self.rows = rows


class Preparation:
    """One source on its way into the cache.

    An entry ``images/<key>`` holds what depends on the contents alone: the prepared images in the order of the split
    (unless they are decoded on demand), their hashes, which of them are equal, flat, alike. A ticket ``opened/<…>``
    holds what depends on the source: which item each image is.
    """

    def __init__(
        self, source: Source, root: Path, options: Options, progress: Progress | None, seen: Found | None = None
    ) -> None:
        self.source, self.root, self.options, self.progress = source, root, options, progress
        self._seen = seen  # what the label maps hold, where that is known
        self._found: Scan | None = None

    def run(self, ticket: Path) -> dict[str, Any]:
        """Everything, ending with the ticket by which the next call finds all this at once."""
        found, options = self.scan(), self.options
        seen = self._maps(found)
        legend = seen.legend if seen is not None else None
        recipe = recipe_of(found, options, pairs=bool(self.source.pairs), legend=legend)
        content = found.key(f"{recipe.key} split-{_STORED}")
        stored = self._keeps(len(found), recipe, content)
        key = content if stored else f"{content}-live"
        entry = self.root / "images" / key
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            meta = cache.create(entry, lambda folder: self._build(folder, found, recipe, stored), self._waiting)
        except _Gone as gone:  # between the first look and the second: leave these out, keep nothing of it
            self._found = found.without(gone.rows, self.source)
            return self.run(ticket)
        equal = np.load(entry / "equal.npy")
        if len(equal) > 1 and not equal.any():
            raise DataError(
                "DATA-IDENTICAL", f"all {len(equal):,} images are the same", where=self.source.place,
                fix="check how the images were exported",
            )  # fmt: skip
        hashes = np.load(entry / "hashes.npy")
        rows, unused = matched(found.hashes, hashes)
        bad = {bytes.fromhex(digest): reason for digest, reason in meta["bad"].items()}
        excluded = found.excluded + [
            (self._name(found, row), bad[found.hashes[row].tobytes()]) for row in unused.tolist()
        ]
        k = boundary(np.load(entry / "groups.npy"), held_out_count(len(hashes), options.held_out))
        digest = hashlib.blake2b(f"{recipe.key} {k}".encode(), digest_size=HASH_BYTES)
        digest.update(hashes.tobytes())
        strangers = len(self.source.listed_out) if self.source.pairs else 0  # files that are half of no pair
        report = DataReport(
            source=self.source.place, kind="images", found=len(rows) + len(excluded) - strangers, used=len(rows) - k,
            held_out=k,
            excluded=sorted(excluded), ignored=dict(self.source.ignored), conversions=meta["conversions"],
            sizes=found.histogram(), size=recipe.size, crop=recipe.crop,
            channels=recipe.made.channels if isinstance(recipe, PairRecipe) else recipe.channels,
            background=recipe.background, fingerprint=digest.hexdigest(),
            warnings=[
                *found.warnings, *(seen.warnings if seen else ()), *self._remarks(found, rows, recipe, meta, entry)
            ],
            pairs=self.source.pairs, also=self.source.also, sides=sides_of(recipe),
            maps=seen.record() | {"line": seen.line()} if seen is not None else {},
        )  # fmt: skip

        def write(folder: Path) -> dict[str, Any]:
            np.save(folder / "number.npy", found.number[rows])
            np.save(folder / "frame.npy", found.frame[rows])
            return {"key": key, "report": report.record()}

        ticket.parent.mkdir(parents=True, exist_ok=True)
        cache.forget(ticket)
        said = cache.create(ticket, write)
        if not found.lasting:
            cache.forget(ticket)
        return said

    def scan(self) -> Scan:
        """The first look at this source, from the cache if no file has changed since."""
        if self._found is None:
            self._found = self._look()
        return self._found

    def _maps(self, found: Scan) -> Found | None:
        """What the label maps hold, if there are any; from the cache if they were looked at before."""
        side = map_side(self.options)
        if not side or not self.source.pairs or self._seen is not None:
            return self._seen
        asked = f"{FORMAT} {decoders()} {self.source.stamp} {side} {legends.stamp(self.source, self.options)}"
        asked += f" {self.options.limits} {self.options.background}"
        folder = self.root / "legends" / hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()
        folder.parent.mkdir(parents=True, exist_ok=True)

        def write(_: Path) -> dict[str, Any]:
            seen = legends.survey(self.source, found.number.tolist(), side, self.options, self.progress)
            return {"seen": seen.record()}

        self._seen = Found.of(cache.create(folder, write, self._waiting)["seen"])
        return self._seen

    def _look(self) -> Scan:
        asked = f"{FORMAT} pairs {decoders()} {self.source.stamp} {self.options.limits} {self.options.frames}"
        folder = self.root / "scans" / hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()
        folder.parent.mkdir(parents=True, exist_ok=True)
        made: list[Scan] = []

        def write(part: Path) -> dict[str, Any]:
            made.append(scan(self.source, self.options.limits, self.progress, frames=self.options.frames))
            return made[0].save(part)

        meta = cache.create(folder, write, self._waiting)
        if made and not made[0].lasting:
            cache.forget(folder)
        return made[0] if made else Scan.load(folder, meta)

    def _waiting(self) -> None:
        if self.progress:
            self.progress("waiting for another process that decodes the same images", 0, 1)

    def _keeps(self, n: int, recipe: AnyRecipe, content: str) -> bool:
        """Whether decoded images are kept on disk: as asked, or where they fit in half of what is free."""
        if self.options.keep != "auto":
            return self.options.keep == "on"
        needed = 2 * n * int(np.prod((*recipe.size, recipe.channels), dtype=np.int64))
        there = cache.meta(self.root / "images" / content) is not None
        return there or needed <= cache.free(self.root) // 2

    def _remarks(
        self, found: Scan, rows: NDArray[np.int64], recipe: AnyRecipe, meta: dict[str, Any], entry: Path
    ) -> list[str]:
        enlarged = bool(meta["conversions"].get("enlarged")) and not self.options.enlarge
        said = smaller(found.sides[rows], recipe.size) if enlarged else []
        if not self.source.pairs and side_by_side(self.source, found.sides[rows]):
            said.append(SIDE_BY_SIDE)
        said += converted(meta["conversions"], recipe.background, self.options, self.source.own.origin == "built-in")
        said += repeated(np.load(entry / "equal.npy"), lambda row: self._name(found, int(rows[row])))
        flat = np.flatnonzero(np.load(entry / "flat.npy"))
        return said + blank(flat, lambda row: self._name(found, int(rows[row]))) + few(len(rows))

    def _name(self, found: Scan, row: int) -> str:
        """What a row of the scan is called."""
        frame = int(found.frame[row])
        return self.source.items[int(found.number[row])].name + (f" (picture {frame + 1})" if frame else "")

    def _build(self, folder: Path, found: Scan, recipe: AnyRecipe, stored: bool) -> dict[str, Any]:
        """Decode everything once, and write into `folder`, in the order of the split: images.npy (if they are to be
        `stored`), what is `SURVEYED`, and groups.npy: equal for rows that must not be divided."""
        n, shape = len(found), (*recipe.size, recipe.channels)
        unordered: NDArray[np.uint8] | None = None
        if stored:
            cache.require_space(folder, 2 * n * int(np.prod(shape, dtype=np.int64)))
            unordered = np.lib.format.open_memmap(
                folder / "unordered.npy", mode="w+", dtype=np.uint8, shape=(n, *shape)
            )
        pixel_hashes = np.zeros((n, HASH_BYTES), np.uint8)
        usable, flat, look = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.uint64)
        made = np.zeros(n, np.uint64)  # bit k: the k-th conversion of `counts`
        apart = np.zeros((2, n, HASH_BYTES), np.uint8)  # of each side of pairs
        given_look, places = np.zeros(n, np.uint64), np.zeros((n, HASH_BYTES), np.uint8)
        bad: dict[str, str] = {}
        gone: dict[int, str] = {}
        counts: Counter[str] = Counter()
        with ThreadPoolExecutor(threads()) as pool, decoding():
            for row, result in enumerate(each(pool, lambda row: self._decode(found, row, recipe), range(n))):
                if isinstance(result, Unreadable):
                    gone[row] = str(result)
                elif isinstance(result, Unusable):
                    bad[found.hashes[row].tobytes().hex()] = str(result)
                else:
                    usable[row], flat[row], look[row] = True, result.image.flat, result.look
                    pixel_hashes[row] = np.frombuffer(result.digest, np.uint8)
                    if isinstance(recipe, PairRecipe):
                        apart[:, row] = np.frombuffer(b"".join(result.apart), np.uint8).reshape(2, -1)
                        given_look[row] = result.given_look
                        places[row] = np.frombuffer(result.place, np.uint8)
                    counts.update(result.image.notes)
                    made[row] = sum(1 << list(counts).index(note) for note in result.image.notes)
                    if unordered is not None:
                        unordered[row] = result.image.pixels
                if self.progress and (row + 1 == n or row % 64 == 63):
                    self.progress("decoding", row + 1, n)
        if gone:
            raise _Gone(gone)
        kept = np.flatnonzero(usable)
        if not len(kept):
            reasons = [bad[digest.tobytes().hex()] for digest in found.hashes]
            names = [self._name(found, row) for row in range(n)]
            raise nothing_usable(self.source, found.excluded + list(zip(names, reasons, strict=True)))
        if isinstance(recipe, PairRecipe):
            together = self._partners(found, recipe, kept, apart, (given_look, look), unordered)
        else:
            together = found.together()[kept]
            alone = ~together.any(axis=1)
            together[alone] = pixel_hashes[kept][alone]
        order, groups = split_order(places[kept] if isinstance(recipe, PairRecipe) else found.hashes[kept], together)
        rows = kept[order]
        if unordered is not None:
            _reorder(unordered, rows, folder / "images.npy")
            del unordered
            (folder / "unordered.npy").unlink()
        columns: dict[str, NDArray[Any]] = {
            "hashes": found.hashes, "sides": found.sides, "mode": found.mode, "flat": flat, "look": look,
            "made": made,
        }  # fmt: skip
        for name, values in columns.items():
            np.save(folder / f"{name}.npy", values[rows])
        np.save(folder / "groups.npy", groups)
        np.save(folder / "equal.npy", numbered(pixel_hashes[rows]))
        return {"bad": bad, "conversions": dict(counts), "flat": int(flat.sum()), "modes": found.modes}

    def _decode(self, found: Scan, row: int, recipe: AnyRecipe) -> _Seen | Unreadable | Unusable:
        try:
            data, frame = self.source.read(int(found.number[row])), int(found.frame[row])
            if frame == 0 and content_hash(data) != found.hashes[row].tobytes():
                return Unreadable("changed while it was being read")
            image = decode(data, recipe, frame)
        except (Unreadable, Unusable) as error:
            return error
        digest = content_hash(image.pixels)
        if not isinstance(recipe, PairRecipe):
            return _Seen(image, digest, duplicates.look(image.pixels))
        given, made = np.split(image.pixels, [recipe.given.channels], axis=2)
        apart = content_hash(given), content_hash(made)
        looks = duplicates.look(painted(made, recipe.made)), duplicates.look(painted(given, recipe.given))
        assert isinstance(data, Two)
        return _Seen(image, digest, looks[0], apart, looks[1], place_hash(data))

    def _partners(
        self, found: Scan, recipe: PairRecipe, kept: NDArray[np.int64], apart: NDArray[np.uint8],
        looks: tuple[NDArray[np.uint64], NDArray[np.uint64]], images: NDArray[np.uint8] | None,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """(m, 16) the same for pairs that must not be divided: of which one side is the same, or looks almost the same
        (as the outlines of one drawing in several colours do). apart, looks: of what is given, and of what is made."""
        hashes, cut = apart[:, kept], recipe.given.channels
        alike = []
        for side, one in enumerate((recipe.given, recipe.made)):
            channels = slice(None, cut) if side == 0 else slice(cut, None)
            _, first = np.unique(numbered(hashes[side]), return_index=True)

            def pixels_of(
                rows: NDArray[np.int64], first: NDArray[np.int64] = first, channels: slice = channels,
                one: Recipe | MapRecipe = one,
            ) -> NDArray[np.uint8]:  # fmt: skip
                return painted(self._pixels(found, recipe, kept[first[rows]], images)[..., channels], one)

            near = duplicates.near(looks[side][kept][first], pixels_of, most=len(first))
            alike.append(first[np.array(near, np.int64).reshape(-1, 2)])
        return joined(*hashes, alike=np.concatenate(alike))

    def _pixels(
        self, found: Scan, recipe: PairRecipe, chosen: NDArray[np.int64], images: NDArray[np.uint8] | None
    ) -> NDArray[np.uint8]:
        """Both sides of some rows."""
        if images is not None:
            return images[chosen]
        seen = [self._decode(found, row, recipe) for row in chosen.tolist()]
        whole = [one.image.pixels for one in seen if isinstance(one, _Seen)]
        if len(whole) < len(seen):
            raise _Gone({int(row): str(one) for row, one in zip(chosen, seen) if not isinstance(one, _Seen)})
        return np.stack(whole)


@dataclass(frozen=True)
class _Seen:
    """A decoded image, the hash of its pixels, and its perceptual hash; of a pair that of what is to be made, and the
    hashes of both sides, the perceptual one of what is given, and the hash that its place in the split depends on."""

    image: Decoded
    digest: bytes
    look: int
    apart: tuple[bytes, bytes] = (b"", b"")
    given_look: int = 0
    place: bytes = b""


def recipe_of(found: Scan, options: Options, *, pairs: bool = False, legend: Legend | None = None) -> AnyRecipe:
    """How the images of a scan are prepared: as asked, and where nothing is asked as most of them are. legend: of the
    side that holds label maps."""
    made = Recipe(
        options.size or found.auto_size(), options.channels or found.auto_channels(), options.crop, options.background,
        options.limits, options.levels,
    )  # fmt: skip
    if not pairs:
        return made
    given = replace(made, channels=options.given_channels or found.auto_channels(given=True))
    if legend is None:
        return PairRecipe(given, made)
    map_recipe = MapRecipe(replace(made, channels=1), legend)
    return PairRecipe(map_recipe, made) if map_side(options) == "given" else PairRecipe(given, map_recipe)


def map_side(options: Options) -> str:
    """Which side holds label maps: "given", "made", or none ("")."""
    if options.maps == "none":
        return ""
    return "given" if (options.maps == "A") == (options.direction == "AtoB") else "made"


def sides_of(recipe: AnyRecipe) -> dict[str, Any]:
    """What both sides of pairs are, as a report says it; nothing of single images."""
    if not isinstance(recipe, PairRecipe):
        return {}
    return {
        "given": SideSpec.of_recipe(recipe.given).record(),
        "made": SideSpec.of_recipe(recipe.made).record(),
    }


def matched(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row of `wanted` (m, 16) a row of `found` (n, 16) with the same hash, none twice, equal ones in order,
    or −1; and the rows of `found` that nobody wants."""
    ids = numbered(np.concatenate([found, wanted]))
    have, want = _counted(ids[: len(found)], len(ids)), _counted(ids[len(found) :], len(ids))
    order = np.argsort(have)
    place = np.minimum(np.searchsorted(have, want, sorter=order), len(have) - 1)
    rows = np.where(have[order[place]] == want, order[place], -1)
    return rows, np.setdiff1d(np.arange(len(found)), rows)


def _counted(ids: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Numbers, different for every row: which id, and the how-manieth of its kind."""
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids)) - np.searchsorted(ids[order], ids[order])
    return ids * (most + 1) + rank


def _reorder(images: NDArray[np.uint8], rows: NDArray[np.int64], path: Path) -> None:
    """`images[rows]` to `path`, in pieces of about 64 MiB."""
    ordered = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(rows), *images.shape[1:]))
    piece = max(1, 2**26 // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(rows), piece):
        ordered[start : start + piece] = images[rows[start : start + piece]]
    ordered.flush()
