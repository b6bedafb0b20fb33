"""What a pixel of C values is, given numbers that a network made of the pixels before it: two families of laws.

`LogisticMixture`: each value is one of 256 levels, x = k / 127.5 − 1 (Salimans et al. 2017, "PixelCNN++", eq. 1 to 3).
`Bernoulli`: each value is −1 or 1. In both, a value depends linearly on those of the channels before it (R, G, B).

Both know how many numbers they need (`count`), log p(x), and how a pixel is drawn from uniform numbers (`draws`).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 256
_HALF = 1.0 / (LEVELS - 1)  # half the distance of two levels
_NARROWEST = -7.0  # of log s, as in the authors' code: a tenth of a level


class Pixel(Protocol):
    """A law of one pixel."""

    @property
    def count(self) -> int:
        """Numbers per pixel that say which law it is."""
        ...

    @property
    def draws(self) -> int:
        """Uniform numbers that a draw takes."""
        ...

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """(N, P, …), (N, C, …) in [−1, 1] → (N, …) nats."""
        ...

    def draw(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, P), (N, draws) uniform in [0, 1) → (N, C). Below a temperature of 1 likely values are likelier."""
        ...


class Bernoulli:
    """P(x_c = 1 | x_1 … x_{c−1}) = σ(l_c + Σ_{j<c} a_cj x_j), x = ±1: C logits l, C(C − 1)/2 numbers a.

    >>> law = Bernoulli(1)
    >>> law.log_prob(torch.zeros(1, 1), torch.ones(1, 1)).exp()
    tensor([0.5000])
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels

    @property
    def count(self) -> int:
        return self.channels + self.channels * (self.channels - 1) // 2

    @property
    def draws(self) -> int:
        return self.channels

    def logits(self, parameters: Tensor, x: Tensor) -> Tensor:
        """(N, P, …), (N, C, …) → (N, C, …): that of each value, given the pixels and the channels before it."""
        own, among = torch.split(parameters, [self.channels, self.count - self.channels], dim=1)
        return own + _before(among, x)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        return F.logsigmoid(x * self.logits(parameters, x)).sum(1)

    def draw(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        x = torch.zeros_like(u)
        for c in range(self.channels):
            chance = torch.sigmoid(self.logits(parameters, x)[:, c] / max(temperature, 1e-6))
            x[:, c] = torch.where(u[:, c] < chance, 1.0, -1.0)
        return x


class LogisticMixture:
    """Σ_k π_k Π_c P(x_c | μ_kc, s_kc), the mean μ_kc = m_kc + Σ_{j<c} a_kcj x_j; P(level) is what a logistic law has in
    the level's bin, σ((x + ½ − μ)/s) − σ((x − ½ − μ)/s) in units of a level, and the end levels have the tails.

    K logits of π, and for each of K: C means, C log scales, C(C − 1)/2 numbers a, which begin near 0 (tanh).

    >>> law = LogisticMixture(1, 5)
    >>> levels = torch.linspace(-1, 1, 256, dtype=torch.float64)[:, None]
    >>> abs(float(law.log_prob(torch.randn(1, law.count).double().expand(256, -1), levels).exp().sum()) - 1) < 1e-9
    True
    """

    def __init__(self, channels: int, mixtures: int) -> None:
        self.channels, self.mixtures = channels, mixtures

    @property
    def count(self) -> int:
        return self.mixtures * (1 + 2 * self.channels + self.channels * (self.channels - 1) // 2)

    @property
    def draws(self) -> int:
        return 1 + self.channels

    def parts(self, parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, P, …), (N, C, …) → logits of π (N, K, …), means (N, K, C, …) given the channels before, log s alike."""
        weights, rest = torch.split(parameters, [self.mixtures, self.count - self.mixtures], dim=1)
        rest = rest.view(len(rest), self.mixtures, -1, *rest.shape[2:])
        sizes = [self.channels, self.channels, rest.shape[2] - 2 * self.channels]
        own, log_s, among = torch.split(rest, sizes, dim=2)
        before = _before(torch.tanh(among).flatten(0, 1), x.repeat_interleave(self.mixtures, dim=0))
        return weights, own + before.view_as(own), log_s.clamp_min(_NARROWEST)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        weights, means, log_s = self.parts(parameters, x)
        each = log_of_bin(x[:, None], means, log_s).sum(2)
        return torch.logsumexp(F.log_softmax(weights, 1) + each, 1)

    def draw(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        temperature = max(temperature, 1e-6)
        x = u.new_zeros(len(u), self.channels)
        shares = F.softmax(parameters[:, : self.mixtures] / temperature, 1).cumsum(1)
        chosen = (u[:, :1] >= shares[:, :-1]).sum(1)  # (N,): the one in whose share u lies
        for c in range(self.channels):
            _, means, log_s = self.parts(parameters, x)
            rows = torch.arange(len(u), device=u.device)
            mean, log_s_c = means[rows, chosen, c], log_s[rows, chosen, c]
            value = mean + temperature * log_s_c.exp() * torch.logit(u[:, 1 + c])
            x[:, c] = ((value + 1) / (2 * _HALF)).round().clamp(0, LEVELS - 1) * (2 * _HALF) - 1
        return x


def log_of_bin(x: Tensor, mean: Tensor, log_s: Tensor) -> Tensor:
    """log P of the level x ∈ [−1, 1] under a logistic law cut into 256 bins; of any shapes that fit, stable everywhere.

    With a = (x + ½ − μ)/s and b = (x − ½ − μ)/s: σ(a) − σ(b) = σ(a) σ(−b) (1 − e^{b − a}), in which nothing cancels,
    however far in a tail x is. The lowest level has σ(a), the highest σ(−b).

    >>> log_of_bin(torch.tensor(1.0), torch.tensor(-50.0), torch.tensor(-2.0)).isfinite()
    tensor(True)
    """
    inverse = torch.exp(-log_s)
    centred = x - mean
    up, down = F.logsigmoid(inverse * (centred + _HALF)), F.logsigmoid(-inverse * (centred - _HALF))
    width = torch.log(-torch.expm1(-2 * _HALF * inverse))
    lowest, highest = x < _HALF - 1, x > 1 - _HALF
    return torch.where(lowest, up, torch.where(highest, down, up + down + width))


def _before(among: Tensor, x: Tensor) -> Tensor:
    """Σ_{j<c} a_cj x_j for each channel c: (N, C(C − 1)/2, …), (N, C, …) → (N, C, …).

    The numbers are in the order a_21, a_31, a_32, a_41, …

    >>> _before(torch.tensor([[10.0, 1.0, 2.0]]), torch.tensor([[1.0, 3.0, 5.0]]))
    tensor([[ 0., 10.,  7.]])
    """
    sums, first = [torch.zeros_like(x[:, 0])], 0
    for c in range(1, x.shape[1]):
        sums.append((among[:, first : first + c] * x[:, :c]).sum(1))
        first += c
    return torch.stack(sums, 1)
