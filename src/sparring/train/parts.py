"""What of a trained game is needed to use it, and what may be cut away: the encoder of a VAE, for example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from sparring.errors import UsageError
from sparring.train.game import Game


def used(game: Game) -> dict[str, nn.Module]:
    """The players, and parts of players, that `Game.useful` names, by their paths ("G", "M.decoder")."""
    return {path: _at(game, path) for path in game.useful}


def left_out(game: Game) -> tuple[str, ...]:
    """The parts, by their paths, of the players that are useful in part alone: ("M.encoder",)."""
    wanted = [path for path in game.useful if "." in path]
    names = dict.fromkeys(path.partition(".")[0] for path in wanted)
    return tuple(path for name in names for path in _others(game.players[name], name, wanted))


def lop(game: Game) -> tuple[str, ...]:
    """Cut away what `left_out` says, and return its paths: what is left makes samples, and takes less room.

    Whoever asks for a part that is gone gets a `UsageError`.
    """
    paths = left_out(game)
    for path in paths:
        parent, _, leaf = path.rpartition(".")
        setattr(_at(game, parent), leaf, LeftOut(path))
    return paths


class LeftOut(nn.Module):
    """Stands where a part was."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, *_: Any, **__: Any) -> Any:
        raise UsageError(
            "GAME-LEFT-OUT", f"{self.path} is left out of this model, which only samples", where=self.path,
            why="samples do not need it", fix="open the run that it was exported from, whole",
        )  # fmt: skip


def _at(game: Game, path: str) -> nn.Module:
    name, _, rest = path.partition(".")
    return game.players[name].get_submodule(rest)


def _others(module: nn.Module, path: str, wanted: list[str]) -> Iterator[str]:
    for leaf, child in module.named_children():
        below = f"{path}.{leaf}"
        if below in wanted:
            continue
        if any(name.startswith(f"{below}.") for name in wanted):
            yield from _others(child, below, wanted)
        else:
            yield below
