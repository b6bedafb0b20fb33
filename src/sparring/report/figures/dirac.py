"""Dirac-GAN (Mescheder et al. 2018, section 2), the smallest game there is: data δ₀, G = δ_θ, D(x) = ψx.

It goes through everything a user's run goes through: the built-in data, its stream, the recipe `gan` with its losses
and penalties, `Match`, the turn and the optimiser. So a path in the plane (θ, ψ) shows what the library does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.chance import Dice
from sparring.losses.adversarial import OBJECTIVES
from sparring.recipes.gan import GAN, GANConfig
from sparring.report.figures.play import Endless
from sparring.report.figures.style import BLUE, GREEN, INK, MADE, REAL, RED, SOFT, Drawing, canvas, say
from sparring.train.engine import Engine
from sparring.train.match import Match
from sparring.types import Batch

Path = NDArray[np.float64]


class Slope(nn.Module):
    """D(x) = ψx: (N, 1) → (N,)."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.linear.weight, psi)

    def forward(self, x: Tensor) -> Tensor:
        s: Tensor = self.linear(x)
        return s.squeeze(1)


class Point(nn.Module):
    """G(z) = θ whatever z is: (N, z) → (N, 1)."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta]))

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


class _Zero(Endless):
    """All data at 0, in float64, so that closed forms hold to the last digits."""

    def take(self, start: int, count: int) -> Batch:
        return super().take(start, count).map(lambda x: x.double())


def _law(dice: Dice) -> Tensor:
    return torch.zeros(len(dice.samples), 1)


def match(start: tuple[float, float] = (1.0, 1.0), *, seed: int = 0, **settings: Any) -> Match:
    """The game from (θ, ψ) = `start` in float64, before its first round. settings: those of `GANConfig`; plain gradient
    descent of step size `lr` on two samples a round, where they do not say otherwise."""
    usual: dict[str, Any] = {"optimiser": "sgd", "lr": 0.1, "batch": 2, "z": 1, "ema_images": 0, "flip": False}
    config = GANConfig(**usual | settings)
    game = GAN(config, (1,), Slope(start[1]), Point(start[0])).double()
    with torch.no_grad():  # the start in all its digits
        for parameter, value in zip((*game.G.parameters(), *game.D.parameters()), start):
            parameter.fill_(value)
    return Match(game, _Zero("dirac", _law), Engine(torch.device("cpu")), config, seed=seed, horizon=10**7)


def where(played: Match) -> tuple[float, float]:
    """(θ, ψ)."""
    theta, psi = (next(iter(played.game.players[name].parameters())) for name in ("G", "D"))
    return theta.item(), psi.item()


def path(played: Match, rounds: int) -> Path:
    """(rounds + 1, 2): (θ, ψ) now and after each of so many rounds."""
    points = [where(played)]
    for _ in range(rounds):
        played.step()
        points.append(where(played))
    return np.array(points)


def value(objective: str, theta: Path, psi: Path) -> Path:
    """What D raises at (θ, ψ): E[−real] + E[−fake], elementwise."""
    s = torch.from_numpy(theta * psi)
    terms = OBJECTIVES[objective].discriminator(torch.zeros_like(s), s)
    return -(terms["real"] + terms["fake"]).numpy()


def field(objective: str, theta: Path, psi: Path) -> tuple[Path, Path]:
    """Where both players are drawn, (dθ, dψ): minus the gradient of what each lowers, elementwise."""
    game = OBJECTIVES[objective]
    at, slope = (torch.from_numpy(a).clone().requires_grad_() for a in (theta, psi))
    s = at * slope
    (d_theta,) = torch.autograd.grad(game.generator(None, s)["fake"].sum(), at, retain_graph=True)
    (d_psi,) = torch.autograd.grad(game.discriminator(torch.zeros_like(s), s)["fake"].sum(), slope)
    return -d_theta.numpy(), -d_psi.numpy()


PLAYED: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("simultaneous steps", RED, 260, {"play": "simultaneous"}),
    ("alternating steps", BLUE, 260, {"play": "D:1,G:1"}),
    ("alternating, R1 with γ = 0.5", GREEN, 260, {"play": "D:1,G:1", "penalty": "r1", "gamma": 0.5}),
)
"""(words, colour, rounds, settings) of the paths in the figure."""


def vector_field() -> tuple[Figure, str]:
    figure, (left, right) = canvas(1, 2, height=4.1)
    side = np.linspace(-2.2, 2.2, 121)
    theta, psi = np.meshgrid(side, side)
    values = value("minimax", theta, psi)
    shades: dict[str, Any] = {
        "cmap": LinearSegmentedColormap.from_list("value", (MADE, "white", REAL)),
        "norm": TwoSlopeNorm(-float(np.log(4))),
        "interpolation": "bilinear",
    }
    left.imshow(values, origin="lower", extent=(-2.2, 2.2, -2.2, 2.2), alpha=0.55, **shades)
    left.contour(theta, psi, values, levels=[-float(np.log(4))], colors=[SOFT], linewidths=0.9)
    arrows = np.linspace(-2, 2, 11)
    a, b = np.meshgrid(arrows, arrows)
    da, db = field("minimax", a, b)
    left.quiver(a, b, da, db, color=INK, angles="xy", scale=16, width=0.0045)
    left.grid(visible=False)
    ends = {}
    for words, colour, rounds, settings in PLAYED:
        walked = path(match((1.0, 1.0), objective="minimax", lr=0.15, **settings), rounds)
        left.plot(*walked.T, color=colour, linewidth=1.7)
        right.plot(np.linalg.norm(walked, axis=1), color=colour, label=words)
        ends[words] = float(np.linalg.norm(walked[-1]))
    left.plot(1, 1, "o", color=INK, markersize=5)
    left.plot(0, 0, "*", color=INK, markersize=9)
    left.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
    say(left, "V(θ, ψ), and where both are drawn", "θ, where G puts its sample", "ψ, the slope of D")
    right.set(xlim=(0, 260), ylim=(0, None))
    right.set_ylim(0, right.get_ylim()[1] * 1.3)
    right.legend(loc="upper left")
    say(right, "Distance from the equilibrium", "round", "‖(θ, ψ)‖")
    told = ", ".join(f"{words}: {end:.3g}" for words, end in ends.items())
    return figure, f"From (1, 1), a distance of 1.41; after 260 rounds with step size 0.15: {told}."


DRAWINGS = (
    Drawing(
        "dirac",
        "Minimax over one number each: a game that circles",
        "000, 002, 003",
        "The smallest GAN (Mescheder et al. 2018): all data at 0, G puts its sample at θ, D has the slope ψ. Left: the "
        "value V, which D raises (up and down) and G lowers (left and right), is a saddle: orange high, blue low. "
        "Arrows: minus the gradients of both, which turn around the equilibrium (star) and never point at it. "
        "From (1, 1) simultaneous steps spiral out, alternating ones circle, and a gradient penalty on D makes them "
        "arrive. Right: how far from the star. docs/dirac.md has the whole table.",
        (
            ("losses.adversarial.OBJECTIVES['minimax']", "V and the arrows"),
            ("recipes.gan.GAN, train.match.Match with optimiser=sgd", "the paths"),
        ),
        vector_field,
    ),
)

__all__ = ["DRAWINGS", "Point", "Slope", "field", "match", "path", "value", "where"]
