"""Adam (Kingma and Ba 2015) through torch's fused kernel.

Calling the kernel ourselves has two reasons: torch.optim imports torch._dynamo at its first step, which costs as much
start-up time as importing torch; and the decay rates here move during training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adam:
    """One player's optimiser: first and second moments by parameter name, and one step counter.

    θ ← θ − lr · m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁^t),  v̂ = v / (1 − β₂^t)
    """

    def __init__(self, module: nn.Module, eps: float = 1e-8) -> None:
        self.names = [name for name, _ in module.named_parameters()]
        self.parameters = [p for _, p in module.named_parameters()]
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self.count = torch.zeros((), dtype=torch.float32, device=device)
        self.eps = eps

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None:
        """One move. `skip` (a float 0 or 1 on the device) leaves everything as it was where it is 1."""
        moving = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not moving:
            return
        gradients = []
        for i in moving:
            parameter, gradient = self.parameters[i], self.parameters[i].grad
            assert gradient is not None
            if gradient.stride() != parameter.stride():  # the kernel walks memory, so layouts must agree
                gradient = torch.empty_like(parameter).copy_(gradient)
            gradients.append(gradient)
        self.count += 1
        torch._fused_adam_(
            [self.parameters[i] for i in moving],
            gradients,
            [self.first[i] for i in moving],
            [self.second[i] for i in moving],
            [],
            [self.count] * len(moving),
            lr=float(lr),
            beta1=float(beta1),
            beta2=float(beta2),
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
            found_inf=skip,
        )
        if skip is not None:
            self.count -= skip

    def tensors(self) -> dict[str, Tensor]:
        """The whole state by name: ``"<parameter>.first"``, ``"<parameter>.second"``, ``"count"``."""
        state = {"count": self.count}
        for name, first, second in zip(self.names, self.first, self.second, strict=True):
            state[f"{name}.first"], state[f"{name}.second"] = first, second
        return state
