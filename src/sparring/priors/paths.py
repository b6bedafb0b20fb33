"""Paths between latents, and the pull towards the mean."""

from __future__ import annotations

import torch
from torch import Tensor


def lerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """The straight line a + t (b − a), t in [0, 1], exact at both ends. (…, z), (…, z) → (…, z).

    Right for a uniform prior. Half-way between two normal latents it has norm √(z/2), not √z: nearer to the mean than
    anything G was trained on; use `slerp` there.
    """
    return (1.0 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """The great circle from a to b: (sin((1 − t)Ω) a + sin(tΩ) b) / sin Ω, Ω the angle between them.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3; White 2016 for latents. t in [0, 1].
    (…, z), (…, z) → (…, z). Where |a| = |b| the path keeps that norm. Written with sin(x)/x, so that equal or nearly
    equal latents give the straight line instead of 0/0; Ω is the stable 2 atan2(|â − b̂|, |â + b̂|) (Kahan).
    Exactly opposite latents have no shortest circle: they get the straight line.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    tensor([0.7071, 0.7071])
    """
    unit_a, unit_b = (torch.nn.functional.normalize(x, dim=-1) for x in (a, b))
    angle = 2.0 * torch.atan2(
        (unit_a - unit_b).norm(dim=-1, keepdim=True), (unit_a + unit_b).norm(dim=-1, keepdim=True)
    )
    t = torch.as_tensor(t, dtype=a.dtype, device=a.device)
    whole = torch.sinc(angle / torch.pi)  # sin Ω / Ω
    opposite = whole < 1e-6
    whole = whole.masked_fill(opposite, 1.0)
    weight_a = (1.0 - t) * torch.sinc((1.0 - t) * angle / torch.pi) / whole  # sin((1 − t)Ω) / sin Ω
    weight_b = t * torch.sinc(t * angle / torch.pi) / whole
    return torch.where(opposite, lerp(a, b, t), weight_a * a + weight_b * b)


def truncate(z: Tensor, psi: float, mean: Tensor | float = 0.0) -> Tensor:
    """mean + ψ (z − mean): ψ = 1 changes nothing, ψ < 1 trades variety for typical samples, ψ = 0 gives the mean.

    The truncation trick in its scaling form (Karras et al. 2019, appendix B); for N(0, I) the mean is 0. ψ in [0, 1].
    Measures belong to ψ = 1.
    """
    return mean + psi * (z - mean)
