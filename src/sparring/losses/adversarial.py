"""The table of adversarial objectives: pure, unreduced functions of logits, one name per equation.

A logit s(x) says how real D finds x, with D(x) = σ(s(x)) where D is a probability; s > 0 always means "rather real".
Each player *lowers* its terms; a term has the shape of the logits it came from, (N,) or patch logits (N, 1, h, w), and
is averaged by whoever steps. The equations are in `cross_entropy`, `margins`, `relativistic` and `f_gan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sparring.losses import cross_entropy, margins
from sparring.losses.cross_entropy import (
    maximum_likelihood_generator,
    minimax_discriminator,
    minimax_generator,
    nonsaturating_generator,
)
from sparring.losses.f_gan import F_DIVERGENCES
from sparring.losses.logits import LossTerms, softplus
from sparring.losses.margins import (
    hinge_discriminator,
    least_squares_discriminator,
    least_squares_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)
from sparring.losses.relativistic import (
    relativistic_average_discriminator,
    relativistic_average_generator,
    relativistic_discriminator,
    relativistic_generator,
)


@dataclass(frozen=True)
class Objective:
    """The two halves of an adversarial game.

    discriminator(s_real, s_fake) and generator(s_real, s_fake) give unreduced terms that the player lowers: "real"
    and "fake", or "pair". `relative`: only differences of logits mean something, and G's half needs `s_real`; the
    other objectives accept None there.
    `smoothed(s_real, target)`: the "real" term with the label 1 replaced by `target`; None where D predicts no label.
    """

    name: str
    discriminator: Callable[[Tensor, Tensor], LossTerms]
    generator: Callable[[Tensor | None, Tensor], LossTerms]
    relative: bool = False
    smoothed: Callable[[Tensor, float], Tensor] | None = None


def least_squares(a: float, b: float, c: float) -> Objective:
    """Least squares with the labels a (fakes), b (reals) and c (what G wants): Mao et al. 2017, eq. 2.

    The paper proposes 0, 1, 1 and −1, 1, 0. Where (a + b)/2 is not 0, s > 0 no longer means "rather real", which
    gated play and the reports of D's skill assume; the table has −1, 1, 1.

    >>> import torch
    >>> least_squares(0.0, 1.0, 1.0).generator(None, torch.zeros(1))["fake"]
    tensor([0.5000])
    """
    return Objective(
        "least_squares",
        lambda s_real, s_fake: least_squares_discriminator(s_real, s_fake, a, b),
        lambda s_real, s_fake: least_squares_generator(s_real, s_fake, c),
        smoothed=lambda s_real, target: margins.smoothed_real(s_real, target, a, b),
    )


_SMOOTHED = cross_entropy.smoothed_real

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("minimax", minimax_discriminator, minimax_generator, smoothed=_SMOOTHED),
        Objective("nonsaturating", minimax_discriminator, nonsaturating_generator, smoothed=_SMOOTHED),
        Objective("maximum_likelihood", minimax_discriminator, maximum_likelihood_generator, smoothed=_SMOOTHED),
        least_squares(-1.0, 1.0, 1.0),
        Objective("hinge", hinge_discriminator, wasserstein_generator),
        Objective("wasserstein", wasserstein_discriminator, wasserstein_generator),
        Objective("relativistic", relativistic_discriminator, relativistic_generator, relative=True),
        Objective(
            "relativistic_average",
            relativistic_average_discriminator,
            relativistic_average_generator,
            relative=True,
        ),
        *(Objective(f.name, f.discriminator, f.generator) for f in F_DIVERGENCES.values()),
    )
}
"""Name → objective. The first three share D's half and differ in what G lowers."""

Objectives = Literal[
    "relativistic", "relativistic_average", "nonsaturating", "minimax", "maximum_likelihood", "least_squares", "hinge",
    "wasserstein", "kl", "reverse_kl", "js", "pearson", "squared_hellinger", "total_variation",
]  # fmt: skip
"""The names in `OBJECTIVES`, for the settings of recipes."""

__all__ = ["OBJECTIVES", "LossTerms", "Objective", "Objectives", "least_squares", "softplus"]
