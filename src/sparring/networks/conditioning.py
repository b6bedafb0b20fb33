"""How networks are told something: a class now, anything that is a vector later.

What is told is a vector t (N, T) per sample; a class y of K is its one-hot vector e_y. G is told beside z, or through
the scale and shift of its normalisation. D is told beside x, or by a projection of its features, or it is not told and
has to guess (an auxiliary classifier). Networks take `told` in `forward`; this module has the parts, and knows no
network.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from sparring.types import Layered

Conditioning = Literal["concatenation", "projection", "auxiliary"]
"""How D comes to know the class."""


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(N,) int64 → (N, K) float32: e_y. A matrix product with it is a look-up whose gradient is deterministic.

    >>> one_hot(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    return torch.nn.functional.one_hot(label, classes).float()


def beside(label: Tensor, classes: int) -> Tensor:
    """(N,) int64 → (N, K): √K e_y, so that each number has mean square 1 over the classes, as those of z have.

    Mirza & Osindero 2014 concatenate the one-hot vector; the factor lets a network see it among many pixels.
    """
    return math.sqrt(classes) * one_hot(label, classes)


def with_planes(x: Tensor, told: Tensor) -> Tensor:
    """(N, C, H, W), (N, T) → (N, C + T, H, W): every number as a constant map beside the channels.

    >>> with_planes(torch.zeros(1, 3, 2, 2), torch.tensor([[5.0]]))[0, 3]
    tensor([[5., 5.],
            [5., 5.]])
    """
    planes = told.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
    joined = torch.cat([x, planes], dim=1)
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return joined.contiguous(memory_format=torch.channels_last) if channels_last else joined


class ConditionalBatchNorm(nn.Module):
    """γ_t (x − μ) / √(σ² + ε) + β_t, with γ_t = tᵀΓ and β_t = tᵀB; (N, C, H, W), (N, T) → (N, C, H, W).

    For a class, t = e_y: a scale γ_y and a shift β_y per class and channel (de Vries et al. 2017; Dumoulin et al. 2017;
    in G: Miyato & Koyama 2018, section 4). The statistics are those of the whole batch, over all classes; in eval mode
    the running ones. Γ begins as N(1, 0.02), B as 0. Where all rows of Γ and of B are equal it is batch normalisation.

    >>> ConditionalBatchNorm(4, 10)(torch.randn(8, 4, 5, 5), torch.eye(10)[:8]).shape
    torch.Size([8, 4, 5, 5])
    """

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.empty(told, channels).normal_(1.0, 0.02))  # Γ: row y is γ_y
        self.shift = nn.Parameter(torch.zeros(told, channels))  # B

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        told = told.to(self.scale.dtype)
        scale, shift = told @ self.scale, told @ self.shift  # (N, C)
        return torch.addcmul(shift[:, :, None, None], self.norm(x), scale[:, :, None, None])


class Judge(Protocol):
    """A discriminator in two parts: `head` of its features is the logit."""

    head: nn.Linear

    def features(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """φ(x), (N, F)."""
        ...


class Generator(nn.Module):
    """G(z, y): a generator that is told a class. z (N, z), label (N,) int64 → what `net` makes.

    net: takes ``(z, told)``.   scaled: tell it `beside` (where it concatenates), not `one_hot` (where it normalises).
    """

    def __init__(self, net: nn.Module, classes: int, *, scaled: bool) -> None:
        super().__init__()
        self.net, self.classes, self.scaled = net, classes, scaled

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        told = beside(label, self.classes) if self.scaled else one_hot(label, self.classes)
        return self.net(z, told)  # type: ignore[no-any-return]


class Discriminator(nn.Module, Layered):
    """s(x, y): the logit of a sample that is said to be of class y, (N,); and, if D guesses, logits of classes (N, K).

    concatenation: s = ψ(φ(x, √K e_y)), `net` takes ``(x, told)`` (Mirza & Osindero 2014).
    projection:    s = ψ(φ(x)) + ⟨e_y, φ(x)⟩, with an embedding e_y per class (Miyato & Koyama 2018, section 3).
    auxiliary:     s = ψ(φ(x)) knows no class; beside it c = W φ(x) + b guesses it (Odena et al. 2017).

    φ is `net.features`, ψ is `net.head`. Everything after φ is float32 even under bf16 autocast.

    >>> from sparring.networks import mlp
    >>> D = Discriminator(mlp.Discriminator((2,), 8, 1), 3, "auxiliary")
    >>> logits, guess = D(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64))
    >>> logits.shape, guess.shape
    (torch.Size([5]), torch.Size([5, 3]))
    """

    def __init__(self, net: nn.Module, classes: int, conditioning: Conditioning) -> None:
        super().__init__()
        self.net, self.classes, self.conditioning = net, classes, conditioning
        features = self.judge.head.in_features
        if conditioning == "projection":
            self.embedding = nn.Linear(classes, features, bias=False)  # column y is e_y
            nn.init.normal_(self.embedding.weight, 0.0, features**-0.5)  # as large as ψ's weights
        if conditioning == "auxiliary":
            self.classify = nn.Linear(features, classes)
            nn.init.normal_(self.classify.weight, 0.0, features**-0.5)
            nn.init.zeros_(self.classify.bias)

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return self.net.layers if isinstance(self.net, Layered) else ()

    @property
    def judge(self) -> Judge:
        net: Judge = self.net  # type: ignore[assignment]
        return net

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor | None]:
        told = beside(label, self.classes) if self.conditioning == "concatenation" else None
        features = self.judge.features(x, told)  # (N, F)
        with torch.autocast(x.device.type, enabled=False):
            logits = self.judge.head(features).squeeze(1)  # ψ(φ(x)), (N,)
            if self.conditioning == "auxiliary":
                return logits, self.classify(features)
            if self.conditioning == "projection":
                e = self.embedding(one_hot(label, self.classes).to(features.dtype))  # e_y, (N, F)
                logits = logits + (e * features).sum(1)
            return logits, None
