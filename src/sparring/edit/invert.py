"""Inversion: the code whose picture is nearest to a given one (Karras et al. 2020, appendix D; Abdal et al. 2019, W+).

LPIPS and the mean squared difference, lowered by Adam from the mean code or from the best of k samples, under noise
that fades, so that it does not stay where it began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.chance import Dice
from sparring.edit import ramp
from sparring.edit.coordinates import Coordinates
from sparring.edit.wish import Distance, pixels
from sparring.errors import UsageError
from sparring.train.adam import Adam

STEPS, RATE, CANDIDATES = 300, 0.1, 64
_AT_ONCE = 16
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Inverted:
    """codes: (n, levels, d).   images: (n, C, H, W), what they make.   distance, l2: (n,) of them from what was given;
    start_distance, start_l2: of where it began."""

    codes: Tensor
    images: Tensor
    distance: Tensor
    l2: Tensor
    start_distance: Tensor
    start_l2: Tensor


def invert(
    coordinates: Coordinates, target: Tensor, distance: Distance, *, steps: int = STEPS, rate: float = RATE,
    candidates: int = CANDIDATES, l2: float = 1.0, seed: int = 0, progress: Progress | None = None,
) -> Inverted:  # fmt: skip
    """Codes of pictures (n, C, H, W) in [-1, 1].

    candidates: samples of which the nearest is begun with; 0: the mean code.   l2: weight of the mean squared
    difference beside the distance.   The best code of all steps without noise is kept.
    """
    if steps < 1 or candidates < 0:
        raise UsageError("EDIT-STEPS", "at least one step, and no fewer than 0 candidates", where=f"{steps}")
    target = target.to(coordinates.device)
    start = _begin(coordinates, target, distance, candidates, l2, seed)
    paid, first_distance, first_l2 = _paid(coordinates.image(start), target, distance, l2)
    best, lowest = start.clone(), paid.detach()
    moves = nn.ParameterList([torch.zeros_like(start)])  # in standard deviations
    move, adam = moves[0], Adam(moves)
    for step in range(steps):
        dice = Dice(seed, "invert", range(len(target)), (step,), coordinates.device)
        shaken = move + ramp.noise(step / steps) * dice.normal(*start.shape[1:])
        paid, _, _ = _paid(coordinates.image(_moved(coordinates, start, shaken)), target, distance, l2)
        if ramp.noise(step / steps) == 0:
            better = (paid < lowest)[:, None, None]
            best = torch.where(better, _moved(coordinates, start, move).detach(), best)
            lowest = torch.minimum(lowest, paid.detach())
        adam.zero_grad()
        paid.sum().backward()
        adam.step(ramp.step_size((step + 1) / steps, rate), 0.9, 0.999)
        if progress is not None:
            progress("inverting", step + 1, steps)
    with torch.no_grad():
        images = coordinates.image(best)
        _, found, found_l2 = _paid(images, target, distance, l2)
    return Inverted(best, images, found, found_l2, first_distance.detach(), first_l2.detach())


def _moved(coordinates: Coordinates, start: Tensor, move: Tensor) -> Tensor:
    return coordinates.near(start + move * coordinates.spread, start)


def _paid(image: Tensor, target: Tensor, distance: Distance, l2: float) -> tuple[Tensor, Tensor, Tensor]:
    """(n,) each: what is lowered, the distance, the mean squared difference."""
    far, squared = distance(image, target), pixels(image, target)
    return far + l2 * squared, far, squared


@torch.no_grad()
def _begin(
    coordinates: Coordinates, target: Tensor, distance: Distance, candidates: int, l2: float, seed: int
) -> Tensor:
    """(n, levels, d): the mean code or, where candidates are asked for, the nearest of them and of it."""
    middle = coordinates.near(coordinates.middle[None], coordinates.middle[None] * 0)
    best = middle.expand(len(target), -1, -1).clone()
    lowest, _, _ = _paid(coordinates.image(best), target, distance, l2)
    for first in range(0, candidates, _AT_ONCE):
        codes = coordinates.start(seed, range(first, min(first + _AT_ONCE, candidates)))
        images = coordinates.image(codes)
        for row, one in enumerate(target):
            paid, _, _ = _paid(images, one.expand_as(images), distance, l2)
            if float(paid.min()) < float(lowest[row]):
                best[row], lowest[row] = codes[int(paid.argmin())], paid.min()
    return best
