"""One turn: the only place where a player's gradients are accumulated.

(Penalties and adaptive weights use autograd.grad inside `Game.losses` and `Game.weights`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.train import balance
from sparring.train.engine import Engine
from sparring.train.game import Game, Now
from sparring.types import Balanced, Batch, Shared, Terms, Weights


@dataclass(frozen=True)
class Piece:
    """A (micro-)batch, what is shared on it, and when."""

    batch: Batch
    shared: Shared
    now: Now


@contextmanager
def only(game: Game, *players: nn.Module | None) -> Iterator[None]:
    """Inside, `players` alone have parameters that require gradients, but for those that the game holds still.

    Freezing also saves work: no weight gradient is computed for a frozen player.
    """
    before = [(p, p.requires_grad) for p in game.parameters()]
    moving = {id(p) for player in players if player is not None for p in player.parameters()}
    moving -= {id(p) for p in game.frozen}
    for parameter, _ in before:
        parameter.requires_grad_(id(parameter) in moving)
    try:
        yield
    finally:
        for parameter, flag in before:
            parameter.requires_grad_(flag)


class Pieces(Protocol):
    """The pieces of a batch, which one may go through more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Piece]: ...


def gradient(
    game: Game, player: str, pieces: Pieces, samples: int, engine: Engine, members: int | None = None
) -> dict[str, Tensor]:
    """∇ of J^(player) with respect to θ^(player) alone, averaged over pieces and processes, into ``.grad``.

    pieces: gone through twice where there are several and a weight is `Balanced`: it is known once all were seen.
    samples: how many the pieces hold together.   members: of an ensemble, each of which pays its own mean.
    Returns the mean of every term, detached and on the device: ``{"real": (), "fake": (), …}``; (members,) each for an
    ensemble. And what each balanced weight has become, ``{"weight(fake)": ()}``.
    """
    means: dict[str, Tensor] = {}
    with only(game, game.players[player]):
        known = _measured(game, player, pieces, samples, engine) if player in game.balanced and len(pieces) > 1 else {}
        for piece in pieces:
            part = len(piece.batch) / samples
            terms, weights = _said(game, player, piece, engine)
            if player in game.balanced:
                known = known or balance.settled(weights, balance.slopes(terms, weights), engine)
                weights = balance.replaced(weights, known)
            paid = objective(game, player, terms, weights, members)
            engine.backward(part * (paid if members is None else paid.sum()))
            for name, term in terms.items():
                value = part * mean(term.detach(), members)
                means[name] = means[name] + value if name in means else value
    engine.average_gradients(game.players[player])
    return means | {f"weight({name})": value for name, value in known.items()}


def _said(game: Game, player: str, piece: Piece, engine: Engine) -> tuple[Terms, Weights]:
    """What a player pays on a piece, and how it is weighed."""
    with engine.autocast():
        terms = game.losses(player, piece.batch, piece.shared, piece.now)
        return terms, game.weights(player, terms, piece.now)


def _measured(game: Game, player: str, pieces: Pieces, samples: int, engine: Engine) -> dict[str, Tensor]:
    """What the balanced weights of a player are, by a first pass through all pieces."""
    found: balance.Slopes = {}
    weights: Weights = {}
    for piece in pieces:
        terms, weights = _said(game, player, piece, engine)
        found = balance.added(found, balance.slopes(terms, weights, len(piece.batch) / samples))
    return balance.settled(weights, found, engine)


Players = Mapping[str, list[Piece]]
"""The pieces of one batch as each player sees them."""


def consensus(
    game: Game, hands: Players, samples: int, engine: Engine, amount: float, members: int | None = None
) -> dict[str, dict[str, Tensor]]:
    """∇_θi (L_i + γ ½‖v‖²) of every player into ``.grad``, with v = (∇_θ1 L_1, ∇_θ2 L_2, …) and γ = `amount`.

    Mescheder et al. 2017, eq. 11: where the game turns in circles v is long, and shortening it leads to the middle. The
    gradient of ½‖v‖² is Jᵀv, J the Jacobian of v, and is taken by a second pass through the graph of v. Pieces and
    processes first agree on v, since ½‖v‖² of the whole batch is not the mean of that of its pieces; with several
    pieces v is computed twice, so that only one graph is alive at a time.

    Returns for each player what `gradient` does. In an ensemble members have each their own v.
    """
    modules = {name: game.players[name] for name in hands}
    still = {id(p) for p in game.frozen}
    every = {name: [p for p in module.parameters() if id(p) not in still] for name, module in modules.items()}
    flat = [p for own in every.values() for p in own]
    means: dict[str, dict[str, Tensor]] = {name: {} for name in hands}
    count = len(next(iter(hands.values())))
    twice = amount > 0
    slopes: list[Tensor] = []

    def field(i: int, observe: bool) -> list[Tensor]:
        """v of piece i, times its share of the batch, with its graph."""
        found: list[Tensor] = []
        for name, pieces in hands.items():
            piece = pieces[i]
            part = len(piece.batch) / samples
            terms, weights = _said(game, name, piece, engine)
            paid = part * objective(game, name, terms, weights, members).sum()
            found += torch.autograd.grad(paid, every[name], create_graph=twice, materialize_grads=True)
            if observe:
                seen = means[name]
                for term, value in terms.items():
                    value = part * mean(value.detach(), members)
                    seen[term] = seen[term] + value if term in seen else value
        return found

    with only(game, *modules.values()):
        for i in range(count):
            slopes = field(i, observe=True)
            for parameter, slope in zip(flat, slopes, strict=True):
                slope = slope.detach()
                parameter.grad = slope.clone() if parameter.grad is None else parameter.grad + slope
        for module in modules.values():
            engine.average_gradients(module)
        if twice:
            v = [p.grad.clone() for p in flat if p.grad is not None]
            pull = [torch.zeros_like(p) for p in flat]
            for i in range(count):
                slopes = slopes if count == 1 else field(i, observe=False)
                products = [(s * w).sum() for s, w in zip(slopes, v, strict=True) if s.requires_grad]
                if products:
                    along = torch.autograd.grad(torch.stack(products).sum(), flat, materialize_grads=True)
                    torch._foreach_add_(pull, list(along))
            engine.average(pull)
            for parameter, extra in zip(flat, pull, strict=True):
                assert parameter.grad is not None
                parameter.grad.add_(extra, alpha=amount)
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
    numbers = {name: weight for name, weight in weights.items() if not isinstance(weight, Balanced)}
    assert len(numbers) == len(weights), f"{type(game).__name__}.balanced does not name {player}"
    return sum((weight * mean(terms[name], members) for name, weight in numbers.items()), zero)


def share(game: Game, batch: Batch, now: Now, engine: Engine, *, graph: bool) -> Shared:
    """What the players share on a batch: with the owner's graph, or without any."""
    owner = game.players[game.owner] if game.owner is not None else None
    with only(game, owner), torch.set_grad_enabled(graph and owner is not None), engine.autocast():
        return game.shared(batch, now)


def detached(shared: Shared) -> Shared:
    """The same values without their graph."""
    return {name: tensor.detach() for name, tensor in shared.items()}
