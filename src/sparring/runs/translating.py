"""What games that translate, or say what each pixel is, make of the images that they are given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Dataset, batch_of
from sparring.generate.pairs import visible
from sparring.metrics.features import quantise
from sparring.train.match import Match
from sparring.types import Batch, Segments, Translates

PIECE = 8
"""Images that are translated at once."""


def given_of(dataset: Dataset, rows: NDArray[np.int64], *, held_out: bool) -> Tensor:
    """(n, C', H, W) uint8: what is given in these rows; label maps one-hot."""
    batch = batch_of(dataset, rows, held_out=held_out)
    assert batch.condition is not None
    return batch.condition


@torch.no_grad()
def translated(match: Match, game: Translates, given: Tensor) -> Tensor:
    """(n, C', H, W) uint8 → (n, C, H, W) uint8 on the CPU, with the noise of the seed of the run."""
    made = []
    for start in range(0, len(given), PIECE):
        some = match.engine.place(Batch(given[start : start + PIECE])).x
        made.append(quantise(game.translate(some, _dice(match, start, len(some)))).cpu())
    return torch.cat(made)


@torch.no_grad()
def right(match: Match, game: Translates | Segments, batch: Batch) -> float:
    """The share of pixels whose class is right, of those that count, where what is to be made is a label map."""
    assert batch.condition is not None
    ignored = game.ignored if isinstance(game, Segments) else ()
    good = total = 0
    for start in range(0, len(batch), PIECE):
        piece = slice(start, start + PIECE)
        some = match.engine.place(Batch(batch.condition[piece])).x
        if isinstance(game, Segments):
            said = game.segment(some)
        else:
            said = game.translate(some, _dice(match, start, len(some)))
        label = batch.x[piece].argmax(1)
        counted = torch.isin(label, torch.tensor(ignored, dtype=torch.int64), invert=True)
        good += int(((said.argmax(1).cpu() == label) & counted).sum())
        total += int(counted.sum())
    return good / max(1, total)


def painted(images: Tensor, dataset: Dataset) -> Tensor:
    """What is to be made as people, and judges, see it: (n, C, H, W) uint8, label maps in their colours."""
    if not dataset.legend:
        return images
    return quantise(visible(images.float() / 127.5 - 1, dataset.palette))


def _dice(match: Match, start: int, count: int) -> Dice:
    assert isinstance(match.seed, int)
    return Dice(match.seed, "sample", range(start, start + count), (), match.engine.device)
