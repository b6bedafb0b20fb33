"""r3gan-minutes: would D on cat([real, fake]) in one pass, or another layout, be faster than what the recipe does?

Its D has no normalisation, so samples do not influence each other: one pass over 2N images gives the same logits and
gradients as two passes over N. The whole step is timed, through `Match.step`; every variant plays on its own copy.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.speed import machine
from sparring.data import open_data, stream_of
from sparring.losses.penalties import zero_centred
from sparring.losses.skill import skill
from sparring.recipes.r3gan import R3GAN
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.train.game import Now
from sparring.train.match import Match
from sparring.types import Batch, Shared, Terms

SEED = 0


class OnePass(R3GAN):
    """The same game with D's two batches joined in D's own turn: the same terms, to rounding.

    G's turn stays as it is: only the fakes need a graph there, so joining would add the backward pass of the reals.
    """

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        if player == "G" or now.at(self.config.augment) > 0:
            return super().losses(player, batch, shared, now)
        penalised = now.every(self.config.penalty_every)
        x = torch.cat([batch.x, shared["fake"]]).detach().requires_grad_(penalised)  # (2N, C, H, W)
        s = self.D(x)
        s_real, s_fake = s.chunk(2)
        terms = self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
        if penalised:
            r1, r2 = zero_centred(s, x).chunk(2)
            terms |= {"r1": r1, "r2": r2}
        return terms


def match_of(cls: type[R3GAN], layout: str) -> Match:
    """The preset's match on `emoji` at 64 px, played by `cls` in `layout`."""
    recipe = load("r3gan-minutes", [f"memory_format={layout}", "augment=0"])
    dataset = open_data("emoji", size=(64, 64), channels=3)
    game = plans.build(recipe, plans.space_of(dataset), SEED)
    assert isinstance(game, R3GAN)
    played = cls(game.config, game.shape, game.D, game.G)
    engine = plans.make_engine(recipe, torch.device("cpu"))
    return Match(played, stream_of(dataset, SEED, True), engine, recipe.config, seed=SEED, horizon=10**9)


def measure(rounds: int, threads: int) -> dict[str, Any]:
    """Ratios of the time of one penalty cycle, the recipe's own way first; in plain values."""
    torch.set_num_threads(threads)
    matches = {
        f"{name}, {layout}": match_of(cls, layout)
        for layout in ("channels_last", "contiguous")
        for name, cls in (("two passes", R3GAN), ("one pass", OnePass))
    }
    first = {name: match.step() for name, match in matches.items()}
    base = next(iter(matches))
    cycle = matches[base].training.penalty_every  # type: ignore[attr-defined]

    def play(match: Match) -> None:
        for _ in range(cycle):
            match.step()

    clocks = machine.interleaved({name: lambda m=m: play(m) for name, m in matches.items()}, rounds)
    return {
        "claim": "which form of D's pass and which layout is faster for r3gan-minutes (3 x 64 x 64, batch 16)",
        "command": machine.command(),
        "machine": machine.describe(threads),
        "rounds_per_timing": cycle,
        "first_step": {
            name: {term: round(float(means[term]), 5) for term in ("D/pair", "D/r1", "D/r2", "G/pair")}
            for name, means in first.items()
        },
        "speedup_over_two_passes_channels_last": {
            name: machine.compare(clocks[base], clocks[name]) for name in matches if name != base
        },
        "seconds": {name: machine.seconds(times) for name, times in clocks.items()},
    }
