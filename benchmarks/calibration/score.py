"""How often the doctor is right: thresholds are fitted on one half of the runs and scored on the other.

A run belongs to a half by a hash of its name. The fit takes the thresholds of `FITTED` one after the other, tries each
on a grid, and looks at what the doctor would have said of the runs of the fit half at each of their moments: first of
all false hard alarms of healthy runs, then failures not found in time, then false warnings. Of the values that do best
in a row it takes the middle: the midpoint between the healthy extreme and the failing one. Where the data bound them on
one side only, the present value stays if it is one of them; else the nearest to it is taken, and of what raises hard
alarms the next one, for a margin. The scored half is looked at afterwards.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.calibration import labels
from benchmarks.calibration.cases import Case
from benchmarks.calibration.labels import HARD, Label
from sparring.health.baseline import FEWEST
from sparring.health.rules import judge
from sparring.health.thresholds import Thresholds
from sparring.health.verdict import Context

Said = list[dict[str, str]]
"""At each moment: code → level of what was said there (warn and hard)."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "collapsed": ("MODE-COLLAPSE", "LOW-DIVERSITY", "DIVERGED"),
    "memorising": ("MEMORISING",),
    "d-saturated": ("D-WINS", "G-STARVED"),
}
"""What counts as having found an outcome, as a warning or worse. A hard fault is found by any hard verdict."""
WITHIN = {"hard": 2, "collapsed": 5, "memorising": 5, "d-saturated": 5}
"""Moments after the onset in which it must be said."""

FITTED: Mapping[str, tuple[float, float]] = {
    "collapse_diversity": (0.05, 0.9), "low_diversity": (0.1, 0.95), "collapse_coverage": (0.05, 0.9),
    "low_coverage": (0.02, 0.6), "raw_diversity": (0.05, 0.9), "raw_coverage": (0.05, 0.9), "fallen": (0.1, 0.9),
    "lost_coverage": (0.01, 0.5), "d_wins": (0.9, 0.999), "d_saturated": (0.95, 0.9999), "d_fooled": (0.01, 0.4),
    "leap": (10.0, 500.0), "contrast_low": (0.05, 0.8), "contrast_high": (1.2, 10.0), "saturated": (0.1, 0.8),
    "copies": (0.01, 0.3), "copies_hard": (0.05, 0.8),
}  # fmt: skip
"""Thresholds that the outcomes say something about, and the range in which each is tried. What warns of anything else
(a chequer, an average that lags, one class) has too few runs here to be fitted."""
WARNS = ("low_diversity", "low_coverage", "d_wins", "d_fooled", "copies")
"""Those of them that raise no hard alarm."""
GRID = 8


@dataclass(frozen=True, eq=False)
class Run:
    """One record, and what it is called."""

    record: Mapping[str, Any]
    label: Label
    scored: bool

    @property
    def name(self) -> str:
        return str(self.record["run"])

    def context(self) -> Context:
        r = self.record
        return Context(
            recipe=r["run"].split("-")[0], objective=r["objective"], relative=r["relative"], images=r["train"],
            held_out=r["held_out"], classes=r["classes"], kind=r["kind"], planned=r["planned"],
        )  # fmt: skip

    def said(self, thresholds: Thresholds) -> Said:
        """What the doctor says at each moment; of a run that broke off also at its end, where the loop raised the
        alarm itself."""
        context, turns = self.context(), [(int(i), v) for i, v in self.record["turns"]]
        probes = [(int(i), v) for i, v in self.record["probes"]]
        found = []
        for k, (images, _) in enumerate(probes):
            verdicts = judge(probes[: k + 1], [row for row in turns if row[0] <= images], context, thresholds)
            found.append({v.code: v.level for v in verdicts if v.level in ("warn", "hard")})
        if self.record["ended"] != "budget":
            alarm = (int(self.record["images"]), str(self.record["ended"]), "the loop stopped before the step was made")
            verdicts = judge(probes, turns, replace(context, alarms=(alarm,)), thresholds)
            found.append({v.code: v.level for v in verdicts if v.level in ("warn", "hard")})
        return found


def runs_of(folder: Path) -> list[Run]:
    """Every record of a folder of results, labelled."""
    records = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return labelled(records)


def labelled(records: Sequence[Mapping[str, Any]]) -> list[Run]:
    healthy: dict[str, list[Any]] = {}
    for record in records:
        case = Case.named(record["run"])
        if case.fault == "none" and record["ended"] == "budget":
            healthy.setdefault(case.ground, []).append(record["truth"])
    found = []
    for record in records:
        case = Case.named(record["run"])
        twins = healthy.get(case.ground, [])
        begin, usual = labels.warm(twins), labels.usual_distance(twins)
        soft = "" if case.fault == "none" or not record["truth"] else labels.besides(case.fault, record["truth"], twins)
        label = labels.label(record["truth"], record["ended"], begin, usual, soft, labels.settled(twins))
        if record["train"] < FEWEST:
            label = Label({}, False, f"fewer than {FEWEST} training samples: nothing is measured of G")
        found.append(Run(record, label, case.held_out))
    return found


# ── one run ───────────────────────────────────────────────────────────────────────────────────────────────────────


def outcomes(run: Run) -> dict[str, int]:
    """What must be found of a run, and when it set in: "hard" for what ends a game, and the others by name."""
    return {("hard" if name in HARD else name): onset for name, onset in run.label.outcomes.items()}


def delay(run: Run, said: Said, outcome: str) -> int | None:
    """Moments from the onset until it was said, None if it never was."""
    onset = outcomes(run)[outcome]
    for k in range(onset, len(said)):
        now = said[k]
        if outcome == "hard" and "hard" in now.values():
            return k - onset
        if outcome != "hard" and any(code in now for code in FAMILIES[outcome]):
            return k - onset
    return None


def in_time(run: Run, said: Said, outcome: str) -> bool:
    found = delay(run, said, outcome)
    return found is not None and found <= WITHIN[outcome]


def cost(runs: Sequence[Run], thresholds: Thresholds) -> tuple[int, int, int]:
    """(false hard alarms, failures not found in time, false warnings by twos): what the fit lowers, the first most of
    all."""
    false_hard = missed = false_warn = 0
    for run in runs:
        said = run.said(thresholds)
        if run.label.healthy:
            levels = [level for now in said for level in now.values()]
            false_hard += "hard" in levels
            false_warn += "warn" in levels
        missed += sum(not in_time(run, said, outcome) for outcome in outcomes(run))
    return false_hard, missed, false_warn // 2  # one warning more or less is chance


# ── the fit ───────────────────────────────────────────────────────────────────────────────────────────────────────


def grid(low: float, high: float, count: int = GRID) -> list[float]:
    """Values from low to high: by equal factors, or, of shares near 1, by equal factors of what is missing to 1.

    >>> grid(0.01, 1.0, 3), grid(0.9, 0.999, 3)
    ([0.01, 0.1, 1.0], [0.9, 0.99, 0.999])
    """
    if low >= 0.9:
        return [round(1 - v, 6) for v in grid(1 - high, 1 - low, count)][::-1]
    return [float(f"{low * (high / low) ** (k / (count - 1)):.3g}") for k in range(count)]


def best_of(values: Sequence[float], costs: Sequence[Any], present: float, margin: int = 0) -> float:
    """The middle of the values in a row that cost least. If they reach an end of the grid, beyond which nothing is
    known: the present one if it is among them, else the nearest to it and `margin` further.

    >>> best_of([1, 2, 3, 4, 5], [9, 0, 0, 0, 9], 2), best_of([1, 2, 3, 4, 5], [9, 9, 0, 0, 0], 4)
    (3, 4)
    >>> best_of([1, 2, 3, 4, 5], [9, 9, 0, 0, 0], 1), best_of([1, 2, 3, 4, 5], [0, 0, 0, 9, 9], 5, 1)
    (3, 2)
    """
    least = min(costs)
    rows: list[list[int]] = []
    for k, value in enumerate(costs):
        if value == least:
            if rows and rows[-1][-1] == k - 1:
                rows[-1].append(k)
            else:
                rows.append([k])
    row = max(rows, key=lambda r: (any(values[k] == present for k in r), len(r)))
    if row[0] > 0 and row[-1] < len(values) - 1:
        return values[row[len(row) // 2]]
    if present in [values[k] for k in row]:
        return present
    ordered = row if present < values[row[0]] else row[::-1]  # the nearest first
    return values[ordered[min(margin, len(ordered) - 1)]]


def fit(runs: Sequence[Run], start: Thresholds, passes: int = 1) -> tuple[Thresholds, list[dict[str, Any]]]:
    """The fitted thresholds, and how each came about."""
    found, steps = start, []
    for _ in range(passes):
        for name, (low, high) in FITTED.items():
            present = float(getattr(found, name))
            values = sorted({*grid(low, high), present})
            costs = [cost(runs, replace(found, **{name: value})) for value in values]
            best = best_of(values, costs, present, 0 if name in WARNS else 1)
            steps.append({"threshold": name, "values": values, "costs": costs, "was": present, "taken": best})
            found = replace(found, **{name: best})
    return found, steps


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────


def wilson(hits: int, n: int, z: float = 1.96) -> list[float]:
    """The 95 % interval of a share (Wilson 1927).

    >>> wilson(30, 30)
    [0.886, 1.0]
    """
    if not n:
        return [0.0, 1.0]
    p, zz = hits / n, z * z / n
    middle, half = p + zz / 2, z * math.sqrt(p * (1 - p) / n + zz / (4 * n))
    return [round(max(0.0, (middle - half) / (1 + zz)), 3), round(min(1.0, (middle + half) / (1 + zz)), 3)]


def share(hits: int, n: int) -> dict[str, Any]:
    return {"found": hits, "of": n, "share": round(hits / n, 3) if n else None, "interval_95": wilson(hits, n)}


def scored(runs: Sequence[Run], thresholds: Thresholds) -> dict[str, Any]:
    """The figures of some runs."""
    said = {run.name: run.said(thresholds) for run in runs}
    healthy = [run for run in runs if run.label.healthy]
    rows: dict[str, Any] = {}
    for outcome in WITHIN:
        these = [run for run in runs if outcome in outcomes(run)]
        delays = {run.name: delay(run, said[run.name], outcome) for run in these}
        hits = [run for run in these if in_time(run, said[run.name], outcome)]
        rows[outcome] = {
            **share(len(hits), len(these)), "within_moments": WITHIN[outcome],
            "delays": dict(Counter(str(d) for d in delays.values())),
            "missed": {run.name: delays[run.name] for run in these if run not in hits},
        }  # fmt: skip
    alarms = {level: [run.name for run in healthy if any(level in now.values() for now in said[run.name])]
              for level in ("hard", "warn")}  # fmt: skip
    codes = Counter(
        f"{code} {level}" for run in healthy for code, level in {p for now in said[run.name] for p in now.items()}
    )
    n, loud = len(healthy), len(alarms["hard"])
    return {
        "runs": len(runs), "healthy": n, "failed": sum(bool(run.label.outcomes) for run in runs),
        "left_out": sum(not run.label.kept for run in runs), "found": rows,
        "healthy_with_hard_alarm": {
            **share(loud, n), "runs": alarms["hard"],
            "upper_95": round(1 - 0.05 ** (1 / n), 3) if n and not loud else wilson(loud, n)[1],
        },
        "healthy_with_warning": {**share(len(alarms["warn"]), n), "codes": dict(codes.most_common())},
        "confusion": confusion(runs, said),
    }  # fmt: skip


def confusion(runs: Sequence[Run], said: Mapping[str, Said]) -> dict[str, dict[str, int]]:
    """Outcome → verdict → of how many runs it was said from the onset on (of healthy runs: ever)."""
    table: dict[str, Counter[str]] = {}
    for run in runs:
        if not run.label.kept:
            names = {f"left out: {run.label.why}": 0}
        else:
            names = dict(run.label.outcomes) or {"healthy": 0}
        for name, onset in names.items():
            row = table.setdefault(name, Counter())
            row["runs"] += 1
            for code in {code for now in said[run.name][onset:] for code in now} or {"nothing"}:
                row[code] += 1
    return {name: dict(row.most_common()) for name, row in table.items()}


SIGNALS = (
    "diversity", "coverage", "precision", "duplicates", "copies", "auc", "auc_train", "contrast", "saturated",
    "constant", "checkerboard", "leak", "class_diversity", "kid", "energy_distance",
)  # fmt: skip


def separation(runs: Sequence[Run]) -> dict[str, Any]:
    """Signal → its values at the end (median of the last three moments) of healthy and of failed runs, and the share of
    pairs that it orders: ½ says nothing. Coverage is that of real data's own."""
    found: dict[str, Any] = {}
    for signal in SIGNALS:
        values: dict[str, list[float]] = {}
        for run in runs:
            if (value := _late(run, signal)) is not None and run.label.kept:
                for name in run.label.outcomes or {"healthy": 0}:
                    values.setdefault(name, []).append(value)
        healthy = sorted(values.pop("healthy", []))
        found[signal] = {"healthy": healthy} | {
            name: {"values": sorted(rest), "ordered": round(pairs(rest, healthy), 3)}
            for name, rest in values.items()
            if healthy
        }
    return found


def _late(run: Run, signal: str) -> float | None:
    rows = [values for _, values in run.record["probes"]][-3:]
    values = sorted(
        row[signal] / row["coverage_self"] if signal == "coverage" else row[signal]
        for row in rows
        if signal in row and (signal != "coverage" or row.get("coverage_self"))
    )
    return float(f"{values[len(values) // 2]:.4g}") if values else None


def pairs(a: Sequence[float], b: Sequence[float]) -> float:
    """P(a < b) + ½ P(a = b).

    >>> pairs([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    return sum((x < y) + 0.5 * (x == y) for x in a for y in b) / (len(a) * len(b))
