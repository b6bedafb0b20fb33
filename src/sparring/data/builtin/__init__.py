"""Real, small data that ships with the package, each with its licence beside it.

emoji:   1,628 base emoji of OpenMoji 17 (CC BY-SA 4.0), 64 x 64 RGBA, with black outline, English name and group.
fashion: the 10,000 test images of Fashion-MNIST (MIT), 28 x 28 grey, with their class.

Both are built by scripts in tools/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import pixels
from sparring.data.sources import idx
from sparring.data.sources.arrays import ArraySource
from sparring.data.sources.items import Annotations, stamp_of

IMAGES = ("emoji", "fashion")
FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

_HERE = Path(__file__).parent
_EMOJI_SIDE = 64


@dataclass(frozen=True, eq=False)
class Emoji:
    """N emoji in Unicode's order. colour: (N, 64, 64, 4) RGBA, transparent around.   outline: (N, 64, 64, 1) uint8,
    black on white, N drawings that match.   character, name, group, subgroup: N texts each."""

    colour: NDArray[np.uint8]
    outline: NDArray[np.uint8]
    character: tuple[str, ...]
    name: tuple[str, ...]
    group: tuple[str, ...]
    subgroup: tuple[str, ...]


def emoji() -> Emoji:
    """All of the built-in emoji.

    >>> emoji().name[0]
    'grinning face'
    """
    columns = list(zip(*_emoji_rows(), strict=True))
    n = len(columns[0])
    return Emoji(_tiles("colour.png", n), _tiles("outline.png", n), *columns)


def _emoji_rows() -> list[tuple[str, ...]]:
    """(character, name, group, subgroup) of each."""
    lines = (_HERE / "emoji" / "names.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines[1:]]


def _tiles(file: str, n: int) -> NDArray[np.uint8]:
    """(n, 64, 64, C) from a sheet of tiles, row by row."""
    sheet = pixels((_HERE / "emoji" / file).read_bytes())
    rows, columns, side = sheet.shape[0] // _EMOJI_SIDE, sheet.shape[1] // _EMOJI_SIDE, _EMOJI_SIDE
    tiles = sheet.reshape(rows, side, columns, side, -1).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(rows * columns, side, side, -1)[:n]


def source(name: str) -> ArraySource:
    """The built-in images called `name`; labels are the emoji's group, or the class of clothing;
    the captions of emoji are their names."""
    if name == "fashion":
        found = idx.source(_HERE / "fashion" / "t10k-images-idx3-ubyte.gz")
        found.name = found.place = name
        found.own = Annotations(labels=found.own.labels, classes=FASHION_CLASSES, origin="built-in")
        return found
    rows = _emoji_rows()
    groups = [group for _, _, group, _ in rows]
    kinds = list(dict.fromkeys(groups))
    labels = np.array([kinds.index(group) for group in groups], np.int64)
    own = Annotations(labels, tuple(kinds), [(text,) for _, text, _, _ in rows], "built-in")
    return _sheet("colour.png", name, len(groups), own)


def outlines() -> ArraySource:
    """The outlines of the emoji, in the same order as ``source("emoji")``."""
    return _sheet("outline.png", "emoji", len(_emoji_rows()))


def _sheet(file: str, name: str, count: int, own: Annotations | None = None) -> ArraySource:
    stamp = stamp_of((_HERE / "emoji" / file).stat())
    return ArraySource(name, name, count, lambda: _tiles(file, count), stamp, own)
