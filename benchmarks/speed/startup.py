"""How long a person waits: `sparring --help` and the help of every command, against `import torch`."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.speed import machine

COMMANDS = ("train", "resume", "sample", "interpolate", "recipes", "info")
LIMIT = 0.5  # seconds


def run(*arguments: str) -> machine.Clock:
    """(wall clock, CPU time) of one fresh process: on a loaded machine the second says what an idle one would need."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(times: int = 5) -> dict[str, Any]:
    """Medians over `times` fresh processes, the variants in turn."""
    variants: dict[str, list[str]] = {
        "python -c pass": ["-c", "pass"],
        "import torch": ["-c", "import torch"],
        "sparring --help": ["-m", "sparring", "--help"],
    } | {f"sparring {name} --help": ["-m", "sparring", name, "--help"] for name in COMMANDS}
    about = machine.describe()
    for arguments in variants.values():
        run(*arguments)  # the first start reads from disk and compiles bytecode
    clocks: dict[str, list[machine.Clock]] = {name: [] for name in variants}
    for _ in range(times):
        for name, arguments in variants.items():
            clocks[name].append(run(*arguments))
    wall, cpu = (
        {name: round(float(np.median([clock[which] for clock in values])), 3) for name, values in clocks.items()}
        for which in (0, 1)
    )
    slowest = max(seconds for name, seconds in wall.items() if name.endswith("--help"))
    return {
        "claim": f"the help of every command answers in under {LIMIT} s",
        "command": machine.command(),
        "machine": about,
        "runs": times,
        "wall_seconds_median": wall,
        "cpu_seconds_median": cpu,
        "slowest_help_wall_seconds": slowest,
        "reached": slowest < LIMIT,
        "times_faster_than_importing_torch": round(wall["import torch"] / wall["sparring --help"], 1),
    }
