"""The latent mapper (Patashnik et al. 2021, section 5): networks that learn one sentence's move for every code.

Three of them, for the coarse, the middle and the fine layers; of a generator with z alone there is one. They are the
one player of a game, which the engine plays as any other: its data are codes of the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.edit.wish import Judge
from sparring.networks import initialise
from sparring.networks.normalise import even
from sparring.train.engine import Engine
from sparring.train.game import Decay, Fraction, Game, Now, Training, seeded, strict
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.train.schedule import Ramp
from sparring.types import Batch, News, Shared, Space, Terms, Weights

LEVELS = {"coarse": (0, 4), "medium": (4, 8), "fine": (8, None)}
"""Layers that each network moves, from the one of 4 × 4 pixels on."""
STEP = 0.1
"""What the networks say is multiplied by this, in standard deviations of the codes."""
ROUNDS = 150
Progress = Callable[[str, int, int], None]


class Level(nn.Module):
    """(n, layers, d) codes in standard deviations → (n, layers, d): each brought to length √d, then four layers."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d, d) for _ in range(4))
        for layer in self.layers:
            initialise.he(layer, initialise.gain_of_leaky_relu(0.2))

    def forward(self, u: Tensor) -> Tensor:
        x = even(u, 2)
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
        said: Tensor = self.layers[-1](x)
        return said


class Mapper(nn.Module):
    """(n, levels, d) codes in standard deviations → moves of them, in the same unit.

    >>> Mapper(10, 8)(torch.zeros(2, 10, 8)).shape, list(Mapper(1, 8).parts)
    (torch.Size([2, 10, 8]), ['coarse'])
    """

    def __init__(self, levels: int, d: int) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: Level(d) for name, (first, _) in LEVELS.items() if first < levels})

    def forward(self, u: Tensor) -> Tensor:
        moves = [part(u[:, LEVELS[name][0] : LEVELS[name][1]]) for name, part in self.parts.items()]
        return STEP * torch.cat(moves, 1)


@dataclass(frozen=True, config=strict, kw_only=True)
class MapperConfig(Training):
    """Settings of `MapperGame`."""

    batch: Annotated[int, Field(ge=1)] = 8
    play: str = "M:1"
    lr: Fraction = Ramp(2e-2, 2e-3, "cosine", 0.5, 1.0)
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 200
    flip: bool = False


class MapperGame(Game):
    """M lowers 1 − cos(E(G(w + M(w))), t) + λ_L2 ‖M(w)‖² + λ_ID d(G(w + M(w)), G(w)) over the codes of G.

    Generator and scorer are of no player and not saved: they are what they are."""

    Config = MapperConfig
    averaged = ("M",)

    def __init__(self, config: MapperConfig, judge: Judge, M: Mapper) -> None:
        super().__init__()
        self.config, self.M = config, M
        self._judge = [judge]  # in a list: modules in there are not this module's
        self._direction = judge.wish.direction(judge.scorer)

    @classmethod
    def build(cls, config: Any, space: Space) -> MapperGame:
        raise NotImplementedError("a mapper belongs to a generator: `train` makes it")

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"M": self.M}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """match, l2, identity, (N,) each: see `Judge.terms`."""
        judge = self._judge[0]
        start = batch.x.view(len(batch), judge.coordinates.levels, -1)
        move = self.move(start)
        with torch.no_grad():
            source = judge.coordinates.image(start)
        codes = judge.coordinates.near(start + move, start)
        return judge.terms(judge.coordinates.image(codes), source, move, self._direction)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return self._judge[0].weights

    def move(self, codes: Tensor) -> Tensor:
        """(n, levels, d) → what is added to them."""
        at = self._judge[0].coordinates
        moves: Tensor = self.M((codes - at.middle) / at.spread) * at.spread
        return moves


@plain_dataclass(frozen=True)
class Codes:
    """An endless stream of codes, as points: sample k is a function of the seed and k."""

    judge: Judge
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        return f"codes {self.seed}"

    def __len__(self) -> int:
        return 2**20

    def take(self, start: int, count: int) -> Batch:
        game, device = self.judge.coordinates.game, self.judge.coordinates.device
        with torch.no_grad():
            z = game.latents(Dice(self.seed, "edit/mapper", range(start, start + count), device=device))
            return Batch(self.judge.coordinates.codes(z).flatten(1).cpu())

    def news(self) -> tuple[News, ...]:
        return ()


def game(judge: Judge, seed: int = 0, **settings: Any) -> MapperGame:
    """An untrained mapper for a wish."""
    at = judge.coordinates
    made = seeded(seed, lambda: MapperGame(MapperConfig(**settings), judge, Mapper(at.levels, at.dimensions)))
    assert isinstance(made, MapperGame)
    return made.to(at.device)


def match(judge: Judge, *, rounds: int = ROUNDS, seed: int = 0, **settings: Any) -> Match:
    """The game of a mapper with its codes and its engine, ready to be played."""
    made = game(judge, seed, **settings)
    return Match(made, Codes(judge, seed), Engine(judge.coordinates.device), made.config, seed=seed,
                 horizon=rounds * made.config.batch)  # fmt: skip


def train(
    judge: Judge, *, rounds: int = ROUNDS, seed: int = 0, progress: Progress | None = None, **settings: Any
) -> MapperGame:
    """A mapper, trained, with its averaged weights in place."""
    played = match(judge, rounds=rounds, seed=seed, **settings)
    total = rounds * played.training.batch
    for event in Loop(played, total=total, pace=Pace(log=played.training.batch)):
        if progress is not None and event.kind == "turn":
            progress("training a mapper", event.images, total)
    made = played.game
    assert isinstance(made, MapperGame)
    return restored(made, played.averages.tensors("M") if "M" in played.averages.players else None)


def restored(made: MapperGame, tensors: Mapping[str, Tensor] | None = None) -> MapperGame:
    """The mapper, in eval mode and frozen; with the weights of an earlier one."""
    if tensors is not None:
        made.M.load_state_dict(dict(tensors))
    return made.eval().requires_grad_(False)


@torch.no_grad()
def moved(made: MapperGame, codes: Tensor, strength: float) -> Tensor:
    """(n, levels, d) codes → `strength` times the mapper's move away."""
    if strength == 0:
        return codes.clone()
    return made._judge[0].coordinates.near(codes + strength * made.move(codes), codes)
