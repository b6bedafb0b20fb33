"""Ten samples beside the training images that they are nearest to: what a run leaves at its end."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from sparring.generate.grid import grid
from sparring.metrics.features import prepare, quantise
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.observe import Observer
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import Samples

SHOWN = 10
"""Samples in the picture."""
SIDE = 64
"""Pixels: smaller images are enlarged."""


def write(directory: RunDirectory, observer: Observer, match: Match) -> bool:
    """``neighbours.png`` and ``neighbours.json`` of a run on images: the first samples of its pictures above,
    below each its nearest training image by thumbnails (`health.copies`), mirrored too where training mirrors.

    Only where the data has been looked at already, so that it costs next to nothing; returns whether it did. OSError.
    """
    copies = observer.known.copies if observer.known is not None else None
    if copies is None or observer.dataset.kind != "images" or not isinstance(match.game, Samples):
        return False
    fakes = quantise(sample_averaged(match, SHOWN))
    distances, found = copies.nearest(fakes)
    rows = observer.rows[found.numpy()]
    reals = torch.from_numpy(observer.dataset.train[rows].copy()).permute(0, 3, 1, 2)
    side = max(SIDE, *fakes.shape[2:])
    tiles = torch.cat([_tiles(fakes, side), _tiles(reals, side)])
    held = len(observer.dataset.held_out_index)
    named = [
        {"fake": k, "real": observer.dataset.file(held + int(row)), "distance": round(float(distance), 6)}
        for k, (row, distance) in enumerate(zip(rows, distances, strict=True))
    ]
    temporary = directory.neighbours.with_suffix(".tmp")
    grid(tiles, columns=len(fakes)).save(temporary, format="PNG")
    temporary.replace(directory.neighbours)
    write_atomically(directory.neighbours.with_suffix(".json"), json.dumps(named, indent=1, ensure_ascii=False) + "\n")
    return True


def _tiles(images: Tensor, side: int) -> Tensor:
    """(n, C, H, W) uint8 → (n, 3, side, side) in [−1, 1]."""
    return prepare(images, side) / 127.5 - 1.0
