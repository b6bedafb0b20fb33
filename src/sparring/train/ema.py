"""Exponential moving averages of players, with a half-life in images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay(images: int, half_life: float) -> float:
    """β = 2^(−images / half-life): what is left of the old average after `images` more images.

    >>> decay(500, 500)
    0.5
    """
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0


class Averages:
    """θ̄ ← β θ̄ + (1 − β) θ for some players, buffers too (integer buffers are copied)."""

    def __init__(self, players: Mapping[str, nn.Module]) -> None:
        self.players = dict(players)
        self.copies = {name: copy.deepcopy(player).requires_grad_(False) for name, player in players.items()}

    @torch.no_grad()
    def update(self, beta: float) -> None:
        """Move every average toward the present by 1 − β."""
        for name, player in self.players.items():
            now, average = _tensors(player), _tensors(self.copies[name])
            floats = [key for key, tensor in now.items() if tensor.is_floating_point()]
            torch._foreach_lerp_([average[key] for key in floats], [now[key] for key in floats], 1.0 - beta)
            for key in now.keys() - set(floats):
                average[key].copy_(now[key])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the players *are* their averages (storage is swapped, nothing is copied)."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, player in self.players.items():
            now, average = _tensors(player), _tensors(self.copies[name])
            for key in now:
                now[key].data, average[key].data = average[key].data, now[key].data

    def tensors(self, player: str) -> dict[str, Tensor]:
        """The average of one player: parameters and buffers by name."""
        return _tensors(self.copies[player])


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())
