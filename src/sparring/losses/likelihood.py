"""log p(x | what a decoder says of x): for each value by itself, unreduced.

x is in [−1, 1] everywhere. A decoder says two things: `raw` (N, …), the location of each value, and `log_scale`, which
broadcasts to it. What `raw` means, what x may be and what the number is of, differs; all of that is a `Likelihood`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.types import Dice, Outcome

HALF_STEP = 1 / 255
"""Half the distance of two neighbouring levels k / 127.5 − 1."""


@dataclass(frozen=True)
class Likelihood(ABC):
    """A law of x given `raw` and `log_scale`.

    outcome: what it is of.    scaled: whether it has a scale, which may be learned.
    """

    name: str
    outcome: Outcome
    scaled: bool

    @abstractmethod
    def log_p(self, x: Tensor, raw: Tensor, log_scale: Tensor) -> Tensor:
        """(N, …), nats for each value."""

    def mean(self, raw: Tensor) -> Tensor:
        """(N, …): the mean of x, but for what lies beyond black and white."""
        return raw

    @abstractmethod
    def draw(self, raw: Tensor, log_scale: Tensor, dice: Dice) -> Tensor:
        """(N, …): x from its law, by `dice`; a z (N, d) that they gave is independent of it."""


class Bernoulli(Likelihood):
    """P(x = 1) = σ(raw), P(x = −1) = 1 − σ(raw). For x between, the cross-entropy with the grey t = (x + 1) / 2, which
    is no likelihood, and which is lowest at σ(raw) = t.

    >>> round(float(BERNOULLI.log_p(torch.ones(1), torch.zeros(1), torch.zeros(1)).exp()), 6)
    0.5
    """

    def log_p(self, x: Tensor, raw: Tensor, log_scale: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(raw, (x + 1) / 2, reduction="none")

    def mean(self, raw: Tensor) -> Tensor:
        return torch.tanh(raw / 2)  # 2 σ(raw) − 1

    def draw(self, raw: Tensor, log_scale: Tensor, dice: Dice) -> Tensor:
        return torch.where(_uniform(raw, dice) < torch.sigmoid(raw), 1.0, -1.0).to(raw)


class Gaussian(Likelihood):
    """x ~ N(raw, σ²), σ = exp(log_scale): a density of x in [−1, 1]."""

    def log_p(self, x: Tensor, raw: Tensor, log_scale: Tensor) -> Tensor:
        return -0.5 * ((x - raw) * torch.exp(-log_scale)).square() - log_scale - 0.5 * math.log(2 * math.pi)

    def draw(self, raw: Tensor, log_scale: Tensor, dice: Dice) -> Tensor:
        return raw + log_scale.exp() * dice.normal(*raw.shape[1:], 1)[..., 0].to(raw)


class Logistic(Likelihood):
    """The logistic law around raw with scale s = exp(log_scale), whose mass goes to the nearest of the 256 levels
    k / 127.5 − 1 (Kingma et al. 2016, eq. 9; Salimans et al. 2017, eq. 2): the sum over all levels is 1.

    >>> levels = torch.arange(256) / 127.5 - 1
    >>> round(float(LOGISTIC.log_p(levels, torch.tensor(0.3), torch.tensor(-2.0)).exp().sum()), 5)
    1.0
    """

    def log_p(self, x: Tensor, raw: Tensor, log_scale: Tensor) -> Tensor:
        inverse = torch.exp(-log_scale)
        above, below = (x - raw + HALF_STEP) * inverse, (x - raw - HALF_STEP) * inverse
        width = 2 * HALF_STEP * inverse
        # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)): no difference of two nearly equal numbers
        inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-width))
        first, last = F.logsigmoid(above), F.logsigmoid(-below)
        return torch.where(x < -1 + HALF_STEP, first, torch.where(x > 1 - HALF_STEP, last, inside))

    def draw(self, raw: Tensor, log_scale: Tensor, dice: Dice) -> Tensor:
        x = raw + log_scale.exp() * torch.logit(_uniform(raw, dice), eps=1e-7)
        return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def _uniform(raw: Tensor, dice: Dice) -> Tensor:
    return dice.uniform(*raw.shape[1:], 1)[..., 0].to(raw)  # no latent was drawn in this shape


BERNOULLI = Bernoulli("bernoulli", "binary", False)
GAUSSIAN = Gaussian("gaussian", "continuous", True)
LOGISTIC = Logistic("logistic", "levels", True)
LIKELIHOODS: dict[str, Likelihood] = {law.name: law for law in (BERNOULLI, GAUSSIAN, LOGISTIC)}
"""By name."""
