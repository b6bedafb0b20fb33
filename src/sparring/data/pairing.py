"""Pairs as one: two pictures are hashed, looked at and decoded together, into the channels of one array.

The channels of what is given (side A) come first, those of what is to be made (side B) after them. Both are cropped and
resized to the same size, so what is done to the array afterwards is done to both sides alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from sparring.data import decode as single
from sparring.data import maps
from sparring.data.decode import Crop, Decoded, Header, Pixels, Recipe
from sparring.data.maps import MapRecipe
from sparring.data.opening import Limits, Unusable, opened
from sparring.data.sources.items import Two

Content = bytes | Pixels | Two
"""What an item of a source is: a file, pixels, or a pair of them."""

_SHARED = frozenset({"cropped", "padded", "squeezed"})  # what happens to both sides alike is told once


@dataclass(frozen=True)
class PairRecipe:
    """How both sides of every pair are prepared. They have one size and one crop."""

    given: Recipe | MapRecipe
    made: Recipe | MapRecipe

    @property
    def size(self) -> tuple[int, int]:
        return self.made.size

    @property
    def channels(self) -> int:
        """Of both sides together, as they are stored."""
        return self.given.channels + self.made.channels

    @property
    def crop(self) -> Crop:
        return self.made.crop

    @property
    def background(self) -> tuple[int, int, int]:
        return self.made.background

    @property
    def key(self) -> str:
        """Text that is equal exactly when the same two files give the same pixels."""
        return f"pair-2 {self.given.key} {self.made.key}"


def header(data: Content, limits: Limits, *, count_frames: bool = False) -> tuple[Header, Header | None]:
    """What is known of an item without decoding it: of the picture to be made, and of the one that is given.

    Raises `Unusable`, of a pair also where the two have different shapes."""
    if not isinstance(data, Two):
        return single.header(data, limits, count_frames=count_frames), None
    if any(data.halves):
        limits = replace(limits, max_aspect=2 * limits.max_aspect)  # of both halves together
    with _named("given"):
        given = upright(data.given, data.halves[0], limits)
    with _named("to be made"):
        made = upright(data.made, data.halves[1], limits)
    if abs(given.width * made.height / (given.height * made.width) - 1.0) > 1.0 / min(given.side, made.side):
        raise Unusable(
            f"the two have different shapes: {given.width}x{given.height} is given, {made.width}x{made.height} to be "
            "made of it"
        )
    return made, given


def decode(data: Content, recipe: AnyRecipe, frame: int = 0) -> Decoded:
    """As `decode.decode`; of a pair the channels of both sides, (H, W, C' + C). Raises `Unusable`.

    >>> wide, grey = np.zeros((8, 16, 3), np.uint8), Recipe((8, 8), channels=1)
    >>> decode(Two(wide, wide, ("left", "right")), PairRecipe(grey, replace(grey, channels=3))).pixels.shape
    (8, 8, 4)
    """
    if not isinstance(data, Two):
        assert not isinstance(recipe, PairRecipe)
        return maps.decode(data, recipe) if isinstance(recipe, MapRecipe) else single.decode(data, recipe, frame)
    assert isinstance(recipe, PairRecipe)
    with _named("given"):
        given = _one(data.given, recipe.given, data.halves[0])
    with _named("to be made"):
        made = _one(data.made, recipe.made, data.halves[1])
    notes = {*made.notes, *(note if note in _SHARED else f"given: {note}" for note in given.notes)}
    pixels = np.concatenate([given.pixels, made.pixels], axis=2)
    return Decoded(pixels, tuple(sorted(notes)), given.flat or made.flat)


def _one(data: bytes | Pixels, recipe: Recipe | MapRecipe, half: str) -> Decoded:
    return maps.decode(data, recipe, half) if isinstance(recipe, MapRecipe) else single.decode(data, recipe, half=half)


def upright(data: bytes | Pixels, half: str, limits: Limits) -> Header:
    """The header of a picture as it will be seen: upright, and only its half of two side by side. Raises `Unusable`."""
    found = single.header(data, limits)
    if isinstance(data, bytes):
        with opened(data, limits) as image:
            if single.orientation(image) >= 5:
                found = replace(found, width=found.height, height=found.width)
    if not half:
        return found
    if found.width % 2:
        raise Unusable(f"{found.width} pixels wide: two pictures side by side of the same size have an even width")
    return replace(found, width=found.width // 2)


AnyRecipe = Recipe | MapRecipe | PairRecipe
"""How an item becomes an array."""


@contextmanager
def _named(side: str) -> Iterator[None]:
    """Inside, a reason why something cannot be used says which side it is about."""
    try:
        yield
    except Unusable as error:
        raise Unusable(f"{side}: {error}", error.passing) from error
