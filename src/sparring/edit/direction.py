"""Global directions (Patashnik et al. 2021, section 6): a sentence moves the same few channels of every picture.

For each channel of the generator it is measured once what becomes of pictures when it alone is turned: the mean change
of the scorer's directions. A sentence then asks for those channels whose change points its way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.edit.coordinates import Channels, Coordinates
from sparring.errors import UsageError
from sparring.runs.scorer import Scorer, in_colour

SAMPLES, TURN = 16, 3.0
"""Pictures on which a channel is tried, and by how many of its standard deviations it is turned, both ways."""
BETA = 0.5
REACH = 3.0
"""Standard deviations by which the most relevant channel is turned at strength 1."""
_AT_ONCE = 32
_LAW = 512  # samples by which the spread of channels is known
Progress = Callable[[str, int, int], None]


def check(beta: float) -> None:
    """`UsageError` unless β is a share."""
    if not 0 <= beta <= 1:
        raise UsageError(
            "EDIT-BETA", "beta is a share of the largest relevance, from 0 to 1", where=f"{beta:g}",
            fix=f"without --beta it is {BETA:g}",
        )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Of the C channels of a generator, of all layers one after the other.

    effects: (C, d) how the scorer's direction of a picture changes when a channel is turned up by one standard
    deviation, mean over pictures.   spread: (C,) standard deviations.   widths: channels of each layer.
    """

    effects: Tensor
    spread: Tensor
    widths: tuple[int, ...]

    def relevance(self, direction: Tensor) -> Tensor:
        """(C,) of each channel for a sentence, as a share of the largest, in [-1, 1]: the cosine of its effect and the
        direction (d,), shrunk where the effect is small beside that of the middle channel: what does next to nothing
        points anywhere."""
        lengths = self.effects.norm(dim=1)
        along = (self.effects @ direction) / (lengths + lengths.median()).clamp_min(1e-12)
        return along / along.abs().max().clamp_min(1e-12)

    def turned(self, direction: Tensor, beta: float = BETA) -> Tensor:
        """(C,) how far each channel is turned, in standard deviations: its relevance; 0 where that is below β."""
        check(beta)
        relevance = self.relevance(direction)
        return torch.where(relevance.abs() >= beta, relevance, 0.0)


@torch.no_grad()
def measure(
    coordinates: Coordinates, scorer: Scorer, *, samples: int = SAMPLES, turn: float = TURN, seed: int = 0,
    progress: Progress | None = None,
) -> Table:  # fmt: skip
    """The table of a generator, for one scorer; no sentence is needed. Makes 2 · samples · C pictures."""
    many = coordinates.channels(coordinates.start(seed + 1, range(_LAW)))
    widths = tuple(layer.shape[1] for layer in many)
    spread = torch.cat([layer.std(0) for layer in many])
    base = coordinates.channels(coordinates.start(seed, range(samples)))
    effects = torch.zeros(len(spread), 0)
    at, rows = 0, []
    for layer, width in enumerate(widths):
        for first in range(0, width, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, width))
            rows.append(_effect(coordinates, scorer, base, layer, some, turn * spread[at : at + width]))
            if progress is not None:
                progress("trying the channels", at + some.stop, len(spread))
        at += width
    effects = torch.cat(rows) / (2 * turn)
    return Table(effects.cpu(), spread.cpu(), widths)


def _effect(coordinates: Coordinates, scorer: Scorer, base: Channels, layer: int, some: range, by: Tensor) -> Tensor:
    """(channels, d): mean over pictures of E(turned up) − E(turned down), for some channels of a layer."""
    total = None
    turn = torch.zeros(len(some), len(by), device=by.device)
    turn[torch.arange(len(some)), torch.tensor(list(some))] = by[some.start : some.stop]
    for row in range(len(base[0])):
        seen = []
        for sign in (1, -1):
            channels = [one[row : row + 1].expand(len(some), -1) for one in base]
            channels[layer] = channels[layer] + sign * turn
            seen.append(scorer.images(in_colour(coordinates.image_of(channels))))
        difference = seen[0] - seen[1]
        total = difference if total is None else total + difference
    assert total is not None
    return total / len(base[0])


@torch.no_grad()
def moved(
    coordinates: Coordinates, table: Table, codes: Tensor, direction: Tensor, strength: float, beta: float = BETA
) -> tuple[Tensor, Channels]:
    """(n, levels, d) codes → the pictures (n, C, H, W) of their channels turned, and those channels.

    Channels that are less relevant than β stay what they are, bit for bit; strength 0 changes none.
    """
    before = coordinates.channels(codes)
    turned = (table.turned(direction.cpu(), beta) * table.spread).to(codes.device).split(table.widths)
    after = tuple(
        torch.where(by != 0, old + strength * REACH * by, old) for old, by in zip(before, turned, strict=True)
    )
    if strength == 0:
        after = before
    return coordinates.image_of(after), after
