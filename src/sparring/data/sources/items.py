"""What a source of images is: a listing of items that reads one at a time.

Nothing is extracted, nothing outside the source is touched, and only regular files are opened. What the listing leaves
out is named with a reason.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sparring.data.options import Pairs

Pixels = NDArray[np.uint8]

CLUTTER = frozenset({".ipynb_checkpoints", "__MACOSX", ".DS_Store", "Thumbs.db", "@eaDir", "desktop.ini", ".git"})
BESIDE = frozenset({"metadata.jsonl", "metadata.csv", "dataset.json"})
"""Files that annotate images, at the top of a source or at the top of one of its folders."""
MAX_FILE_BYTES = 2**29  # 512 MiB: larger than any image within the pixel limit

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, items done, items in all; 0 where nobody knows yet)."""


class Unreadable(Exception):
    """This item cannot be read; the message is the reason a person reads. passing: it may be readable next time
    although nothing that `Item.stamp` sees has changed, so nobody should remember this."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Two:
    """The two pictures of a pair, each as bytes of a file or as pixels (H, W, C).

    halves: of the picture that each is only a half of ("left", "right"); "" for a whole one."""

    given: bytes | Pixels
    made: bytes | Pixels
    halves: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Item:
    """One candidate. name: unique inside its source.   stamp: changes when the content may have changed."""

    name: str
    stamp: str


class Items(Sequence[Item]):
    """A list of `Item` in a fifth of the memory: a million of them are ordinary."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._names: list[str] = []
        self._stamps = array("Q")
        self.extend(items)

    def append(self, item: Item) -> None:
        self._names.append(item.name)
        digest = hashlib.blake2b(item.stamp.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        self._stamps.append(int.from_bytes(digest, "little"))

    def extend(self, items: Iterable[Item]) -> None:
        for item in items:
            self.append(item)

    @property
    def names(self) -> Sequence[str]:
        """All names, in order."""
        return self._names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, number: int) -> Item: ...

    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...

    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        if isinstance(number, slice):
            return [self._item(k) for k in range(*number.indices(len(self)))]
        return self._item(number)

    def _item(self, number: int) -> Item:
        return Item(self._names[number], f"{self._stamps[number]:016x}")


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is known about the items of a source, or the rows of a data set, beside their pixels, in their order.

    labels:   (n,) int64, −1 where an item has none; None where nothing is labelled.   classes: names by number.
    captions: of each item the texts that describe it (perhaps none); None where nothing is described.
    origin:   where this was found: "folders", "metadata.jsonl", "dataset.json", "idx", "parquet", "built-in".
    warnings: what a person should know, in plain words.
    """

    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    captions: Sequence[tuple[str, ...]] | None = None
    origin: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(eq=False)
class Source(ABC):
    """A listing of candidates and a way to read one. `listed_out`: (name, reason) that never became candidates.

    beside: names of files in the source that say something about its images (metadata.jsonl, metadata.csv,
    dataset.json); `read_beside` gives their bytes.   own: what the source itself knows (idx labels, parquet columns).
    folders: names of the folders at its top, empty ones too.   direct: whether any item is read as fast as the next.
    pairs: how the two pictures of a pair find each other (`Options.pairs`), "" of single ones.
    also: the place of the second sides of pairs, where they have one of their own.
    described: where labels and captions of pairs come from: a source, the number in it of each item, and the column of
    metadata that names its files ("" for the usual one).
    """

    name: str
    place: str
    items: Items = field(default_factory=Items)
    listed_out: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    beside: list[str] = field(default_factory=list)
    own: Annotations = field(default_factory=Annotations)
    folders: list[str] = field(default_factory=list)
    direct: bool = True
    pairs: Pairs | Literal[""] = ""
    also: str = ""
    described: tuple[Source, NDArray[np.int64], str] | None = None

    def read_beside(self, name: str) -> bytes:
        """The content of one of the files in `beside`."""
        raise KeyError(name)

    @abstractmethod
    def read(self, number: int) -> bytes | Pixels | Two:
        """The bytes of item `number`, or its pixels (H, W, C) uint8; of a pair both. `Unreadable` with a reason.
        Thread-safe."""

    @property
    def stamp(self) -> str:
        """A fast fingerprint: equal as long as names, sizes and times of change are equal. Reads no content."""
        digest = hashlib.blake2b(digest_size=16)
        items = (f"{item.name}\0{item.stamp}" for item in self.items)
        for part in chain([self.place], items, map(str, self.listed_out)):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\x1f")
        return digest.hexdigest()

    def close(self) -> None:
        """Give back what the source holds open."""
        return None


def stamp_of(info: os.stat_result) -> str:
    """Size, modification and change time, inode: what a changed file cannot keep all of."""
    return f"{info.st_size}.{info.st_mtime_ns}.{info.st_ctime_ns}.{info.st_ino}"
