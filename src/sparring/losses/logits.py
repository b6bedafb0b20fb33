"""What every adversarial objective is written with: stable functions of a logit, and the check that pairs are pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import SparringError

LossTerms = dict[str, Tensor]
"""What a player lowers, term by term, unreduced."""


def softplus(s: Tensor) -> Tensor:
    """log(1 + eˢ), any shape. torch replaces it by s above a threshold of 20, which is 2e-9 off in float64: ours is 40.

    >>> softplus(torch.tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+04])
    """
    return F.softplus(s, threshold=40.0)


def exp(s: Tensor) -> Tensor:
    """eˢ up to s = 40 (float64: 300), and its tangent from there on: any shape, finite for every logit up to 1e4.

    Objectives that are exponential in a logit overflow where D is absurdly sure. There is no other way of writing eˢ
    that does not, so from a point that no game reaches alive (1 − D = 4e-18) the slope stays what it is: the loss is
    still convex and increasing, and squares of its gradient still fit into float32.

    >>> exp(torch.tensor([-1e4, 0.0, 1e4])).isfinite().all()
    tensor(True)
    """
    inside, beyond = _split(s)
    return inside.exp() * (1.0 + beyond)


def expm1(s: Tensor) -> Tensor:
    """eˢ − 1, exact near 0 and continued by its tangent as `exp` is: any shape.

    >>> expm1(torch.tensor([-1e4, 0.0, 1e-8])).tolist() == [-1.0, 0.0, float(torch.tensor(1e-8))]
    True
    """
    inside, beyond = _split(s)
    return inside.expm1() + inside.exp() * beyond


def _split(s: Tensor) -> tuple[Tensor, Tensor]:
    """s as a part below the ceiling and what is beyond it (0 for all sane logits)."""
    inside = s.clamp(max=300.0 if s.dtype == torch.float64 else 40.0)
    return inside, s - inside


def paired(name: str, s_real: Tensor | None, s_fake: Tensor) -> Tensor:
    """`s_real`, after checking that each real logit has a fake partner: (N, …) and (N, …), never broadcast."""
    if s_real is None or s_real.shape != s_fake.shape:
        found = "no logits" if s_real is None else f"{tuple(s_real.shape)}"
        raise SparringError(
            "LOSS-SHAPE",
            f"{found} for real samples, {tuple(s_fake.shape)} for fakes",
            where=f"losses.adversarial, {name}",
            why="this objective compares a real logit with a fake one; broadcasting would compare wrong pairs",
            fix="give as many real as fake samples and logits of one shape",
        )
    return s_real
