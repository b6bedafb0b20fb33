"""A folder inside a source as a source of its own: ``styles.zip/twemoji``, or A/ and B/ in one folder."""

from __future__ import annotations

import hashlib

import numpy as np

from sparring.data.sources.items import Annotations, Item, Items, Pixels, Source, Two
from sparring.errors import DataError


class Below(Source):
    """The items of `source` in one of its folders, named as seen from there. Closing it closes `source`."""

    def __init__(self, source: Source, folder: str) -> None:
        super().__init__(name=folder.rpartition("/")[2], place=f"{source.place}/{folder}", direct=source.direct)
        self._source, self._folder = source, f"{folder}/"
        names = source.items.names
        self._numbers = [number for number, name in enumerate(names) if name.startswith(self._folder)]
        cut = len(self._folder)
        self.items = Items(Item(names[number][cut:], source.items[number].stamp) for number in self._numbers)
        self.listed_out = [(name[cut:], why) for name, why in source.listed_out if name.startswith(self._folder)]
        self.beside = [name[cut:] for name in source.beside if name.startswith(self._folder)]
        self.folders = sorted({name.partition("/")[0] for name in self.items.names if "/" in name})
        own, rows = source.own, np.array(self._numbers, np.int64)
        if own.labels is not None:
            self.own = Annotations(own.labels[rows], own.classes, None, own.origin)

    @property
    def stamp(self) -> str:
        return hashlib.blake2b(f"{super().stamp} {self._source.stamp}".encode(), digest_size=16).hexdigest()

    def read_beside(self, name: str) -> bytes:
        return self._source.read_beside(self._folder + name)

    def read(self, number: int) -> bytes | Pixels | Two:
        return self._source.read(self._numbers[number])

    def close(self) -> None:
        self._source.close()


def folders_of(source: Source) -> list[str]:
    """The folders at the top of a source, empty ones too."""
    return sorted({*source.folders, *(name.partition("/")[0] for name in source.items.names if "/" in name)})


def below(source: Source, folder: str) -> Below:
    """A folder inside of a source. Raises `DataError` where there is none of this name."""
    found = Below(source, folder)
    if found.items:
        return found
    inside = ", ".join(folders_of(source)[:10]) or "none"
    source.close()
    raise DataError("DATA-MISSING", f"there is no folder {folder!r} with files in it", where=source.place,
                    fix=f"its folders: {inside}")  # fmt: skip
