"""What a timing depends on, and how timings are compared."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Clock = tuple[float, float]
"""(seconds of wall clock, seconds of CPU time of this process)."""


def describe(threads: int | None = None) -> dict[str, Any]:
    """The machine and its load, in plain values."""
    import torch

    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        **({"threads": threads} if threads is not None else {}),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "onednn": torch.backends.mkldnn.is_available(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }


def record(out: Path | None, **document: Any) -> None:
    """Write what was found, and on which machine, to a file of JSON; nothing without one."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({**document, "machine": describe()}, indent=1) + "\n")


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def command() -> str:
    return "python -m benchmarks.speed " + " ".join(sys.argv[1:])


def timed(work: Callable[[], object]) -> Clock:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def interleaved(variants: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> dict[str, list[Clock]]:
    """Time every variant once per round; the order is reversed in every second round, so that drift hits all alike."""
    for work in variants.values():
        for _ in range(warm_up):
            work()
    clocks: dict[str, list[Clock]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants) if number % 2 == 0 else list(variants)[::-1]
        for name in names:
            clocks[name].append(timed(variants[name]))
    return clocks


def compare(slow: Sequence[Clock], fast: Sequence[Clock]) -> dict[str, Any]:
    """How many times faster `fast` is: the median over rounds of slow/fast, with a 95 % bootstrap interval.

    By the wall clock, and by this process's CPU time, which other work on the machine disturbs less (with one thread).
    """
    result: dict[str, Any] = {"rounds": len(slow)}
    for name, which in (("wall", 0), ("cpu", 1)):
        ratios = np.array([a[which] / b[which] for a, b in zip(slow, fast, strict=True)])
        result[name] = {"ratio": round(float(np.median(ratios)), 3), "interval_95": bootstrap(ratios)}
    return result


def race(
    claim: str, clocks: dict[str, list[Clock]], names: tuple[str, str], *, about: dict[str, Any], target: float,
    same: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The record of an interleaved race of two steps (the slow one first in `names`), in plain values.

    With one thread the clock is this process's CPU time, which does not count the waiting on a machine that does other
    things too; with several it is the wall clock, and the machine has to be free. about: `describe` before the race.
    same: what says whether both compute the same (`equal`).
    """
    clock = ("wall", "cpu")[about["threads"] == 1]
    speedup = compare(clocks[names[0]], clocks[names[1]])
    ratio = speedup[clock]
    return {
        "claim": claim,
        "command": command(),
        "machine": about,
        "load_average_after": describe()["load_average"],
        "clock": {"wall": "wall", "cpu": "CPU time of the process"}[clock],
        "first_step": same,
        "speedup": {"ratio": ratio["ratio"], "interval_95": ratio["interval_95"], "rounds": speedup["rounds"]},
        "reached": ratio["ratio"] >= target and same["equal"],
        "speedup_by_clock": speedup,
        "seconds": {name: seconds(times) for name, times in clocks.items()},
        "rounds": {name: [[round(part, 4) for part in both] for both in times] for name, times in clocks.items()},
    }


def bootstrap(values: np.ndarray, draws: int = 10_000) -> list[float]:
    """95 % percentile interval of the median of `values`."""
    rows = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(np.median(values[rows], axis=1), [2.5, 97.5])
    return [round(float(low), 3), round(float(high), 3)]


def seconds(clocks: Sequence[Clock]) -> dict[str, float]:
    wall, cpu = np.array(clocks).T
    return {
        "median": round(float(np.median(wall)), 5),
        "best": round(float(wall.min()), 5),
        "cpu_median": round(float(np.median(cpu)), 5),
    }
