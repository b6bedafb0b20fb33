"""Forward and reverse KL fitted to two modes (note 003)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.losses.divergences import integrate, log_normal
from sparring.report.figures.style import AMBER, BLUE, DATA, GREEN, PURPLE, RED, Drawing, canvas, say
from sparring.train.adam import Adam

MODES, SPREAD = (-2.0, 2.0), 0.6
"""The data: two Gaussians of equal weight."""
STARTS = ((-1.5, 0.8), (1.5, 0.8))
"""Where the fits begin: (mean, standard deviation)."""
EDGES = torch.linspace(-14.0, 14.0, 113, dtype=torch.float64)  # panels of quadrature, a quarter apart


def log_data(x: Tensor) -> Tensor:
    """log p(x), (n,)."""
    return torch.logsumexp(torch.stack([log_normal(x, mean, SPREAD) for mean in MODES]), dim=0) - math.log(len(MODES))


def divergence(name: str, mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(p‖q), KL(q‖p) or JS(p, q) of the data and N(mean, std²), by quadrature: (), differentiable."""

    def integrand(x: Tensor) -> Tensor:
        p, q = log_data(x), log_normal(x, mean, log_std.exp())
        if name == "kl":
            return p.exp() * (p - q)
        if name == "reverse_kl":
            return q.exp() * (q - p)
        middle = torch.logaddexp(p, q) - math.log(2.0)
        return 0.5 * p.exp() * (p - middle) + 0.5 * q.exp() * (q - middle)

    return integrate(integrand, EDGES)


@dataclass(frozen=True)
class Fit:
    """path: (steps + 1, 2) mean and standard deviation on the way; value: the divergence at its end."""

    path: NDArray[np.float64]
    value: float


def fit(name: str, start: tuple[float, float], steps: int = 250) -> Fit:
    """Lower the divergence `name` from `start` (mean, standard deviation) by Adam."""
    begin = torch.tensor([start[0], math.log(start[1])], dtype=torch.float64)
    mean, log_std = place = nn.ParameterList(begin.unbind())
    mover = Adam(place)
    path = [start]
    for _ in range(steps):
        mover.zero_grad()
        divergence(name, mean, log_std).backward()
        mover.step(0.05, 0.9, 0.999)
        path.append((mean.item(), log_std.exp().item()))
    with torch.no_grad():
        return Fit(np.array(path), divergence(name, mean, log_std).item())


def best_at(name: str, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): the divergence at each mean with the standard deviation that is best there."""
    found = []
    with torch.no_grad():
        for mean in torch.from_numpy(means):
            trials = torch.linspace(math.log(0.4), math.log(4.5), 60, dtype=torch.float64)
            found.append(min(divergence(name, mean, log_std).item() for log_std in trials))
    return np.array(found)


def two_modes() -> tuple[Figure, str]:
    figure, (left, middle, right) = canvas(1, 3, height=3.3)
    x = torch.linspace(-6, 6, 400, dtype=torch.float64)
    data, at = log_data(x).exp().numpy(), x.numpy()
    ends = {}
    for panel, name, title in ((left, "kl", "Forward: KL(p‖q)"), (middle, "reverse_kl", "Reverse: KL(q‖p)")):
        panel.fill_between(at, data, color=DATA, alpha=0.35, linewidth=0, label="data p")
        for start, colour in zip(STARTS, (RED, PURPLE)):
            made = fit(name, start)
            ends[name, start] = (*made.path[-1], made.value)
            for k, alpha in ((0, 0.25), (8, 0.35), (20, 0.5)):
                panel.plot(at, log_normal(x, *made.path[k]).exp().numpy(), color=colour, alpha=alpha, linewidth=1.0)
            line = (0, (4, 3)) if colour == PURPLE and name == "kl" else "-"
            where = "left" if start[0] < 0 else "right"
            label = f"fit q, begun {where}"
            panel.plot(at, log_normal(x, *made.path[-1]).exp().numpy(), color=colour, linestyle=line, label=label)
        panel.set(xlim=(-6, 6), ylim=(0, 0.98), yticks=(0, 0.2, 0.4, 0.6))
        panel.legend(loc="upper center")
        say(panel, title, "x", "density" if panel is left else "")
    means = np.linspace(-3.4, 3.4, 69)
    for name, colour, words in (
        ("kl", BLUE, "KL(p‖q)"), ("reverse_kl", AMBER, "KL(q‖p)"), ("js", GREEN, "JS(p, q)"),
    ):  # fmt: skip
        lowest = best_at(name, means)
        right.plot(means, lowest, color=colour, label=words)
    right.set(xlim=(-3.4, 3.4), ylim=(0, 2.05))
    right.legend(loc="upper center")
    say(right, "How far p and q are", "mean of q  (its best width)", "nats")
    forward, reverse = ends["kl", STARTS[0]], ends["reverse_kl", STARTS[1]]
    moments = math.sqrt(np.var(MODES) + SPREAD**2)
    return figure, (
        f"Forward: mean {forward[0]:.3f}, standard deviation {forward[1]:.3f}, which are the data's own "
        f"(0 and {moments:.3f}), at {forward[2]:.3f} nats. Reverse: mean ±{reverse[0]:.3f}, standard deviation "
        f"{reverse[1]:.3f}, one mode of the two, at {reverse[2]:.3f} nats (log 2 = 0.693: half of the data is missed)."
    )


DRAWINGS = (
    Drawing(
        "two-modes",
        "Forward and reverse KL: one Gaussian fitted to two modes",
        "003",
        "A single Gaussian q cannot be two. Forward KL (maximum likelihood) punishes leaving data out, so it covers "
        "both modes and puts most of its mass where there are no data; both starts end in the same place. Reverse KL "
        "punishes making what is not there, so it takes one mode, the nearest. Thin lines are the way there. "
        "Right: the same as landscapes; forward KL has one valley, reverse KL one for "
        "each mode (and a worse one between them).",
        (
            ("losses.divergences.integrate, log_normal", "the divergences, differentiable in mean and width"),
            ("train.adam.Adam", "the fits, 250 steps each"),
        ),
        two_modes,
    ),
)
