"""What moves a player once its gradient is known: Adam or plain gradient descent, and both in their optimistic form.

Optimism (Daskalakis et al. 2018, "Training GANs with optimism", algorithm 1) counts the present step twice and takes
the last one back: where a game turns in circles, that foresees where the other player is going. It costs no gradient
more than the plain form, and one copy of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class OptimisticSGD:
    """θ ← θ − lr (2 ∇J(θ) − ∇J(θ′)), θ′ the parameters one step ago; the first step is a plain one.

    Daskalakis et al. 2018, section 2 (optimistic mirror descent without constraints).

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> mover = OptimisticSGD(layer)
    >>> moved = []
    >>> for slope in (1.0, 3.0):
    ...     before = float(layer.weight.detach())
    ...     layer.weight.grad = torch.full((1, 1), slope)
    ...     mover.step(0.5, beta1=0.0, beta2=0.0)
    ...     moved.append(round(before - float(layer.weight.detach()), 6))
    >>> moved
    [0.5, 2.5]
    """

    def __init__(self, module: nn.Module) -> None:
        self.names = [name for name, _ in module.named_parameters()]
        self.parameters = [p for _, p in module.named_parameters()]
        self.last = [torch.zeros_like(p) for p in self.parameters]
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self.count = torch.zeros((), dtype=torch.float32, device=device)

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None:
        """One move; the betas are Adam's and play no part. `skip`: where it is 1 everything stays as it was."""
        twice = _counted(self.count, skip)
        for parameter, last in zip(self.parameters, self.last, strict=True):
            if parameter.grad is not None:
                moved = parameter - lr * (twice.to(parameter.dtype) * parameter.grad - last)
                _settle((parameter, last), (moved, parameter.grad), skip)

    def tensors(self) -> dict[str, Tensor]:
        """``"<parameter>.last"``: the gradient one step ago; and ``"count"``."""
        state = {f"{name}.last": last for name, last in zip(self.names, self.last, strict=True)}
        return {"count": self.count, **state}


class OptimisticAdam(Adam):
    """θ ← θ − lr (2 u − u′), with u = m̂ / (√v̂ + ε) as of `Adam` and u′ that of one step ago; the first is Adam's.

    Daskalakis et al. 2018, algorithm 1.
    """

    def __init__(self, module: nn.Module, eps: float = 1e-8) -> None:
        super().__init__(module, eps)
        self.last = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None:
        """One move. `skip` (a float 0 or 1 on the device) leaves everything as it was where it is 1."""
        if all(parameter.grad is None for parameter in self.parameters):
            return
        twice, time = _counted(self.count, skip), self.count.double() if self.count.device.type != "mps" else self.count
        time = time if skip is None else time + skip  # where it is skipped: any number but 0
        root1, root2 = 1 - beta1**time, (1 - beta2**time).sqrt()
        every = zip(self.parameters, self.first, self.second, self.last, strict=True)
        for parameter, first, second, last in every:
            gradient = parameter.grad
            if gradient is None:
                continue
            m = torch.lerp(first, gradient, 1 - beta1)
            v = beta2 * second + (1 - beta2) * gradient.square()
            u = (m / root1.to(m.dtype)) / (v.sqrt() / root2.to(v.dtype) + self.eps)
            moved = parameter - lr * (twice.to(u.dtype) * u - last)
            _settle((parameter, first, second, last), (moved, m, v, u), skip)

    def tensors(self) -> dict[str, Tensor]:
        """As of `Adam`, and ``"<parameter>.last"``, u one step ago."""
        return super().tensors() | {f"{name}.last": last for name, last in zip(self.names, self.last, strict=True)}


def _counted(count: Tensor, skip: Tensor | None) -> Tensor:
    """Count a step that is not skipped; how often its direction counts: once in the first step, later twice."""
    count += 1 if skip is None else 1 - skip
    return 1 + (count > 1).float()


def _settle(old: Sequence[Tensor], new: Sequence[Tensor], skip: Tensor | None) -> None:
    """Write the new values; a choice where a step may be skipped, since 0 · ∞ is not 0."""
    for tensor, value in zip(old, new, strict=True):
        tensor.copy_(value if skip is None else torch.where(skip > 0, tensor, value))


OPTIMISERS: dict[str, type[Adam] | type[SGD] | type[OptimisticSGD]] = {
    "adam": Adam,
    "sgd": SGD,
    "optimistic-adam": OptimisticAdam,
    "optimistic-sgd": OptimisticSGD,
}


def optimiser(name: str, player: nn.Module) -> Optimiser:
    """The optimiser of this name, for the parameters of a player."""
    return OPTIMISERS[name](player)
