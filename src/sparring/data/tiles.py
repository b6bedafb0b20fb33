"""Prepared images as small pictures for people, beside each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 96  # pixels that a tile is about high on a page
_GAP = 3
PAPER = (246, 247, 249)
_CHECKERS = ((255, 255, 255), (226, 228, 232))  # behind what is transparent


def tile(pixels: NDArray[np.uint8], height: int = TILE) -> Image.Image:
    """One prepared image (H, W, C) as an RGB picture about `height` high: small ones in whole steps, so that one sees
    their pixels, large ones reduced."""
    picture = opaque(to_picture(pixels))
    if picture.height < height:
        factor = max(1, round(height / picture.height))
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    if picture.height == height:
        return picture
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS)


def to_picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """(H, W, C) with C = 1, 3 or 4 as a picture in grey, RGB or RGBA."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def opaque(picture: Image.Image) -> Image.Image:
    """In RGB, on a chessboard where it is transparent."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    y, x = np.mgrid[: picture.height, : picture.width] // max(4, picture.height // 16)
    board = np.array(_CHECKERS, np.uint8)[(x + y) % 2]
    return Image.alpha_composite(Image.fromarray(board).convert("RGBA"), picture).convert("RGB")


def sheet(tiles: list[Image.Image], columns: int) -> Image.Image:
    """Tiles of one size side by side, row by row."""
    width, height = tiles[0].size
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), PAPER)
    for k, one in enumerate(tiles):
        canvas.paste(one, (k % columns * (width + _GAP), k // columns * (height + _GAP)))
    return canvas
