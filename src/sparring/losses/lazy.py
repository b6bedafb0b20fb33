"""Lazy penalties: paid every k-th round only, k times as much (Karras et al. 2020, StyleGAN2, appendix B)."""

from __future__ import annotations


def weight(once: float, interval: int) -> float:
    """The weight of a penalty paid in one of `interval` rounds: k times the usual, so that the mean is the same.

    Gate it with `Now.every(interval)`. Huang et al. 2024 found lazy penalties to diverge on StackedMNIST and on 2-D
    games: the default everywhere is k = 1.

    >>> weight(5.0, 4)
    20.0
    """
    return once * interval


def adam(lr: float, beta1: float, beta2: float, interval: int) -> tuple[float, float, float]:
    """Adam's settings when the penalty is *its own step* after every k steps: lr · c, β₁ᶜ, β₂ᶜ with c = k / (k + 1).

    Then k + 1 steps go as far, and their averages remember as long, as k steps did (Karras et al. 2020, appendix B).
    Not needed where the penalty is a term in an ordinary step, which is how this engine pays it.

    >>> [round(x, 6) for x in adam(0.0025, 0.0, 0.99, 16)]
    [0.002353, 0.0, 0.990585]
    """
    c = interval / (interval + 1)
    return lr * c, beta1**c, beta2**c
