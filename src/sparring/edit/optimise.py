"""Latent optimisation (Patashnik et al. 2021, section 4): each picture's own code is moved by gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparring.edit import ramp
from sparring.edit.wish import Judge
from sparring.train.adam import Adam

STEPS, RATE = 100, 0.1
Progress = Callable[[str, int, int], None]


def optimise(
    judge: Judge, start: Tensor, *, steps: int = STEPS, rate: float = RATE, progress: Progress | None = None
) -> Tensor:
    """(n, levels, d) codes → the codes that lower 1 − cos(E(G(w)), t) + λ_L2 ‖w − w_s‖² + λ_ID d(G(w), G(w_s)), each by
    itself; `strength` of the way from the start. Adam on moves in standard deviations, with `ramp.step_size`."""
    coordinates, wish = judge.coordinates, judge.wish
    if wish.strength == 0:
        return start.clone()
    direction = wish.direction(judge.scorer)
    with torch.no_grad():
        source = coordinates.image(start)
    moves = nn.ParameterList([torch.zeros_like(start)])  # in standard deviations
    move, adam = moves[0], Adam(moves)
    for step in range(steps):
        codes = coordinates.near(start + move * coordinates.spread, start)
        terms = judge.terms(coordinates.image(codes), source, codes - start, direction)
        adam.zero_grad()
        judge.paid(terms).sum().backward()
        adam.step(ramp.step_size((step + 1) / steps, rate), 0.9, 0.999)
        if progress is not None:
            progress("editing", step + 1, steps)
    found = start + wish.strength * move.detach() * coordinates.spread
    return coordinates.near(found, start).detach()
