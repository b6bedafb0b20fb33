"""Weights that follow from gradients (`types.Balanced`): over all pieces and processes, before anything is paid."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.train.engine import Engine
from sparring.types import Balanced, Terms, Weights

Slopes = dict[tuple[str, ...], list[Tensor]]
"""By the terms that share a balanced weight: the two gradients that it follows from."""


def slopes(terms: Terms, weights: Weights, part: float = 1.0) -> Slopes:
    """The gradients of what one piece pays, times its share of the batch; its graph is kept."""
    return {
        names: [part * torch.autograd.grad(paid, balanced.at, retain_graph=True)[0] for paid in sides]
        for names, balanced in _groups(weights).items()
        for sides in [(_paid(terms, weights, balanced.against), _paid(terms, dict.fromkeys(names, 1.0), names))]
    }


def added(one: Slopes, other: Slopes) -> Slopes:
    """Those of two pieces together; `one` may be empty."""
    if not one:
        return other
    return {names: [a + b for a, b in zip(one[names], new, strict=True)] for names, new in other.items()}


def settled(weights: Weights, found: Slopes, engine: Engine) -> dict[str, Tensor]:
    """What each balanced weight is, by its first term. found: of all pieces of this process."""
    engine.average([slope for pair in found.values() for slope in pair])
    return {names[0]: balanced.rule(*found[names]).detach() for names, balanced in _groups(weights).items()}


def replaced(weights: Weights, known: dict[str, Tensor]) -> dict[str, float | Tensor]:
    """The weights, with numbers in place of those that are balanced."""
    every = {name: known[names[0]] for names in _groups(weights) for name in names}
    return {name: every[name] if isinstance(weight, Balanced) else weight for name, weight in weights.items()}


def _groups(weights: Weights) -> dict[tuple[str, ...], Balanced]:
    """Each balanced weight, by the terms that it is given to."""
    found = dict.fromkeys(weight for weight in weights.values() if isinstance(weight, Balanced))
    return {tuple(name for name, weight in weights.items() if weight is each): each for each in found}


def _paid(terms: Terms, weights: Weights, names: tuple[str, ...]) -> Tensor:
    """Σ weight · mean of these terms, (), without what has no weight."""
    total = torch.zeros((), device=next(iter(terms.values())).device)
    for name in names:
        weight = weights.get(name, 0.0)
        assert not isinstance(weight, Balanced), f"{name} is weighed by a gradient itself"
        if name in terms:
            total = total + weight * terms[name].float().mean()
    return total
