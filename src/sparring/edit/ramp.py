"""The step sizes of an optimisation in latent space (Karras et al. 2020, "Analyzing and improving the image quality of
StyleGAN", appendix D)."""

from __future__ import annotations

import math

UP, DOWN, NOISY = 0.05, 0.25, 0.75
"""Shares of the steps: at the beginning, the step size rises; at the end, it falls; up to here, there is noise."""


def step_size(t: float, largest: float = 0.1, up: float = UP, down: float = DOWN) -> float:
    """At t in [0, 1]: rising linearly, then `largest`, then falling as a cosine to 0.

    >>> [round(step_size(t), 4) for t in (0.0, 0.025, 0.5, 0.875, 1.0)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    fall = min(1.0, (1.0 - t) / down)
    return largest * (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, t / up)


def noise(t: float, strength: float = 0.05) -> float:
    """Standard deviation of the noise at t, in those of the codes: falling as a square, to 0 at `NOISY`.

    >>> noise(0.0), noise(0.75), noise(1.0)
    (0.05, 0.0, 0.0)
    """
    return strength * max(0.0, 1.0 - t / NOISY) ** 2
