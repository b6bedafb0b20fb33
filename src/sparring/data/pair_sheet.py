"""Pairs as people see them: what is given beside what is to be made of it, label maps in the colours of their classes.

Nothing but a look tells whether the two sides are the right way round and belong together, so there is one before
anything is trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sparring.data.dataset import Dataset
from sparring.data.report import brief
from sparring.data.sides import SideSpec
from sparring.data.tiles import PAPER, tile

SHOWN = 8
"""Pairs on a sheet."""
_HEIGHT = 160  # pixels of a tile
_GAP, _BETWEEN, _LINE = 4, 22, 18
_INK, _PALE = (32, 36, 44), (96, 102, 112)


def of_survey(dataset: Dataset, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What is given, and what is to be made of it, in row `row` of the survey: (H, W, C) uint8 as a person sees them.
    Of unpaired data what is given is of the same row of its own, modulo how many there are."""
    given, k = dataset.given, len(dataset.held_out)
    assert given is not None
    theirs = given.held_out if row < k and len(given.held_out) else given.train
    one = theirs[(row if row < k else row - k) % len(theirs)]
    return visible(one, given.side), visible(dataset.row(row), dataset.side)


def visible(stored: NDArray[np.uint8], side: SideSpec | None) -> NDArray[np.uint8]:
    """(…, H, W, c) as stored → as a person sees it: label maps in colours, (…, H, W, 3)."""
    maps = side.maps if side is not None else None
    return maps.palette.paint(stored[..., 0]) if maps is not None else stored


def chosen(dataset: Dataset, count: int = SHOWN) -> list[int]:
    """Rows of the survey for training, evenly chosen."""
    first, n = len(dataset.held_out), len(dataset.train)
    rows: list[int] = (first + np.linspace(0, n - 1, min(count, n)).round().astype(np.int64)).tolist()
    return rows


def pair_sheet(dataset: Dataset, rows: list[int] | None = None, *, direction: str = "AtoB") -> Image.Image:
    """A sheet of pairs, two in a row, each with its name: by default `SHOWN` of those for training.

    direction: which of the sides is called A, as of `Options`."""
    assert dataset.given is not None
    rows = chosen(dataset) if rows is None else rows
    tiles = [[tile(np.asarray(side), _HEIGHT) for side in of_survey(dataset, row)] for row in rows]
    width = max(sum(one.width for one in pair) for pair in tiles) + _GAP
    height = max(one.height for pair in tiles for one in pair)
    columns = min(len(rows), max(1, round(1_400 / (width + _BETWEEN))), 2 if width > 300 else 4)
    down = -(-len(rows) // columns)
    step = (width + _BETWEEN, height + _LINE + _BETWEEN // 2)
    canvas = Image.new("RGB", (columns * step[0] + _BETWEEN, down * step[1] + _LINE + 2 * _GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    given, made = ("A", "B") if direction == "AtoB" else ("B", "A")
    for column in range(columns):
        left = _BETWEEN + column * step[0]
        draw.text((left, _GAP), f"given ({given})", fill=_INK, font=font)
        draw.text((left + tiles[0][0].width + _GAP, _GAP), f"to be made ({made})", fill=_INK, font=font)
    for number, (row, pair) in enumerate(zip(rows, tiles, strict=True)):
        left, top = _BETWEEN + number % columns * step[0], _LINE + 2 * _GAP + number // columns * step[1]
        canvas.paste(pair[0], (left, top))
        canvas.paste(pair[1], (left + pair[0].width + _GAP, top))
        name = brief(dataset.file(row) if dataset.given.paired else "drawn independently", max(12, width // 7))
        draw.text((left, top + height + 2), name.encode("ascii", "replace").decode(), fill=_PALE, font=font)
    return canvas
