"""The f-GAN family, and its table on five atoms (docs/systems/gan.md)."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparring.losses import divergences
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.f_gan import F_DIVERGENCES
from sparring.report.figures.style import (
    AMBER,
    BLUE,
    GREEN,
    INK,
    MADE,
    PURPLE,
    REAL,
    RED,
    SKY,
    SOFT,
    Drawing,
    canvas,
    say,
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
        left.plot(u.numpy(), each.f(u).numpy(), color=colour, label=words)
        middle.plot(t.numpy(), each.conjugate(t).numpy(), color=colour)
        right.plot(v.numpy(), each.activation(v).numpy(), color=colour)
        at = torch.ones(1, dtype=torch.float64)
        slope = each.slope(at)
        middle.plot(slope.numpy(), each.conjugate(slope).numpy(), "o", color=colour, markersize=4.5)
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
    left.bar(atoms - 0.2, P.numpy(), 0.4, color=REAL, alpha=0.4, label="data p")
    left.bar(atoms + 0.2, Q.numpy(), 0.4, color=MADE, alpha=0.85, label="generator q")
    best = torch.sigmoid((P / Q).log())
    left.plot(atoms, best.numpy(), "o-", color=REAL, linewidth=1.2, markersize=4, label="best D = p/(p + q)")
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
