"""Long runs in pieces: a cell goes on from its last checkpoint, and its results file says how far it is.

The state of a cell is in benchmarks/state (not committed), its measures in benchmarks/results. A cell that was stopped
gives, when it goes on, the numbers it would have given undisturbed. What is not finished is marked so, and no table may
count it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.machine import describe
from sparring.errors import Diverged
from sparring.train.checkpoint import Store
from sparring.train.match import Match

HERE = Path(__file__).parent
SAVE_SECONDS = 240.0
Measures = dict[str, Any]


def advance(
    name: str,
    match: Match,
    about: dict[str, Any],
    *,
    folder: str,
    steps: int,
    every: int,
    until: float,
    measured: Callable[[], Measures],
    described: Callable[[dict[str, Any]], str],
    cheap: bool = True,
) -> dict[str, Any]:
    """Play `match` up to round `steps`, or until the clock (`time.monotonic`) says `until`; what was found.

    about: what the results file of the cell says besides.   every: rounds between two measures; one more is taken where
    it stops.   measured: the measures now, ``{"steps": …, …}``.   described: what was found, in a few words.
    cheap: whether to measure, and write the results, at every checkpoint too.
    """
    store, results = Store(HERE / "state" / folder / name), HERE / "results" / folder / f"{name}.json"
    record: dict[str, Any] = {"measures": [], "cpu_seconds": 0.0, "wall_seconds": 0.0}
    if newest := store.newest():
        match.load({stem: newest.tensors(stem) for stem in match.tensors()}, newest.state)
        record = newest.state["record"]
    cpu, wall = time.process_time(), time.monotonic()
    base, saved = (record["cpu_seconds"], record["wall_seconds"]), wall

    def kept() -> dict[str, Any]:
        measures = record["measures"]
        if not measures or measures[-1]["steps"] != match.round:
            measures = [*measures, measured()]
        found = {
            "cell": name, **about, "finished": match.round >= steps, "steps": match.round, "of": steps,
            **({"failed": record["failed"]} if "failed" in record else {}),
            "cpu_seconds": round(record["cpu_seconds"]), "wall_seconds": round(record["wall_seconds"]),
            "cpu_ms_per_step": round(1e3 * record["cpu_seconds"] / max(1, match.round), 2),
            "machine": describe(torch.get_num_threads()), "measures": measures,
        }  # fmt: skip
        results.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, indent=1)
        results.write_text(text + "\n")
        print(f"{name}: {described(found)}, {found['cpu_ms_per_step']} ms CPU per step", file=sys.stderr, flush=True)
        return found

    while match.round < steps:
        try:
            match.step()
        except Diverged as error:
            record["failed"] = str(error)
            break
        due, now = match.round % every == 0 or match.round >= steps, time.monotonic()
        if due or now - saved > SAVE_SECONDS or now > until:
            record["cpu_seconds"] = base[0] + time.process_time() - cpu
            record["wall_seconds"] = base[1] + now - wall
            if due:
                record["measures"].append(measured())
            store.save(match.images, match.tensors(), {**match.state(), "record": record})
            saved = now
            if now > until:
                break
            if (due or cheap) and match.round < steps:
                kept()
    return kept()


def finished(folder: str, name: str) -> bool:
    path = HERE / "results" / folder / f"{name}.json"
    return path.exists() and bool(json.loads(path.read_text())["finished"])


def found(folder: Path) -> list[dict[str, Any]]:
    """What is known of every cell in a folder of results."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error (NaN of a single value).

    >>> mean_and_error([1.0, 3.0])
    (2.0, 1.0)
    """
    n = len(values)
    mean = sum(values) / n
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else math.nan


def spelt(mean: float, error: float, digits: int) -> str:
    """
    >>> spelt(0.5, 0.25, 2), spelt(3.0, math.nan, 1)
    ('0.50 ± 0.25', '3.0')
    """
    return f"{mean:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


def keep_memory() -> None:
    """Let the C library keep freed memory instead of giving it back to the system after every tensor: with glibc a step
    of small networks takes a thousand page faults otherwise, a tenth of its time. Elsewhere nothing happens; no number
    depends on it."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        trim, mmap = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(mmap, 2**30)
        libc.mallopt(trim, 2**31 - 1)
