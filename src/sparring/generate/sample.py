"""Samples of a trained game, in memory and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.grid import to_bytes, to_picture
from sparring.types import Samples

MOST = 1_000_000
"""Samples that one call makes at most."""


class Trained(Protocol):
    """What generating needs of a run: its game, with the averaged weights in place."""

    @property
    def game(self) -> Any: ...


def device_of(game: object) -> torch.device:
    """Where the game's parameters live; the CPU when it has none."""
    parameters = game.parameters() if isinstance(game, torch.nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))


def checked(n: int, seed: int, truncation: float = 1.0) -> None:
    """`UsageError` unless 1 ≤ n ≤ `MOST`, 0 ≤ seed < 2^63 and 0 < truncation ≤ 2 (NaN is refused too)."""
    if not 1 <= n <= MOST:
        raise UsageError("SAMPLE-COUNT", f"between 1 and {MOST:,} samples are possible", where=str(n))
    if not 0 <= seed < 2**63:
        raise UsageError("SAMPLE-SEED", "a seed is a number from 0 to 2^63 − 1", where=str(seed))
    if not 0 < truncation <= 2:
        raise UsageError(
            "SAMPLE-TRUNCATION",
            "truncation is above 0, at most 2",
            where=str(truncation),
            why="1.0 is the prior as trained; below 1 gives safer and less varied samples",
        )


@torch.no_grad()
def draw(run: Trained, n: int, *, seed: int = 0, truncation: float = 1.0, first: int = 0, at_once: int = 64) -> Tensor:
    """Samples number first … first + n − 1 of `seed`: images (n, C, H, W) in [-1, 1], or points (n, D), on the CPU.

    Sample k is the same whatever `n`, `first` and `at_once` are: its latent exactly, its pixels within one 8-bit level.
    """
    checked(n, seed, truncation)
    game = run.game
    if not isinstance(game, Samples):
        raise UsageError("SAMPLE-CANNOT", f"{type(game).__name__} does not make samples of its own")
    device = device_of(game)
    parts = []
    for start in range(first, first + n, at_once):
        dice = Dice(seed, "sample", range(start, min(start + at_once, first + n)), device=device)
        parts.append(game.sample(dice, truncation=truncation).float().cpu())
    return torch.cat(parts)


def save(samples: Tensor, folder: Path, *, first: int = 0) -> list[Path]:
    """One PNG per image, ``000000.png`` counted from `first`, or one ``points.csv``; returns the paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    if samples.dim() == 2:
        path = folder / "points.csv"
        names = ",".join(f"x{i}" for i in range(samples.shape[1]))
        np.savetxt(path, samples.numpy(), delimiter=",", header=names, comments="", fmt="%.7g")
        return [path]
    paths = []
    for k, pixels in enumerate(to_bytes(samples), start=first):
        path = folder / f"{k:06d}.png"
        to_picture(pixels).save(path)
        paths.append(path)
    return paths
