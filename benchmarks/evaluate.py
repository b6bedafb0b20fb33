"""What ``sparring evaluate`` takes, and whether its numbers are right where the answer is known.

python -m benchmarks.evaluate --data ../shared/data/cat_faces_64.zip --run RUN          (--only speed halves …)

speed   two folders of 10,000 images of 64 px: seconds, processor seconds and peak memory; cold, and from the cache
halves  one half of the data against the other: every interval should cover what equal laws give
run     a trained run against what it set aside, and that against training images: what nothing can beat
copies  a folder of samples of which 40 % are training images: which are named
memory  peak memory of looking at 2,000 and at 20,000 images, less the features that are kept

Each section is kept in the results and replaces only itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.spent import spent
from sparring.chance import Dice, permutation
from sparring.data.decode import as_it_is

RESULTS = Path(__file__).parent / "results" / "evaluate.json"
SECTIONS = ("speed", "run", "copies", "halves", "memory")
_LOOK = """
import sys
from benchmarks.spent import peak
from sparring.runs.evaluate import opening, stream
from sparring.runs.evaluate.judges import open_judge
side = opening.open_side(opening.Wanted("files", sys.argv[1], n=int(sys.argv[2])))
seen = stream.look(side, open_judge("efficientnet-lite0", "cpu"))
print(seen.n, seen.features.numel() * 4, peak())
"""


def pictures(data: Path) -> list[bytes]:
    """The files of a zip, in the order of their names."""
    with zipfile.ZipFile(data) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        return [archive.read(name) for name in names]


def altered(pixels: np.ndarray, number: int, shade: int) -> np.ndarray:
    """The image a little brighter, with noise of one level that depends on the number: another content."""
    noise = Dice(shade, "benchmark/noise", range(number, number + 1)).integers(3, *pixels.shape).numpy()[0] - 1
    return np.clip(pixels.astype(np.int16) + noise + shade, 0, 255).astype(np.uint8)


def write(folder: Path, files: list[bytes], count: int, shade: int) -> Path:
    """`count` PNGs made from the files in turn, no two alike."""
    folder.mkdir(parents=True)
    for k in range(count):
        pixels = as_it_is(files[k % len(files)])
        Image.fromarray(altered(pixels, k, shade)).save(folder / f"{k:06d}.png", compress_level=1)
    return folder


def timed(words: list[str], cache: Path, threads: int = 2) -> tuple[dict[str, Any], dict[str, float]]:
    """What ``sparring evaluate … --json`` prints, and what it took."""
    took = spent(["evaluate", *words, "--json", "--device", "cpu"], threads, {"SPARRING_CACHE": str(cache)})
    return json.loads(took.out), {
        "seconds": took.seconds,
        "processor_seconds": took.cpu_seconds,
        "peak_mib": round(took.peak / 2**20),
    }


def brief(record: dict[str, Any], part: str = "metrics") -> dict[str, Any]:
    """The numbers of a record, short."""
    wanted = ("value", "interval", "n_real", "n_fake")
    return {
        name: {key: _short(one[key]) for key in wanted}
        for name, one in record[part].items() if one["value"] is not None
    }  # fmt: skip


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


# ── sections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def speed(files: list[bytes], place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    n = arguments.images
    a, b = write(place / "a", files, n, 0), write(place / "b", files, n, 4)
    first, cold = timed([str(a), str(b)], place / "cache")
    second, warm = timed([str(a), str(b)], place / "cache")
    if first["metrics"] != second["metrics"]:
        raise SystemExit("the cache changed a number")
    return {
        "claim": "two folders of 10,000 images of 64 px in at most 4 minutes on 2 cores, below 2 GB",
        "images": n, "threads": 2, "cold": cold, "cached": warm, "metrics": brief(first),
        "load": [round(x, 1) for x in os.getloadavg()],
        "note": "seconds are those of a machine shared with other work; processor_seconds / 2 is the least that two "
        "cores can take",
    }  # fmt: skip


def halves(files: list[bytes], place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    order = permutation(0, "benchmark/halves", 0, len(files))
    sides = []
    for name, rows in (("a", order[: len(order) // 2]), ("b", order[len(order) // 2 :])):
        (place / name).mkdir(parents=True)
        for k in rows:
            (place / name / f"{k:06d}.jpg").write_bytes(files[k])
        sides.append(str(place / name))
    record, took = timed(sides, place / "cache")
    found = brief(record)
    null = {"kid": 0.0, "density": 1.0, "coverage": 1 - 2**-5, "vendi_ratio": 1.0, "fd_inf": 0.0}
    covered = {
        name: bool(found[name]["interval"][0] <= value <= found[name]["interval"][1])
        for name, value in null.items() if name in found
    }  # fmt: skip
    return {
        "claim": "of real against real every interval covers what equal laws give", "expected": null,
        "covered": covered, "metrics": found, "copies_p": record["memorisation"]["p"], **took,
    }  # fmt: skip


def run(files: list[bytes], place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    copy = place / Path(arguments.run).name
    shutil.copytree(arguments.run, copy)
    record, took = timed([str(copy), "--null"], place / "cache")
    neighbours = place / Path(arguments.run).name / "neighbours.png"
    return {
        "claim": "KID, Fréchet distance, precision, recall, density and coverage of the main job, with intervals",
        "real": record["real"] | {"what": Path(record["real"]["what"]).name}, "fake": record["fake"] | {"what": "RUN"},
        "metrics": brief(record), "real_against_real": brief(record, "null"),
        "copies": {k: v for k, v in record["memorisation"].items() if k != "copies"},
        "neighbours_png_bytes": neighbours.stat().st_size, **took,
    }  # fmt: skip


def copies(files: list[bytes], place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Of 2,000 images 800 are training images of the run, stored anew with a level of noise; the others are samples."""
    from sparring import api
    from sparring.runs.evaluate.opening import Wanted, open_side

    folder = place / "mixed"
    folder.mkdir(parents=True)
    train = open_side(Wanted("rows", arguments.run, split="train", of_run=True))
    chosen = permutation(0, "benchmark/copies", 0, len(train))[:800].tolist()
    truth = {}
    for k, (image, position) in enumerate(zip(train.at(chosen), chosen, strict=True)):
        truth[f"copy-{k:04d}.png"] = train.name(position)
        Image.fromarray(altered(image.permute(1, 2, 0).numpy(), k, 0)).save(folder / f"copy-{k:04d}.png")
    drawn = (
        api.load(arguments.run, device="cpu").sample(1200, seed=7).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    )
    for k, pixels in enumerate(drawn):
        Image.fromarray(pixels).save(folder / f"sample-{k:04d}.png")
    record, took = timed([arguments.run, str(folder), "--metrics", "copies,kid"], place / "cache")
    found = record["memorisation"]
    named = {one["fake"]: one["real"] for one in found["copies"]}
    return {
        "claim": "of a folder with 40 % copied training images the report names them",
        "copied": len(truth), "samples": len(truth) + len(drawn),
        "named": sum(name in named for name in truth),
        "named_rightly": sum(named.get(k) == v for k, v in truth.items()),
        "named_wrongly": sum(name not in truth for name in named),
        "memorisation": {k: v for k, v in found.items() if k != "copies"}, **took,
    }  # fmt: skip


def memory(files: list[bytes], place: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    folder = write(place / "many", files, 20_000, 0)
    found = {}
    for n in (2_000, 20_000):
        said = subprocess.run(
            [sys.executable, "-c", _LOOK, str(folder), str(n)], check=True, capture_output=True, text=True,
            env={**os.environ, "SPARRING_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "2"},
        ).stdout.split()  # fmt: skip
        seen, kept, peak = map(int, said[-3:])
        found[str(n)] = {
            "seen": seen, "kept_mib": round(kept / 2**20, 1), "peak_mib": round(peak / 2**20, 1),
            "less_kept_mib": round((peak - 2 * kept) / 2**20, 1),
        }  # fmt: skip
    few, many = (found[str(n)]["less_kept_mib"] for n in (2_000, 20_000))
    return {
        "claim": "memory does not grow with n: peaks less what is kept (twice, while it is put together) within 10 %",
        "ratio": round(many / few, 3), "within_10_percent": bool(abs(many / few - 1) <= 0.1), **found,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cat_faces_64.zip"))
    parser.add_argument("--run", default="", help="a run on the data; run and copies are left out without one")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    arguments = parser.parse_args()
    files = pictures(arguments.data)
    parts = {"speed": speed, "run": run, "copies": copies, "halves": halves, "memory": memory}
    for name in SECTIONS:
        if name not in arguments.only or (name in ("run", "copies") and not arguments.run):
            continue
        with tempfile.TemporaryDirectory(prefix=f"sparring-{name}-") as place:
            found = parts[name](files, Path(place), arguments)
        record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        record |= {
            "command": "python -m benchmarks.evaluate --data ../shared/data/cat_faces_64.zip --run RUN",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version(),
            name: found,
        }  # fmt: skip
        RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        print(name, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
