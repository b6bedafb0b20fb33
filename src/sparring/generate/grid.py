"""From tensors to pictures: rounding, grids, and clouds of 2-D points."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.errors import UsageError

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_INK = (38, 70, 140)
_REAL = (214, 140, 40)
_PAPER = (255, 255, 255)

VISIBLE = 48
"""Pixels: smaller tiles are enlarged."""


def to_bytes(images: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] → uint8 (N, H, W, C), rounded to the nearest level and clipped.

    The inverse of how the engine reads bytes, x = b / 127.5 − 1: every byte comes back as itself.

    >>> import torch
    >>> bytes_ = torch.arange(256).float().view(1, 1, 16, 16)
    >>> bool((to_bytes(bytes_ / 127.5 - 1).ravel() == np.arange(256)).all())
    True
    """
    if images.dim() != 4 or images.shape[1] not in _MODES:
        raise UsageError(
            "PICTURE-SHAPE", "pictures have the shape (N, C, H, W) with C = 1, 3 or 4", where=str(tuple(images.shape))
        )
    levels = images.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255)
    return np.ascontiguousarray(levels.byte().permute(0, 2, 3, 1).numpy())


def to_picture(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C) with C = 1, 3 or 4 → a picture in grey, RGB or RGBA."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def grid(
    images: Tensor, *, columns: int | None = None, rows: int | None = None, padding: int = 2, paper: int = 255
) -> Image.Image:
    """Images (N, C, H, W) in [-1, 1] side by side, row by row, as one picture.

    columns: tiles in a row; default: as square as possible.   padding: pixels between tiles and around them, of the
    grey level `paper`. With 4 channels the paper between is transparent.
    rows: instead, so many rows that are filled column by column: image k is in row k mod `rows`. Samples of a
    conditional game, of which number k is of class k mod classes, then have a row for each class.

    >>> import torch
    >>> grid(torch.zeros(8, 3, 16, 16), columns=4).size
    (74, 38)
    """
    tiles = to_bytes(images)
    n, height, width, channels = tiles.shape
    if not n:
        raise UsageError("PICTURE-EMPTY", "a grid needs at least one picture")
    if rows:
        places = [(k % rows, k // rows) for k in range(n)]
    else:
        columns = min(n, columns or math.ceil(math.sqrt(n * height / width)))
        places = [divmod(k, columns) for k in range(n)]
    down, across = (1 + max(place[axis] for place in places) for axis in (0, 1))
    sheet = np.full(
        (padding + down * (height + padding), padding + across * (width + padding), channels), paper, np.uint8
    )
    if channels == 4:
        sheet[..., 3] = 0
    for (row, column), tile in zip(places, tiles, strict=True):
        y, x = padding + row * (height + padding), padding + column * (width + padding)
        sheet[y : y + height, x : x + width] = tile
    return to_picture(sheet)


def scatter(points: Tensor, *, real: Tensor | None = None, extent: float | None = None, side: int = 480) -> Image.Image:
    """Points (N, D ≥ 2) as a cloud on white: the first two coordinates, y upwards; `real` below, in another colour.

    extent: the picture shows [-extent, extent]²; default: what holds all points of `real` (or else of `points`).
    A point outside is drawn on the border, so that none is lost.
    """
    clouds = [(points, _INK)] if real is None else [(real, _REAL), (points, _INK)]
    if any(cloud.dim() != 2 or cloud.shape[1] < 2 for cloud, _ in clouds):
        raise UsageError("PICTURE-SHAPE", "a cloud has the shape (N, D), D at least 2", where=str(tuple(points.shape)))
    shown = points if real is None else real
    if extent is None:
        finite = shown[..., :2][shown[..., :2].isfinite()].abs()
        extent = 1.1 * float(finite.max()) if finite.numel() else 1.0
    factor = 2  # drawn larger and reduced: smooth discs
    sheet = Image.new("RGB", (side * factor, side * factor), _PAPER)
    pen = ImageDraw.Draw(sheet, "RGBA")
    radius = 2 * factor
    for cloud, ink in clouds:
        xy = cloud[:, :2].detach().float().cpu().nan_to_num(0.0, extent, -extent).clamp(-extent, extent).numpy()
        places = (np.stack([xy[:, 0], -xy[:, 1]], 1) / (extent or 1.0) + 1) * 0.5 * (side * factor - 1)
        for x, y in places.tolist():
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*ink, 110))
    return sheet.resize((side, side), Image.Resampling.LANCZOS)


def picture(
    samples: Tensor, *, columns: int | None = None, rows: int | None = None, real: Tensor | None = None
) -> Image.Image:
    """A grid of images (N, C, H, W), small ones enlarged in whole steps until one can see them; or a cloud of points
    (N, D) over the `real` ones, where numbers (N, 1) lie on a line. columns, rows: of `grid`."""
    if samples.dim() == 4:
        sheet, factor = grid(samples, columns=columns, rows=rows), -(-VISIBLE // min(samples.shape[-2:]))
        return (
            sheet
            if factor == 1
            else sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST)
        )
    return scatter(_in_plane(samples), real=None if real is None else _in_plane(real))


def _in_plane(points: Tensor) -> Tensor:
    return torch.cat([points, torch.zeros_like(points)], dim=1) if points.shape[1] == 1 else points
