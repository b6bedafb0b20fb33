"""What a run shows of a game that makes images of images: the same few as ever, and what it makes of them."""

from __future__ import annotations

import numpy as np
from PIL.Image import Image
from torch import Tensor

from sparring.data import Dataset, batch_of
from sparring.generate.pairs import side_by_side, visible
from sparring.types import Batch, Translates, of_exhibits

_PIXELS = 3 * 24 * 64 * 64  # of all exhibits together, about
FEWEST, _MOST = 4, 24
"""Held-out images from which on these are shown, and images that are shown at most."""


def exhibits_of(dataset: Dataset, game: object) -> Batch | None:
    """Images with what they are to be made from, uint8: held-out ones, of which no game has learned. None where the
    game does not translate, or the data have nothing to be translated. Of a game with tokens images to reconstruct."""
    if not of_exhibits(game) or (isinstance(game, Translates) and dataset.given is None):
        return None
    aside = len(dataset.held_out) >= FEWEST
    most = max(FEWEST, min(_MOST, _PIXELS // (3 * dataset.shape[1] * dataset.shape[2])))
    count = min(most, len(dataset.held_out) if aside else len(dataset.train))
    return batch_of(dataset, np.arange(count), held_out=aside)


def picture(dataset: Dataset, exhibits: Batch, made: Tensor) -> Image:
    """Given, made, and (of pairs) what it should have been, side by side; made (n, C, H, W) in [-1, 1], of the first n
    exhibits. Of data without pairs what was reconstructed, and its reconstruction."""
    n = len(made)
    if dataset.given is None:
        return side_by_side([visible(_read(exhibits.x[:n]), dataset.palette), visible(made, dataset.palette)])
    assert exhibits.condition is not None
    columns = [visible(_read(exhibits.condition[:n]), dataset.given.palette), visible(made, dataset.palette)]
    if dataset.given.paired:
        columns.append(visible(_read(exhibits.x[:n]), dataset.palette))
    return side_by_side(columns)


def _read(pixels: Tensor) -> Tensor:
    """As the engine reads bytes."""
    return pixels.float() / 127.5 - 1
