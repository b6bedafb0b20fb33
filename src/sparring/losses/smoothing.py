"""What softens D's task: labels below 1 for reals, and noise on everything that D sees."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from sparring.errors import UsageError
from sparring.losses.adversarial import Objective
from sparring.losses.logits import LossTerms
from sparring.types import Dice


def smooth(objective: Objective, target: float) -> Objective:
    """The same game with one-sided label smoothing: D predicts `target` instead of 1 for real samples.

    Salimans et al. 2016, section 3.4 (they use 0.9). D is then never rewarded for being surer than that: with cross
    entropy D* = α p / (p + q). Fakes keep their label, and G its loss. target: α in (½, 1]; 1 changes nothing.

    Refused (LOSS-SMOOTHING) where D predicts no label: Wasserstein, hinge, relativistic and all but the label-based
    games.

    >>> import torch
    >>> from sparring.losses.adversarial import OBJECTIVES
    >>> soft = smooth(OBJECTIVES["nonsaturating"], 0.9)
    >>> float(soft.discriminator(torch.tensor([20.0]), torch.zeros(1))["real"]) > 1.9  # too sure: it pays 0.1 · s
    True
    """
    smoothed = objective.smoothed
    if smoothed is None:
        raise UsageError(
            "LOSS-SMOOTHING",
            f"label smoothing and the objective {objective.name!r} do not go together",
            where="losses.smoothing.smooth",
            why=f"in the game {objective.name!r} the discriminator predicts no label that could be smoothed",
            fix="leave the label at 1, or play minimax, nonsaturating, maximum_likelihood or least_squares",
        )
    if not 0.5 < target <= 1.0:
        raise UsageError(
            "LOSS-SMOOTHING",
            f"the smoothed label {target:g} of real samples is not in ]0.5, 1]",
            where="losses.smoothing.smooth",
            why="at ½ and below D would be told that real samples are not",
            fix="use 0.9",
        )

    def discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
        return {**objective.discriminator(s_real, s_fake), "real": smoothed(s_real, target)}

    return replace(objective, discriminator=discriminator, smoothed=None)


def instance_noise(x: Tensor, dice: Dice, sigma: float) -> Tensor:
    """x + σe, e ~ N(0, I): reals and fakes alike, in every turn, before D sees them. (N, …) → (N, …), differentiable.

    Sønderby et al. 2017; Arjovsky & Bottou 2017, section 3. The two laws then overlap, so that D's optimum is finite
    and its gradient informs G; the equilibrium p = q stays. σ is in the units of x and falls to 0 as the game goes on
    (a `Ramp` of the recipe says how). Not at sampling. dice: of these N samples; reals and fakes need different ones.

    >>> import torch
    >>> from sparring.chance import Dice
    >>> x = torch.zeros(2, 3)
    >>> instance_noise(x, Dice(0, "noise", range(2)), 0.0) is x
    True
    """
    if sigma == 0:
        return x
    return x + sigma * dice.normal(*x.shape[1:]).to(x)
