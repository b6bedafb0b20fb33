"""Small games for figures, played as every run is: the recipe `gan`, a stream, `Match`, its turns and optimisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.recipes.gan import GAN, GANConfig
from sparring.train.engine import Engine
from sparring.train.ensemble import Streams, together
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Batch, News, Space


@dataclass(frozen=True)
class Endless:
    """Points drawn from a known law as a stream: no sample comes twice. law: dice for n samples → (n, D)."""

    name: str
    law: Callable[[Dice], Tensor]
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        return f"{self.name}/{self.seed}"

    def __len__(self) -> int:
        return 2**40

    def take(self, start: int, count: int) -> Batch:
        return Batch(self.law(Dice(self.seed, f"figures/{self.name}", range(start, start + count))))

    def news(self) -> Sequence[News]:
        return ()


def match(
    config: GANConfig, name: str, law: Callable[[Dice], Tensor], seeds: Sequence[int], rounds: int
) -> Match:  # fmt: skip
    """The game of `config` on samples of `law`, one member for each seed, before its first round of `rounds`."""
    dimensions = law(Dice(0, "shape", range(1))).shape[1]
    games = [seeded(seed, lambda: GAN.build(config, Space((dimensions,)))) for seed in seeds]
    streams = [Endless(name, law, seed) for seed in seeds]
    horizon = rounds * config.batch
    if len(seeds) == 1:
        return Match(games[0], streams[0], Engine(torch.device("cpu")), config, seed=seeds[0], horizon=horizon)
    engine = Engine(torch.device("cpu"))
    return Match(together(games), Streams(streams), engine, config, seed=tuple(seeds), horizon=horizon)


@torch.no_grad()
def samples(played: Match, count: int) -> Tensor:
    """(S, count, D): what each member's generator makes of the same latents."""
    game = played.game
    assert isinstance(game, GAN)
    z = game.latents(Dice(0, "figures/look", range(count)))
    return game.decode(z.repeat(game.members, 1)).reshape(game.members, count, -1)
