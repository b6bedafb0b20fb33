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
from sparring.data.options import Options
from sparring.data.sources import open_source
from sparring.data.sources.items import Annotations, Item, Items, Pixels, Progress, Source, Two, Unreadable


def settle(text: str, options: Options, needs: Collection[str]) -> Options:
    """The options with `pairs` as it is meant for the source `text`."""
    if options.pairs != "auto":
        return options
    if options.into is not None:
        return replace(options, pairs="unpaired" if "unpaired" in needs else "stems")
    if "pair" in needs and text == "emoji":
        return replace(options, pairs="stems")
    return replace(options, pairs="none")


def open_pairs(text: str, options: Options, cache_root: Path | None = None, progress: Progress | None = None) -> Source:
    """The source of the pairs that `options` speak of, or of single images where there are none."""
    if options.pairs == "stems" and text == "emoji":
        return built_in(options.direction)
    return open_source(text, options, cache_root, progress)


def built_in(direction: str = "AtoB") -> PairSource:
    """Emoji: A is the black outline, B the colours."""
    outline, colour = builtin.outlines(), builtin.source("emoji")
    rows = np.repeat(np.arange(len(colour.items))[:, None], 2, axis=1)
    sides = (outline, colour) if direction == "AtoB" else (colour, outline)
    outline.own = colour.own
    return PairSource(*sides, rows, "stems", first=outline)


class PairSource(Source):
    """Items of two sources, two by two. Named after what is to be made, as are labels and captions.

    rows: (n, 2) numbers of the items in `given` and in `made`; both may be one source.   pairs: as of `Options`.
    """

    def __init__(self, given: Source, made: Source, rows: NDArray[np.int64], pairs: str, *, first: Source) -> None:
        second = made if first is given else given
        super().__init__(name=first.name, place=first.place)
        self.pairs, self.also = pairs, "" if second.place == first.place else second.place
        self._given, self._made, self._rows = given, made, rows
        self.items = Items(
            Item(made.items.names[m], f"{given.items[g].stamp} {made.items[m].stamp} {given.items.names[g]}")
            for g, m in rows.tolist()
        )
        for source in (given, made) if given is not made else (made,):
            self.listed_out += source.listed_out
            self.ignored += source.ignored
        self.beside, self.folders, self.direct = made.beside, made.folders, given.direct and made.direct
        self.own = _of_rows(made.own, rows[:, 1])

    def read_beside(self, name: str) -> bytes:
        return self._made.read_beside(name)

    def read(self, number: int) -> Two:
        given, made = self._rows[number].tolist()
        return Two(_single(self._given, given, "given"), _single(self._made, made, "to be made"))

    @property
    def stamp(self) -> str:
        text = f"pair {super().stamp} {self._given.stamp} {self._made.stamp} {self.pairs}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        self._given.close()
        self._made.close()


def _single(source: Source, number: int, side: str) -> bytes | Pixels:
    try:
        found = source.read(number)
    except Unreadable as error:
        raise Unreadable(f"{side} ({source.items.names[number]}): {error}", error.passing) from error
    assert not isinstance(found, Two)
    return found


def _of_rows(known: Annotations, rows: NDArray[np.int64]) -> Annotations:
    """What is known of the items `rows`."""
    labels = known.labels[rows] if known.labels is not None else None
    captions = [known.captions[row] for row in rows.tolist()] if known.captions is not None else None
    return replace(known, labels=labels, captions=captions)
