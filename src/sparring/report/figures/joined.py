"""Reals and fakes in one batch, or each in its own: what batch normalisation makes of it (note 002)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparring.chance import Dice
from sparring.data import open_data, stream_of
from sparring.recipes.dcgan import DCGAN, DCGANConfig
from sparring.report.figures.equilibrium import running
from sparring.report.figures.style import INK, MADE, REAL, Drawing, canvas, say
from sparring.train.engine import Engine
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Space

ROUNDS, BATCH = 160, 64
SHARES = np.linspace(0.0, 0.75, 7)
"""Of generated images in a batch that D is asked about."""
WAYS = {False: "separate batches", True: "one joined batch"}


@dataclass(frozen=True)
class Run:
    """D(x) and D(G(z)), (rounds,); and D's mean probability for the same reals beside so many fakes, (shares,)."""

    real: NDArray[np.float64]
    fake: NDArray[np.float64]
    beside: NDArray[np.float64]


@cache
def run(joined: bool, rounds: int = ROUNDS) -> Run:
    """A small DCGAN on clothes, with batch normalisation in D as its paper has it; played once."""
    config = DCGANConfig(width=8, z=16, batch=BATCH, lr=1e-3, ema_images=0, flip=False, joined=joined)  # type: ignore[arg-type]
    data = open_data("fashion")
    game = seeded(0, lambda: DCGAN.build(config, Space(data.shape)))
    match = Match(game, stream_of(data, 0, False), Engine(torch.device("cpu")), config, seed=0, horizon=rounds * BATCH)
    seen = []
    for _ in range(rounds):
        means = match.step()
        seen.append((means["D/D(x)"].item(), means["D/D(G(z))"].item()))
    batch = match.engine.place(match.stream.take(0, BATCH))
    with torch.no_grad():
        fakes = game.decode(game.latents(Dice(0, "figures/joined", range(3 * BATCH))))
        beside = []
        for share in SHARES:
            count = round(BATCH * share / (1 - share))
            logits = game.D(torch.cat([batch.x, fakes[:count]]))[:BATCH]  # in training mode: statistics of this batch
            beside.append(torch.sigmoid(logits).mean().item())
    real, fake = np.array(seen).T
    return Run(real, fake, np.array(beside))


def joined() -> tuple[Figure, str]:
    figure, panels = canvas(1, 3, height=2.9)
    for panel, (way, words) in zip(panels[:2], WAYS.items()):
        made = run(way)
        rounds = np.arange(1, ROUNDS + 1)
        for line, colour, name in ((made.real, REAL, "D(x)"), (made.fake, MADE, "D(G(z))")):
            panel.plot(rounds, line, color=colour, alpha=0.2, linewidth=0.8)
            panel.plot(rounds, running(line, 10), color=colour, label=name)
        panel.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        panel.set(ylim=(0, 1), xlim=(0, ROUNDS))
        panel.legend(loc="center right")
        say(panel, words[0].upper() + words[1:], "round", "what D believes")
    for (way, words), style in zip(WAYS.items(), ("-", (0, (3, 2)))):
        panels[2].plot(100 * SHARES, run(way).beside, color=REAL, linestyle=style, label=words)
    panels[2].set(ylim=(0, 1))
    panels[2].legend(loc="lower left", title="trained with")
    say(panels[2], "The same 64 real images", "generated ones beside them, %", "D(x)")
    separate, mixed = run(False), run(True)
    return figure, (
        f"Trained with separate batches, D gives the same 64 real images {separate.beside[0]:.2f} when they are alone "
        f"and {separate.beside[-1]:.2f} when three quarters of the batch are generated; trained with joined batches "
        f"{mixed.beside[0]:.2f} and {mixed.beside[-1]:.2f}. Last 50 rounds: D(x) − D(G(z)) = "
        f"{(separate.real - separate.fake)[-50:].mean():.2f} and {(mixed.real - mixed.fake)[-50:].mean():.2f}."
    )


DRAWINGS = (
    Drawing(
        "joined",
        "Reals and fakes in one batch, or each in its own",
        "002",
        "A small DCGAN on clothes, whose D has batch normalisation, played both ways from equal weights. In "
        "separate batches all images of a batch are of one kind, and what most tells the kinds apart, the mean, is "
        "normalised away: D has to look at the images. In a joined batch, with labels 1 and 0 as the note has it, the "
        "statistics are those of the mixture, the difference of the means stays, and D is sure after some twenty "
        "rounds; G, in whose turn D judges fakes alone, meets another D than the one that was trained. On the right: "
        "what D says of an image depends on its company, either way. Without batch normalisation the two are one game.",
        (
            ("recipes.dcgan.DCGAN with joined=False and joined=True", "the two runs"),
            ("networks.dcgan.Discriminator", "what D says of the same images in other company"),
            ("losses.skill.skill", "D(x) and D(G(z))"),
        ),
        joined,
    ),
)
