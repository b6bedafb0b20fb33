"""The main job, end to end: thirty minutes on this machine, from a zip of cat faces to a generator, and its judge.

python -m benchmarks.main_job                  trains (30 minutes), judges, writes results/main_job.json and .webp
python -m benchmarks.main_job --run RUN        judges a run that this command made before
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.judge import judge
from sparring.generate.grid import picture
from sparring.generate.sample import draw
from sparring.runs.run import Run
from sparring.train.log import read

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cat_faces_64.zip")
    parser.add_argument("--budget", default="30m")
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    arguments = parser.parse_args()
    path = arguments.run or Path("runs/main-job")
    command = ["train", arguments.data, "--size", "64", "--budget", arguments.budget, "--out", str(path)]
    if arguments.run is None:
        subprocess.run([sys.executable, "-m", "sparring", *command], check=True)
    run = Run(path, which="last", device="cpu")
    turns = [line for line in read(path / "log.jsonl") if line["event"] == "turn"]
    seconds, seen = 0.0, 0
    for turn in turns:
        seconds += (turn["images"] - seen) / turn["rate"]
        seen = turn["images"]
    picture(draw(run, 64, seed=0)).convert("RGB").save(RESULTS / "main_job.webp", quality=90)
    record = {
        "claim": "sparring train on 9,303 cat faces at 64 px, thirty minutes on two cores, --recipe auto",
        "command": "sparring " + " ".join(command),
        "images": run.images,
        "planned_images": run.document["run"]["images"],
        "training_seconds": round(seconds),
        "rate": round(run.images / seconds, 1),
        "seed": run.document["run"]["seed"],
        "preset": run.document["run"]["preset"],
        "judge": judge(run),
        "last_turn": {name: round(value, 4) for name, value in turns[-1]["values"].items()},
        "note": arguments.note,
        "machine": {
            "cpu": platform.machine(),
            "cores": os.cpu_count(),
            "threads": run.document["run"]["threads"],
            "torch": str(torch.__version__),
        },
    }
    (RESULTS / "main_job.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
