"""A run that reaches the equilibrium (notes 000, 002): D → ½, V → −log 4."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice
from sparring.losses.divergences import log_normal
from sparring.recipes.gan import GAN, GANConfig
from sparring.report.figures.play import match, samples
from sparring.report.figures.style import INK, MADE, REAL, SOFT, Drawing, canvas, say, write_at

MODES, SPREAD = (-1.0, 1.0), 0.45
"""The data: two Gaussians on the line that overlap, so that their law can be matched."""
MOMENTS = (0, 60, 1500)
"""Rounds at which densities are drawn."""
ROUNDS = 1500
SETTINGS: dict[str, Any] = {
    "objective": "minimax", "z": 2, "width": 32, "depth": 2, "d_fourier": (16, 0.5, 4.0), "batch": 256, "lr": 1e-3,
    "lr_ratio": 3.0, "gamma": 0.05, "ema_images": 0, "flip": False,
}  # fmt: skip
CHECKED = 4096  # samples for the densities
AXIS = np.linspace(-3.2, 3.2, 257)


def law(dice: Dice) -> Tensor:
    """(n, 1) samples of the data."""
    at = torch.tensor(MODES)[dice.of("mode").integers(len(MODES))][:, None]
    return at + SPREAD * dice.of("noise").normal(1).float()


def density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """p(x), (n,)."""
    at = torch.from_numpy(x)
    return torch.stack([log_normal(at, mean, SPREAD).exp() for mean in MODES]).mean(0).numpy()


def smoothed(values: NDArray[np.float64], width: float = 0.12) -> NDArray[np.float64]:
    """The density of samples (n,) on `AXIS`, as a mean of Gaussians of this width."""
    at = (AXIS[:, None] - values[None]) / width
    return np.exp(-0.5 * at**2).mean(1) / (width * math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class Run:
    """What was seen, round by round: D(x), D(G(z)), V and the generator's cost log(1 − D(G(z))), each (rounds,); and at
    each moment the densities of the generator's samples and D(x), on `AXIS`."""

    real: NDArray[np.float64]
    fake: NDArray[np.float64]
    value: NDArray[np.float64]
    cost: NDArray[np.float64]
    densities: dict[int, NDArray[np.float64]]
    beliefs: dict[int, NDArray[np.float64]]


@cache
def run(rounds: int = ROUNDS) -> Run:
    """The run of the figure, or the first rounds of it; played once."""
    played = match(GANConfig(**SETTINGS), "two-bumps", law, [0], rounds)
    game = played.game
    assert isinstance(game, GAN)
    seen: list[tuple[float, float, float, float]] = []
    densities, beliefs = {}, {}

    def look(moment: int) -> None:
        with torch.no_grad():
            densities[moment] = smoothed(samples(played, CHECKED)[0, :, 0].double().numpy())
            beliefs[moment] = torch.sigmoid(game.D(torch.from_numpy(AXIS).float()[:, None])).double().numpy()

    for k in range(rounds):
        if k in MOMENTS:
            look(k)
        means = played.step()
        real, fake = means["D/D(x)"].item(), means["D/D(G(z))"].item()
        seen.append((real, fake, -(means["D/real"] + means["D/fake"]).item(), means["G/fake"].item()))
    look(rounds)
    real_d, fake_d, value, cost = np.array(seen).T
    return Run(real_d, fake_d, value, cost, densities, beliefs)


def running(values: NDArray[np.float64], over: int = 25) -> NDArray[np.float64]:
    """(n,): the mean of the last `over` values, fewer at the beginning."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(0, end - over)
    return (total[end] - total[begin]) / (end - begin)


def equilibrium() -> tuple[Figure, str]:
    made = run()
    figure, panels = canvas(2, 3, height=5.4)
    p = density(AXIS)
    for panel, moment in zip(panels[:3], MOMENTS):
        q = made.densities[moment]
        panel.fill_between(AXIS, p, color=REAL, alpha=0.2, linewidth=0, label="data p")
        panel.plot(AXIS, q, color=MADE, label="generated q")
        panel.plot(AXIS, made.beliefs[moment], color=REAL, label="D")
        best = p / np.maximum(p + q, 1e-9)
        seen = p + q > 0.02
        panel.plot(AXIS[seen], best[seen], color=INK, linewidth=1.1, linestyle=(0, (2, 2)), label="p/(p + q)")
        panel.axhline(0.5, color=SOFT, linewidth=0.7)
        panel.set(xlim=(AXIS[0], AXIS[-1]), ylim=(0, 1.02), xticks=(-2, 0, 2))
        say(panel, "Before the first round" if moment == 0 else f"After {moment:,} rounds", "x")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)

    rounds = np.arange(1, ROUNDS + 1)
    beliefs, values, costs = panels[3:]
    for line, colour, words in ((made.real, REAL, "D(x)"), (made.fake, MADE, "D(G(z))")):
        beliefs.plot(rounds, line, color=colour, alpha=0.2, linewidth=0.8)
        beliefs.plot(rounds, running(line), color=colour, label=words)
    beliefs.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    beliefs.set(ylim=(0.2, 0.8), xlim=(0, ROUNDS))
    beliefs.legend(loc="upper right", ncols=2)
    say(beliefs, "D → ½", "round", "mean probability")
    values.plot(rounds, made.value, color=REAL, alpha=0.2, linewidth=0.8)
    values.plot(rounds, running(made.value), color=REAL)
    values.axhline(-math.log(4), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    values.set(ylim=(-1.75, -0.65), xlim=(0, ROUNDS))
    write_at(values, ROUNDS * 0.98, -math.log(4) - 0.05, "−log 4", ha="right", va="top")
    say(values, "V → −log 4", "round", "nats")
    costs.plot(rounds, made.cost, color=MADE, alpha=0.2, linewidth=0.8)
    costs.plot(rounds, running(made.cost), color=MADE)
    costs.axhline(-math.log(2), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    costs.set(ylim=(-1.2, -0.3), xlim=(0, ROUNDS))
    write_at(costs, ROUNDS * 0.98, -math.log(2) - 0.04, "−log 2", ha="right", va="top")
    say(costs, "G's cost → −log 2", "round", "nats")
    late = slice(-300, None)
    return figure, (
        f"Mean of the last 300 rounds: D(x) = {made.real[late].mean():.3f}, D(G(z)) = {made.fake[late].mean():.3f}, "
        f"V = {made.value[late].mean():.3f} (−log 4 = {-math.log(4):.3f}, so D pays log 4 = {math.log(4):.3f}), "
        f"G's cost {made.cost[late].mean():.3f} (−log 2 = {-math.log(2):.3f})."
    )


DRAWINGS = (
    Drawing(
        "equilibrium",
        "The equilibrium in a run: D → ½, V → −log 4",
        "000, 002",
        "The minimax game on the line, played by the recipe gan with a small R1 + R2 penalty (without any it need not "
        "settle: see dirac). Above: densities of the data and of what is generated, D, and the best D there is, "
        "p/(p + q), which D follows. Below: what D says of real and of generated samples, the value V that D raises "
        "and G lowers, and G's part of it. Thin lines are single rounds, thick ones the mean of 25.",
        (
            ("recipes.gan.GAN, train.match.Match", "the game, 1,500 rounds of 256 samples"),
            ("losses.adversarial.OBJECTIVES['minimax']", "V and the cost, as the log of a run has them"),
            ("losses.skill.skill", "D(x) and D(G(z))"),
        ),
        equilibrium,
    ),
)
