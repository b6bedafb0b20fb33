"""The two sides of data for image to image: what is given, and how a picture that somebody brings becomes that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Pixels, Recipe, as_it_is
from sparring.data.live import Live
from sparring.data.maps import Legend, MapRecipe, at_own_size
from sparring.data.opening import Limits
from sparring.data.palette import one_hot

if TYPE_CHECKING:
    from sparring.data.dataset import Dataset


@dataclass(frozen=True)
class SideSpec:
    """What the pictures of one side are.

    channels: as they are stored: 1, 3 or 4; 1 of a label map, which holds the number of a class.
    legend:   of a label map the names of its K classes.   colours: (r, g, b) of each, to be painted with.
    values:   the number that stands for each class in the files; none where files say it by these colours.
    background, levels: as of `Options`.
    """

    channels: int
    legend: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    values: tuple[int, ...] = ()
    background: tuple[int, int, int] = (255, 255, 255)
    levels: tuple[float, float] | None = None

    @property
    def seen(self) -> int:
        """Channels that a game sees: of a label map one for each class."""
        return len(self.legend) or self.channels

    @property
    def palette(self) -> NDArray[np.uint8] | None:
        """(K, 3) colours of the classes, or None."""
        return np.array(self.colours, np.uint8) if self.colours else None

    @property
    def maps(self) -> Legend | None:
        """How label maps are read; None of other pictures."""
        return Legend(self.legend, self.colours, self.values) if self.legend else None

    def shown(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(N, H, W, c) as stored → (N, C, H, W) as a game sees it, uint8 in channels_last strides: the same memory, or
        one-hot with 255.

        >>> SideSpec(1, ("wall", "door")).shown(np.ones((1, 1, 1, 1), np.uint8)).ravel().tolist()
        [0, 255]
        """
        return one_hot(stored[..., 0], len(self.legend)) if self.legend else np.moveaxis(stored, -1, 1)

    @classmethod
    def of_recipe(cls, recipe: Recipe | MapRecipe) -> SideSpec:
        """What comes out of `recipe`."""
        if isinstance(recipe, MapRecipe):
            found = recipe.legend
            return cls(1, found.names, found.colours, found.values, recipe.background)
        return cls(recipe.channels, background=recipe.background, levels=recipe.levels)

    def recipe(self, like: Recipe) -> Recipe | MapRecipe:
        """How its pictures are prepared, with the size and crop of `like`."""
        plain = replace(like, channels=self.channels)
        return MapRecipe(replace(like, channels=1), self.maps) if self.maps is not None else plain

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "channels": self.channels, "legend": list(self.legend), "values": list(self.values),
            "colours": [list(colour) for colour in self.colours], "background": list(self.background),
            "levels": list(self.levels) if self.levels else None,
        }  # fmt: skip

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> SideSpec:
        """What `record` was made from."""
        legend = tuple(str(name) for name in record["legend"])
        values = tuple(int(value) for value in record["values"])
        colours = tuple((int(r), int(g), int(b)) for r, g, b in record["colours"])
        red, green, blue = record["background"]
        levels = (float(record["levels"][0]), float(record["levels"][1])) if record["levels"] else None
        return cls(int(record["channels"]), legend, colours, values, (int(red), int(green), int(blue)), levels)

    @classmethod
    def of_document(cls, data: Mapping[str, Any], *, made: bool = False) -> SideSpec:
        """The side that is given, from what recipe.yaml says under `data`. made: the other one, which is made of it.

        Raises `KeyError` where nothing is given: no data of pairs.
        """
        return cls.of(data["sides"]["made" if made else "given"])


@dataclass(frozen=True, eq=False)
class Given:
    """What each sample is to be made from.

    train:    (N, H, W, c) uint8 as stored, of the same rows as `Dataset.train`; of unpaired data rows of its own.
    held_out: (M, …) the same.   shape: (C', H, W) as a game sees it.   paired: whether rows belong together.
    side:     what the pictures are.   whole: (N, H, W, c + …) both sides of the training rows at once, in pairs.
    other:    the data set of the side that is given, where it is one of its own (unpaired).
    """

    train: NDArray[np.uint8] | Live
    held_out: NDArray[np.uint8] | Live
    shape: tuple[int, ...]
    side: SideSpec
    paired: bool = True
    whole: NDArray[np.uint8] | Live | None = field(default=None, repr=False)
    other: Dataset | None = field(default=None, repr=False)

    @property
    def legend(self) -> tuple[str, ...]:
        """Of a label map the names of its classes."""
        return self.side.legend

    @property
    def palette(self) -> NDArray[np.uint8] | None:
        """(K, 3) uint8 colours of the classes, or None."""
        return self.side.palette


ANY = Limits(min_side=1, max_aspect=1e9)
"""A picture to be translated may be as small and as long as it likes."""


def given_pixels(data: bytes | Pixels, side: SideSpec, limits: Limits = ANY, half: str = "") -> Pixels:
    """A picture as a game is given it, at its own size: (H, W, C') uint8, upright, in sRGB; a label map one-hot.

    data: the bytes of a file, or (H, W, C) uint8.   half: only its "left" or "right" half.   Raises `Unusable`.

    >>> given_pixels(np.zeros((5, 7, 3), np.uint8), SideSpec(1)).shape
    (5, 7, 1)
    """
    if side.maps is None:
        return as_it_is(
            data, side.channels, limits, background=side.background, levels=side.levels, reduce=False, half=half
        )
    classes = at_own_size(data, side.maps, limits, side.background, half)
    return np.ascontiguousarray(np.moveaxis(one_hot(classes[None], len(side.legend))[0], 0, -1))
