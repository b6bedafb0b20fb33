"""How often single pictures that are twice as wide as high are taken for two side by side, and pairs for what they are.

    python -m benchmarks.halves                (make bench-halves; half a minute, ../shared/data is needed)

Pairs: facades (a photograph beside its label map) and OpenMoji (an outline beside its drawing). Single ones: the middle
of cat faces, clothes, emoji, and of either half of the facades, cut to 2:1. At most 200 of each, evenly chosen.
A data set is called pairs where most of 16 pictures look like two: `alarm` is the probability of that if each of 16
does so by chance as often as was seen.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.halves import LOOKED_AT, alike, seam

OUT = Path(__file__).parent / "results" / "halves.json"
MOST = 200
Picture = NDArray[np.uint8]


def pictures(archive: zipfile.ZipFile, beginning: str = "") -> Iterator[tuple[str, Picture]]:
    """At most `MOST` pictures whose names begin so, evenly chosen, transparent ones on white."""
    names = sorted(name for name in archive.namelist() if name.startswith(beginning) and not name.endswith("/"))
    names = [name for name in names if name.lower().endswith((".png", ".jpg", ".webp"))]
    for number in np.unique(np.linspace(0, len(names) - 1, min(MOST, len(names))).astype(int)).tolist():
        with Image.open(io.BytesIO(archive.read(names[number]))) as image:
            picture = Image.new("RGBA", image.size, "white")
            picture.alpha_composite(image.convert("RGBA"))
        yield names[number], np.asarray(picture.convert("RGB"))


def middle(picture: Picture) -> Picture:
    """The middle of a picture, twice as wide as high."""
    height, width = picture.shape[:2]
    wanted = min(height, width // 2)
    top, left = (height - wanted) // 2, (width - 2 * wanted) // 2
    return picture[top : top + wanted, left : left + 2 * wanted]


def sets(shared: Path) -> Iterator[tuple[str, bool, list[Picture]]]:
    """(name, whether they are two side by side, pictures)."""
    facades = [picture for _, picture in pictures(zipfile.ZipFile(shared / "facades_512x256.zip"))]
    yield "facades: photograph | label map", True, facades
    drawn = zipfile.ZipFile(shared / "openmoji_pairs_64.zip")
    both = [(name, picture) for name, picture in pictures(drawn, "B/")]
    outlines = {name: np.asarray(Image.open(io.BytesIO(drawn.read("A" + name[1:]))).convert("RGB")) for name, _ in both}
    yield "OpenMoji: outline | drawing", True, [np.concatenate([outlines[name], made], 1) for name, made in both]
    yield "photographs of facades", False, [middle(one[:, : one.shape[1] // 2]) for one in facades]
    yield "label maps of facades", False, [middle(one[:, one.shape[1] // 2 :]) for one in facades]
    for name, beginning in (("cat_faces_64", ""), ("clothing_128", ""), ("emoji_styles_64", "noto/")):
        found = pictures(zipfile.ZipFile(shared / f"{name}.zip"), beginning)
        yield f"{name} {beginning}".strip(), False, [middle(one) for _, one in found]


def main() -> None:
    shared = Path(os.environ.get("SPARRING_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    rows = []
    for name, two, found in sets(shared):
        steps = [seam(one) for one in found]
        edges = [alike(one, other) for one, other in zip(found, found[1:] + found[:1], strict=True)]
        share = float(np.mean(np.logical_or(steps, edges)))
        rows.append({"set": name, "two": two, "pictures": len(found), "seam": float(np.mean(steps)),
                     "alike": float(np.mean(edges)), "either": share,
                     "alarm": float(f"{_most(share):.2g}")})  # fmt: skip
        print(json.dumps(rows[-1]))
    said = {"command": "python -m benchmarks.halves", "machine": platform.platform(), "cores": os.cpu_count()}
    OUT.write_text(json.dumps({**said, "looked_at": LOOKED_AT, "rows": rows}, indent=1) + "\n", "utf-8")


def _most(share: float) -> float:
    """The probability that more than half of `LOOKED_AT` look like two."""
    n = LOOKED_AT
    return sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n // 2 + 1, n + 1))


if __name__ == "__main__":
    main()
