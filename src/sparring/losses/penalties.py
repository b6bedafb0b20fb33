"""Gradient penalties on the discriminator: unreduced, per sample, without their weight.

The weight of R1 and R2 is γ/2 per penalty: L_D + γ/2 · mean(R1) + γ/2 · mean(R2) (Mescheder et al. 2018, eq. 9 and 10;
Huang et al. 2024, eq. 4). Gradients are summed over pixels, not averaged, and taken with respect to images in [−1, 1]
*before* augmentation: give the un-augmented x, with its logits computed through the augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.types import Dice


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
    with torch.autocast(x.device.type, enabled=False):
        return _gradient("zero_centred", logits, x).square().sum(1)


def one_centred(logits: Tensor, x: Tensor, *, one_sided: bool = False) -> Tensor:
    """(‖∇ₓ Σ s(x)‖ − 1)² of each sample, (N,), in [0, ∞); one-sided: max(0, ‖∇ₓ Σ s(x)‖ − 1)², only steep slopes pay.

    With x from `interpolate` it is the penalty of WGAN-GP, weight λ = 10 (Gulrajani et al. 2017, eq. 3; the one-sided
    form is discussed there and preferred by Petzka et al. 2018); with x from `perturb` that of DRAGAN (Kodali et al.
    2017). Arguments, precision and warnings as of `zero_centred`. Where the gradient is 0 its direction is undefined:
    the penalty is 1 there (one-sided 0) and moves nothing.

    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> one_centred(x @ torch.tensor([1.0, 2.0, 2.0]), x).detach()  # (3 − 1)²
    tensor([4., 4.])
    """
    with torch.autocast(x.device.type, enabled=False):
        norm: Tensor = torch.linalg.vector_norm(_gradient("one_centred", logits, x), dim=1)
        return ((norm - 1.0).relu() if one_sided else norm - 1.0).square()


def _gradient(name: str, logits: Tensor, x: Tensor) -> Tensor:
    """∇ₓ Σ s(x), flat: (N, …) → (N, numbers per sample), with its graph."""
    if not x.requires_grad or x.dtype not in (torch.float32, torch.float64):
        raise SparringError(
            "LOSS-PENALTY",
            f"no gradient can be taken with respect to x: {x.dtype}, requires_grad = {x.requires_grad}",
            where=f"losses.penalties.{name}",
            fix="use x = x.detach().float().requires_grad_() and compute D(x) from it",
        )
    (gradient,) = torch.autograd.grad(logits.to(x.dtype).sum(), x, create_graph=True)
    return gradient.flatten(1)


# ── where a penalty is measured ───────────────────────────────────────────────────────────────────────────────────


def interpolate(real: Tensor, fake: Tensor, dice: Dice) -> Tensor:
    """x̂ = ε x + (1 − ε) G(z), ε ~ U[0, 1) for each pair: (N, …), a new leaf that requires a gradient, or, where fakes
    have a graph (all players are taught at once), a part of it.

    Gulrajani et al. 2017, algorithm 1, line 6. (N, …), (N, …); dice: of the N samples. `one_centred(D(x̂), x̂)` is
    WGAN-GP's penalty, `zero_centred(D(x̂), x̂)` the zero-centred one of Thanh-Tung et al. 2019.

    >>> from sparring.chance import Dice
    >>> x = interpolate(torch.ones(3, 2), torch.zeros(3, 2), Dice(0, "interpolate", range(3)))
    >>> x.requires_grad, bool((x[:, 0] == x[:, 1]).all())
    (True, True)
    """
    if real.shape != fake.shape:
        raise SparringError(
            "LOSS-SHAPE",
            f"{tuple(real.shape)} real, {tuple(fake.shape)} generated",
            where="losses.penalties.interpolate",
            why="each real sample is mixed with one generated sample",
        )
    share = dice.uniform(*[1] * (real.dim() - 1)).to(real)  # (N, 1, …)
    fake = fake.detach() if fake.grad_fn is None else fake
    return (share * real.detach() + (1.0 - share) * fake).requires_grad_()


def perturb(x: Tensor, dice: Dice, scale: float) -> Tensor:
    """x + δ, δ ~ N(0, scale² I): a new leaf (N, …) that requires a gradient, near the data.

    Kodali et al. 2017, "On convergence and stability of GANs" (DRAGAN): `one_centred(D(x̂), x̂)` there, weight 10. Their
    code draws uniform noise of half the standard deviation of the batch instead; `scale` is in the units of x.
    """
    noise = dice.normal(*x.shape[1:]).to(x)
    return (x.detach() + scale * noise).requires_grad_()


# ── without a second derivative ───────────────────────────────────────────────────────────────────────────────────


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
    difference = s_shifted.to(precision) - s.to(precision)
    return difference.reshape(len(s), -1).sum(1).div(step).square()


# ── consensus ─────────────────────────────────────────────────────────────────────────────────────────────────────


def consensus(objectives: Sequence[Tensor], parameters: Sequence[Sequence[Tensor]]) -> Tensor:
    """½ ‖v‖² = ½ Σᵢ ‖∇_θᵢ Lᵢ‖²: what every player lowers besides its own Lᵢ in consensus optimisation, ().

    Mescheder et al. 2017, "The numerics of GANs", eq. 11: v holds each player's gradient of its own objective. It pulls
    all players towards points where no one moves, whether these are equilibria or not; the weight is their γ.

    objectives: Lᵢ, one number () each, with its graph.   parameters: θᵢ, the tensors of player i (those of the others
    must require gradients too, or their share of ½ ‖v‖² moves nobody).

    >>> theta, psi = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    >>> consensus([psi * theta, -psi * theta], [[psi], [theta]])  # v = (θ, −ψ)
    tensor(2.5000, grad_fn=<MulBackward0>)
    """
    if len(objectives) != len(parameters):
        raise SparringError(
            "LOSS-SHAPE",
            f"{len(objectives)} objectives, parameters of {len(parameters)} players",
            where="losses.penalties.consensus",
            fix="give one objective and the parameters of one player in the same order",
        )
    squares = []
    for objective, own in zip(objectives, parameters):
        gradients = torch.autograd.grad(objective, list(own), create_graph=True)
        squares += [gradient.square().sum() for gradient in gradients]
    return 0.5 * torch.stack(squares).sum()


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Penalty:
    """A penalty on D's gradient: where it is measured, and what is measured there.

    place: "real", "fake", "between" (`interpolate`) or "near" the data (`perturb`).
    measure: (logits at x, x) → (N,).
    """

    name: str
    place: str
    measure: Callable[[Tensor, Tensor], Tensor]

    def at(self, real: Tensor, fake: Tensor, dice: Dice, *, scale: float = 0.0) -> Tensor:
        """The x where it is measured: a new leaf that requires a gradient, of the shape of `real`.

        dice: for "between" and "near".   scale: of "near", in the units of x.

        >>> from sparring.chance import Dice
        >>> real, fake, dice = torch.ones(4, 2), torch.zeros(4, 2), Dice(0, "penalty", range(4))
        >>> x = PENALTIES["r2"].at(real, fake, dice)
        >>> x.requires_grad, bool((x == fake).all())
        (True, True)
        """
        match self.place:
            case "real" | "fake":
                return (real if self.place == "real" else fake).detach().requires_grad_()
            case "between":
                return interpolate(real, fake, dice)
            case _:
                return perturb(real, dice, scale)


PENALTIES: dict[str, Penalty] = {
    penalty.name: penalty
    for penalty in (
        Penalty("r1", "real", zero_centred),
        Penalty("r2", "fake", zero_centred),
        Penalty("gp", "between", one_centred),
        Penalty("gp-one-sided", "between", partial(one_centred, one_sided=True)),
        Penalty("gp-zero", "between", zero_centred),
        Penalty("dragan", "near", one_centred),
    )
}
"""Name → penalty. Usual weights: γ/2 for r1 and r2 (γ is a length scale squared), 10 for gp and dragan."""
