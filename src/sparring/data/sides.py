"""The two sides of data for image to image: what is given, and how a picture that somebody brings becomes that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Pixels, as_it_is
from sparring.data.live import Live
from sparring.data.opening import Limits
from sparring.data.palette import Palette, one_hot

if TYPE_CHECKING:
    from sparring.data.dataset import Dataset


@dataclass(frozen=True)
class SideSpec:
    """What the pictures of one side are.

    channels: as they are stored: 1, 3 or 4; 1 of a label map, which holds `ids`.
    legend:   of a label map the names of its classes.   ids: the number that stands for each of them in a pixel.
    colours:  (r, g, b) of each class, where they are known.   by_colour: whether files say the class by its colour.
    background, levels: as of `Options`.
    """

    channels: int
    legend: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    by_colour: bool = False
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

    def shown(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(N, H, W, c) as stored → (N, C, H, W) as a game sees it, uint8 in channels_last strides: the same memory, or
        one-hot with 255.

        >>> SideSpec(1, ("wall", "door"), (0, 7)).shown(np.full((1, 1, 1, 1), 7, np.uint8)).ravel().tolist()
        [0, 255]
        """
        if not self.legend:
            return np.moveaxis(stored, -1, 1)
        return one_hot(self._numbers()[stored[..., 0]], len(self.legend))

    def _numbers(self) -> NDArray[np.uint8]:
        """(256,) the class of each number that stands in a pixel; 0 for numbers of no class."""
        table = np.zeros(256, np.uint8)
        table[list(self.ids)] = np.arange(len(self.ids))
        return table

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "channels": self.channels, "legend": list(self.legend), "ids": list(self.ids),
            "colours": [list(colour) for colour in self.colours], "by_colour": self.by_colour,
            "background": list(self.background), "levels": list(self.levels) if self.levels else None,
        }  # fmt: skip

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> SideSpec:
        """What `record` was made from."""
        red = {name: tuple(record[name]) for name in ("legend", "ids", "background")}
        colours = tuple((int(r), int(g), int(b)) for r, g, b in record["colours"])
        levels = (float(record["levels"][0]), float(record["levels"][1])) if record["levels"] else None
        return cls(int(record["channels"]), colours=colours, by_colour=bool(record["by_colour"]), levels=levels, **red)

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


def given_pixels(data: bytes | Pixels, side: SideSpec, limits: Limits = Limits(1, 1e6)) -> Pixels:  # noqa: B008
    """A picture as a game is given it, at its own size: (H, W, C') uint8, upright, in sRGB; a label map one-hot.

    data: the bytes of a file, or (H, W, C) uint8.   Raises `Unusable`.

    >>> given_pixels(np.zeros((5, 7, 3), np.uint8), SideSpec(1)).shape
    (5, 7, 1)
    """
    if not side.legend:
        return as_it_is(data, side.channels, limits, background=side.background, levels=side.levels)
    rgb = as_it_is(data, 3 if side.by_colour else 1, limits)
    number = Palette(side.legend, np.array(side.colours, np.uint8)).index(rgb)[0] if side.by_colour else rgb[..., 0]
    return np.ascontiguousarray(np.moveaxis(side.shown(number[None, ..., None])[0], 0, -1))
