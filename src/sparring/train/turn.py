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
from sparring.types import Batch, Shared


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


def gradient(game: Game, player: str, pieces: Iterable[Piece], samples: int, engine: Engine) -> dict[str, Tensor]:
    """∇ of J^(player) with respect to θ^(player) alone, averaged over pieces and processes, into ``.grad``.

    samples: how many the pieces hold together.
    Returns the mean of every term, detached and on the device: ``{"real": (), "fake": (), …}``.
    """
    means: dict[str, Tensor] = {}
    with only(game, game.players[player]):
        for piece in pieces:
            part = len(piece.batch) / samples
            with engine.autocast():
                terms = game.losses(player, piece.batch, piece.shared, piece.now)
                weights = game.weights(player, terms, piece.now)
            unknown = set(weights) - set(terms)
            if unknown:
                raise UsageError(
                    "GAME-WEIGHTS",
                    f"{player} does not pay the terms it weighs",
                    where=", ".join(sorted(unknown)),
                    fix=f"let {type(game).__name__}.losses return them, or weights leave them out",
                )
            zero = torch.zeros((), device=engine.device)
            objective = sum((weights[name] * terms[name].float().mean() for name in weights), zero)
            engine.backward(part * objective)
            for name, term in terms.items():
                value = part * term.detach().float().mean()
                means[name] = means[name] + value if name in means else value
    engine.average_gradients(game.players[player])
    return means


def share(game: Game, batch: Batch, now: Now, engine: Engine, *, graph: bool) -> Shared:
    """What the players share on a batch: with the owner's graph, or without any."""
    owner = game.players[game.owner] if game.owner is not None else None
    with only(game, owner), torch.set_grad_enabled(graph and owner is not None), engine.autocast():
        return game.shared(batch, now)


def detached(shared: Shared) -> Shared:
    """The same values without their graph."""
    return {name: tensor.detach() for name, tensor in shared.items()}
