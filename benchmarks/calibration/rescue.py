"""Whether a run that meets a fault that passes ends as well as one that never met it.

Each run is played by the library's loop with its rescue on, with checkpoints and its own watch; the fault happens once,
at 46 % of the run. It counts as rescued if its samples end `fine` (labels.py) and its score (points: energy distance;
images: the Fréchet distance of truth.py) within 5 % of the mean of the healthy runs of the same ground, or within what
seeds differ by: the mean and two standard deviations; of points also if no further away than other real points are.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.calibration import labels
from benchmarks.calibration.cases import Case, data_of
from benchmarks.calibration.runs import PROBES, prepare
from benchmarks.calibration.truth import plain
from benchmarks.calibration.watched import LINES, Remembered, _judge, context_of, observer_of, truth_of
from sparring.errors import Diverged
from sparring.runs.watch import RunWatch, distance_of, measure_of
from sparring.train.checkpoint import Store
from sparring.train.loop import Loop, Pace, sample_averaged
from sparring.types import Alarm, Done

ONCE = ("once-nan", "once-giant", "once-lr-d", "once-lr-g", "once-bit-d", "once-bit-g")
GROUNDS = ("ring-relativistic", "ring-hinge", "grid-relativistic", "digits-r3")
MORE = ("ring-bce", "ring-classes")


def planned() -> list[Case]:
    """Every fault that passes on four grounds, then on two more."""
    return [Case(ground, fault, 1) for some in (GROUNDS, MORE) for fault in ONCE for ground in some]


def play(case: Case, rescue: bool = True) -> dict[str, Any]:
    """Play it, and say how it ended."""
    prepared = prepare(case)
    points = prepared.used.kind == "points"
    watch = RunWatch(
        observer_of(prepared, Remembered(_judge())), prepared.moments, context=context_of(prepared),
        measure=measure_of(prepared.used) if points else None, distance=distance_of(prepared.used) if points else None,
    )  # fmt: skip
    pace = Pace.of(prepared.total, prepared.recipe.config.batch)
    saves = tuple(prepared.total * k // PROBES for k in range(1, PROBES))
    pace = replace(pace, samples=(), saves=saves, log=pace.log * LINES)
    clock, alarms, ended = time.process_time(), [], ""
    with TemporaryDirectory() as folder:
        loop = Loop(
            prepared.match, total=prepared.total, pace=pace, store=Store(Path(folder)), watch=watch, rescue=rescue
        )
        try:
            for event in loop:
                if isinstance(event, Alarm):
                    alarms.append([event.images, event.code])
                if isinstance(event, Done):
                    ended = event.reason
        except Diverged as error:
            ended = error.code
        tries = [list(entry) for entry in loop.ladder.history]
    truth = plain(truth_of(prepared)(prepared.match))
    return {
        "run": case.name, "rescue": rescue, "ended": ended, "went_back": tries, "alarms": alarms,
        "score": score_of(prepared, truth), "truth": truth["ema"], "seconds": round(time.process_time() - clock, 1),
    }  # fmt: skip


def score_of(prepared: Any, truth: Mapping[str, Any]) -> float:
    """What a run is compared by, lower is better; infinite where its samples are no numbers."""
    if prepared.used.kind != "points":
        return float(truth["ema"].get("fd", float("inf")))
    made = sample_averaged(prepared.match, 2500).numpy()
    if not np.isfinite(made).all():
        return float("inf")
    return float(f"{distance_of(prepared.whole)(made)['energy_distance']:.4g}")


@cache
def floor(ground: str, times: int = 12) -> float:
    """The energy distance of the worst of so many samples of real points; 0 for images."""
    data = data_of(ground)
    if data.kind != "points":
        return 0.0
    measure = distance_of(data)
    return max(measure(data.train[k * 2500 : (k + 1) * 2500])["energy_distance"] for k in range(times))


def judged(rows: Sequence[Mapping[str, Any]], healthy: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """healthy: ground → scores at the end of its healthy runs."""
    from benchmarks.calibration.score import share  # the score needs the doctor, runs do not

    found = []
    for row in rows:
        scores = healthy.get(Case.named(row["run"]).ground, ())
        if len(scores) < 2:
            continue
        mean, spread = statistics.fmean(scores), statistics.stdev(scores)
        bound = max(1.05 * mean, mean + 2 * spread, floor(Case.named(row["run"]).ground))
        fine = row["ended"] == "budget" and labels.state(row["truth"]) == "fine"
        found.append({
            **{k: row[k] for k in ("run", "ended", "went_back", "score")}, "bound": float(f"{bound:.4g}"),
            "healthy_mean": float(f"{mean:.4g}"), "rescued": fine and row["score"] <= bound,
        })  # fmt: skip
    back = [row for row in found if row["went_back"]]
    return {
        "rescued": share(sum(row["rescued"] for row in found), len(found)),
        "of_those_that_went_back": share(sum(row["rescued"] for row in back), len(back)), "runs": found,
    }  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
