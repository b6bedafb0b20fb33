"""Our `pix2pix` step at 256 × 256, batch 1, against the classic loop: same weights, same pair; interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed import machine
from benchmarks.speed.classic import Classic
from sparring.data.builtin import emoji
from sparring.recipes.pix2pix import Pix2Pix
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.train.match import Match
from sparring.types import Batch, News, Space

SIDE, SEED = 256, 0
TARGET, TOLERANCE = 1.2, 2e-4
SHAPE = (3, SIDE, SIDE)


class Pairs:
    """A few emoji at 256 × 256 in memory, outline and colour: the data path costs nobody anything."""

    fingerprint = "benchmark"

    def __init__(self) -> None:
        found = emoji()
        given = torch.from_numpy(found.outline[:16]).expand(-1, -1, -1, 3)
        made = torch.from_numpy(found.colour[:16, ..., :3].copy())
        self.given, self.made = (
            nn.functional.interpolate(side.permute(0, 3, 1, 2).float(), (SIDE, SIDE), mode="bilinear").byte()
            for side in (given, made)
        )

    def __len__(self) -> int:
        return len(self.made)

    def take(self, start: int, count: int) -> Batch:
        rows = torch.arange(start, start + count) % len(self)
        return Batch(self.made[rows], condition=self.given[rows])

    def news(self) -> Sequence[News]:
        return ()


def our_match(*settings: str) -> Match:
    """`sparring train A/ B/ --recipe pix2pix --size 256`, as runs/ would set it up, without a run directory."""
    recipe = load("pix2pix", settings)
    game = plans.build(recipe, Space(SHAPE, condition=SHAPE), SEED)
    engine = plans.make_engine(recipe, torch.device("cpu"))
    return Match(game, Pairs(), engine, recipe.config, seed=SEED, horizon=10**9)


@torch.no_grad()
def copy_weights(game: Pix2Pix, classic: Classic) -> None:
    """Our initial weights into the classic networks, which hold the same layers in another order."""
    up, norms = [*game.G.ups][::-1], [*game.G.down_norms, *[*game.G.up_norms][::-1]]
    ours = [*game.G.downs, *up, *game.D.convolutions, game.D.head]
    ours += [n for n in [*norms, *game.D.norms] if not isinstance(n, nn.Identity)]
    theirs: list[nn.Module] = []
    for net, kinds in ((classic.netG, (nn.Conv2d, nn.ConvTranspose2d)), (classic.netD, (nn.Conv2d,))):
        theirs += [m for kind in kinds for m in net.modules() if isinstance(m, kind)]
    theirs += [m for net in (classic.netG, classic.netD) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for mine, other in zip(ours, theirs, strict=True):
        other.load_state_dict(mine.state_dict(), strict=not isinstance(other, nn.BatchNorm2d))


def sides(match: Match) -> tuple[Tensor, Tensor]:
    """The first pair as the classic loop wants it: floats in [−1, 1]."""
    batch = match.engine.place(match.stream.take(0, 1))
    assert batch.condition is not None
    return batch.condition, batch.x


def first_losses() -> dict[str, Any]:
    """One step of both from the same weights on the same pair, without dropout and jitter: the losses must agree."""
    match, classic = our_match("dropout=0", "jitter=false"), Classic(3, 3, 0.0)
    assert isinstance(match.game, Pix2Pix)
    copy_weights(match.game, classic)
    theirs = [float(value) for value in classic.step(*sides(match))]
    means = match.step()
    ours = [0.5 * float(means["D/real"] + means["D/fake"]), float(means["G/fake"]), float(means["G/l1"])]
    names = ("errD", "errG", "errL1")
    difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    return {
        "ours": dict(zip(names, (round(x, 6) for x in ours))),
        "classic": dict(zip(names, (round(x, 6) for x in theirs))),
        "difference": difference, "tolerance": TOLERANCE, "equal": difference <= TOLERANCE,
    }  # fmt: skip


def measure(rounds: int, threads: int) -> dict[str, Any]:
    """The whole comparison (`machine.race`)."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    about, same = machine.describe(threads), first_losses()
    match, classic = our_match(), Classic(3, 3, 0.5)
    assert isinstance(match.game, Pix2Pix)
    copy_weights(match.game, classic)
    given, truth = sides(match)
    variants: dict[str, Callable[[], object]] = {"classic": lambda: classic.step(given, truth), "ours": match.step}
    clocks = machine.interleaved(variants, rounds)
    claim = (
        f"one pix2pix round, 3 x 256 x 256, batch 1, dropout and jitter on: at least {TARGET} times the classic loop "
        "(which gets its pair ready for free)"
    )
    return machine.race(claim, clocks, ("classic", "ours"), about=about, target=TARGET, same=same)
