"""The sweep behind ``--recipe auto``: which recipe looks best after ten minutes on one core?

Every cell trains one recipe with one seed for the same CPU time (one thread), so that the comparison does not depend
on what else the machine does: images/s per CPU second is measured on a discarded copy, and 600 CPU seconds become a
number of images, once. The judge is KID on EfficientNet-Lite0 features between 2,000 samples of the averaged generator
and the held-out images. Each finished cell writes one JSON and one grid; a cell that has both is not run again.

    python -m benchmarks.auto --data ../shared/data/cat_faces_64.zip --work /tmp/auto
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.judge import judge
from sparring.budget import Budget
from sparring.data import Options, stream_of
from sparring.generate.grid import picture
from sparring.generate.sample import draw
from sparring.runs import plan as plans
from sparring.runs import session
from sparring.runs.directory import RunDirectory
from sparring.runs.plan import Plan, Request
from sparring.runs.run import Run
from sparring.train.checkpoint import Store
from sparring.train.match import Match

RESULTS = Path(__file__).parent / "results" / "auto"
CPU_SECONDS = 600.0

SHORT = ["ema_images=4000", "ema_share=0.1"]  # the average of a short run

CELLS: dict[str, tuple[str, list[str]]] = {
    # name: (recipe, changes)
    "dcgan": ("dcgan", []),
    "minutes": ("r3gan-minutes", SHORT),
    "r3gan-small": ("r3gan-hours", ["width=16", "d_width=16", "batch=16", "lr=1e-3 -> 2e-4 linear 0.5..1",
                                    "gamma=5 -> 0.5 cosine 0..0.8", "penalty_every=4", "augment=0", "precision=fp32",
                                    "ema_images=4000", "ema_share=0.1"]),
    "r3gan-published": ("r3gan-hours", ["width=32", "d_width=32", "precision=fp32", "batch=32"]),
    "dcgan-small": ("dcgan", ["width=32", "batch=16"]),
    "minutes-bce": ("r3gan-minutes", [*SHORT, "objective=nonsaturating"]),
    "minutes-48": ("r3gan-minutes", [*SHORT, "width=48", "d_width=48"]),
    "minutes-augment": ("r3gan-minutes", [*SHORT, "augment=0 -> 0.3 cosine 0..0.2"]),
    "minutes-every-8": ("r3gan-minutes", [*SHORT, "penalty_every=8"]),
    "minutes-gamma-1": ("r3gan-minutes", [*SHORT, "gamma=5 -> 1 cosine 0..0.8"]),
}  # fmt: skip


def rate_per_cpu_second(plan: Plan, seconds: float = 8.0) -> float:
    """Images per second of CPU time on one thread, on a copy that is thrown away."""
    game = plans.build(plan.recipe, plans.space_of(plan.dataset), plan.request.seed)
    engine = plans.make_engine(plan.recipe, plan.device)
    stream = stream_of(plan.dataset, plan.request.seed, plan.recipe.config.flip)
    match = Match(game, stream, engine, plan.recipe.config, seed=plan.request.seed, horizon=10**9)
    for _ in range(4):
        match.step()
    began, before = time.process_time(), match.images
    while time.process_time() - began < seconds or match.round % 8:
        match.step()
    return (match.images - before) / (time.process_time() - began)


def train(data: str, cell: str, seed: int, out: Path) -> dict[str, Any]:
    """One cell, resumed if it was interrupted; returns what it cost."""
    recipe, changes = CELLS[cell]
    if not (out / "recipe.yaml").exists():
        size = Options(size=(64, 64))
        request = Request(data, recipe, size, out, Budget(images=10**6), seed, "cpu", tuple(changes), threads=1)
        plan = plans.make(request)
        rate = rate_per_cpu_second(plan)
        total = max(1, round(rate * CPU_SECONDS / plan.recipe.config.batch)) * plan.recipe.config.batch
        plan = replace(plan, total=total, rate=rate)
        running = session.start(plan)
    elif (newest := Store(out / "checkpoints").newest()) and newest.images >= RunDirectory(out).document()["run"][
        "images"
    ]:
        return {"cpu_seconds": None, "alarms": []}  # trained before, judged now
    else:
        running = session.resume(out)
    began = time.process_time()
    alarms = [event.record() for event in running if event.kind == "alarm"]
    return {"cpu_seconds": round(time.process_time() - began, 1), "alarms": alarms}


def table() -> str:
    """The finished cells as a table in Markdown: KID by seed, 95 % interval in brackets."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        rows.setdefault(record["cell"], []).append(record)
    lines = ["| cell | images seen | KID by seed (95 % interval) |", "|---|---|---|"]
    for cell, records in sorted(rows.items(), key=lambda row: row[1][0]["judge"]["kid"]):
        images = ", ".join(f"{record['images']:,}" for record in records)
        kids = "; ".join(
            f"{record['seed']}: {j['kid']:.2f} ({j['low']:.2f} to {j['high']:.2f})"
            for record in records
            for j in [record["judge"]]
        )
        lines.append(f"| {cell} | {images} | {kids} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cat_faces_64.zip")
    parser.add_argument("--work", type=Path, default=Path("runs/auto"))
    parser.add_argument("--cells", nargs="*", default=list(CELLS)[:3])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="only print the finished cells")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for cell in arguments.cells:
            target = RESULTS / f"{cell}-seed{seed}.json"
            if target.exists():
                continue
            out = arguments.work / f"{cell}-seed{seed}"
            cost = train(arguments.data, cell, seed, out)
            run = Run(out, which="last", device="cpu")
            picture(draw(run, 64, seed=0)).convert("RGB").save(target.with_suffix(".webp"), quality=85)
            record = {
                "cell": cell,
                "recipe": CELLS[cell][0],
                "changes": CELLS[cell][1],
                "seed": seed,
                "images": run.images,
                "cpu_seconds_budget": CPU_SECONDS,
                "cost": cost,
                "judge": judge(run),
                "command": f"python -m benchmarks.auto --data {arguments.data} --cells {cell} --seeds {seed}",
                "machine": {"cpu": platform.machine(), "threads": 1, "torch": str(torch.__version__)},
            }
            target.write_text(json.dumps(record, indent=1) + "\n")
            print(f"{cell:18s} seed {seed}: {run.images:,} images, KID {record['judge']}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
