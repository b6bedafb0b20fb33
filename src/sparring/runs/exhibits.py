"""What a run shows of a game that translates: the same few images as ever, and what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL.Image import Image
from torch import Tensor

from sparring.data import Dataset, batch_of
from sparring.generate.pairs import side_by_side, visible
from sparring.types import Batch, Translates

_PIXELS = 3 * 24 * 64 * 64  # of all exhibits together, about
_FEWEST, _MOST = 4, 24


@dataclass(frozen=True)
class Exhibits:
    """batch: images with what they are to be made from, uint8: held-out ones, of which no game has learned."""

    dataset: Dataset
    batch: Batch

    def picture(self, made: Tensor) -> Image:
        """Given, made, and (of pairs) what it should have been, side by side; made (n, C, H, W) in [-1, 1]."""
        data, given = self.dataset, self.dataset.given
        assert given is not None and self.batch.condition is not None
        n = len(made)
        columns = [
            visible(_read(self.batch.condition[:n]), given.palette),
            visible(made, data.palette),
        ]
        if given.paired:
            columns.append(visible(_read(self.batch.x[:n]), data.palette))
        return side_by_side(columns)


def _read(pixels: Tensor) -> Tensor:
    """As the engine reads bytes."""
    return pixels.float() / 127.5 - 1


def exhibits_of(dataset: Dataset, game: object) -> Exhibits | None:
    """Of a game that translates, and data that have something to be translated; else None."""
    if not isinstance(game, Translates) or dataset.given is None:
        return None
    aside = len(dataset.held_out) >= _FEWEST
    most = max(_FEWEST, min(_MOST, _PIXELS // (3 * dataset.shape[1] * dataset.shape[2])))
    count = min(most, len(dataset.held_out) if aside else len(dataset.train))
    return Exhibits(dataset, batch_of(dataset, np.arange(count), held_out=aside))
