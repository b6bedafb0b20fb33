"""Cross entropy and its two halves (notes 000, 001, 004), and what the generator can lower instead (note 003)."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparring.losses.adversarial import OBJECTIVES
from sparring.report.figures import style
from sparring.report.figures.style import (
    BLUE,
    GREEN,
    INK,
    MADE,
    PURPLE,
    REAL,
    RED,
    SOFT,
    Drawing,
    canvas,
    say,
    write_at,
)

Curve = NDArray[np.float64]
COSTS = {"minimax": BLUE, "nonsaturating": RED, "maximum_likelihood": GREEN}
WORDS = {
    "minimax": "minimax  log(1 − D)",
    "nonsaturating": "non-saturating  −log D",
    "maximum_likelihood": "maximum likelihood  −½ eˢ",
}


def halves(d: Curve) -> tuple[Curve, Curve]:
    """−log D(x) and −log(1 − D(G(z))) at the probabilities d (n,), by the minimax discriminator's terms."""
    s = torch.from_numpy(d).logit()
    terms = OBJECTIVES["minimax"].discriminator(s, s)
    return terms["real"].numpy(), terms["fake"].numpy()


def values(d: Curve, share: float) -> Curve:
    """What D raises at a place where `share` of what comes is real: 2 [share log D + (1 − share) log(1 − D)], (n,).

    The factor makes it the V of the notes: with as many fakes as reals everywhere its best value is −log 4.
    """
    real, fake = halves(d)
    return -2.0 * (share * real + (1.0 - share) * fake)


def costs(name: str, s: Curve) -> tuple[Curve, Curve]:
    """What G lowers for a sample with logit s (n,), and its slope d cost / d s, by the objective `name`."""
    logits = torch.from_numpy(s).requires_grad_()
    cost = OBJECTIVES[name].generator(None, logits)["fake"]
    (slope,) = torch.autograd.grad(cost.sum(), logits)
    return cost.detach().numpy(), slope.numpy()


def cross_entropy() -> tuple[Figure, str]:
    d = style.open_interval(0, 1)
    real, fake = halves(d)
    figure, (left, middle, right) = canvas(1, 3, height=3.2)
    for panel, loss, what, other in ((left, real, "D(x)", "log D(x)"), (middle, fake, "D(G(z))", "log(1 − D(G(z)))")):
        panel.plot(d, loss, color=SOFT, linestyle=(0, (4, 2)), label=f"loss: −{other}")
        panel.plot(d, -loss, color=REAL, label=f"value: {other}")
        panel.axhline(0, color=SOFT, linewidth=0.8)
        panel.set(xlim=(0, 1), ylim=(-4.6, 4.6))
        panel.legend(loc="upper center")
        say(panel, "A real image, label 1" if panel is left else "A generated one, label 0", what, "nats")
    arrow = {"arrowstyle": "-|>", "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
    left.annotate("", (0.92, -2.0), (0.4, -2.0), arrowprops={**arrow, "color": REAL})
    write_at(left, 0.66, -2.6, "D raises it:\ntowards 1", REAL, ha="center", va="top")
    middle.annotate("", (0.06, -2.0), (0.44, -2.0), arrowprops={**arrow, "color": REAL})
    write_at(middle, 0.25, -2.6, "D raises it:\ntowards 0", REAL, ha="center", va="top")
    middle.annotate("", (0.84, -1.05), (0.46, -1.05), arrowprops={**arrow, "color": MADE})
    write_at(middle, 0.70, -2.6, "G lowers it:\ntowards 1", MADE, ha="center", va="top")

    for share, colour in ((0.1, GREEN), (0.3, PURPLE), (0.5, INK)):
        value = values(d, share)
        best = int(value.argmax())
        right.plot(d, value, color=colour, label=f"{share:g} real")
        right.plot(d[best], value[best], "o", color=colour, markersize=6, clip_on=False)
    tops = np.array([values(d, share).max() for share in d])
    right.plot(d, tops, color=MADE, linestyle=(0, (1.5, 1.5)), linewidth=1.5)
    write_at(right, 0.5, -0.1, "the highest V\nthat D can reach", MADE, ha="center", va="top")
    right.set(xlim=(0, 1), ylim=(-4.6, 0.35))
    right.legend(loc="lower center", bbox_to_anchor=(0.47, 0.02))
    say(right, "Max over D, min over G", "D at one place", "V, for a share of reals")
    lowest = float(tops.min())
    return figure, (
        f"The lowest of the highest values is −{-lowest:.4f}, with log 4 = {math.log(4):.4f}; share and D are ½ there."
    )


def generator_costs() -> tuple[Figure, str]:
    d = np.concatenate(
        [np.geomspace(1e-5, 0.02, 150), style.open_interval(0.02, 0.98), 1 - np.geomspace(0.02, 1e-5, 150)]
    )
    figure, (left, right) = canvas(1, 2, height=3.5)
    s = np.linspace(-7, 7, 400)
    for name, colour in COSTS.items():
        left.plot(d, costs(name, np.log(d / (1 - d)))[0], color=colour, label=WORDS[name])
        right.plot(s, -costs(name, s)[1], color=colour)
    left.axhline(0, color=SOFT, linewidth=0.8)
    left.set(xlim=(0, 1), ylim=(-10, 6))
    left.legend(loc="lower left")
    say(left, "What G lowers, for one sample", "D(G(z))", "cost in nats")
    right.set(xlim=(-7, 7), ylim=(0, 1.45))
    say(right, "How hard it pulls: −d cost / d s", "logit s of the sample,  D = σ(s)", "slope")
    write_at(right, -6.8, 1.10, "−log D: pulls hardest\nwhere D rejects", RED, va="bottom")
    write_at(right, -6.8, 0.36, "minimax and ½ eˢ:\nsaturated, hardly\nany pull there", INK, va="bottom")
    write_at(right, 6.8, 1.08, "minimax", BLUE, ha="right", va="bottom")
    write_at(right, 0.62, 1.25, "½ eˢ", GREEN, ha="right", va="center")
    right.axvline(0, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
    above = right.secondary_xaxis("top")
    above.set_xticks([float(np.log(p / (1 - p))) for p in (0.002, 0.02, 0.5, 0.98, 0.998)])
    above.set_xticklabels(["D = .002", ".02", ".5", ".98", ".998"], fontsize=8)
    above.spines["top"].set_visible(False)
    above.tick_params(length=0, pad=1)
    right.set_title(right.get_title(loc="left"), pad=20)
    at = {name: -float(costs(name, np.array([-5.0]))[1][0]) for name in COSTS}
    return figure, (
        f"Where D gives a sample a logit of −5 (D = 0.7 %), the pull is {at['minimax']:.4f} (minimax), "
        f"{at['maximum_likelihood']:.4f} (maximum likelihood) and {at['nonsaturating']:.4f} (non-saturating); "
        "all three are ½ where D = ½."
    )


DRAWINGS = (
    Drawing(
        "cross-entropy",
        "Both halves of cross entropy, and why max over D and min over G",
        "000, 004",
        "Left: for a real image the value log D(x) rises with D(x), so D raises it towards D(x) = 1. Middle: for a "
        "generated image log(1 − D(G(z))) falls with D(G(z)): D raises it towards 0, and G, who has only this half, "
        "lowers it towards 1. The dashed curves are the same with a minus in front: the losses that code lowers. "
        "Right: at one place of the data both halves meet. If the share of reals there is 0.1, 0.3 or 0.5, D does best "
        "by saying just that (dots): max over D. The dotted line is how high D can get for each share; G moves "
        "its images so that this becomes as low as possible, which is where half are real: min over G.",
        (
            ("losses.adversarial.OBJECTIVES['minimax'].discriminator", "both halves, from logits"),
            ("the same, weighed by the share of reals", "the value on the right"),
        ),
        cross_entropy,
    ),
    Drawing(
        "generator-costs",
        "What the generator lowers: three costs",
        "003",
        "Left: the cost of one generated sample against D(G(z)), for three games that have the same D. All fall "
        "as D is fooled. Right: the slope with respect to the logit s, which is what G feels. Early in training D "
        "rejects everything (left end): minimax and maximum likelihood hardly pull there, only −log D does. At the "
        "right end maximum likelihood pulls without bound: a few samples that D believes decide everything.",
        (
            (
                "losses.adversarial.OBJECTIVES[name].generator",
                "the three costs",
            ),
            ("torch.autograd.grad of the same", "their slopes"),
        ),
        generator_costs,
    ),
)
