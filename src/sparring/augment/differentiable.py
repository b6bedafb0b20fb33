"""Differentiable augmentation (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training").

D sees only T(x) and T(G(z)), in its own turn and in G's, with T of the same law but drawn anew: so G is trained through
T, and what T does to the data is not learnt. Every T here is affine in x, on the device, for images in [−1, 1] of any
size with 1, 3 or 4 channels (the fourth is alpha, which colour leaves alone).

Strengths are those of the paper's code: brightness ± 0.5 of the range [−1, 1], saturation × [0, 2], contrast
× [0.5, 1.5], translation by up to 1/8 of each side, a hole of half of each side filled with 0 (mid-grey).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice, Dices
from sparring.errors import UsageError

SHIFT = 1 / 8
"""Largest translation, as a share of a side."""
HOLE = 1 / 2
"""Side of the hole, as a share of the image's side."""


def augment(
    x: Tensor, dice: Dice | Dices, p: float, policy: Sequence[str] = ("color", "translation", "cutout")
) -> Tensor:
    """T(x), (N, C, H, W) → the same shape: each operation happens to each image with probability p, independently.

    x:      images in [−1, 1]; the result may leave that range.
    dice:   for the N samples of x; give real and generated images different dice.
    p:      in [0, 1]; 0 returns x itself.
    policy: names from `OPERATIONS`, applied in order.

    >>> x = torch.zeros(4, 3, 32, 32)
    >>> augment(x, Dice(0, "real", range(4)), p=1.0).shape
    torch.Size([4, 3, 32, 32])
    """
    unknown = [name for name in policy if name not in OPERATIONS]
    if unknown or not 0.0 <= p <= 1.0:
        raise UsageError(
            "AUGMENT",
            f"unknown augmentation {unknown[0]!r}" if unknown else f"p = {p} is not a probability",
            fix=f"choose from {', '.join(OPERATIONS)}, with p in [0, 1]",
        )
    if p == 0.0:
        return x
    for name in policy:
        x = OPERATIONS[name](x, dice, p)
    return x


def _chances(x: Tensor, dice: Dice | Dices, purpose: str, p: float, count: int) -> tuple[Tensor, ...]:
    """Whether the operation happens, and `count` numbers uniform in [0, 1): each (N, 1, 1, 1); bool, then x's dtype."""
    numbers = dice.of(purpose).uniform(1 + count).to(x.device)
    happens, *rest = numbers[:, :, None, None, None].unbind(1)
    return happens < p, *(value.to(x.dtype) for value in rest)


# ── colour ────────────────────────────────────────────────────────────────────────────────────────────────────────


def color(x: Tensor, dice: Dice | Dices, p: float) -> Tensor:
    """Brightness, saturation, contrast, each with probability p; alpha (a fourth channel) is left alone."""
    if x.shape[1] == 4:
        return torch.cat([color(x[:, :3], dice, p), x[:, 3:]], dim=1)
    happens, u = _chances(x, dice, "brightness", p, 1)
    x = x + torch.where(happens, u - 0.5, 0.0)
    if x.shape[1] > 1:
        happens, u = _chances(x, dice, "saturation", p, 1)
        x = _stretch(x, x.mean(1, keepdim=True), torch.where(happens, 2.0 * u, 1.0))
    happens, u = _chances(x, dice, "contrast", p, 1)
    return _stretch(x, x.mean((1, 2, 3), keepdim=True), torch.where(happens, u + 0.5, 1.0))


def _stretch(x: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    """centre + factor (x − centre), exactly x where the factor is 1."""
    return x + (factor - 1.0) * (x - centre)


# ── translation ───────────────────────────────────────────────────────────────────────────────────────────────────


def translation(x: Tensor, dice: Dice | Dices, p: float) -> Tensor:
    """Shift by a whole number of pixels, uniform in ± `SHIFT` of each side; what comes in is 0."""
    happens, u, v = _chances(x, dice, "translation", p, 2)
    shifts = []
    for share, side in ((u, x.shape[2]), (v, x.shape[3])):
        most = round(side * SHIFT)
        shift = (share.float() * (2 * most + 1)).long().clamp_(max=2 * most) - most  # − most … + most
        shifts.append(torch.where(happens, shift, 0).flatten())
    result: Tensor = _Shift.apply(x, *shifts)  # type: ignore[no-untyped-call]
    return result


class _Shift(torch.autograd.Function):
    """Image n moved down by dy[n] and right by dx[n], zeros following. Its adjoint is the opposite shift."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
        ctx.save_for_backward(dy, dx)
        height, width = x.shape[2:]
        index = [torch.arange(side, device=x.device) for side in (height, width)]
        rows, columns = index[0] - dy[:, None], index[1] - dx[:, None]  # (N, H), (N, W): where each pixel comes from
        inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
        samples = torch.arange(len(x), device=x.device)[:, None, None]
        pixels = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        moved = pixels[samples, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
        moved = moved * (inside_rows[:, :, None, None] & inside_columns[:, None, :, None])
        moved = moved.permute(0, 3, 1, 2)
        return moved.contiguous() if x.is_contiguous() else moved

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        dy, dx = ctx.saved_tensors
        return _Shift.apply(gradients[0], -dy, -dx), None, None  # type: ignore[no-untyped-call]


# ── cutout ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cutout(x: Tensor, dice: Dice | Dices, p: float) -> Tensor:
    """A rectangle of `HOLE` of each side becomes 0; its centre is uniform over the image, so it may be cut off."""
    happens, *centres = _chances(x, dice, "cutout", p, 2)
    inside = []
    for axis, centre in enumerate(centres, start=2):
        side = x.shape[axis]
        size = round(side * HOLE)
        first = (centre.float() * (side + 1)).long().clamp_(max=side) - size // 2  # (N, 1, 1, 1)
        at = torch.arange(side, device=x.device).view([-1, 1] if axis == 2 else [1, -1])
        inside.append((at >= first) & (at < first + size))
    return x * (~(happens & inside[0] & inside[1])).to(x.dtype)  # a product keeps the layout in memory; a fill does not


OPERATIONS: dict[str, Callable[[Tensor, Dice | Dices, float], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}
