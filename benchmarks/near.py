"""Which changed copies are found, what is reported besides, and what a million pictures cost: `results/near.json`.

    python -m benchmarks.near          the figures of *near-duplicates* in docs/data.md

Every thirtieth cat face is changed in some ways, and looked for among all of them and their copies. Then whole sets are
looked through as `sparring check` does: cats and clothes as they are trained on, digits at 28 px. Last, a million
hashes at random, of which some have a second one that differs from it in a few bits.
"""

from __future__ import annotations

import io
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed.machine import describe
from sparring.data import open_data
from sparring.data.duplicates import alike, candidates, look

OUT = Path(__file__).parent / "results" / "near.json"
SHARED = Path("../shared/data")
Picture = NDArray[np.uint8]


def _resized(picture: Picture, box: tuple[int, int, int, int], by: tuple[int, int] | None = None) -> Picture:
    """The part in `box` at the size of the whole; by way of the size `by`, if there is one."""
    part = Image.fromarray(picture).crop(box)
    part = part.resize(by, Image.Resampling.LANCZOS) if by else part
    return np.asarray(part.resize(picture.shape[1::-1], Image.Resampling.LANCZOS))


def jpeg(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    with Image.open(file) as image:
        return np.asarray(image)


def brighter(picture: Picture, by: float = 1.05) -> Picture:
    return (picture * by).clip(0, 255).round().astype(np.uint8)


def cropped(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return _resized(picture, (1, 1, width - 1, height - 1))


def smaller(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return _resized(picture, (0, 0, width, height), (width * 3 // 4, height * 3 // 4))


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG at quality 60": jpeg,
    "5 % brighter": brighter,
    "5 % darker": lambda picture: brighter(picture, 0.95),
    "cropped by a pixel and resized": cropped,
    "three quarters of the size and back": smaller,
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "brighter, cropped and JPEG": lambda picture: jpeg(cropped(brighter(picture))),
}


def looks(pictures: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.array([look(picture) for picture in pictures], np.uint64)


def found_again(pictures: NDArray[np.uint8]) -> dict[str, float]:
    """The share of changed copies that are reported with what they were made of, or equal it."""
    n, shares = len(pictures), {}
    for name, change in CHANGES.items():
        both = np.concatenate([pictures, np.stack([change(picture) for picture in pictures])])
        pairs = {(a, b) for a, b, _ in alike(looks(both), both.__getitem__)}
        equal = (both[:n] == both[n:]).all((1, 2, 3))
        shares[name] = round(sum(bool(equal[k]) or (k, k + n) in pairs for k in range(n)) / n, 4)
    return shares


def reported(pictures: NDArray[np.uint8]) -> dict[str, Any]:
    began = time.process_time()
    pairs = alike(looks(pictures), lambda rows: pictures[rows])
    return {"pictures": len(pictures), "pairs": len(pairs), "cpu_seconds": round(time.process_time() - began, 1)}


def a_million(copies: int = 10_000) -> dict[str, Any]:
    """Seconds, memory, and the share of copies that are found by the number of bits in which they differ."""
    chance = np.random.default_rng(0)
    bits = chance.integers(0, 2**64, 1_000_000, np.uint64, endpoint=False)
    plain, record = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, {}
    for apart in (2, 4, 5):
        all_bits = bits.copy()
        for k in range(copies):
            turned = chance.choice(64, apart, replace=False).astype(np.uint64)
            all_bits[-1 - k] = bits[k] ^ np.bitwise_or.reduce(np.uint64(1) << turned)
        began = time.process_time()
        rows = candidates(all_bits)
        seconds = time.process_time() - began
        wanted = {(k, len(bits) - 1 - k) for k in range(copies)}
        found = len(wanted & {(int(a), int(b)) for a, b in rows[:, :2]})
        record[f"{apart} bits"] = {"found": found / copies, "cpu_seconds": round(seconds, 1)}
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"looks": len(bits), "copies": copies, **record, "memory_mb_added_at_most": round((most - plain) / 1024)}


def divided() -> dict[str, int]:
    """OpenMoji's outlines and drawings: how many are held out, and how many of their outlines are trained on too."""
    data = open_data(str(SHARED / "openmoji_pairs_64.zip"), size=(64, 64), needs={"pair"})
    assert data.given is not None
    held, train = np.asarray(data.given.held_out), np.asarray(data.given.train)
    trained = {picture.tobytes() for picture in train}
    looked = looks(np.concatenate([held, train]))
    every = np.concatenate([held, train])
    pairs = alike(looked, every.__getitem__)
    return {
        "pairs": len(every),
        "held_out": len(held),
        "equal_to_one_of_training": sum(picture.tobytes() in trained for picture in held),
        "nearly_equal_to_one_of_training": len({a for a, b, _ in pairs if a < len(held) <= b}),
    }


def whole(source: str | Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """All images of a source as they are trained on, held-out ones too, (n, H, W, C)."""
    data = open_data(str(source), size=size)
    return np.concatenate([np.asarray(data.train), np.asarray(data.held_out)])


def main() -> None:
    million = a_million()  # first: it is measured by the most memory that was taken
    print(million, flush=True)
    cats = whole(SHARED / "cat_faces_64.zip", (64, 64))
    digits = whole(SHARED / "mnist" / "train-images-idx3-ubyte.gz", (28, 28))[:20_000]
    clothes = whole(SHARED / "clothing_128.zip", (128, 128))
    record = {
        "what": "near-duplicates: copies found, pairs reported of whole sets, a million hashes",
        "command": "python -m benchmarks.near",
        "seed": 0,
        "copies_of_cats": {"pictures": len(cats[::30]), "found": found_again(cats[::30])},
        "sets": {name: reported(x) for name, x in (("cats", cats), ("MNIST digits", digits), ("clothes", clothes))},
        "a million": million,
        "openmoji": divided(),
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
