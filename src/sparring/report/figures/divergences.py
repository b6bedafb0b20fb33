"""Forward and reverse KL fitted to two modes (note 003), the f-GAN family, and its table on five atoms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from sparring.losses import divergences
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.divergences import integrate, log_normal
from sparring.losses.f_gan import F_DIVERGENCES
from sparring.report.figures.style import (
    AMBER,
    BLUE,
    DATA,
    GREEN,
    INK,
    PURPLE,
    RED,
    SKY,
    SOFT,
    Drawing,
    canvas,
    say,
)

# ── one Gaussian for two modes ────────────────────────────────────────────────────────────────────────────────────

MODES, SPREAD = (-2.0, 2.0), 0.6
"""The data: two Gaussians of equal weight."""
STARTS = ((-1.5, 0.8), (1.5, 0.8))
"""Where the fits begin: (mean, standard deviation)."""
EDGES = torch.linspace(-14.0, 14.0, 113, dtype=torch.float64)  # panels of quadrature, a quarter apart

Between = Callable[[Tensor, Tensor], Tensor]


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
    mean = torch.tensor(start[0], dtype=torch.float64, requires_grad=True)
    log_std = torch.tensor(math.log(start[1]), dtype=torch.float64, requires_grad=True)
    mover = torch.optim.Adam([mean, log_std], lr=0.05)
    path = [start]
    for _ in range(steps):
        mover.zero_grad()
        divergence(name, mean, log_std).backward()
        mover.step()
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
    data = log_data(x).exp()
    ends = {}
    for panel, name, title in ((left, "kl", "Forward: KL(p‖q)"), (middle, "reverse_kl", "Reverse: KL(q‖p)")):
        panel.fill_between(x, data, color=DATA, alpha=0.35, linewidth=0, label="data p")
        for start, colour in zip(STARTS, (RED, PURPLE)):
            made = fit(name, start)
            ends[name, start] = (*made.path[-1], made.value)
            for k, alpha in ((0, 0.25), (8, 0.35), (20, 0.5)):
                panel.plot(x, log_normal(x, *made.path[k]).exp(), color=colour, alpha=alpha, linewidth=1.0)
            line = (0, (4, 3)) if colour == PURPLE and name == "kl" else "-"
            where = "left" if start[0] < 0 else "right"
            label = f"fit q, begun {where}"
            panel.plot(x, log_normal(x, *made.path[-1]).exp(), color=colour, linestyle=line, label=label)
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


# ── the family ────────────────────────────────────────────────────────────────────────────────────────────────────

FAMILY = {
    "kl": (BLUE, "KL(p‖q)"), "reverse_kl": (AMBER, "KL(q‖p)"), "js": (GREEN, "2 JS"), "pearson": (RED, "Pearson χ²"),
    "squared_hellinger": (PURPLE, "Hellinger²"), "total_variation": (SKY, "TV"),
}  # fmt: skip
DOMAINS = {
    "kl": (-4, 3), "reverse_kl": (-4, -0.02), "js": (-4, math.log(2) - 0.01), "pearson": (-2, 3),
    "squared_hellinger": (-4, 0.97), "total_variation": (-0.5, 0.5),
}  # fmt: skip
"""Where f* is drawn: its domain, as far as the panel goes (Pearson's f* is used from −2 = f'(0) on)."""


def family() -> tuple[Figure, str]:
    figure, (left, middle, right) = canvas(1, 3, height=3.5)
    u = torch.linspace(0.004, 4, 500, dtype=torch.float64)
    v = torch.linspace(-4, 4, 300, dtype=torch.float64)
    for name, (colour, words) in FAMILY.items():
        each = F_DIVERGENCES[name]
        t = torch.linspace(*DOMAINS[name], 400, dtype=torch.float64)
        left.plot(u, each.f(u), color=colour, label=words)
        middle.plot(t, each.conjugate(t), color=colour)
        right.plot(v, each.activation(v), color=colour)
        at = torch.ones(1, dtype=torch.float64)
        slope = each.slope(at)
        middle.plot(slope, each.conjugate(slope), "o", color=colour, markersize=4.5)
    left.plot(1, 0, "o", color=INK, markersize=5)
    middle.plot((-4, 3), (-4, 3), color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
    left.set(xlim=(0, 4), ylim=(-1.2, 4))
    middle.set(xlim=(-4, 3), ylim=(-4, 4))
    right.set(xlim=(-4, 4), ylim=(-4, 4))
    say(left, "f(u)", "u = p/q", "")
    say(middle, "Its conjugate f*(t)", "t", "")
    say(right, "What D's output becomes: g(v)", "v, the output of D", "")
    right.set_title("D's output as t = g(v)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    one = torch.ones((), dtype=torch.float64)
    worst = max(
        abs(float(each.f(one * w) + each.conjugate(each.slope(one * w)) - w * each.slope(one * w)))
        for each in F_DIVERGENCES.values() for w in (0.3, 0.8, 2.5)
    )  # fmt: skip
    return figure, (
        f"f(u) + f*(f'(u)) = u f'(u) holds for all six at u = 0.3, 0.8 and 2.5 to {worst:.0e}: the conjugates belong "
        "to their f."
    )


# ── five atoms ────────────────────────────────────────────────────────────────────────────────────────────────────

P = torch.tensor([0.35, 0.25, 0.20, 0.12, 0.08], dtype=torch.float64)
Q = torch.tensor([0.02, 0.05, 0.13, 0.30, 0.50], dtype=torch.float64)
"""Data and generator of the table in docs/systems/gan.md."""


def value_of(name: str) -> float:
    """What D reaches on the atoms in the f-GAN `name`: minus its loss, at the best output there is."""
    each = F_DIVERGENCES[name]
    terms = each.discriminator(each.best(P / Q).clamp(-40, 40), each.best(P / Q).clamp(-40, 40))
    return -float((P * terms["real"] + Q * terms["fake"]).sum())


def exact(name: str) -> float:
    """The divergence itself, from the two laws."""
    known = {"kl": divergences.kl, "reverse_kl": divergences.reverse_kl, "total_variation": divergences.tv}
    if name in known:
        return float(known[name](P, Q))
    if name == "js":
        return 2 * float(divergences.js(P, Q))
    return float((Q * F_DIVERGENCES[name].f(P / Q)).sum())


def pull(name: str) -> NDArray[np.float64]:
    """(5,): minus the gradient, in the logits of q, of what G lowers while D stands still at log p/q."""
    logits = Q.log().requires_grad_()
    costs = OBJECTIVES[name].generator(None, (P / Q).log())["fake"]
    (slope,) = torch.autograd.grad((logits.softmax(0) * costs).sum(), logits)
    return -slope.numpy()


def theory(name: str) -> NDArray[np.float64]:
    """(5,): minus the gradient of 2 JS, KL(q‖p) − 2 JS, or ½ KL(p‖q), as the objective `name` should have it."""
    logits = Q.log().requires_grad_()
    q = logits.softmax(0)
    amount = {
        "minimax": lambda: 2 * divergences.js(P, q),
        "nonsaturating": lambda: divergences.kl(q, P) - 2 * divergences.js(P, q),
        "maximum_likelihood": lambda: 0.5 * divergences.kl(P, q),
    }[name]()
    (slope,) = torch.autograd.grad(amount, logits)
    return -slope.numpy()


GAMES = {
    "minimax": (BLUE, "minimax = 2 JS"), "nonsaturating": (RED, "−log D = KL(q‖p) − 2 JS"),
    "maximum_likelihood": (GREEN, "max. likelihood = ½ KL(p‖q)"),
}  # fmt: skip


def five_atoms() -> tuple[Figure, str]:
    figure, (left, middle, right) = canvas(1, 3, height=3.5)
    atoms = np.arange(1, 6)
    left.bar(atoms - 0.2, P, 0.4, color=DATA, label="data p")
    left.bar(atoms + 0.2, Q, 0.4, color=RED, alpha=0.85, label="generator q")
    best = torch.sigmoid((P / Q).log())
    left.plot(atoms, best, "o-", color=BLUE, linewidth=1.2, markersize=4, label="best D = p/(p + q)")
    left.set(xticks=atoms, ylim=(0, 1.42), yticks=(0, 0.25, 0.5, 0.75, 1))
    left.legend(loc="upper right")
    say(left, "Five atoms", "atom", "probability")

    rows = np.arange(len(FAMILY))[::-1]
    for row, (name, (colour, _)) in zip(rows, FAMILY.items()):
        middle.barh(row, exact(name), 0.62, color=colour, alpha=0.35)
        middle.plot(value_of(name), row, "D", color=colour, markersize=5.5)
        middle.text(exact(name) + 0.3, row, f"{exact(name):.3f}", va="center", fontsize=8.5)
    middle.set(yticks=rows, yticklabels=[words for _, words in FAMILY.values()])
    middle.grid(visible=False, axis="y")
    say(middle, "What the best D finds", "bar: exact,  ◆: the game", "")
    middle.set_xlim(0, 8.6)
    for k, (name, (colour, words)) in enumerate(GAMES.items()):
        place = atoms + 0.24 * (k - 1)
        right.bar(place, theory(name), 0.22, color=colour, alpha=0.35)
        right.plot(place, pull(name), "D", color=colour, markersize=4, label=words)
    right.axhline(0, color=SOFT, linewidth=0.8)
    right.set(xticks=atoms, ylim=(-0.32, 0.44))
    right.legend(loc="upper right", fontsize=8, handlelength=0.8, handletextpad=0.3)
    say(right, "Where G is pulled", "atom", "more or less of it")
    off = max(float(np.abs(pull(name) - theory(name)).max()) for name in GAMES)
    gap = max(abs(exact(name) - value_of(name)) for name in FAMILY)
    return figure, (
        f"The six values meet their divergences to {gap:.0e}, the three gradients theirs to {off:.0e}. Only with "
        "this D: one step later both players have moved."
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
            ("torch.optim.Adam", "the fits, 250 steps each"),
        ),
        two_modes,
    ),
    Drawing(
        "f-divergences",
        "The f-GAN family: f, its conjugate, and what D's output becomes",
        "follows from 003",
        "Every convex f with f(1) = 0 (left) gives a divergence, and a game: D's output v becomes t = g(v) (right), in "
        "the domain of the conjugate f* (middle). The slope of f* is the weight of a generated sample in G's loss. "
        "Dots in the middle: t = f'(1), where D is indifferent; there f* has slope 1 and touches the diagonal t.",
        (
            ("losses.f_gan.F_DIVERGENCES[name].f, .conjugate, .activation", "the three panels"),
            ("losses.f_gan.F_DIVERGENCES[name].slope", "the dots"),
        ),
        family,
    ),
    Drawing(
        "five-atoms",
        "The table on five atoms: what each game amounts to when D is at its best",
        "003",
        "On five atoms everything can be enumerated. Left: data, generator, and the D that is best against it. Middle: "
        "the value that D reaches in each f-GAN (diamonds) is the divergence (bars). Right: the pull on the generator, "
        "atom by atom, as the losses have it (diamonds) and as theory says (bars).",
        (
            ("losses.f_gan.F_DIVERGENCES[name].discriminator", "values of the games, at .best"),
            ("losses.divergences.kl, reverse_kl, js, tv", "bars"),
            ("losses.adversarial.OBJECTIVES[name].generator", "the pulls, by autograd with D standing still"),
        ),
        five_atoms,
    ),
)
