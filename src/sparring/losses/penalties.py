"""Gradient penalties on the discriminator: unreduced, per sample, without their weight.

The weight is γ/2 per penalty: L_D + γ/2 · mean(R1) + γ/2 · mean(R2) (Mescheder et al. 2018, eq. 9 and 10; Huang et al.
2024, eq. 4). Gradients are summed over pixels, not averaged, and taken with respect to images in [−1, 1] *before*
augmentation: give the un-augmented x, with its logits computed through the augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import SparringError


def zero_centred(logits: Tensor, x: Tensor) -> Tensor:
    """‖∇ₓ Σ s(x)‖² of each sample, (N,), in [0, ∞), differentiable with respect to D's parameters.

    R1 when x is real, R2 when x is generated (Mescheder et al. 2018, "Which training methods for GANs do actually
    converge?", eq. 9 and 10).

    logits: (N, …) = D(x); patch logits are summed, as the gradient of the sum is what moves.
    x:      (N, …) float32 (or float64) leaf or intermediate with requires_grad, from which `logits` was computed.

    The gradient is taken with autocast off and in x's precision. D's forward pass belongs outside autocast too, since
    what it rounded to bf16 stays rounded. Samples must not be coupled inside D: batch normalisation makes the
    per-sample gradient meaningless.

    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> zero_centred(x @ torch.tensor([1.0, 2.0, 2.0]), x).detach()  # D(x) = w·x: ‖w‖²
    tensor([9., 9.])
    """
    if not x.requires_grad or x.dtype not in (torch.float32, torch.float64):
        raise SparringError(
            "LOSS-PENALTY",
            f"no gradient can be taken with respect to x: {x.dtype}, requires_grad = {x.requires_grad}",
            where="losses.penalties.zero_centred",
            fix="use x = x.detach().float().requires_grad_() and compute D(x) from it",
        )
    with torch.autocast(x.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(logits.to(x.dtype).sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1)


def finite_difference(s: Tensor, s_shifted: Tensor, step: float) -> Tensor:
    """((s(x + σe) − s(x)) / σ)², (N,): an *approximation* of `zero_centred` that needs no second derivative.

    For e ~ N(0, I) its expectation over e is ‖∇ₓ s‖² + O(σ²), exactly ‖w‖² for a linear D. One direction per sample
    makes it noisy (for a linear D its standard deviation is √2 times its mean). Lin et al. 2025, "Adversarial flow
    models". The difference is taken in float32.

    s:         (N, …) D's logits at x; patch logits are summed per sample.
    s_shifted: (N, …) D's logits at x + step · e, in the same augmentation.
    step:      σ > 0, in units of x.

    >>> w, e = torch.tensor([1.0, 2.0, 2.0]), torch.tensor([[0.0, 1.0, 0.0]])
    >>> finite_difference(torch.zeros(1), (0.1 * e) @ w, step=0.1)
    tensor([4.])
    """
    if s.shape != s_shifted.shape or step <= 0:
        raise SparringError(
            "LOSS-SHAPE",
            f"logits {tuple(s.shape)} and {tuple(s_shifted.shape)}, step {step}",
            where="losses.penalties.finite_difference",
            why="both logits must belong to the same samples, and the step must be positive",
        )
    precision = torch.float64 if s.dtype == torch.float64 else torch.float32
    with torch.autocast(s.device.type, enabled=False):
        difference = s_shifted.to(precision) - s.to(precision)
        return (difference.flatten(1).sum(1) if s.dim() > 1 else difference).div(step).square()
