"""The pictures on the page of a comparison, as data URLs that together stay within a few megabytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sparring.data.opening import Limits, Unusable, opened

MOST = 4_000_000
"""Bytes that all pictures of a page may take, written in base64."""
SIDES = {"large": 384, "small": 112}
"""Pixels: twice what the page shows of each kind, for fine screens. Only where the files would be too much."""
MOST_SMALL = 100
"""Seeds of a cell that are shown; how many more there are is said."""


def shown(cell: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The seeds of a cell that get a small picture."""
    seeds: Sequence[Mapping[str, Any]] = cell["seeds"]
    return seeds[:MOST_SMALL] if len(seeds) > 1 else []


def path_of(folder: Path, cell: Mapping[str, Any], seed: Mapping[str, Any]) -> Path:
    return folder / cell["folder"] / f"seed-{seed['seed']}.png"


def allowance(cells: Sequence[Mapping[str, Any]], folder: Path) -> int | None:
    """Bytes that each picture may have; None where all fit as they are."""
    sizes, count = 0, 0
    for cell in cells:
        found = [_size(path_of(folder, cell, seed)) for seed in shown(cell)]
        largest = max([*found, *[_size(path_of(folder, cell, seed)) for seed in cell["seeds"]]], default=0)
        sizes, count = sizes + sum(found) + largest, count + len(found) + 1
    return None if sizes * 4 <= MOST * 3 else MOST * 3 // (4 * count)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def url(path: Path, kind: str, allowed: int | None) -> str:
    """The picture as a data URL, "" if there is none. kind: "large" or "small".   allowed: bytes; None: as it is."""
    try:
        if allowed is None:
            return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        with opened(path.read_bytes(), Limits()) as picture:
            whole = picture.convert("RGB")
    except (OSError, Unusable):
        return ""
    side, data = float(SIDES[kind]), b""
    while side >= 8 and (not data or len(data) > allowed):
        small = whole.copy()
        small.thumbnail((round(side), round(side)), Image.Resampling.LANCZOS)
        packed = io.BytesIO()
        small.save(packed, "WEBP", quality=80)
        data, side = packed.getvalue(), side / 1.4
    return "data:image/webp;base64," + base64.b64encode(data).decode()
