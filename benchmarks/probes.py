"""What looking at a run costs it: `results/probes.json`.

    python -m benchmarks.probes [--only NAME …] [--threads 1]

Runs as a user starts them (the plan times a piece of a look and decides when to look); every look, the baseline of the
data in it and the picture of nearest images at the end are timed by the wall clock and by the CPU time of the process,
and held against all that the run took. On a machine that does other things the wall clock of either also counts
waiting: the shares by CPU time are the ones to compare. The first row is a run that is too short to be looked at.
"""

from __future__ import annotations

import argparse
import json
import re
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
    "too-short": ("fashion", "dcgan", "1000"),
    "ring": ("ring", "gan-points", "600k"),
    "fashion-28px": ("fashion", "dcgan", "50k"),
    "cats-64px": (CATS, "r3gan-minutes", "60k"),
}
"""name: (data, recipe, budget). In images, so that what is done does not depend on what else the machine does: 1, 3 and
7 minutes of one idle core."""
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- looks of probes\.json -->\n).*?(<!-- end -->)", re.S)


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
    rows = json.loads(arguments.out.read_text())["runs"] if arguments.out.exists() else {}
    for name in arguments.only:
        rows[name] = {**measure(*RUNS[name], arguments.threads), "machine": describe(arguments.threads)}
        print(json.dumps({name: rows[name]}, indent=1), file=sys.stderr)
        ordered = {key: rows[key] for key in RUNS if key in rows}
        kept = all(row["share"]["cpu"] <= ALLOWED for row in ordered.values())
        document = {"command": "python -m benchmarks.probes", "allowed": ALLOWED, "kept": kept, "runs": ordered}
        arguments.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        if arguments.out == RESULTS:
            PAGE.write_text(filled(PAGE.read_text("utf-8"), document), "utf-8")


def filled(page: str, document: dict[str, Any]) -> str:
    """`page` with the table of `document` between its marks."""
    lines = [
        "| run | images | looks × samples | looking, s of CPU | all, s of CPU | share of CPU time | of wall time |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in document["runs"].items():
        cpu, wall = (100 * row["share"][clock] for clock in ("cpu", "wall"))
        looks = f"{row['probes']} × {row['planned']['samples']}" if row["planned"] else "none"
        lines.append(
            f"| {name}: {row['recipe']} | {row['images']:,} | {looks} | {row['looking']['cpu']:.1f} "
            f"| {row['seconds']['cpu']:.0f} | **{cpu:.1f} %** | {wall:.1f} % |"
        )
    machines = [row["machine"] for row in document["runs"].values()]
    loads = ", ".join(f"{machine['load_average'][0]:.0f}" for machine in machines)
    lines += ["", f"`{document['command']}`: {machines[0]['cpu']}, {machines[0]['threads']} thread, torch "
              f"{machines[0]['torch']}, {machines[0]['date'][:10]}; load at the end of each run: {loads}."]  # fmt: skip
    return BLOCK.sub(lambda m: m[1] + "\n" + "\n".join(lines) + "\n\n" + m[2], page)


if __name__ == "__main__":
    main()
