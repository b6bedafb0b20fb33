"""Perceptual path length: how much a sample changes when its latent moves a little (Karras et al. 2019, "A style-based
generator architecture", section 4.1; 2020, "Analyzing and improving the image quality of StyleGAN", section 3).

l = E |f(G(path(z₁, z₂; t))) − f(G(path(z₁, z₂; t + ε)))|² / ε², f a feature of the image. A short path is a smooth one:
no detail appears and vanishes between two samples. A collapsed generator has a short path too, so it is never to be
read alone; and the number belongs to f, ε, the path and the latents: it compares with nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, bootstrap
from sparring.priors.paths import lerp, slerp

PATHS = {"slerp": slerp, "lerp": lerp}
"""Great circle: of normal latents. Straight line: of uniform ones, and of mapped ones (StyleGAN's w)."""


@torch.no_grad()
def steps(
    decode: Callable[[Tensor], Tensor],
    embed: Callable[[Tensor], Tensor],
    latents: Callable[[Dice], Tensor],
    samples: int,
    *,
    seed: int = 0,
    path: Literal["slerp", "lerp"] = "slerp",
    epsilon: float = 1e-4,
    ends: bool = False,
    batch: int = 32,
) -> NDArray[np.float64]:
    """The squared change of features over ε² at `samples` random places of random paths: (samples,) float64 ≥ 0.

    decode:  (n, z) latents → (n, C, H, W) float images, not quantised: a step of 10⁻⁴ is less than an 8-bit level.
    embed:   images → (n, …) features; a feature of the pixels themselves is fine.
    latents: dice → (n, z) latents of the prior, as `HasLatents.latents`.
    ends:    t = 0 only (Karras et al. 2020 recommend it in w) instead of t uniform in [0, 1).
    The two images of a step are the same row of two batches: what `decode` adds by row (a class) is the same for both.
    """
    between = PATHS[path]
    found = []
    for start in range(0, samples, batch):
        dice = Dice(seed, "ppl", range(start, min(start + batch, samples)))
        a, b = latents(dice.of("a")), latents(dice.of("b"))
        t = torch.zeros(len(a), 1) if ends else dice.of("t").uniform(1)
        t = t.to(a).double()
        here, there = (
            embed(decode(between(a.double(), b.double(), u).to(a.dtype))).flatten(1).double() for u in (t, t + epsilon)
        )
        found.append((here - there).square().sum(1).cpu().numpy() / epsilon**2)
    return np.concatenate(found)


def length(values: NDArray[np.floating], seed: int = 0, times: int = 500, cut: float = 0.01) -> Measured:
    """The mean of `steps` (n,) between their `cut` and 1 − `cut` quantiles, as published (1 % and 99 %), with the
    bootstrap interval.

    >>> length(np.r_[0.0, np.ones(398), 1e9]).value
    1.0
    """
    x = np.asarray(values, np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise SparringError("METRIC-FEW", "a path length needs finite steps")
    return bootstrap(len(x), lambda rows: _trimmed(x[rows], cut), times, seed, "ppl")


def ppl(
    decode: Callable[[Tensor], Tensor],
    embed: Callable[[Tensor], Tensor],
    latents: Callable[[Dice], Tensor],
    samples: int = 10_000,
    *,
    seed: int = 0,
    path: Literal["slerp", "lerp"] = "slerp",
    epsilon: float = 1e-4,
    ends: bool = False,
    batch: int = 32,
) -> Measured:
    """`length` of `steps`: the perceptual path length with its interval.

    >>> scale = torch.tensor([3.0, 4.0])  # of a linear G on a straight path it is E |W (z₁ − z₂)|²
    >>> print(ppl(lambda z: z * scale, lambda x: x, lambda dice: dice.normal(2), 2000, path="lerp"))
    4... [4..., ...]
    """
    found = steps(decode, embed, latents, samples, seed=seed, path=path, epsilon=epsilon, ends=ends, batch=batch)
    return length(found, seed)


def _trimmed(x: NDArray[np.float64], cut: float) -> float:
    low = np.quantile(x, cut, method="lower")
    high = np.quantile(x, 1 - cut, method="higher")
    return float(x[(low <= x) & (x <= high)].mean())
