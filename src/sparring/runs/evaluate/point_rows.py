"""Points of a run's own data, to be asked how likely they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from sparring.data import Dataset
from sparring.runs.evaluate.sides import Group, Side, chosen


class PointRows(Side):
    """n points as the run is given them, (b, D) float32 in groups; in the order of their numbers.

    n: how many of the split; None: all.   seed: of the choice.
    """

    def __init__(self, dataset: Dataset, split: str, n: int | None, seed: int) -> None:
        super().__init__()
        parts = {"held-out": [dataset.held_out], "train": [dataset.train], "all": [dataset.held_out, dataset.train]}
        values = np.concatenate([np.asarray(part) for part in parts[split]])
        rows = chosen(len(values), n, seed)
        self.dataset, self.split, self._values = dataset, split, values[rows]
        of = f"{dataset.fingerprint} {split}".encode() + rows.tobytes()
        self.key = hashlib.blake2b(of, digest_size=16).hexdigest()
        self.prepared = f"coordinates divided by {dataset.scale:.6g}"

    def __len__(self) -> int:
        return len(self._values)

    def groups(self, start: int, stop: int) -> Iterator[Group]:
        values = self._values[start:stop]
        yield list(range(start, start + len(values))), torch.from_numpy(values)

    def name(self, position: int) -> int:
        return position
