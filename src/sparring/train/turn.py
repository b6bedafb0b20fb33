"""One turn: the only place where a player's gradients are accumulated.

(Penalties and adaptive weights use autograd.grad inside `Game.losses` and `Game.weights`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.train.engine import Engine
from sparring.train.game import Game, Now
from sparring.types import Batch, Shared, Terms, Weights


@dataclass(frozen=True)
class Piece:
    """A (micro-)batch, what is shared on it, and when."""

    batch: Batch
    shared: Shared
    now: Now


@contextmanager
def only(game: nn.Module, player: nn.Module | None) -> Iterator[None]:
    """Inside, `player` alone has parameters that require gradients; everyone else is frozen.

    Freezing also saves work: no weight gradient is computed for a frozen player.
    """
    before = [(p, p.requires_grad) for p in game.parameters()]
    moving = {id(p) for p in player.parameters()} if player is not None else set()
    for parameter, _ in before:
        parameter.requires_grad_(id(parameter) in moving)
    try:
        yield
    finally:
        for parameter, flag in before:
            parameter.requires_grad_(flag)


def gradient(
    game: Game, player: str, pieces: Iterable[Piece], samples: int, engine: Engine, members: int | None = None
) -> dict[str, Tensor]:
    """∇ of J^(player) with respect to θ^(player) alone, averaged over pieces and processes, into ``.grad``.

    samples: how many the pieces hold together.   members: of an ensemble, each of which pays its own mean.
    Returns the mean of every term, detached and on the device: ``{"real": (), "fake": (), …}``; (members,) each for an
    ensemble.
    """
    means: dict[str, Tensor] = {}
    with only(game, game.players[player]):
        for piece in pieces:
            part = len(piece.batch) / samples
            with engine.autocast():
                terms = game.losses(player, piece.batch, piece.shared, piece.now)
                weights = game.weights(player, terms, piece.now)
            paid = objective(game, player, terms, weights, members)
            engine.backward(part * (paid if members is None else paid.sum()))
            for name, term in terms.items():
                value = part * mean(term.detach(), members)
                means[name] = means[name] + value if name in means else value
    engine.average_gradients(game.players[player])
    return means


def mean(term: Tensor, members: int | None = None) -> Tensor:
    """The mean of a term, (); of an ensemble each member's own, (members,)."""
    if members is None:
        return term.float().mean()
    return term.float().reshape(members, -1).mean(1)


def objective(game: Game, player: str, terms: Terms, weights: Weights, members: int | None = None) -> Tensor:
    """J^(player) on a piece: the weighted sum of the means of its terms, () or (members,)."""
    unknown = set(weights) - set(terms)
    if unknown:
        raise UsageError(
            "GAME-WEIGHTS",
            f"{player} does not pay the terms it weighs",
            where=", ".join(sorted(unknown)),
            fix=f"let {type(game).__name__}.losses return them, or weights leave them out",
        )
    device = next((term.device for term in terms.values()), None)
    zero = torch.zeros(() if members is None else (members,), device=device)
    return sum((weights[name] * mean(terms[name], members) for name in weights), zero)


def share(game: Game, batch: Batch, now: Now, engine: Engine, *, graph: bool) -> Shared:
    """What the players share on a batch: with the owner's graph, or without any."""
    owner = game.players[game.owner] if game.owner is not None else None
    with only(game, owner), torch.set_grad_enabled(graph and owner is not None), engine.autocast():
        return game.shared(batch, now)


def detached(shared: Shared) -> Shared:
    """The same values without their graph."""
    return {name: tensor.detach() for name, tensor in shared.items()}
