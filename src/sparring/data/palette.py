"""Label maps in colours: which colour stands for which class, and back.

A palette is a text with a line for each class, ``#rrggbb name`` or ``r g b name``, or JSON ``{"name": "#rrggbb"}``.
Lossy pictures of label maps carry thousands of colours; each pixel is of the class whose colour is nearest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.remarks import hexadecimal
from sparring.errors import DataError

__all__ = ["BUILT_IN", "FOREIGN", "TOLERANCE", "Palette", "one_hot"]

TOLERANCE = 32.0
"""Distance in RGB (levels) up to which a pixel is of a colour. Of the JPEG facades 2.1 % of the pixels away from edges
lie beyond, at JPEG quality 50 4.7 %; of photographs 70 %, all that are away from edges (docs/data.md)."""
FOREIGN = 0.05
"""Share of pixels beyond the tolerance above which pictures are refused: other classes, or no label maps at all."""
MOST = 256  # classes: a class is kept as one byte
_FOLDER = Path(__file__).parent / "palettes"
BUILT_IN = tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))
_CHUNK = 2**14  # pixels that are compared at a time, so that what is compared stays in the cache

_ROUNDS = 3  # pixels from both sides that an edge may be blurred
_MANY = 24  # colours above which it pays to compare each colour of a picture once

_HEX = re.compile(r"#([0-9a-fA-F]{6})(?:\s+(.*))?$")
_RGB = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,]+(.*))?$")
_GIMP = re.compile(r"GIMP Palette|(Name|Columns):.*")  # lines of a .gpl file that say nothing about a class


@dataclass(frozen=True, eq=False)
class Palette:
    """names: of the K classes.   colours: (K, 3) uint8, sRGB, all different."""

    names: tuple[str, ...]
    colours: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def load(cls, named: str | Path) -> Palette:
        """A palette by the name of a built-in one (``cmp``) or of a file. Raises `DataError`.

        >>> Palette.load("cmp").names[:3]
        ('background', 'facade', 'window')
        """
        path = _FOLDER / f"{named}.txt" if str(named) in BUILT_IN else Path(named).expanduser()
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                "DATA-PALETTE", "this palette cannot be read", where=str(named), why=str(error),
                fix=f"a text file with a line '#rrggbb name' for each class, or one of {', '.join(BUILT_IN)}",
            ) from error  # fmt: skip
        return cls.parse(text, str(named))

    @classmethod
    def parse(cls, text: str, where: str = "") -> Palette:
        """A palette from its text. Raises `DataError` that names the line.

        >>> Palette.parse("#000000 wall\\n255 255 255 open door").colours.tolist()
        [[0, 0, 0], [255, 255, 255]]
        """
        pairs = list(_from_json(text, where) if text.lstrip().startswith("{") else _from_lines(text, where))
        _check(pairs, where)
        return cls(tuple(name for _, name, _ in pairs), np.array([colour for _, _, colour in pairs], np.uint8))

    def record(self) -> dict[str, str]:
        """Plain JSON values, name to colour; `of` undoes it."""
        return {name: hexadecimal(colour) for name, colour in zip(self.names, self.colours.tolist(), strict=True)}

    @classmethod
    def of(cls, record: dict[str, str]) -> Palette:
        """The palette that `record` was made from."""
        return cls.parse(json.dumps(record))

    def index(self, pixels: NDArray[np.uint8], tolerance: float = TOLERANCE) -> tuple[NDArray[np.uint8], float]:
        """(H, W, 3) → the class of each pixel (H, W), by the nearest colour (of equally near ones the first), and the
        share of pixels in [0, 1] that lie beyond `tolerance` of all colours.

        At edges the colours of neighbours blend, in JPEGs and wherever pictures were resized, and a blend may be
        nearest to a third class. So a pixel beyond the tolerance gets the class of a neighbour within it (in three
        rounds, each a pixel further in), if there is one; and it counts as beyond only where the eight around it have
        its nearest colour too, which is no edge.

        >>> Palette.parse("0 0 0 wall\\n255 255 255 door").index(np.full((2, 2, 3), 250, np.uint8))[0].tolist()
        [[1, 1], [1, 1]]
        """
        number, square = self._nearest(pixels)
        far = square > tolerance**2
        if not far.any():
            return number, 0.0
        return self._settled(pixels, number, far), float((far & inside(number)).mean())

    def foreign(self, pixels: NDArray[np.uint8], tolerance: float = TOLERANCE) -> Counter[tuple[int, int, int]]:
        """The colours, in steps of 16 levels, of the pixels that `index` counts as beyond, and how many have each."""
        number, square = self._nearest(pixels)
        away = pixels[(square > tolerance**2) & inside(number)] // 16
        colours, counts = np.unique(away, axis=0, return_counts=True)
        steps = ((int(r) * 16 + 8, int(g) * 16 + 8, int(b) * 16 + 8) for r, g, b in colours.tolist())
        return Counter(dict(zip(steps, counts.tolist(), strict=True)))

    def paint(self, index: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes (…) → their colours (…, 3)."""
        painted: NDArray[np.uint8] = self.colours[index]
        return painted

    def _nearest(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The number of the nearest colour of each pixel, and its distance squared, both (H, W); exact: all that is
        added are integers below 2²⁴."""
        flat, back = pixels.reshape(-1, 3), None
        if len(self) > _MANY:
            deep = flat.astype(np.int32)
            kinds, back = np.unique(deep @ np.array([65536, 256, 1], np.int32), return_inverse=True)
            flat = np.stack([kinds >> 16, kinds >> 8 & 255, kinds & 255], axis=1).astype(np.uint8)
        number, square = np.zeros(len(flat), np.uint8), np.empty(len(flat), np.float32)
        colours = self.colours.astype(np.float32)
        own = (colours**2).sum(axis=1)
        for start in range(0, len(flat), _CHUNK):
            some = flat[start : start + _CHUNK].astype(np.float32)
            cross = colours @ some.T * -2.0  # |p − c|² = |p|² − 2 p·c + |c|²
            cross += own[:, None]
            best, which = cross[0].copy(), number[start : start + _CHUNK]
            for k in range(1, len(colours)):
                nearer = cross[k] < best
                which[nearer] = k
                np.minimum(best, cross[k], out=best)
            square[start : start + _CHUNK] = best + np.einsum("ij,ij->i", some, some)
        if back is not None:
            number, square = number[back], square[back]
        return number.reshape(pixels.shape[:-1]), square.reshape(pixels.shape[:-1])

    def _settled(
        self, pixels: NDArray[np.uint8], number: NDArray[np.uint8], unsure: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """The numbers with each unsure one replaced by that of a sure neighbour (left, right, above, below), of several
        by the one whose colour is nearest; what becomes sure so counts in the next of `_ROUNDS`."""
        high, wide = number.shape
        classes, sure = np.pad(number, 1).ravel(), np.pad(~unsure, 1).ravel()  # beyond the border nothing is sure
        row, column = np.nonzero(unsure)
        places = (row + 1) * (wide + 2) + column + 1
        red, green, blue = pixels[row, column].T.astype(np.float32)
        reds, greens, blues = self.colours.T.astype(np.float32)
        for _ in range(_ROUNDS):
            best, which = np.full(len(places), np.inf, np.float32), classes[places]
            for step in (-1, 1, -wide - 2, wide + 2):
                around = places + step
                there = classes[around]
                away = (red - reds[there]) ** 2 + (green - greens[there]) ** 2 + (blue - blues[there]) ** 2
                nearer = sure[around] & (away < best)
                best, which = np.where(nearer, away, best), np.where(nearer, there, which)
            now = best < np.inf
            classes[places[now]] = which[now]
            sure[places[now]] = True
            places, red, green, blue = (values[~now] for values in (places, red, green, blue))
        return classes.reshape(high + 2, wide + 2)[1:-1, 1:-1].copy()


def inside(index: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): whether a pixel and the eight around it are of the same class.

    >>> inside(np.array([[0, 0, 0, 1]], np.uint8)).tolist()
    [[True, True, False, False]]
    """
    same = np.ones(index.shape, np.bool_)
    across = index[:, 1:] == index[:, :-1]
    same[:, 1:] &= across
    same[:, :-1] &= across
    rows = same.copy()
    down = index[1:] == index[:-1]
    rows[1:] &= same[:-1] & down
    rows[:-1] &= same[1:] & down
    return rows


def one_hot(index: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """Classes (N, H, W) → (N, K, H, W) with 255 in the channel of the class and 0 elsewhere, in channels_last strides.

    Raises `IndexError` for a class that is not below K.

    >>> one_hot(np.array([[[0, 2]]], np.uint8), 3)[0, :, 0].tolist()
    [[255, 0], [0, 0], [0, 255]]
    """
    table = np.eye(classes, dtype=np.uint8) * np.uint8(255)
    return np.moveaxis(table[index], -1, 1)


def distinct(count: int) -> NDArray[np.uint8]:
    """(K, 3) colours to paint classes with that have none of their own: black and white for two, else all different,
    from hues that turn by the golden ratio and three levels of brightness."""
    if count <= 2:
        return np.array([[0, 0, 0], [255, 255, 255]], np.uint8)[:count]
    number = np.arange(count)
    angle = (number * 0.61803398875 % 1.0)[:, None] + np.array([0.0, 1 / 3, 2 / 3])
    level = np.array([1.0, 0.72, 0.5])[number % 3][:, None]
    wave = np.clip(np.abs(angle % 1.0 * 6.0 - 3.0) - 1.0, 0.0, 1.0)
    painted: NDArray[np.uint8] = np.round((0.15 + 0.85 * wave) * level * 255).astype(np.uint8)
    painted[0] = 0  # the first class is the background in most sets
    return painted


_Line = tuple[int, str, tuple[int, int, int]]
"""Line (0: unknown), name, colour."""


def _from_lines(text: str, where: str) -> Iterator[_Line]:
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition(";")[0].strip()
        if not said or said == "#" or said.startswith("# ") or _GIMP.fullmatch(said):
            continue
        if match := _HEX.match(said):
            red, green, blue = bytes.fromhex(match[1])
            name = match[2]
        elif match := _RGB.match(said):
            red, green, blue = (int(match[k]) for k in (1, 2, 3))
            name = match[4]
        else:
            raise _wrong(where, number, f"{said[:60]!r} is no class")
        if max(red, green, blue) > 255:
            raise _wrong(where, number, f"a level above 255 in {said[:60]!r}")
        yield number, (name or "").strip() or hexadecimal((red, green, blue)), (red, green, blue)


def _from_json(text: str, where: str) -> Iterator[_Line]:
    def once(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return pairs  # a dictionary would keep the last of several equal names

    try:
        pairs = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise _wrong(where, getattr(error, "lineno", 0), f"no JSON: {getattr(error, 'msg', error)}") from error
    for name, colour in pairs:
        match = _HEX.match(colour) if isinstance(colour, str) else None
        if match is None or match[2]:
            raise _wrong(where, 0, f"the colour of {name!r} is {str(colour)[:40]!r}, not like '#ff8000'")
        red, green, blue = bytes.fromhex(match[1])
        yield 0, name.strip(), (red, green, blue)


def _check(pairs: list[_Line], where: str) -> None:
    if not 2 <= len(pairs) <= MOST:
        raise _wrong(where, 0, f"{len(pairs)} class{'es' if len(pairs) != 1 else ''}, where 2 to {MOST} are possible")
    names: dict[str, int] = {}
    colours: dict[tuple[int, int, int], str] = {}
    for number, name, colour in pairs:
        if name in names:
            beside = f" (also in line {names[name]})" if number else ""
            raise _wrong(where, number, f"two classes are called {name!r}{beside}")
        if colour in colours:
            raise _wrong(where, number, f"{name!r} has the colour {hexadecimal(colour)} of {colours[colour]!r}")
        names[name], colours[colour] = number, name


def _wrong(where: str, line: int, why: str) -> DataError:
    place = f"{where}, line {line}" if line and where else f"line {line}" if line else where
    return DataError(
        "DATA-PALETTE", "this palette cannot be used", where=place, why=why,
        fix="a line for each class, '#rrggbb name' or 'r g b name'; comments begin with ';' or '# '",
    )  # fmt: skip
