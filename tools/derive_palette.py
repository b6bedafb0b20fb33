"""How the palette of the CMP facades was derived from JPEG pictures of label maps: the figures in docs/data.md.

Clustering: of the pixels in flat areas (nothing within a pixel differs by more than 3 levels) the most frequent colour
is a class, everything within 30 levels of it belongs to it, and so on with what is left, down to one pixel in 5,000.
Rounding: each cluster is compared with the 64 entries of MATLAB's colour map "jet", which drew the maps.

    python tools/derive_palette.py ../shared/data/facades_512x256.zip
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.palette import Palette, inside

RADIUS, FLAT, LEAST = 30.0, 3, 1 / 5_000
TOLERANCES = (16, 24, 32, 48, 64, 100)


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


def main(path: str) -> None:
    counts: NDArray[np.int64] = np.zeros(2**24, np.int64)
    for _, pixels in halves(path):
        red, green, blue = flat(pixels).astype(np.int64).T
        counts += np.bincount(red << 16 | green << 8 | blue, minlength=2**24)
    kinds = np.flatnonzero(counts)
    colours = np.stack([kinds >> 16, kinds >> 8 & 255, kinds & 255], axis=1)
    print(f"{len(kinds):,} colours in flat areas, {counts.sum():,} pixels")
    ramp, palette = jet(), Palette.load("cmp")
    rows = []
    for mean, share in clusters(colours, counts[kinds]):
        away = np.sqrt(((ramp - mean) ** 2).sum(axis=1))
        entry = int(away.argmin())
        rows.append((entry + 1, share, mean, ramp[entry], float(away[entry])))
    print("entry of jet | share | mean of the cluster | entry | distance | class")
    for entry, share, mean, colour, distance in sorted(rows, key=lambda row: row[0]):
        name = palette.names[palette.colours.tolist().index(colour.tolist())]
        print(f"{entry:3d} {100 * share:6.2f} % {mean.round(1)} {colour} {distance:4.1f} {name}")
    print("\nshare of pixels beyond a distance, of all and of those away from edges; photographs; JPEG quality 50")
    sums = np.zeros((len(TOLERANCES), 4))
    pictures = 0
    for photo, pixels in halves(path):
        pictures += 1
        again = io.BytesIO()
        Image.fromarray(pixels).save(again, "JPEG", quality=50)
        worse = np.asarray(Image.open(again))
        for row, most in enumerate(TOLERANCES):
            index = palette.index(pixels)[0]
            far = ((pixels.astype(int) - palette.paint(index)) ** 2).sum(axis=-1) > most**2
            sums[row] += (
                far.mean(),
                (far & inside(index)).mean(),
                palette.index(photo, most)[1],
                palette.index(worse, most)[1],
            )
    for most, shares in zip(TOLERANCES, 100 * sums / pictures, strict=True):
        print(f"{most:4d} " + " ".join(f"{share:6.2f} %" for share in shares))


if __name__ == "__main__":
    main(sys.argv[1])
