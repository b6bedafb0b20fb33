"""Label maps: pictures whose pixels are no colours but say what is there, by a number or by the colour of a palette.

They never go through what is done to photographs: no filter that blends two classes into a third, no conversion of bit
depths. What is kept of a map is the number of a class for each pixel, 0 … K − 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data import decode as single
from sparring.data.colour import to_channels
from sparring.data.decode import Crop, Decoded, Pixels, Recipe
from sparring.data.opening import Limits, Unusable, first_line, opened
from sparring.data.palette import Palette

VERSION = 2  # raise it when the same bytes would give other classes: it is part of every cache key
_NEVER_REDUCED = (2**16, 2**16)  # a size that stands for the map's own: a JPEG decoded at half its size blends classes
STRANGE = 0.2
"""Share of the pixels of one picture that are of no colour of the palette, above which it is no label map: of the JPEG
facades at most 8 % are, of their photographs 50 to 98 %."""
_DEFAULT, _WHITE = Limits(), (255, 255, 255)

Numbers = NDArray[np.uint16]
T = TypeVar("T", np.uint8, np.uint16)


@dataclass(frozen=True)
class Legend:
    """What stands for which class.

    names: of the K classes.   colours: (r, g, b) of each, to be painted with, and where `values` are none also read by.
    values: the number of each class in the files; () where files say the class by its colour.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    values: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def by_colour(self) -> bool:
        return not self.values

    @property
    def palette(self) -> Palette:
        return Palette(self.names, np.array(self.colours, np.uint8))

    @classmethod
    def of_palette(cls, palette: Palette) -> Legend:
        """A legend by which maps are read by colour."""
        return cls(palette.names, _tuples(palette.colours))

    def record(self) -> dict[str, Any]:
        """Plain JSON values; `of` undoes it."""
        return {
            "names": list(self.names), "colours": [list(colour) for colour in self.colours],
            "values": list(self.values),
        }  # fmt: skip

    @classmethod
    def of(cls, record: dict[str, Any]) -> Legend:
        """The legend that `record` was made from."""
        colours = tuple((int(r), int(g), int(b)) for r, g, b in record["colours"])
        return cls(tuple(record["names"]), colours, tuple(int(value) for value in record["values"]))

    def classes(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Numbers as they stand in a file (H, W) → classes (H, W). Raises `Unusable` for one that is of no class."""
        table = np.full(2**16, -1, np.int16)
        table[list(self.values)] = np.arange(len(self))
        found = table[numbers]
        if found.min(initial=0) < 0:
            unknown = np.unique(numbers[found < 0]).tolist()
            raise Unusable(f"numbers of no class: {_some(unknown)} (expected: {_some(self.values)})")
        return found.astype(np.uint8)


@dataclass(frozen=True)
class MapRecipe:
    """How every label map of a data set is prepared: cropped and sized as `plain` says of photographs, but without
    blending. Stands where a `Recipe` stands."""

    plain: Recipe
    legend: Legend

    @property
    def size(self) -> tuple[int, int]:
        return self.plain.size

    @property
    def channels(self) -> int:
        """1: the number of a class."""
        return 1

    @property
    def crop(self) -> Crop:
        return self.plain.crop

    @property
    def background(self) -> tuple[int, int, int]:
        return self.plain.background

    @property
    def limits(self) -> Limits:
        return self.plain.limits

    @property
    def levels(self) -> tuple[float, float] | None:
        return None

    @property
    def key(self) -> str:
        """Text that is equal exactly when the same file gives the same classes."""
        return f"map-{VERSION} {sorted(self.legend.record().items())} {self.plain.key}"


def painted(stored: Pixels, recipe: Recipe | MapRecipe) -> Pixels:
    """(…, H, W, c) as `recipe` prepares it → as a person sees it: a label map in colours, (…, H, W, 3)."""
    return recipe.legend.palette.paint(stored[..., 0]) if isinstance(recipe, MapRecipe) else stored


def decode(data: bytes | Pixels, recipe: MapRecipe, half: str = "") -> Decoded:
    """One label map as class numbers, (H, W, 1) uint8. Where it is reduced, each pixel is of the class that has the
    largest part of its area; where it is enlarged, of the nearest. What `pad` adds is of the first class.

    half: only the "left" or "right" half of it.   Raises `Unusable`.

    >>> legend = Legend(("wall", "door"), ((0, 0, 0), (255, 255, 255)), (0, 255))
    >>> mask = np.array([[[0], [0], [0], [255]]] * 2, np.uint8)
    >>> decode(mask, MapRecipe(Recipe((1, 2), 1), legend)).pixels[..., 0].tolist()
    [[0, 0]]
    """
    notes: list[str] = []
    classes = at_own_size(data, recipe.legend, recipe.limits, recipe.background, half)
    classes = _fitted(classes, recipe.plain, notes)
    flat = bool((classes == classes[0, 0]).all())
    return Decoded(classes[..., None], tuple(sorted(set(notes))), flat)


def at_own_size(
    data: bytes | Pixels, legend: Legend, limits: Limits = _DEFAULT, background: tuple[int, int, int] = _WHITE,
    half: str = "",
) -> NDArray[np.uint8]:  # fmt: skip
    """A label map, or half of it, upright at its own size as class numbers (H, W) uint8. Raises `Unusable`."""
    if legend.by_colour:
        classes, beyond = legend.palette.index(halved(colours(data, limits, background), half))
        if beyond > STRANGE:
            raise Unusable(f"{beyond:.0%} of its pixels are of no colour of the palette: no label map of these classes")
        return classes
    return legend.classes(halved(numbers(data, limits), half))


def colours(data: bytes | Pixels, limits: Limits, background: tuple[int, int, int]) -> Pixels:
    """The colours of a map, (H, W, 3) upright, never reduced. Raises `Unusable`."""
    notes: list[str] = []
    image = single.whole(data, Recipe(_NEVER_REDUCED, 3, "center", background, limits), 0, notes)
    return to_channels(image, 3, background, notes)


def numbers(data: bytes | Pixels, limits: Limits = _DEFAULT) -> Numbers:
    """The numbers that stand in the pixels of a map, (H, W) upright: the indices of a palette picture (not its
    colours), grey levels as they are, 0 and 1 of a 1-bit picture; of a colour picture only where it is grey.

    Raises `Unusable` for colours, and for what is no whole number below 65,536.

    >>> numbers(np.array([[[3], [0]]], np.uint8)).tolist()
    [[3, 0]]
    """
    if isinstance(data, np.ndarray):
        return _grey(data)
    with opened(data, limits) as image:
        try:
            image.load()
            turn = single.TURNS.get(single.orientation(image))  # after loading: a TIFF is turned by then
        except Exception as error:  # whatever a decoder raises on the bytes of a file is damage to that file
            raise Unusable(f"damaged: {first_line(error)}") from error
        kind = image.mode
        stored = np.asarray(image if turn is None else image.transpose(turn))
    if stored.ndim == 3:
        return _grey(stored[..., :1] if kind in ("LA", "PA", "La") else stored)
    if kind == "F" or (stored.size and (int(stored.min()) < 0 or int(stored.max()) >= 2**16)):
        raise Unusable("a map of classes holds whole numbers from 0 to 65,535, and this file others")
    return stored.astype(np.uint16)


def _grey(stored: NDArray[Any]) -> Numbers:
    some = stored[..., :3]
    if some.shape[-1] == 3 and not (some == some[..., :1]).all():
        raise Unusable("colours, where the numbers of classes are expected")
    return some[..., 0].astype(np.uint16)


def halved(pixels: NDArray[T], half: str) -> NDArray[T]:
    """The "left" or "right" half of (H, W, …), or all of it ("")."""
    middle = pixels.shape[1] // 2
    return {"": pixels, "left": pixels[:, :middle], "right": pixels[:, middle : 2 * middle]}[half]


def _fitted(classes: NDArray[np.uint8], recipe: Recipe, notes: list[str]) -> NDArray[np.uint8]:
    """Class numbers (h, w) → (H, W), each pixel of the class with the largest part of its area."""
    (height, width), (high, wide) = recipe.size, classes.shape
    box, inner = single.placed(wide, high, recipe, notes)
    there = np.flatnonzero(np.bincount(classes.ravel()))
    best, most = np.zeros((inner[1], inner[0]), np.uint8), np.zeros((inner[1], inner[0]), np.uint8)
    for number in there if len(there) > 1 else []:
        mask = Image.fromarray(np.where(classes == number, np.uint8(255), np.uint8(0)))
        part = np.asarray(single.resized(mask, box, inner, Image.Resampling.BOX))
        more = part > most
        best[more] = number
        most = np.maximum(most, part)
    if len(there) == 1:
        best[:] = there[0]
    if inner == (width, height):
        return best
    canvas = np.zeros((height, width), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = best
    return canvas


def _tuples(palette: NDArray[np.uint8]) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(r), int(g), int(b)) for r, g, b in palette)


def _some(values: Sequence[int], most: int = 8) -> str:
    return ", ".join(map(str, values[:most])) + (" …" if len(values) > most else "")
