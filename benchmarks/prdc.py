"""Precision, recall, density and coverage by their authors' own test, and what ten thousand samples cost.

    python -m benchmarks.prdc          writes benchmarks/results/prdc.json

The test is that of the README of github.com/clovaai/generative-evaluation-prdc: 10,000 samples a side of N(0, I₁₀₀₀),
all four measures at k = 5; it prints P 0.477, R 0.4705, D 1.056, C 0.9735 for one draw. Ours are for other draws of the
same law, so the published numbers should lie within a few standard deviations of draws. The costs are of the whole set
of measures with their intervals on 10,000 × 10,000 features of 1,280 dimensions, as processor time of one thread.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.cells import HERE
from sparring.chance import Dice
from sparring.metrics import frechet, kernel, prdc

PUBLISHED = {"precision": 0.477, "recall": 0.4705, "density": 1.056, "coverage": 0.9735}
SAMPLES, DIMENSIONS, DRAWS = 10_000, 1000, 4


def draw(seed: int, side: str, dimensions: int) -> torch.Tensor:
    return Dice(seed, f"prdc/{side}", range(SAMPLES)).normal(dimensions)


def agreement() -> dict[str, Any]:
    found = [prdc.prdc(draw(s, "real", DIMENSIONS), draw(s, "fake", DIMENSIONS), 5, 5) for s in range(DRAWS)]
    table = {}
    for name, published in PUBLISHED.items():
        each = [getattr(f, name) for f in found]
        values = [round(e.value, 5) for e in each]
        table[name] = {
            "published": published,
            "draws": values,
            "mean": round(float(np.mean(values)), 5),
            "sd_of_draws": round(float(np.std(values, ddof=1)), 5),
            "interval_of_first": [round(each[0].low, 5), round(each[0].high, 5)],
            "intervals_that_hold_published": sum(e.low <= published <= e.high for e in each),
        }
    return table


def costs() -> dict[str, float]:
    x, y = (torch.relu(draw(0, side, 1280)) for side in ("real", "fake"))
    tasks: dict[str, Callable[[], object]] = {
        "kid": lambda: kernel.kid(x, y),
        "cmmd": lambda: kernel.cmmd(x, y),
        "prdc": lambda: prdc.prdc(x, y),
        "fid": lambda: frechet.fid(x, y),
        "fid_infinity": lambda: frechet.fid_infinity(x, y),
    }
    seconds = {}
    for name, task in tasks.items():
        start = time.process_time()
        task()
        seconds[name] = round(time.process_time() - start, 1)
    return seconds


def main() -> None:
    torch.set_num_threads(1)
    record = {
        "command": "python -m benchmarks.prdc",
        "what": f"N(0, I_{DIMENSIONS}), {SAMPLES} samples a side, k = 5; {DRAWS} draws, seeds 0 to {DRAWS - 1}",
        "source": "README of github.com/clovaai/generative-evaluation-prdc",
        "measures": agreement(),
        "processor_seconds_10000_x_10000_x_1280": costs(),
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}, python {sys.version.split()[0]}",
    }
    path = HERE / "results" / "prdc.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
