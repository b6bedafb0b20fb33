"""Random affine maps of images, each with a probability (Karras et al. 2020, "Training generative adversarial networks
with limited data", appendix B): what `augment.adaptive` shows D.

All maps of an image are multiplied first, and the image is sampled once: bilinear, what lies outside mirrored. The
paper samples at twice the resolution through a wavelet filter; without it a rotated image is a little softer, of reals
and fakes alike. Mirrorings, quarter turns and whole shifts stay exact, but for rounding.

Sampling is linear in the image. torch knows its derivative, and not that one's: both are written out here, so that
penalties may take a gradient through it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.chance import Dice, Dices

SHIFT = 0.125
"""Largest whole shift, as a share of a side; and the standard deviation of a fractional one."""
STRETCH = 0.2
"""Standard deviation of log2 of a scale."""


def geometric(
    x: Tensor, dice: Dice | Dices, p: float | Tensor, *, whole: bool = True, fractional: bool = True
) -> Tensor:
    """(N, C, H, W) → the same shape: each map happens to each image with probability p, independently.

    whole: mirrored left-right, turned by quarters, shifted by whole pixels.   fractional: scaled, turned by any angle,
    scaled along one axis, shifted.

    >>> x = torch.rand(2, 3, 8, 8)
    >>> geometric(x, Dice(0, "real", range(2)), 1.0).shape
    torch.Size([2, 3, 8, 8])
    """
    return warp(x, _maps(x, dice, p, whole, fractional))


def warp(x: Tensor, maps: Tensor) -> Tensor:
    """The images whose pixel at place q, in pixels from the centre (right, down, 1), is that of x at place M q.

    (N, C, H, W), (N, 3, 3) → (N, C, H, W).

    >>> x = torch.arange(4.0).view(1, 1, 2, 2)
    >>> warp(x, torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None])[0, 0]
    tensor([[1., 0.],
            [3., 2.]])
    """
    height, width = x.shape[2:]
    unit = torch.tensor([width / 2, height / 2, 1.0], device=maps.device)
    theta = (maps * unit / unit[:, None])[:, :2]  # in shares of half a side
    grid = F.affine_grid(theta, list(x.shape), align_corners=False).to(x.dtype)
    result: Tensor = _Sample.apply(x, grid)  # type: ignore[no-untyped-call]
    return result


class _Sample(torch.autograd.Function):
    """Bilinear values of x (N, C, H, W) at grid (N, H', W', 2), mirrored at the edges."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(gradients[0], grid), None  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    """The adjoint of `_Sample` for images of the size of what it made."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, mirrored = 0, 2
        made: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            g.contiguous(), torch.empty_like(g), grid, bilinear, mirrored, False, [True, False]
        )[0]
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradients[0], grid), None  # type: ignore[no-untyped-call]


# ── the maps ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _maps(x: Tensor, dice: Dice | Dices, p: float | Tensor, whole: bool, fractional: bool) -> Tensor:
    """(N, 3, 3) from places in the result to places in x: inverses of what is done, in the order in which it is."""
    height, width = x.shape[2:]
    found: list[Tensor] = []

    def throw(name: str, p: float | Tensor = p) -> tuple[Tensor, Tensor, Tensor]:
        """Whether it happens (n,), and two numbers uniform in [0, 1) (n,) each."""
        u = dice.of(name).uniform(3).to(x.device)
        return u[:, 0] < p, u[:, 1], u[:, 2]

    if whole:
        happens, u, _ = throw("mirror")
        found.append(_scale(torch.where(happens & (u < 0.5), -1.0, 1.0)))
        happens, u, _ = throw("quarters")
        found.append(_turn(torch.where(happens, (u * 4).floor() * (math.pi / 2), 0.0)))
        happens, u, v = throw("whole shift")
        right, down = (((2 * share - 1) * SHIFT * side).round() for share, side in ((u, width), (v, height)))
        found.append(_shift(torch.where(happens, right, 0.0), torch.where(happens, down, 0.0)))
    if fractional:
        size = torch.exp2(STRETCH * dice.of("sizes").normal(2).to(x.device))
        happens, *_ = throw("scale")
        s = torch.where(happens, size[:, 0], 1.0)
        found.append(_scale(1 / s, 1 / s))
        twice = 1 - (1 - p) ** 0.5  # so that one of the two turns happens with probability p
        happens, u, _ = throw("turn", twice)
        found.append(_turn(torch.where(happens, (2 * u - 1) * math.pi, 0.0)))
        happens, *_ = throw("stretch")
        s = torch.where(happens, size[:, 1], 1.0)
        found.append(_scale(1 / s, s))
        happens, u, _ = throw("turn again", twice)
        found.append(_turn(torch.where(happens, (2 * u - 1) * math.pi, 0.0)))
        happens, *_ = throw("shift")
        by = SHIFT * dice.of("shifts").normal(2).to(x.device)
        found.append(_shift(torch.where(happens, by[:, 0] * width, 0.0), torch.where(happens, by[:, 1] * height, 0.0)))
    maps = torch.eye(3, device=x.device).expand(len(x), 3, 3)
    for each in found:
        maps = maps @ each
    return maps


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """(n, 3, 3) of its first two rows, of (n,) each."""
    n = rows[0][0]
    last = [torch.zeros_like(n), torch.zeros_like(n), torch.ones_like(n)]
    return torch.stack([torch.stack(row, -1) for row in [*rows, last]], -2)


def _scale(x: Tensor, y: Tensor | None = None) -> Tensor:
    zero, y = torch.zeros_like(x), torch.ones_like(x) if y is None else y
    return _matrix([[x, zero, zero], [zero, y, zero]])


def _turn(angle: Tensor) -> Tensor:
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrix([[cos, -sin, zero], [sin, cos, zero]])


def _shift(right: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(right), torch.ones_like(right)
    return _matrix([[one, zero, -right], [zero, one, -down]])
