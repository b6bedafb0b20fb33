"""The calibration of the doctor, on small runs whose outcome is measured.

    python -m benchmarks.calibration                  (make bench-calibration)  all that is missing, in this order:
    python -m benchmarks.calibration play --hours 1   plays runs; goes on where it stopped
    python -m benchmarks.calibration watch            what became of them, and what the doctor measured
    python -m benchmarks.calibration fit              fits thresholds on one half, writes health/thresholds.yaml
    python -m benchmarks.calibration rescue           plays runs whose fault passes, with the rescue on
    python -m benchmarks.calibration score            writes benchmarks/results/calibration.json
    python -m benchmarks.calibration pictures         docs/images/doctor

fit and score need no more than benchmarks/results/calibration, which is committed: a change of a rule or a threshold is
scored again within a minute. A signal that is measured anew needs watch, which needs what play left behind.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.calibration import rescue, runs, score, thresholds, watched
from benchmarks.calibration.cases import GROUNDS, Case, planned
from benchmarks.cells import keep_memory
from benchmarks.speed.machine import describe
from sparring.health.thresholds import usual

RECORD = "record.json"
RESULTS = Path(__file__).parents[1] / "results"
FOLDER = RESULTS / "calibration"
RESCUED = FOLDER / "rescued" / "rescue.jsonl"
STEPS = ("play", "watch", "fit", "rescue", "score", "pictures")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def play(names: list[str], until: float, part: str) -> None:
    number, _, of = part.partition("/")
    cases = [Case.named(name) for name in names] or planned()
    for k, case in enumerate(cases):
        if time.monotonic() > until:
            return
        if k % int(of) == int(number) and not runs.played(case):
            record = runs.play(case)
            say(f"{case.name}: {record['ended']}, {record['seconds']} s")


def watch(names: list[str], until: float, wait: bool) -> None:
    """The record of every played run that has none yet; `wait`: for those that another process still plays."""
    cases = [Case.named(name) for name in names] or planned()
    while time.monotonic() < until:
        ready = [case for case in cases if runs.played(case) and not (runs.folder_of(case) / RECORD).exists()]
        for case in ready:
            if time.monotonic() > until:
                return
            clock = time.process_time()
            record = watched.watch(case)
            (runs.folder_of(case) / RECORD).write_text(json.dumps(record))
            say(f"{case.name}: watched, {time.process_time() - clock:.1f} s")
        if not ready and (not wait or all(runs.played(case) for case in cases)):
            return
        if not ready:
            time.sleep(5)


def collect() -> None:
    """One file for each kind of data, a line for each run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[str]] = {ground.group: [] for ground in GROUNDS.values()}
    for case in planned():
        path = runs.folder_of(case) / RECORD
        if path.exists():
            groups[GROUNDS[case.ground].group].append(path.read_text().strip())
    for group, lines in groups.items():
        if lines:
            (FOLDER / f"{group}.jsonl").write_text("".join(line + "\n" for line in lines))


def fit() -> None:
    """Fitted on the runs that are not scored."""
    half = [run for run in score.runs_of(FOLDER) if not run.scored]
    found, steps = score.fit(half, usual())
    (FOLDER / "fit.json").write_text(json.dumps({"runs": len(half), "steps": steps}) + "\n")
    for step in steps:
        say(f"{step['threshold']}: {step['was']} → {step['taken']}")
    thresholds.write(found)


def saved(names: list[str], until: float) -> None:
    """Runs whose fault passes, as far as there is time."""
    folder = runs.STATE / "rescue"
    folder.mkdir(parents=True, exist_ok=True)
    for case in [Case.named(name) for name in names] or rescue.planned():
        path = folder / f"{case.name}.json"
        if time.monotonic() < until and not path.exists():
            row = rescue.play(case)
            path.write_text(json.dumps(row))
            say(f"{case.name}: {row['ended']}, back {row['went_back']}, score {row['score']}")
    if rows := [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]:
        RESCUED.parent.mkdir(parents=True, exist_ok=True)
        RESCUED.write_text("".join(json.dumps(row) + "\n" for row in rows))


def result() -> dict[str, Any]:
    """Everything that is claimed."""
    every = score.runs_of(FOLDER)
    present = usual()
    healthy: dict[str, list[float]] = {}
    for run in every:
        case = Case.named(run.name)
        if case.fault == "none" and run.record["ended"] == "budget":
            healthy.setdefault(case.ground, []).append(score_at_end(run.record))
    halves = {"scored": [r for r in every if r.scored], "fitted": [r for r in every if not r.scored]}
    return {
        "claim": "how often the doctor finds what is wrong with a run, and how often it cries wolf",
        "command": "make bench-calibration", "thresholds": present.digest(),
        "halves": "by a hash of the name of the run; thresholds were fitted on one and are scored on the other",
        "beware": [
            "three rules of labels.py (not fine for a while; by heart is no collapse; fewer than 16 training images) "
            "were added after a first look at what the doctor said of both halves",
            "runs of about ten seconds: points, and images of 16 px, judged at 64 px by 128 samples, twelve times",
            "fitted were only thresholds that outcomes say something about; those of warnings besides are not scored",
            "runs that are left out are in labels, with why",
        ],
        "moments": runs.PROBES, "samples": watched.SAMPLES,
        "judge": f"efficientnet-lite0 at {watched.SIZE} px",
        **{name: score.scored(some, present) for name, some in halves.items()},
        "all": score.scored(every, present),
        "rescue": rescue.judged(rescue.read(RESCUED), healthy),
        "separation": score.separation(every),
        "labels": {run.name: {**labels_of(run), "half": "scored" if run.scored else "fitted"} for run in every},
        "machine": describe(torch.get_num_threads()),
    }  # fmt: skip


def labels_of(run: score.Run) -> dict[str, Any]:
    if not run.label.kept:
        return {"left out": run.label.why}
    return {"outcomes": dict(run.label.outcomes)} if run.label.outcomes else {"healthy": True}


def score_at_end(record: Mapping[str, Any]) -> float:
    """What rescued runs are compared by."""
    if record["kind"] == "points":
        return float(record["probes"][-1][1]["energy_distance"])
    return float(record["truth"][-1]["ema"]["fd"])


def summary(found: Mapping[str, Any]) -> str:
    half = found["scored"]
    lines = [f"{half['runs']} runs of the scored half: {half['healthy']} healthy, {half['failed']} failed"]
    for name, row in half["found"].items():
        lines.append(f"{name}: {row['found']} of {row['of']} within {row['within_moments']} {row['interval_95']}; "
                     f"missed {row['missed']}")  # fmt: skip
    alarm, warning = half["healthy_with_hard_alarm"], half["healthy_with_warning"]
    lines.append(f"hard alarms on healthy runs: {alarm['found']} of {alarm['of']} {alarm['runs']}")
    lines.append(f"warnings on healthy runs: {warning['found']} of {warning['of']} {warning['codes']}")
    lines.append(f"rescued: {found['rescue']['rescued']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["all", *STEPS])
    parser.add_argument("names", nargs="*", help="runs, such as ring-bce.lr-50.0; by default all that are planned")
    parser.add_argument("--hours", type=float, default=math.inf, help="how long at most; the next call goes on")
    parser.add_argument("--part", default="0/1", help="k/n: the k-th of n processes, each of which plays its share")
    parser.add_argument("--wait", action="store_true", help="watch runs as soon as another process has played them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    until, names = time.monotonic() + 3600 * arguments.hours, arguments.names
    for step in STEPS if arguments.what == "all" else (arguments.what,):
        match step:
            case "play":
                play(names, until, arguments.part)
            case "watch":
                watch(names, until, arguments.wait)
            case "fit":
                collect()
                fit()
            case "rescue":
                saved(names, until)
            case "score":
                collect()
                found = result()
                (RESULTS / "calibration.json").write_text(json.dumps(found, indent=1) + "\n")
                say(summary(found))
            case "pictures":
                from benchmarks.calibration import pictures

                pictures.draw()


if __name__ == "__main__":
    main()
