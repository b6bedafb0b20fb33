"""Copies of a game with seeds of their own, played at once as one game.

The seed axis is folded into the sample axis, member-major: S members with N samples each are a batch of S·N rows, the
N of the first member first. Each player holds the parameters of all members, (S, …), and applies to each row those of
its member; a member pays its own mean, so that it moves as it would alone.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from sparring.errors import UsageError
from sparring.train.game import Game
from sparring.types import Batch, News, Stream


class Stacked(nn.Module):
    """S networks of one architecture as one: (S·N, …) → (S·N, …), row s·N + n through network s.

    It holds one skeleton, `body`, whose parameters and buffers are those of all members, (S, …), on a new first axis;
    its forward pass gives the skeleton one member's at a time, by `torch.vmap`. Batch normalisation keeps statistics
    of each member. The given networks are copied and stay as they are.

    >>> two = Stacked([nn.Linear(2, 3), nn.Linear(2, 3)])
    >>> {name: tuple(tensor.shape) for name, tensor in two.state_dict().items()}
    {'body.weight': (2, 3, 2), 'body.bias': (2, 3)}
    >>> two(torch.zeros(8, 2)).shape
    torch.Size([8, 3])
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        states = [_tensors(module) for module in modules]
        kinds = [{name: (t.shape, t.dtype) for name, t in state.items()} for state in states]
        if not kinds or any(kind != kinds[0] for kind in kinds):
            raise UsageError(
                "ENSEMBLE-ALIKE", "these networks cannot be stacked", why="their parameters differ in name or shape"
            )
        self.members = len(modules)
        self.body = copy.deepcopy(modules[0])
        with torch.no_grad():
            stacked = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
        _put(self.body, stacked)
        self._places = [
            (kept, leaf)
            for part in self.body.modules()
            for kept in (part._parameters, part._buffers)
            for leaf, tensor in kept.items()
            if tensor is not None
        ]  # where each tensor hangs: `deepcopy` and `to` keep these dictionaries

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """As the networks' own, with S·N rows in every tensor that goes in and comes out."""
        return self.each(_call, *inputs, **options)

    def each(self, function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        """``function(network, *inputs, **options)`` for every network, on its own rows of the inputs.

        function: may call any method of the network, and change its buffers in place. It is called once, for all.
        Returns what it returns, with the rows of all members; nothing where it returns nothing.
        """
        state = [tensor for kept, leaf in self._places if (tensor := kept[leaf]) is not None]
        values, form = tree_flatten((inputs, options))
        at = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
        silent = False

        def one(state: list[Tensor], rows: list[Tensor]) -> Any:
            nonlocal silent
            for (kept, leaf), tensor in zip(self._places, state, strict=True):
                kept[leaf] = tensor  # type: ignore[assignment]
            for i, tensor in zip(at, rows, strict=True):
                values[i] = tensor
            inputs, options = tree_unflatten(values, form)
            output = function(self.body, *inputs, **options)
            silent = output is None
            return state[0].new_zeros(()) if silent else output

        try:
            output = torch.vmap(one)(state, [self._fold(values[i]) for i in at])
        finally:
            for (kept, leaf), tensor in zip(self._places, state, strict=True):
                kept[leaf] = tensor  # type: ignore[assignment]
        if silent:
            return None
        return _unfold(output) if isinstance(output, Tensor) else tree_map(_unfold, output)

    def _fold(self, value: Tensor) -> Tensor:
        """(S·N, …) → (S, N, …)."""
        if value.shape[0] % self.members:
            raise UsageError(
                "ENSEMBLE-ROWS", f"{value.shape[0]} rows are no equal shares of {self.members} members",
                fix="give every member as many samples",
            )  # fmt: skip
        return value.reshape(self.members, -1, *value.shape[1:])


def _call(network: nn.Module, *inputs: Any, **options: Any) -> Any:
    return network(*inputs, **options)


def _unfold(value: Tensor) -> Tensor:
    """(S, N, …) → (S·N, …); one number for each member, (S,), stays."""
    return value.flatten(0, 1) if value.dim() > 1 else value


def each(network: nn.Module, function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """``function(network, *inputs, **options)``; of a `Stacked` network, for every member on its own rows.

    >>> each(Stacked([nn.Linear(2, 3), nn.Linear(2, 3)]), lambda layer, x: x @ layer.weight.mT, torch.zeros(8, 2)).shape
    torch.Size([8, 3])
    """
    if isinstance(network, Stacked):
        return network.each(function, *inputs, **options)
    return function(network, *inputs, **options)


def together(games: Sequence[Game]) -> Game:
    """Games that differ in nothing but their weights as one game of `len(games)` members.

    A copy of the first game in which each player is the `Stacked` one; the given games stay as they are. Let a `Match`
    play it with one seed for each member and the `Streams` of those seeds.
    Raises `UsageError` if the games differ, or remember anything outside of their players.
    """
    if not games:
        raise UsageError("ENSEMBLE-EMPTY", "an ensemble needs one game at least")
    first = games[0]
    if any(type(game) is not type(first) or game.config != first.config for game in games):
        raise UsageError("ENSEMBLE-ALIKE", "the games of an ensemble have one type and one configuration")
    theirs = {id(t) for player in first.players.values() for t in player.state_dict(keep_vars=True).values()}
    if rest := [name for name, t in first.state_dict(keep_vars=True).items() if id(t) not in theirs]:
        raise UsageError(
            "ENSEMBLE-STATE", f"{type(first).__name__} remembers something that is no player's",
            where=", ".join(rest), why="members would share it", fix="play one seed at a time",
        )  # fmt: skip
    if first.balanced:
        raise UsageError("ENSEMBLE-BALANCED", "members cannot weigh terms by gradients", fix="play one seed at a time")
    if first.frozen:
        raise UsageError("ENSEMBLE-FROZEN", "members cannot hold layers still", fix="play one seed at a time")
    game = copy.deepcopy(first)
    for name, player in first.players.items():
        (path,) = [path for path, module in first.named_modules() if module is player]
        parent, _, leaf = path.rpartition(".")
        setattr(game.get_submodule(parent), leaf, Stacked([each.players[name] for each in games]))
    game.members = len(games)
    return game


def unstack(game: Game, member: int) -> dict[str, dict[str, Tensor]]:
    """The players of one member of an ensemble as state dicts that a solo game of the recipe loads (copies).

    Inside ``match.averages.applied()``: of its averages.
    """
    found = {}
    for name, player in game.players.items():
        assert isinstance(player, Stacked), "only an ensemble has members"
        found[name] = {key: tensor[member].detach().clone() for key, tensor in player.body.state_dict().items()}
    return found


class Streams:
    """Streams of different seeds as one: `take(start, count)` gives S·count rows, those of the first stream first."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        if len({len(stream) for stream in streams}) != 1:
            raise UsageError("ENSEMBLE-ALIKE", "the streams of an ensemble are as long as each other")
        self.streams = tuple(streams)

    @property
    def fingerprint(self) -> str:
        """A hash of what every stream delivers."""
        every = "\n".join(stream.fingerprint for stream in self.streams)
        return hashlib.blake2b(every.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.streams[0])

    def take(self, start: int, count: int) -> Batch:
        """As of `Stream`, for every stream in turn."""
        batches = [stream.take(start, count) for stream in self.streams]

        def joined(tensors: list[Tensor | None]) -> Tensor | None:
            there = [tensor for tensor in tensors if tensor is not None]
            return torch.cat(there) if there else None

        texts = [batch.text for batch in batches if batch.text is not None]
        return Batch(
            torch.cat([batch.x for batch in batches]),
            joined([batch.label for batch in batches]),
            joined([batch.condition for batch in batches]),
            sum(texts, ()) if texts else None,
        )

    def news(self) -> Sequence[News]:
        """What happened to any of them."""
        return [news for stream in self.streams for news in stream.news()]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _put(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Replace the parameters and buffers of a module; what is tied stays tied."""
    new: dict[int, Tensor] = {}
    for name, old in _tensors(module).items():
        tensor = tensors[name]
        new[id(old)] = nn.Parameter(tensor, old.requires_grad) if isinstance(old, nn.Parameter) else tensor
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for leaf, held in list(kept.items()):
                if held is not None:
                    kept[leaf] = new[id(held)]  # type: ignore[assignment]
