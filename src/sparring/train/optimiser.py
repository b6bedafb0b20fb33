"""What moves a player once its gradient is known: `Adam`, or plain gradient descent for the study of dynamics."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.train.adam import Adam


class Optimiser(Protocol):
    """One player's optimiser. Its state is tensors by name, which a checkpoint keeps."""

    def zero_grad(self) -> None: ...

    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None: ...

    def tensors(self) -> dict[str, Tensor]: ...


class SGD:
    """θ ← θ − lr ∇J(θ): no momentum, no state. The closed forms of Mescheder et al. 2018 are about this one.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> before = float(layer.weight.detach())
    >>> layer.weight.grad = torch.ones(1, 1)
    >>> SGD(layer).step(0.5, beta1=0.0, beta2=0.0)
    >>> round(before - float(layer.weight.detach()), 6)
    0.5
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = list(module.parameters())

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None:
        """One move; the betas are Adam's and play no part. `skip`: where it is 1 everything stays as it was."""
        for parameter in self.parameters:
            if parameter.grad is None:
                continue
            if skip is None:
                parameter.add_(parameter.grad, alpha=-lr)
            else:  # a choice, not a product: 0 · ∞ is not 0
                parameter.copy_(torch.where(skip > 0, parameter, parameter - lr * parameter.grad))

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is remembered."""
        return {}


def optimiser(name: str, player: nn.Module) -> Optimiser:
    """ "adam" or "sgd" for the parameters of a player."""
    return SGD(player) if name == "sgd" else Adam(player)
