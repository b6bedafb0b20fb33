"""Which samples repeat training images, by name; and what ten samples are nearest to, as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.chance import permutation
from sparring.generate.grid import grid
from sparring.metrics import neighbours
from sparring.metrics.features import prepare
from sparring.runs.evaluate.seen import Seen
from sparring.runs.evaluate.sides import Side

SHOWN, NEAREST = 10, 3
"""Samples in the picture, and neighbours of each."""
LEAST = 100
"""Real images with fewer of which nothing can be set aside to hold copies against."""


@dataclass(frozen=True, eq=False)
class Library:
    """Training images that samples are held against, and others of the same kind that were not trained on."""

    train: Seen
    side: Side
    held_out: Seen


def divided(real: Seen, side: Side) -> Library | None:
    """A real side that nobody divided: a twentieth of it, at least 50, in the part of held-out data. None where there
    are too few."""
    n = len(real.features)
    if n < LEAST:
        return None
    order = permutation(0, "evaluate/aside", 0, n)
    aside = max(50, n // 20)
    return Library(real.part(np.sort(order[aside:])), side, real.part(np.sort(order[:aside])))


def report(library: Library, fake: Seen, fake_side: Side) -> tuple[neighbours.Copies, dict[str, Any]]:
    """The memorisation test, and what it found in plain values: every copy with the training image that it repeats."""
    found = neighbours.copies(fake.features, library.train.features, library.held_out.features)
    distances = found.distance[found.indices].tolist()
    of_fakes = [fake_side.name(int(fake.positions[k])) for k in found.indices.tolist()]
    of_train = [library.side.name(int(library.train.positions[k])) for k in found.of.tolist()]
    searched, total = len(library.train.features), library.train.n
    record: dict[str, Any] = {
        "share": round(found.share.value, 6),
        "interval": [round(found.share.low, 6), round(found.share.high, 6)],
        "null": round(found.null.value, 6),
        "null_interval": [round(found.null.low, 6), round(found.null.high, 6)],
        "p": found.p,
        "threshold": found.threshold,
        "exact": found.exact,
        "samples": len(found.distance),
        "training_images": searched,
        "training_images_in_all": total,
        "held_out_images": len(library.held_out.features),
        "copies": [
            {"fake": fake, "real": real, "distance": round(distance, 6)}
            for fake, real, distance in zip(of_fakes, of_train, distances, strict=True)
        ],
    }
    if searched < total:
        record["warning"] = (
            f"{searched:,} of {total:,} training images were compared: about {total / searched:.1f} times as many "
            "samples may be copies"
        )
    return found, record


def same_files(real: Side, fake: Side) -> int:
    """How many files of the fake side are, byte for byte, among those of the real one; 0 where nobody can know."""
    if real.hashes is None or fake.hashes is None:
        return 0
    known = {row.tobytes() for row in real.hashes}
    return sum(row.tobytes() in known for row in fake.hashes)


def nearest(library: Library, fake: Seen, fake_side: Side) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The `NEAREST` training images of the first `SHOWN` samples, the nearest first; and as rows of the library."""
    few = fake.features[:SHOWN]
    among = library.train.features
    k = min(NEAREST, len(among))
    rows: list[list[int]] = []
    said = []
    for at, slab in neighbours.squared_distances(few, among):
        order = slab.topk(k, largest=False).indices
        for row, near in zip(range(at.start, at.stop), order.tolist(), strict=True):
            rows.append(near)
            apart = (few[row].double() - among[near].double()).square().sum(1).sqrt().tolist()
            said += [
                {
                    "fake": fake_side.name(int(fake.positions[row])),
                    "real": library.side.name(int(library.train.positions[one])),
                    "distance": round(distance, 6),
                    "rank": rank + 1,
                }
                for rank, (one, distance) in enumerate(zip(near, apart, strict=True))
            ]
    return said, rows


def picture(library: Library, fake: Seen, fake_side: Side, rows: list[list[int]]) -> bytes:
    """A PNG: the samples in the first row, below each its nearest training images."""
    samples = fake_side.at([int(p) for p in fake.positions[: len(rows)]])
    side = max(64, *samples[0].shape[1:])

    def tile(image: Tensor) -> Tensor:
        return prepare(image[None], side)[0] / 127.5 - 1.0

    tiles = [tile(image) for image in samples]
    for rank in range(len(rows[0])):
        places = [int(library.train.positions[near[rank]]) for near in rows]
        tiles += [tile(image) for image in library.side.at(places)]
    file = io.BytesIO()
    grid(torch.stack(tiles), columns=len(samples)).save(file, format="PNG")
    return file.getvalue()
