"""Dropout whose chance comes from outside, so that a run is a function of its seed."""

from __future__ import annotations

from torch import Tensor


def dropout(x: Tensor, p: float, uniform: Tensor) -> Tensor:
    """x with each element zeroed with probability p and the rest divided by 1 − p (Srivastava et al. 2014, section 10).

    x: any shape, (N, …).   p: in [0, 1]; 1 gives zeros.
    uniform: numbers in [0, 1), of x's shape, or (N, C, 1, 1) to drop whole maps: `now.chance("dropout").uniform(...)`.

    >>> import torch
    >>> dropout(torch.ones(4), 0.5, torch.tensor([0.1, 0.4, 0.6, 0.9]))
    tensor([0., 0., 2., 2.])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must lie in [0, 1], not {p}")
    if p == 0.0:
        return x
    keep = (uniform >= p).to(x.dtype)
    return x * keep if p == 1.0 else x * keep * (1.0 / (1.0 - p))
