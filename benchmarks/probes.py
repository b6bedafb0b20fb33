"""What looking at a run costs it: `results/probes.json`.

    python -m benchmarks.probes [--only NAME …] [--threads 1]

Runs as a user starts them (the plan times a piece of a look and decides when to look); every look, the baseline of the
data in it and the picture of nearest images at the end are timed by the wall clock and by the CPU time of the process,
and held against all that the run took. On a machine that does other things the wall clock of either also counts
waiting: the shares by CPU time are the ones to compare. The fourth row is a run that is too short to be looked at.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.machine import describe
from sparring import api
from sparring.runs import neighbours, session
from sparring.runs.watch import RunWatch
from sparring.types import Done, Probed

RESULTS = Path(__file__).parent / "results" / "probes.json"
ALLOWED = 0.03
CATS = "../shared/data/cat_faces_64.zip"
RUNS: dict[str, tuple[str, str, str]] = {
    "cats-64px": (CATS, "r3gan-minutes", "6m"),
    "fashion-28px": ("fashion", "dcgan", "4m"),
    "ring": ("ring", "gan-points", "1m"),
    "too-short": ("fashion", "dcgan", "10s"),
}
"""name: (data, recipe, budget)."""


class Timer:
    """Seconds by the wall clock and of the process, of some calls."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def of(self, act: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return act(*arguments)
            finally:
                self.wall += time.perf_counter() - wall
                self.cpu += time.process_time() - cpu

        return timed


def measure(data: str, recipe: str, budget: str, threads: int) -> dict[str, Any]:
    """One run, and what the looks at it took."""
    out = Path(tempfile.mkdtemp()) / "run"
    plan = api.plan(data, recipe=recipe, budget=budget, out=out, device="cpu", threads=threads)
    running, looks, whole = session.start(plan), Timer(), Timer()
    last, probed, done = neighbours.write, 0, ""
    values: dict[str, float] = {}
    neighbours.write = looks.of(last)

    def play() -> None:
        nonlocal probed, done, values
        for event in running:
            watch = running.loop.watch if running.loop is not None else None
            if isinstance(watch, RunWatch) and "look" not in vars(watch):
                vars(watch)["look"] = looks.of(watch.look)  # from the first event on: before the first look
            if isinstance(event, Probed) and "spent" in event.values:
                probed, values = probed + 1, dict(event.values)
            done = event.reason if isinstance(event, Done) else done

    try:
        whole.of(play)()
    finally:
        neighbours.write = last
        shutil.rmtree(out.parent, ignore_errors=True)
    looked = plan.probes
    return {
        "data": Path(data).name, "recipe": recipe, "budget": budget, "ended": done, "images": plan.total,
        "images_per_second": round(plan.rate, 1),
        "planned": None if looked is None else {
            "probes": len(looked.moments), "samples": looked.samples, "reference": looked.reference,
            "share": round(looked.seconds / plan.seconds, 4),
        },
        "probes": probed,
        "seconds": {"wall": round(whole.wall, 1), "cpu": round(whole.cpu, 1)},
        "looking": {"wall": round(looks.wall, 2), "cpu": round(looks.cpu, 2)},
        "share": {"wall": round(looks.wall / whole.wall, 4), "cpu": round(looks.cpu / whole.cpu, 4)},
        "last_values": {name: round(value, 4) for name, value in values.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(RUNS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    document = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    rows = document.get("runs", {})
    for name in arguments.only:
        rows[name] = {**measure(*RUNS[name], arguments.threads), "machine": describe(arguments.threads)}
        print(json.dumps({name: rows[name]}, indent=1), file=sys.stderr)
    rows = {name: rows[name] for name in RUNS if name in rows}
    document = {
        "command": "python -m benchmarks.probes",
        "allowed": ALLOWED,
        "kept": all(row["share"]["cpu"] <= ALLOWED for row in rows.values()),
        "runs": rows,
    }
    arguments.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
