"""How a training step fares when another program wants a core: threads that spin, and threads that sleep.

    python -m benchmarks.spin --data ../shared/data/cat_faces_64.zip

Each measurement is a fresh process (the setting is read once), in turn, with and without two busy neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

OUT = Path(__file__).parent / "results" / "spin.json"
BUSY = "while True: pass"
STEP = """
import sys, torch
from sparring.budget import Budget
from sparring.data import Options
from sparring.runs import plan as plans
from sparring.runs.recipe import load
torch.set_num_threads(2)
request = plans.Request(sys.argv[1], "r3gan-minutes", Options(size=(64, 64)), None, Budget(images=1000), threads=2)
dataset = plans.open_dataset(request)
recipe = load(request.recipe)
engine = plans.make_engine(recipe, torch.device("cpu"))
print(plans.rehearse(recipe, dataset, engine, 0)[0])
"""


def rate(data: str, spin: str) -> float:
    """Images per second of one fresh process."""
    environment = {**os.environ, "GOMP_SPINCOUNT": spin}
    done = subprocess.run(
        [sys.executable, "-c", STEP, data], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cat_faces_64.zip")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for neighbours in (0, 2):
            busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
            try:
                for name, spin in (("300000 (libgomp's default)", "300000"), ("10000", "10000")):
                    rows.setdefault(f"{neighbours} neighbours, spin {name}", []).append(rate(arguments.data, spin))
            finally:
                for process in busy:
                    process.kill()
    record = {
        "what": "images/s of the r3gan-minutes step at 64 px, batch 16, two threads on two cores",
        "medians": {name: round(statistics.median(values), 1) for name, values in rows.items()},
        "all": {name: [round(value, 1) for value in values] for name, values in rows.items()},
        "command": f"python -m benchmarks.spin --data {arguments.data} --rounds {arguments.rounds}",
        "load_at_start": os.getloadavg()[0],
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count()},
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["medians"], indent=1))


if __name__ == "__main__":
    main()
