"""What a judge saw of one side, and its place in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import permutation
from sparring.data import cache
from sparring.metrics.features import Extractor
from sparring.metrics.frechet import Moments

FORMAT = 1  # raise it when the same images would give other numbers
KEPT = 10_000
"""Features of either side that are kept; every image counts for the moments."""
ROOM = 4 * 2**30
"""Bytes that features may take in the cache; what was used longest ago goes first."""


@dataclass(frozen=True, eq=False)
class Seen:
    """moments: of the features of all n images that could be used.
    features: (m, d) float32 of at most `KEPT` of them;   positions: (m,) which ones, in order.
    probabilities: (m, K) of a judge that names classes, else None.
    excluded: (name, reason) of images that could not be used.
    """

    moments: Moments
    features: Tensor
    positions: NDArray[np.int64]
    probabilities: Tensor | None = None
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def n(self) -> int:
        return self.moments.n

    def part(self, rows: NDArray[np.int64]) -> Seen:
        """Some of the kept features as if they were all."""
        chosen = torch.from_numpy(rows)
        features = self.features[chosen]
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        moments = Moments(features.shape[1]).update(features)
        return Seen(moments, features, self.positions[rows], probabilities)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """To be stored or sent; `of` undoes it."""
        found: dict[str, NDArray[Any]] = {f"moments.{k}": v.numpy() for k, v in self.moments.state().items()}
        found |= {"features": self.features.numpy(), "positions": self.positions}
        if self.probabilities is not None:
            found["probabilities"] = self.probabilities.numpy()
        said = json.dumps([list(pair) for pair in self.excluded]).encode()
        return found | {"excluded": np.frombuffer(said, np.uint8)}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> Seen:
        """What `arrays` gave."""
        state = {k.partition(".")[2]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("moments.")}
        excluded = json.loads(arrays["excluded"].tobytes().decode())
        probabilities = arrays.get("probabilities")
        return cls(
            Moments.of(state),
            torch.from_numpy(arrays["features"]),
            arrays["positions"],
            None if probabilities is None else torch.from_numpy(probabilities),
            tuple((str(name), str(why)) for name, why in excluded),
        )


def kept_of(n: int) -> NDArray[np.int64]:
    """Which of n positions are kept, in order: a function of n alone, so that a cached answer serves every seed."""
    return np.arange(n) if n <= KEPT else np.sort(permutation(0, "evaluate/kept", 0, n)[:KEPT])


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────────────────────


def address(key: str, extractor: Extractor) -> str:
    """Of what this extractor sees of the images that `key` names."""
    parts = [
        FORMAT, KEPT, key, extractor.name, extractor.version, extractor.weights_sha256, extractor.size,
        extractor.preprocessing, extractor.dimensions, torch.device(extractor.device).type,
    ]  # fmt: skip
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def recall(name: str) -> Seen | None:
    """What is in the cache under this address; None where nothing is, or one byte of it is wrong."""
    entry = _folder() / name
    meta = cache.meta(entry)
    if meta is None:
        return None
    try:
        for file, digest in meta["digests"].items():
            if _digest(entry / file) != digest:
                raise ValueError(f"{file} is damaged")
        found = Seen.of({file.removesuffix(".npy"): np.load(entry / file) for file in meta["digests"]})
        os.utime(entry / "meta.json")
    except (OSError, ValueError, KeyError, TypeError):
        cache.forget(entry)
        return None
    return found


def remember(name: str, seen: Seen) -> None:
    """Into the cache, whole or not at all. A cache that cannot be written is no reason to fail."""
    root = _folder()

    def write(folder: Path) -> dict[str, Any]:
        for file, values in seen.arrays().items():
            np.save(folder / f"{file}.npy", values)
        return {"digests": {path.name: _digest(path) for path in sorted(folder.iterdir())}}

    try:
        root.mkdir(parents=True, exist_ok=True)
        if cache.free(root) > 2**28:
            cache.create(root / name, write)
            _tidy(root)
    except OSError:
        return


def _folder() -> Path:
    return cache.directory(None)[0] / "features"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _tidy(root: Path) -> None:
    """Remove what was used longest ago until the rest fits in `ROOM`."""
    entries = []
    for path in root.iterdir():
        if path.is_dir() and not path.name.startswith(".") and (path / "meta.json").exists():
            size = sum(file.stat().st_size for file in path.iterdir())
            entries.append(((path / "meta.json").stat().st_mtime, size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries)[:-1]:
        if total <= ROOM:
            return
        total -= size
        cache.forget(path)
        shutil.rmtree(path, ignore_errors=True)
