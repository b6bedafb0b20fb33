"""The soak proof: a long run holds no more memory, descriptors or threads at its end than near its beginning.

    python -m benchmarks.proofs.soak --steps 20000 --out benchmarks/results/soak.json

A nano run (dcgan, 16 x 16 pixels, batches of 4, on a folder made in place) is played through a real session with its
log, checkpoints and sample grids: once with the decoded images kept on disk, once decoding on demand. Every 100 steps
the process's resident memory, open descriptors and threads are read from /proc. It counts as a failure when

- the least-squares slope of memory after the first tenth of the run is 1 MB per 1,000 steps or more;
- descriptors or threads are not the same at every reading after the first tenth; images that are just being read ahead
  are counted apart: never more than there are threads;
- anything is left in the directory for temporary files.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import file, picture
from benchmarks.speed.machine import describe

EVERY = 100
"""Steps between readings."""
LIMIT = 1.0
"""MB per 1,000 steps."""


def reading() -> tuple[float, list[str], int]:
    """(resident memory in MB, what is open, threads) of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    status = Path("/proc/self/status").read_text()
    threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
    opened = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own
            opened.append(os.readlink(f"/proc/self/fd/{name}"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, sorted(opened), threads


def soak(keep: str, steps: int, work: Path) -> dict[str, Any]:
    """One run of `steps` steps in this process; everything it makes lies in `work`."""
    temporary = work / "tmp"
    temporary.mkdir()
    os.environ.update(TMPDIR=str(temporary), SPARRING_CACHE=str(work / "cache"))
    tempfile.tempdir = None
    from sparring import api
    from sparring.runs import plan as plans
    from sparring.runs import session as sessions
    from sparring.types import Alarm, Turn

    dice = np.random.default_rng(0)
    photos, batch = work / "photos", 4
    photos.mkdir()
    for number in range(300):
        (photos / f"{number}.png").write_bytes(file(picture(dice, 32, 32)))
    request = api.request(
        photos, recipe="dcgan", size=16, out=work / "run", budget=str(steps * batch), device="cpu", threads=1,
        set={"width": 4, "z": 16, "batch": batch}, keep=keep,
    )  # fmt: skip
    moments = tuple(range(0, steps * batch, steps * batch // 20))
    pace = {"log": EVERY * batch, "samples": moments, "saves": moments, "save_seconds": 5.0}
    began, readings, alarms = time.monotonic(), [], []
    for event in sessions.start(plans.make(request), pace=pace):
        if isinstance(event, Turn):
            readings.append(reading())
        if isinstance(event, Alarm):
            alarms.append(event.message)
    seconds = time.monotonic() - began
    memory = np.array([mb for mb, _, _ in readings])
    reading_ahead = max(sum(name.startswith(str(photos)) for name in names) for _, names, _ in readings)
    steady = [[name for name in names if not name.startswith(str(photos))] for _, names, _ in readings]
    descriptors = np.array([len(names) for names in steady])
    threads = np.array([count for _, _, count in readings])
    late = slice(len(readings) // 10, None)  # after allocators have settled
    opened = [set(names) for names in steady[late]]
    thousands = np.arange(1, len(readings) + 1) * EVERY / 1000
    slope = float(np.polyfit(thousands[late], memory[late], 1)[0])
    left = sorted(path.name for path in temporary.iterdir())
    varying = sorted(set().union(*opened) - set.intersection(*opened))
    said = {
        f"memory grows by {slope:.2f} MB per 1,000 steps": slope >= LIMIT,
        f"descriptors vary: {varying}": np.ptp(descriptors[late]) > 0,
        f"{reading_ahead} images are open at once": reading_ahead >= int(threads.max()),
        f"threads vary: {sorted(set(threads[late].tolist()))}": np.ptp(threads[late]) > 0,
        f"temporary files are left: {', '.join(left)}": bool(left),
        f"{len(readings)} readings for {steps} steps": len(readings) != steps // EVERY,
        **{f"alarm: {text}": True for text in alarms},
    }
    return {
        "keep": keep,
        "steps": steps,
        "slope_mb_per_1000_steps": round(slope, 4),
        "memory_mb": [round(value, 1) for value in memory[:: max(1, len(memory) // 20)].tolist()],
        "memory_mb_peak": round(float(memory.max()), 1),
        "descriptors": sorted(set(descriptors[late].tolist())),
        "images_being_read_at_most": reading_ahead,
        "threads": sorted(set(threads[late].tolist())),
        "temporary_files_left": len(left),
        "seconds": round(seconds, 1),
        "failures": [what for what, holds in said.items() if holds],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--keep", nargs="+", default=["on", "off"], choices=["on", "off"])
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results = []
    print("keep  steps    MB at the end  MB per 1,000 steps  descriptors  threads  seconds")
    for keep in given.keep:
        fresh = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        with tempfile.TemporaryDirectory(prefix="sparring-soak-") as work, fresh:
            found = fresh.submit(soak, keep, given.steps, Path(work)).result()
        results.append(found)
        print(
            f"{keep:6}{found['steps']:6,}{found['memory_mb'][-1]:15}{found['slope_mb_per_1000_steps']:20}"
            f"{'/'.join(map(str, found['descriptors'])):>13}{'/'.join(map(str, found['threads'])):>9}"
            f"{found['seconds']:9}",
            flush=True,
        )
        for failure in found["failures"]:
            print(failure, file=sys.stderr)
    if given.out is not None:
        document = {
            "claim": f"memory grows by less than {LIMIT:g} MB per 1,000 steps; descriptors and threads stay the same",
            "command": f"python -m benchmarks.proofs.soak --steps {given.steps} --keep {' '.join(given.keep)}",
            "machine": describe(threads=1),
            "results": results,
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(found["failures"] for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
