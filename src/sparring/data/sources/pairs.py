"""Pairs out of sources of single images: two folders whose files have the same stems, the two halves of each picture,
two columns of metadata, or outlines and colours that ship with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.data import builtin
from sparring.data.options import Options, Pairs
from sparring.data.sources import open_source
from sparring.data.sources.below import Below, folders_of
from sparring.data.sources.items import Annotations, Item, Items, Pixels, Progress, Source, Two, Unreadable
from sparring.data.sources.partners import by_columns, by_stem, has_columns, no_pairs
from sparring.errors import DataError

FOLDERS = (("A", "B"), ("trainA", "trainB"))
"""Names of the folders of both sides in one source."""
_HALVES = {"AtoB": ("left", "right"), "BtoA": ("right", "left")}


class PairSource(Source):
    """Items of two sources, two by two, named after what is to be made, as are labels and captions.

    rows: (n, 2) numbers of the items in `given` and in `made`; both may be one source.   pairs: as of `Options`.
    halves: of each item that is one picture.   column: of metadata that names what is to be made.
    """

    def __init__(
        self, given: Source, made: Source, rows: NDArray[np.int64], pairs: Pairs, *, first: Source,
        halves: tuple[str, str] = ("", ""), column: str = "", unmatched: Collection[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        second = made if first is given else given
        super().__init__(name=first.name, place=first.place, direct=given.direct and made.direct)
        self.pairs, self.also = pairs, "" if second.place == first.place else second.place
        self._given, self._made, self._rows, self._halves = given, made, rows, halves
        self.items = Items(
            Item(made.items.names[m], f"{given.items[g].stamp} {made.items[m].stamp} {given.items.names[g]}")
            for g, m in rows.tolist()
        )
        for source in {id(one): one for one in (given, made)}.values():
            self.listed_out += source.listed_out
            self.ignored += source.ignored
        self.listed_out += unmatched
        self.beside, self.folders, self.own = made.beside, made.folders, Annotations(origin=made.own.origin)
        self.described = made, rows[:, 1], column

    def read_beside(self, name: str) -> bytes:
        return self._made.read_beside(name)

    def read(self, number: int) -> Two:
        given, made = self._rows[number].tolist()
        if any(self._halves):
            whole = _single(self._made, made, "")
            return Two(whole, whole, self._halves)
        return Two(_single(self._given, given, "given"), _single(self._made, made, "to be made"))

    @property
    def stamp(self) -> str:
        text = f"pair-2 {super().stamp} {self._given.stamp} {self._made.stamp} {self.pairs} {self._halves}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        self._given.close()
        self._made.close()


def _single(source: Source, number: int, side: str) -> bytes | Pixels:
    try:
        found = source.read(number)
    except Unreadable as error:
        said = f"{side} ({source.items.names[number]}): {error}" if side else str(error)
        raise Unreadable(said, error.passing) from error
    assert not isinstance(found, Two)
    return found


# ── what is meant ─────────────────────────────────────────────────────────────────────────────────────────────────


def open_pairs(
    text: str, options: Options, cache_root: Path | None = None, progress: Progress | None = None,
    needs: Collection[str] = (),
) -> tuple[Source, ...]:  # fmt: skip
    """The source of the pairs, or of single images, that `text` and `options` mean; of unpaired images two sources,
    what is given first.

    needs: "pair" or "unpaired" where whoever trains on it needs that (`Game.needs`); settles pairs="auto".
    Raises `DataError`.
    """
    pairs = options.pairs
    if pairs == "auto" and options.into is not None:
        pairs = "unpaired" if "unpaired" in needs else "stems"
    if text == "emoji" and options.into is None:
        if pairs == "stems" or (pairs == "auto" and "pair" in needs):
            return (_built_in(options),)
        if pairs == "unpaired" or (pairs == "auto" and "unpaired" in needs):
            sides = builtin.outlines(), builtin.source("emoji")
            return sides if options.direction == "AtoB" else sides[::-1]
    first = open_source(text, options, cache_root, progress)
    try:
        if pairs == "auto":
            pairs = _found(first, options, needs)
        if pairs == "none":
            return (first,)
        if pairs == "side-by-side":
            rows = np.repeat(np.arange(len(first.items))[:, None], 2, axis=1)
            return (PairSource(first, first, rows, pairs, first=first, halves=_HALVES[options.direction]),)
        if pairs == "columns":
            if first.beside or "given" not in dict(options.columns):
                return (_columns(first, options),)
            return (_both_columns(first, text, options, cache_root, progress),)
        if options.into is not None:
            a, b = first, open_source(options.into, options, cache_root, progress)
        else:
            a, b = _folders(first)
    except BaseException:
        first.close()
        raise
    given, made = (a, b) if options.direction == "AtoB" else (b, a)
    if pairs == "unpaired":
        return given, made
    rows, unmatched = by_stem(given, made, drop=options.drop_unpaired)
    return (PairSource(given, made, rows, pairs, first=a, unmatched=unmatched),)


def _built_in(options: Options) -> PairSource:
    """Emoji: A is the black outline, B the colours."""
    outline, colour = builtin.outlines(), builtin.source("emoji")
    outline.own = colour.own
    rows = np.repeat(np.arange(len(colour.items))[:, None], 2, axis=1)
    given, made = (outline, colour) if options.direction == "AtoB" else (colour, outline)
    return PairSource(given, made, rows, "stems", first=outline)


def _found(source: Source, options: Options, needs: Collection[str]) -> Pairs:
    """How one source holds two sides, if whoever trains on it needs two."""
    if not {"pair", "unpaired"} & set(needs):
        return "none"
    there = any(set(pair) <= set(folders_of(source)) for pair in FOLDERS)
    if "pair" in needs:
        if {"given", "image"} <= set(dict(options.columns)) or has_columns(source, options):
            return "columns"
        if there:
            return "stems"
        raise no_pairs(source)
    if there:
        return "unpaired"
    raise DataError(
        "DATA-ONE-SET", "this is one set of images, and the recipe needs two", where=source.place,
        fix="name two folders: sparring train A/ B/; or folders A/ and B/ (trainA/ and trainB/) in one",
    )  # fmt: skip


def _folders(source: Source) -> tuple[Source, Source]:
    """The folders of both sides in one source."""
    there = set(folders_of(source))
    for a, b in FOLDERS:
        if {a, b} <= there:
            sides = Below(source, a), Below(source, b)
            sides[1].ignored = source.ignored
            if besides := sum(1 for name in source.items.names if name.partition("/")[0] not in (a, b)):
                sides[1].ignored[f"beside {a}/ and {b}/"] += besides
            return sides
    raise DataError(
        "DATA-PAIRS", "there are no folders A/ and B/ (or trainA/ and trainB/) in it", where=source.place,
        why=f"its folders: {', '.join(sorted(there)[:10]) or 'none'}", fix="name two folders: sparring train A/ B/",
    )  # fmt: skip


def _columns(source: Source, options: Options) -> PairSource:
    named = {"given": "file_A", "image": "file_B", **dict(options.columns)}
    columns = (named["given"], named["image"])
    if options.direction == "BtoA":
        columns = columns[::-1]
    rows, lost = by_columns(source, *columns)
    return PairSource(source, source, rows, "columns", first=source, column=columns[1], unmatched=lost)


def _both_columns(
    made: Source, text: str, options: Options, cache_root: Path | None, progress: Progress | None
) -> PairSource:
    """Parquet files with two columns of images: the same rows, read once by each. made: by the column "image"."""
    others = tuple(one for one in options.columns if one[0] not in ("given", "image"))
    first = replace(options, columns=(*others, ("image", dict(options.columns)["given"])))
    given = open_source(text, first, cache_root, progress)
    rows = np.repeat(np.arange(len(made.items))[:, None], 2, axis=1)
    if options.direction == "BtoA":
        given, made = made, given
    return PairSource(given, made, rows, "columns", first=made)
