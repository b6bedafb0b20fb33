"""How the palette of the CMP facades was derived from JPEG pictures of label maps: the figures in docs/data.md.

They are kept in benchmarks/results/palette.json.

Clustering: of the pixels in flat areas (nothing within a pixel differs by more than 3 levels) the most frequent colour
is a class, everything within 30 levels of it belongs to it, and so on with what is left, down to one pixel in 5,000.
Rounding: each cluster is compared with the 64 entries of MATLAB's colour map "jet", which drew the maps.

    python -m tools.derive_palette ../shared/data/facades_512x256.zip
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed.machine import describe
from sparring.data.palette import TOLERANCE, Palette, inside

RADIUS, FLAT, LEAST = 30.0, 3, 1 / 5_000
TOLERANCES = (16, 24, 32, 48, 64, 100)
NEAREST = 1000  # levels: a tolerance so large that each pixel is of the nearest colour
OUT = Path(__file__).parents[1] / "benchmarks" / "results" / "palette.json"


def halves(path: str) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """(photograph, label map) of each picture, (256, 256, 3)."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jpg"):
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    both = np.asarray(image.convert("RGB"))
                yield both[:, :256], both[:, 256:]


def flat(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 3): the pixels that differ from their eight neighbours by at most `FLAT` levels."""
    around = np.stack([pixels[y : y + 254, x : x + 254] for y in range(3) for x in range(3)]).astype(np.int16)
    same = (np.abs(around - around[4]).max(axis=(0, 3)) <= FLAT) & (around[4].min(axis=-1) >= 0)
    return around[4][same].astype(np.uint8)


def clusters(colours: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.float64], float]]:
    """(mean colour, share) of each, the largest first."""
    left, total = counts.copy(), counts.sum()
    while True:
        near = ((colours - colours[left.argmax()]) ** 2).sum(axis=1) <= RADIUS**2
        share = left[near].sum() / total
        if share < LEAST:
            return
        yield np.average(colours[near], axis=0, weights=np.maximum(left[near], 1e-9)), float(share)
        left[near] = 0


def jet(entries: int = 64) -> NDArray[np.uint8]:
    """(64, 3): MATLAB's colour map, in which each channel is a trapezium of height 1 and slopes of ±4."""
    at = np.arange(1, entries + 1)[:, None] / (entries / 4)
    return np.floor(np.clip(1.5 - np.abs(at - [3.0, 2.0, 1.0]), 0, 1) * 255 + 0.5).astype(np.uint8)


def derived(path: str, palette: Palette) -> dict[str, Any]:
    """The colours that there are, and the clusters of those in flat areas beside the entries of jet."""
    counts: NDArray[np.int64] = np.zeros(2**24, np.int64)
    there = np.zeros(2**24, np.bool_)
    for _, pixels in halves(path):
        there[_number(pixels.reshape(-1, 3))] = True
        numbers, times = np.unique(_number(flat(pixels)), return_counts=True)
        counts[numbers] += times
    kinds = np.flatnonzero(counts)
    colours = np.stack([kinds >> 16, kinds >> 8 & 255, kinds & 255], axis=1)
    ramp, rows = jet(), []
    for mean, share in clusters(colours, counts[kinds]):
        away = np.sqrt(((ramp - mean) ** 2).sum(axis=1))
        entry = int(away.argmin())
        name = palette.names[palette.colours.tolist().index(ramp[entry].tolist())]
        rows.append({
            "entry": entry + 1, "class": name, "share": round(share, 4), "mean": mean.round(1).tolist(),
            "colour": ramp[entry].tolist(), "levels_apart": round(float(away[entry]), 2),
        })  # fmt: skip
    rows.sort(key=lambda row: row["entry"])
    return {"colours": int(there.sum()), "colours_in_flat_areas": len(kinds), "clusters": rows}


def _number(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = pixels.astype(np.int64).T
    return red << 16 | green << 8 | blue


def beyond(path: str, palette: Palette) -> dict[str, Any]:
    """Shares of pixels beyond a distance; how many of the photographs, and where the classes lie."""
    sums, photographs = np.zeros((len(TOLERANCES), 4)), []
    heights, sizes = np.zeros(len(palette)), np.zeros(len(palette))
    for photo, pixels in halves(path):
        again = io.BytesIO()
        Image.fromarray(pixels).save(again, "JPEG", quality=50)
        seen = [palette._nearest(x) for x in (pixels, np.asarray(Image.open(again)), photo)]
        within = [inside(number) for number, _ in seen]
        for row, most in enumerate(TOLERANCES):
            far = [square > most**2 for _, square in seen]
            sums[row] += (far[0].mean(), *((x & y).mean() for x, y in zip(far, within, strict=True)))
        photographs.append(float(((seen[2][1] > TOLERANCE**2) & within[2]).mean()))
        index = palette.index(pixels)[0].ravel()
        sizes += np.bincount(index, minlength=len(palette))
        heights += np.bincount(index, np.repeat(np.arange(256) / 255, 256), len(palette))
    names = ("label maps", "away from edges", "the same at JPEG quality 50", "photographs")
    shares = sums / len(photographs)
    return {
        "pictures": len(photographs),
        "beyond": {
            str(most): dict(zip(names, row.round(4).tolist(), strict=True))
            for most, row in zip(TOLERANCES, shares, strict=True)
        },
        "least_of_a_photograph": round(min(photographs), 4),
        "mean_height_from_the_top": dict(zip(palette.names, (heights / sizes).round(3).tolist(), strict=True)),
    }


def missing(maps: list[NDArray[np.uint8]], palette: Palette) -> dict[str, float]:
    """The share of pixels of no colour, where the palette lacks a class."""
    found = {}
    for k, name in enumerate(palette.names):
        rest = Palette(tuple(np.delete(palette.names, k)), np.delete(palette.colours, k, axis=0))
        found[name] = round(float(np.mean([rest.index(pixels)[1] for pixels in maps])), 4)
    return found


def lone(index: NDArray[np.uint8]) -> float:
    """The share of pixels that lie in no 2 x 2 block of their class."""
    block = (index[1:, 1:] == index[:-1, 1:]) & (index[1:, 1:] == index[1:, :-1]) & (index[1:, 1:] == index[:-1, :-1])
    kept = np.zeros(index.shape, np.bool_)
    for y in (0, 1):
        for x in (0, 1):
            kept[y : y + block.shape[0], x : x + block.shape[1]] |= block
    return float(1 - kept.mean())


def milliseconds(act: Callable[[], object], times: int = 10) -> float:
    act()
    began = time.process_time()
    for _ in range(times):
        act()
    return round(1000 * (time.process_time() - began) / times, 1)


def main(path: str) -> None:
    palette = Palette.load("cmp")
    every = [pixels for _, pixels in halves(path)][::10]
    five = every[::10]
    large = np.concatenate([np.concatenate(every[k : k + 2], axis=1) for k in (0, 2)])
    clean = palette.paint(palette.index(large)[0])
    record = {
        "what": "the palette of the CMP facades, derived from JPEG pictures of label maps",
        "command": f"python -m tools.derive_palette {path}",
        **derived(path, palette),
        **beyond(path, palette),
        "without_a_class": {"pictures": len(every), "share_of_no_colour": missing(every, palette)},
        "no_block_of_their_class": {
            "by the nearest colour": [round(lone(palette.index(pixels, NEAREST)[0]), 4) for pixels in five],
            "with the neighbours": [round(lone(palette.index(pixels)[0]), 4) for pixels in five],
        },
        "cpu_milliseconds_512x512": {
            "JPEG": milliseconds(lambda: palette.index(large)),
            "without blends": milliseconds(lambda: palette.index(clean)),
        },
        "machine": describe(1),
    }  # fmt: skip
    OUT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
