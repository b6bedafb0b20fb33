"""How long a person waits: `sparring --help` and the help of every command, against `import torch`."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.speed import machine

COMMANDS = ("train", "resume", "sample", "interpolate", "recipes", "info")
LIMIT = 0.5  # seconds


def seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


def measure(times: int = 5) -> dict[str, Any]:
    """Medians over `times` fresh processes, the variants in turn; wall clock."""
    variants: dict[str, list[str]] = {
        "python -c pass": ["-c", "pass"],
        "import torch": ["-c", "import torch"],
        "sparring --help": ["-m", "sparring", "--help"],
    } | {f"sparring {name} --help": ["-m", "sparring", name, "--help"] for name in COMMANDS}
    for arguments in variants.values():
        seconds(*arguments)  # the first start reads from disk and compiles bytecode
    clocks: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(times):
        for name, arguments in variants.items():
            clocks[name].append(seconds(*arguments))
    medians = {name: round(float(np.median(values)), 3) for name, values in clocks.items()}
    helps = [name for name in variants if name.endswith("--help")]
    return {
        "claim": f"the help of every command answers in under {LIMIT} s",
        "command": machine.command(),
        "machine": machine.describe(0),
        "runs": times,
        "median_seconds": medians,
        "slowest_help": max(medians[name] for name in helps),
        "reached": max(medians[name] for name in helps) < LIMIT,
        "times_faster_than_importing_torch": round(medians["import torch"] / medians["sparring --help"], 1),
    }
