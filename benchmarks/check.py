"""How fast `sparring check` looks at 256-pixel images, and what a second check costs.

    python -m benchmarks.check                 (make bench-check; about two minutes, ../shared/data is needed)

Photographs (facades, clothes, parts of them chosen by the dice of `--seed`) are written as JPEG and as PNG. Each set is
checked twice, every check a fresh process with the same cache: the whole command with its page. Times are of the
processor, all threads together, so that images per second are those of one core, although others who are at work on the
machine may slow it down; the best round stands beside the median, and wall-clock times in the rows of the rounds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "results" / "check.json"
SETS = ("facades_512x256.zip", "clothing_128.zip")
STEP = """
import json, resource, sys, time
began = time.perf_counter()
from sparring.cli import main
code = main(["check", sys.argv[1], "--out", sys.argv[2]])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "wall": time.perf_counter() - began, "code": code,
                  "torch": "torch" in sys.modules}))
"""
LOADING = """
import torch, sparring.runs.recipe, resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def write(folder: Path, count: int, shared: Path, seed: int, kind: str) -> None:
    """`count` photographs of 256 x 256 pixels, no two alike."""
    rng = np.random.default_rng(seed)
    archives = [zipfile.ZipFile(shared / name) for name in SETS]
    names = [[n for n in archive.namelist() if n.endswith((".jpg", ".png"))] for archive in archives]
    for k in range(count):
        which = k % 2
        with Image.open(io.BytesIO(archives[which].read(names[which][k // 2 % len(names[which])]))) as image:
            picture = image.convert("RGB")
        picture = picture.crop((0, 0, 256, 256)) if which == 0 else picture.resize((256, 256), Image.Resampling.LANCZOS)
        again = k // 2 // len(names[which])
        if again:  # the same photograph again: another part of it
            side = int(rng.integers(120, 200))
            left, top = (int(v) for v in rng.integers(0, 256 - side, 2))
            picture = picture.crop((left, top, left + side, top + side)).resize((256, 256), Image.Resampling.LANCZOS)
        picture.save(folder / f"{k:05d}.{kind}", **({"quality": 90} if kind == "jpg" else {}))


def once(folder: Path, work: Path) -> dict[str, float]:
    """One check in a fresh process."""
    environment = {**os.environ, "SPARRING_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(folder), str(work / "page")],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(kind: str, count: int, shared: Path, seed: int, rounds: int) -> dict[str, Any]:
    """First and second checks of `count` files of one kind."""
    firsts, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="sparring-check-") as name:
        photos = Path(name) / "photos"
        photos.mkdir()
        write(photos, count, shared, seed, kind)
        size = sum(path.stat().st_size for path in photos.iterdir()) / count
        for turn in range(rounds):
            work = Path(name) / str(turn)
            firsts.append(once(photos, work))
            seconds.append(once(photos, work))
    first = statistics.median(row["cpu"] for row in firsts)
    second = statistics.median(row["cpu"] for row in seconds)
    loading = float(subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True).stdout)
    best = min(row["cpu"] for row in firsts)
    return {
        "kind": kind,
        "bytes per file": round(size),
        "images per second of one core": round(count / (first - loading), 1),
        "images per second of one core, best round": round(count / (best - loading), 1),
        "images per second of one core, with starting Python and torch": round(count / first, 1),
        "second check / first, whole commands": round(second / first, 4),
        "seconds of a second check": round(second, 2),
        "seconds of loading torch": round(loading, 2),
        "first": firsts,
        "second": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [
        measure(kind, arguments.count, arguments.shared, arguments.seed, arguments.rounds) for kind in ("jpg", "png")
    ]
    record = {
        "what": "sparring check of photographs of 256 x 256 pixels: every file read, hashed, decoded and compared",
        "promise": {"images per second of one core": 300, "second check / first, whole commands": 0.05},
        "rows": rows,
        "command": f"python -m benchmarks.check --count {arguments.count} --rounds {arguments.rounds} "
                   f"--seed {arguments.seed}",
        "load_at_start": load,
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
    }  # fmt: skip
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    for row in rows:
        print({key: value for key, value in row.items() if key not in ("first", "second")})


if __name__ == "__main__":
    main()
