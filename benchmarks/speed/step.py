"""Our `dcgan` step against the textbook loop: same weights, same images, same z; interleaved in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed import machine, peak
from benchmarks.speed.textbook import Textbook
from sparring.data import open_data, stream_of
from sparring.recipes.dcgan import DCGAN
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.train.match import Match

BATCH, SEED = 64, 0
TARGET, TOLERANCE = 1.15, 4e-4


def our_match() -> Match:
    """`sparring train emoji --recipe dcgan --size 64`, as runs/ would set it up, without a run directory."""
    recipe = load("dcgan")
    assert recipe.config.batch == BATCH
    dataset = open_data("emoji", size=(64, 64), channels=3)
    game = plans.build(recipe, plans.space_of(dataset), SEED)
    stream = stream_of(dataset, SEED, recipe.config.flip)
    engine = plans.make_engine(recipe, torch.device("cpu"))
    return Match(game, stream, engine, recipe.config, seed=SEED, horizon=10**9)


@torch.no_grad()
def copy_weights(game: DCGAN, textbook: Textbook) -> None:
    """Our initial weights into the textbook's networks. Our first and last layer are the same linear maps, reshaped."""
    ours_g = [game.G.project, *game.G.ups]
    theirs_g = [m for m in textbook.netG if isinstance(m, torch.nn.ConvTranspose2d)]
    ours_d = [*game.D.downs, game.D.head]
    theirs_d = [m for m in textbook.netD if isinstance(m, torch.nn.Conv2d)]
    for ours, theirs in zip(ours_g + ours_d, theirs_g + theirs_d, strict=True):
        weight = ours.weight
        if ours is game.G.project:  # (512·4·4, z) → (z, 512, 4, 4)
            weight = weight.t()
        theirs.weight.copy_(weight.reshape(theirs.weight.shape))
    mine = [m for m in (*game.G.norms, *game.D.norms) if isinstance(m, torch.nn.BatchNorm2d)]
    other = [m for net in (textbook.netG, textbook.netD) for m in net if isinstance(m, torch.nn.BatchNorm2d)]
    for ours_norm, theirs_norm in zip(mine, other, strict=True):
        theirs_norm.load_state_dict(ours_norm.state_dict())


def images(match: Match, number: int) -> Tensor:
    """The batch that our round `number` sees, as the textbook wants it: float NCHW (64, 3, 64, 64) in [−1, 1]."""
    x = match.stream.take(number * BATCH, BATCH).x
    return x.float().div_(127.5).sub_(1.0).contiguous()


def first_losses(match: Match, textbook: Textbook) -> dict[str, Any]:
    """One step of both from the same weights, images and z: the losses must agree."""
    game = match.game
    assert isinstance(game, DCGAN)
    real = images(match, 0)
    z = game.latents(match.now(range(BATCH)).chance("z"))
    means = match.step()
    ours = (float(means["D/real"] + means["D/fake"]), float(means["G/fake"]))
    theirs = textbook.step(real, z)
    difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    return {
        "ours": {"errD": round(ours[0], 6), "errG": round(ours[1], 6)},
        "textbook": {"errD": round(theirs[0], 6), "errG": round(theirs[1], 6)},
        "difference": difference,
        "tolerance": TOLERANCE,
        "equal": difference <= TOLERANCE,
    }


def measure(rounds: int, threads: int) -> dict[str, Any]:
    """The whole comparison (`machine.race`), with shares of what the machine can do."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    about = machine.describe(threads)
    match, textbook = our_match(), Textbook()
    assert isinstance(match.game, DCGAN)
    copy_weights(match.game, textbook)
    same = first_losses(match, textbook)
    real = images(match, 1)  # the textbook's images lie ready as floats: its data path costs it nothing
    clock = 1 if threads == 1 else 0
    peaks = dict(peak.probes(clock))
    variants: dict[str, Callable[[], object]] = {"textbook": lambda: textbook.step(real), "ours": match.step}
    clocks = machine.interleaved(variants, rounds)
    peaks = {name: max(rate, peaks[name]) for name, rate in peak.probes(clock)}
    claim = f"one dcgan round, 3 x 64 x 64, batch {BATCH}: at least {TARGET} times the textbook loop"
    found = machine.race(claim, clocks, ("textbook", "ours"), about=about, target=TARGET, same=same)
    return found | {"peak": shares({name: [both[clock] for both in times] for name, times in clocks.items()}, peaks)}


def shares(seconds: dict[str, list[float]], peaks: dict[str, float]) -> dict[str, Any]:
    """The steps' arithmetic as a share of the best convolution of the same run; both count 2 FLOPs a multiply-add."""
    gflop = peak.step_flops(BATCH)["needed"] / 1e9
    top = max(rate for name, rate in peaks.items() if name.startswith("conv"))
    median = {name: gflop / float(np.median(times)) for name, times in seconds.items()}
    best = {name: gflop / min(times) for name, times in seconds.items()}
    return {
        "gflops_by_layer": {name: round(rate, 1) for name, rate in peaks.items()},
        "conv_gflops": round(top, 1),
        "step_gflop_needed": round(gflop, 2),
        "step_gflops": {name: round(rate, 1) for name, rate in median.items()},
        "share_of_conv_peak": {name: round(rate / top, 3) for name, rate in median.items()},
        "share_of_conv_peak_best": {name: round(rate / top, 3) for name, rate in best.items()},
        "images_per_second": {name: round(BATCH * rate / gflop, 2) for name, rate in median.items()},
    }
