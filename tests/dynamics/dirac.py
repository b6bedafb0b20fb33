"""Dirac-GAN (Mescheder et al. 2018, section 2): data δ₀, G = δ_θ, D(x) = ψx; played by the library, and by NumPy.

The library's side goes through everything a user's run goes through: the built-in data, its stream, the recipe `gan`
with its losses and penalties, `Match`, the turn and the optimiser. NumPy's side is written from the equations alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from sparring.data import open_data, stream_of
from sparring.losses.penalties import finite_difference
from sparring.recipes.gan import GAN, GANConfig
from sparring.report.figures.dirac import Point, Slope
from sparring.train.engine import Engine
from sparring.train.game import Now
from sparring.train.match import Match
from sparring.types import Batch, News, Shared, Terms


class Dirac(GAN):
    """The recipe `gan` with these two players."""


class Differences(Dirac):
    """With R1 estimated by finite differences: in one dimension every direction is ±1."""

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        terms = dict(super().losses(player, batch, shared, now))
        if "r1" in terms:
            e = now.chance("direction").normal(1).sign().to(batch.x.dtype)
            terms["r1"] = finite_difference(self.D(batch.x), self.D(batch.x + 0.1 * e), 0.1)
        return terms


class Precise:
    """The same stream in float64, so that the closed forms hold to the last digits."""

    def __init__(self, stream: object) -> None:
        self.stream = stream

    fingerprint = "dirac"

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        return self.stream.take(start, count).map(lambda tensor: tensor.double())

    def news(self) -> tuple[News, ...]:
        return ()


@dataclass(frozen=True)
class Cell:
    """One cell of the table: which game, who moves when, which penalty ("difference" estimates R1), γ or λ of it."""

    objective: str
    play: str
    gamma: float = 0.0
    penalty: str = "r1"
    step: float = 0.1
    start: tuple[float, float] = (1.0, 1.0)
    slope: float = 10.0


def match(cell: Cell, *, double: bool = True, kind: type[Dirac] = Dirac, batch: int = 2) -> Match:
    """The library's game in this cell, before its first round."""
    config = GANConfig(
        objective=cell.objective, play=cell.play, gamma=cell.gamma, optimiser="sgd", lr=cell.step, batch=batch, z=1,
        ema_images=0, flip=False, penalty="r1" if cell.penalty == "difference" else cell.penalty, slope=cell.slope,
    )  # fmt: skip
    kind = Differences if cell.penalty == "difference" else kind
    game = kind(config, (1,), Slope(cell.start[1]), Point(cell.start[0]))
    stream = stream_of(open_data("dirac", size=None), 0)
    if double:
        game, stream = game.double(), Precise(stream)
        with torch.no_grad():  # the start in all its digits
            game.G.theta.fill_(cell.start[0])
            game.D.linear.weight.fill_(cell.start[1])
    return Match(game, stream, Engine(torch.device("cpu")), config, seed=0, horizon=10**6)


def where(played: Match) -> tuple[float, float]:
    """(θ, ψ)."""
    game = played.game
    assert isinstance(game, Dirac)
    return game.G.theta.item(), game.D.linear.weight.item()


def played(cell: Cell, rounds: int, *, double: bool = True) -> np.ndarray:
    """(rounds + 1, 2): (θ, ψ) before the first round and after each, as the library plays."""
    game = match(cell, double=double)
    path = [where(game)]
    for _ in range(rounds):
        game.step()
        path.append(where(game))
    return np.array(path)


def expected(cell: Cell, rounds: int) -> np.ndarray:
    """The same from the equations, without torch: float64.

    L_D = −log σ(0) + softplus(ψθ) + γ/2 ψ², and L_G = −softplus(ψθ), softplus(−ψθ) or −ψθ; the relativistic pair is
    softplus(ψθ) for D and softplus(−ψθ) for G, since s(0) = 0.
    """
    h, (theta, psi) = cell.step, cell.start
    gamma = 2 * cell.gamma if cell.penalty == "r1+r2" else cell.gamma
    path = [(theta, psi)]

    def sigma(s: float) -> float:
        return 0.5 * (1 + math.tanh(s / 2))

    def slope_d(theta: float, psi: float) -> float:
        outer = 1.0 if cell.objective == "wasserstein" else sigma(psi * theta)
        return outer * theta + gamma * psi

    def slope_g(theta: float, psi: float) -> float:
        outer = {
            "minimax": -sigma(psi * theta), "nonsaturating": -sigma(-psi * theta),
            "relativistic": -sigma(-psi * theta), "wasserstein": -1.0,
        }[cell.objective]  # fmt: skip
        return outer * psi

    discriminator_moves = 1 if cell.play == "simultaneous" else int(cell.play.split(",")[0].split(":")[1])
    for _ in range(rounds):
        if cell.play == "simultaneous":
            theta, psi = theta - h * slope_g(theta, psi), psi - h * slope_d(theta, psi)
        else:
            for _ in range(discriminator_moves):
                psi -= h * slope_d(theta, psi)
            theta -= h * slope_g(theta, psi)
        path.append((theta, psi))
    return np.array(path)


__all__ = ["Cell", "Dirac", "expected", "match", "played", "where"]
