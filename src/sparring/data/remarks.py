"""What a person should know of a data set before training, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sparring.data.options import Options

_FEW = 100
_MUCH = 1.25  # enlarged by more than this an image is visibly soft
_NAMED = 3

Name = Callable[[int], str]
"""The name of a row."""

SIDE_BY_SIDE = (
    "all images are twice as wide as high, and most look like two pictures side by side; if they are pairs: --pairs "
    "side-by-side makes the right half of the left one (--direction BtoA: the left of the right); without it they are "
    "learnt as one picture"
)


def smaller(sides: NDArray[np.int32], size: tuple[int, int]) -> list[str]:
    """How many images are much smaller than wanted, how small, and the largest size that 95 % reach.

    >>> smaller(np.array([[20, 20], [40, 30]], np.int32), (32, 32))[0][:49]
    '1 of 2 images is much smaller than 32x32 and was '
    """
    shorter = np.sort(sides.min(axis=1))
    n, small = len(shorter), int((shorter * _MUCH < min(size)).sum())
    if not small:
        return []
    reached = int(shorter[n // 20])
    edges = [0, 32, 64, 128, 256, 512, 2**31]
    bins = np.histogram(shorter, edges)[0].tolist()
    names = [f"{low} to {high - 1}" if high < 2**31 else f"{low} and more" for low, high in pairwise(edges)]
    spread = ", ".join(f"{name}: {count:,}" for name, count in zip(names, bins, strict=True) if count)
    are, were = ("are", "were") if small > 1 else ("is", "was")
    return [
        f"{small:,} of {n:,} images {are} much smaller than {size[1]}x{size[0]} and {were} enlarged; 95 % have a "
        f"shorter side of at least {reached} (shorter sides: {spread}); choose a --size that they "
        "reach, or say --allow-upscale"
    ]


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """A colour as it is typed.

    >>> hexadecimal((255, 128, 0))
    '#ff8000'
    """
    return "#" + "".join(f"{level:02x}" for level in colour)


def ground(colour: tuple[int, int, int] | None) -> str:
    """What lies under transparent pixels, in words."""
    return "white" if colour in (None, (255, 255, 255)) else hexadecimal(colour)


def converted(
    conversions: Mapping[str, int], background: tuple[int, int, int], options: Options, built_in: bool
) -> list[str]:
    """Conversions that change what is seen."""
    said = []
    if (hidden := conversions.get("transparency on background", 0)) and not built_in:
        said.append(f"transparent images were put on {ground(background)} ({hidden:,}); --background changes it")
    several = ("first frame of an animation", "first of several pages")
    if (frames := sum(conversions.get(name, 0) for name in several)) and options.frames == "first":
        said.append(f"of files with several pictures only the first is used ({frames:,}); --frames all uses every one")
    return said


def repeated(equal: NDArray[np.int64], name: Name) -> list[str]:
    """Exact duplicates: how many, and the first ones by name. equal: the same number for equal images."""
    n, first = len(equal), np.unique(equal, return_index=True)[1]
    if len(first) == n:
        return []
    rows = np.setdiff1d(np.arange(n), first)
    pairs = [(name(int(row)), name(int(first[equal[row]]))) for row in rows[:_NAMED]]
    named = ", ".join(f"{a} = {b}" for a, b in pairs) + (" …" if len(rows) > _NAMED else "")
    are = "are exact duplicates" if len(rows) > 1 else "is an exact duplicate"
    return [f"{len(rows):,} of {n:,} images {are} of others: {named}"]


def blank(rows: NDArray[np.int64], name: Name) -> list[str]:
    """Images of one flat colour: how many, and the first ones by name."""
    if not len(rows):
        return []
    named = ", ".join(name(int(row)) for row in rows[:_NAMED]) + (" …" if len(rows) > _NAMED else "")
    return [f"{len(rows):,} image{'s are' if len(rows) > 1 else ' is'} one flat colour: {named}"]


def few(n: int) -> list[str]:
    """A word about very small data sets."""
    if n >= _FEW:
        return []
    return [f"only {n:,} image{'s' if n > 1 else ''}: a generator will learn what is there by heart"]
