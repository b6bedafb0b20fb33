"""A comparison in numbers and in words, from the files of its cells: what compare.json, the table and the page say."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import sparring
from sparring.runs.compare import statistics
from sparring.runs.compare.cell import result_of
from sparring.runs.compare.director import FORMAT, failure, finished, folder_of, results
from sparring.runs.compare.measures import Measure, judge_of, measures_of
from sparring.runs.compare.question import Cell, Comparison, typed
from sparring.runs.directory import write_atomically
from sparring.runs.recipe import load, plain
from sparring.types import paid

_SHOWN = ("D loss", "G loss", "D(x)", "D(G(z))")


def record(comparison: Comparison) -> dict[str, Any]:
    """Everything about a comparison, as far as it is played, in plain JSON values."""
    measures = measures_of(comparison.dataset)
    cells = [_cell(comparison, cell, measures) for cell in comparison.cells]
    made = {
        "format": FORMAT,
        "sparring": sparring.__version__,
        "command": typed(comparison),
        "machine": machine(comparison),
        "question": comparison.question(),
        "measures": [measure.record() for measure in measures],
        "reference": reference(comparison),
        "cells": cells,
        "elsewhere": _elsewhere(comparison),
    }
    return {**made, "tuned_with": _at_home(comparison), "verdict": verdict(made)}


def _elsewhere(comparison: Comparison) -> list[str]:
    """Cells that were played in this directory and are not asked for now: a row must not vanish without a word."""
    asked = {cell.key for cell in comparison.cells}
    found = []
    for folder in sorted((comparison.out / "cells").glob("*")):
        if folder.name not in asked and any(result_of(path) for path in folder.glob("seed*.json")):
            loss, *rest = folder.name.rpartition("--")[0].split("--")
            found.append(f"{loss} ({', '.join(rest)})" if rest else folder.name)
    return found


def _at_home(comparison: Comparison) -> dict[str, str]:
    """recipe → the loss that it plays when nobody asks for another: its other settings were chosen with that one."""
    found = {}
    for name in dict.fromkeys(cell.recipe for cell in comparison.cells):
        config = plain(load(name).config)
        penalty = str(config.get("penalty", "none"))
        paid = penalty != "none" and config.get("gamma") != 0
        found[name] = str(config.get("objective", "")) + f"+{penalty}" * paid
    return found


def save(comparison: Comparison) -> dict[str, Any]:
    """`record`, also written to compare.json."""
    made = record(comparison)
    write_atomically(comparison.out / "compare.json", json.dumps(made, indent=1, allow_nan=False) + "\n")
    return made


def machine(comparison: Comparison) -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "system": platform.platform(), "processor": _processor(), "cores": os.cpu_count(),
        "device": comparison.device, "jobs": comparison.jobs, "threads": comparison.threads,
        "python": platform.python_version(), "torch": str(torch.__version__),
    }  # fmt: skip


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def reference(comparison: Comparison) -> dict[str, float | None]:
    """What fresh data get from the same judge: measured once."""
    path = comparison.out / "reference.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        found = judge_of(comparison.dataset, comparison.device).reference()
        write_atomically(path, json.dumps(found) + "\n")
        return found


# ── one cell ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _cell(comparison: Comparison, cell: Cell, measures: Sequence[Measure]) -> dict[str, Any]:
    """A cell with all its seeds, and what they have in common."""
    said = {**cell.record(), "label": cell.label(comparison.cells)}
    if cell.refused:
        return {**said, "state": "refused", "why": cell.refused, "seeds": []}
    groups = results(comparison, cell)
    seeds = sorted((seed for group in groups for seed in _seeds(group, cell)), key=lambda seed: int(seed["seed"]))
    if not finished(comparison, cell):
        state, why = failure(comparison, cell)
        return {**said, "state": state, "why": why, "seeds": seeds}
    path = folder_of(comparison, cell).relative_to(comparison.out)
    return {
        **said,
        "state": "played",
        "why": "",
        "folder": str(path),
        "images": round(sum(seed["images"] for seed in seeds) / len(seeds)),
        "seconds": round(sum(group["seconds"] for group in groups), 1),
        "rate": round(sum(group["rate"] for group in groups) / len(groups), 1),
        "samples": groups[0]["samples"],
        "failures": dict(Counter(seed["failure"]["why"] for seed in seeds if seed["failure"])),
        "summary": {
            which: {m.name: statistics.mean([seed[which].get(m.name) for seed in seeds]).record() for m in measures}
            for which in ("averaged", "raw")
        },
        "final": _means([seed["final"] for seed in seeds]),
        "seeds": seeds,
    }


def _seeds(group: Mapping[str, Any], cell: Cell) -> list[dict[str, Any]]:
    """The seeds of a group, each with what is its own."""
    together = len(group["seeds"]) if len(group["seeds"]) > 1 else 0
    return [
        {
            "seed": seed,
            "together": together,
            "images": group["images"],
            "failure": group["failures"].get(str(seed)),
            "averaged": group["averaged"][k],
            "raw": group["raw"][k],
            "final": _equilibrium(group["final"][k]),
            "initial": group["initial"][k] if group["initial"] else {},
            "curve": [[point["images"], point["values"][k]] for point in group["curve"]],
        }
        for k, seed in enumerate(group["seeds"])
    ]


def _equilibrium(terms: Mapping[str, float | None]) -> dict[str, float]:
    """Each player's loss, and how D sees things, of the last moments of a game."""
    out = {f"{player} loss": loss for player, loss in paid(terms).items()}  # None: of a seed that had diverged by then
    for key, value in terms.items():
        if value is not None and (term := key.rpartition("/")[2]) in _SHOWN:
            out[term] = value
    return dict(sorted(out.items(), key=lambda pair: _SHOWN.index(pair[0]) if pair[0] in _SHOWN else len(_SHOWN)))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: statistics.mean([row.get(name) for row in rows]).mean for name in names}


# ── all cells ─────────────────────────────────────────────────────────────────────────────────────────────────────


def verdict(made: Mapping[str, Any]) -> dict[str, Any]:
    """Who is ahead by the first measure, how sure that is, and what failed, in plain words."""
    main = Measure.of(made["measures"][0])
    played = [cell for cell in made["cells"] if cell["state"] == "played"]
    ranked = sorted(
        (cell for cell in played if _mean(cell, main) is not None),
        key=lambda cell: _standing(cell, main),
    )
    out: dict[str, Any] = {"measure": main.name, "ranking": [cell["key"] for cell in ranked], "pairs": []}
    said = []
    if len(ranked) >= 2:
        best, others = ranked[0], ranked[1:]
        rows = [[seed["averaged"].get(main.name) for seed in cell["seeds"]] for cell in ranked]
        pairs = [
            statistics.pair(rows[0], row, name=cell["key"], up=main.up, pairs=len(ranked) * len(others) // 2)
            for row, cell in zip(rows[1:], others, strict=True)
        ]
        out["pairs"] = [one.record() for one in pairs]
        said += _nobody(ranked, main) or _who(best, others, pairs, main)
        if not _lost(ranked):
            said += _far(best, made["reference"].get(main.name), main)
    elif ranked:
        said.append(f"{ranked[0]['label']} is alone: there is nothing to compare it with.")
    out["words"] = [*said, *_unmeasured(ranked, main), *_failures(made)]
    return out


def _mean(cell: Mapping[str, Any], measure: Measure) -> float | None:
    value: float | None = cell["summary"]["averaged"][measure.name]["mean"]
    return value


def _standing(cell: Mapping[str, Any], main: Measure) -> tuple[int, float]:
    """What cells are ranked by: first how many seeds have no value (their samples were not finite), then the mean.

    The mean knows only of seeds that have a value: by itself it would favour the game that breaks."""
    missing = int(cell["summary"]["averaged"][main.name]["missing"])
    return missing, (-1 if main.up else 1) * float(_mean(cell, main) or 0.0)


def _lost(cells: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every seed of every row failed."""
    return all(sum(cell["failures"].values()) == len(cell["seeds"]) for cell in cells)


def _nobody(ranked: Sequence[Mapping[str, Any]], main: Measure) -> list[str]:
    """A sentence where the first row leads nobody: every game failed, or others are level with it."""
    if _lost(ranked):
        return [f"Nobody is ahead: all of the {sum(len(cell['seeds']) for cell in ranked)} games failed."]
    level = [cell["label"] for cell in ranked if _standing(cell, main) == _standing(ranked[0], main)]
    if len(level) < 2:
        return []
    return [f"Nobody is ahead: {_listed(level)} are level ({main.title} {main.show(_mean(ranked[0], main))})."]


def _unmeasured(ranked: Sequence[Mapping[str, Any]], main: Measure) -> list[str]:
    """Rows some of whose seeds have no value, which no mean can show."""
    lines = []
    for cell in ranked:
        if missing := cell["summary"]["averaged"][main.name]["missing"]:
            lines.append(
                f"{cell['label']}: {missing} of {len(cell['seeds'])} seeds have no value, as their samples are not "
                "finite. Its mean is of the others, and it stands behind every row that lacks fewer."
            )
    return lines


def _who(
    best: Mapping[str, Any], others: Sequence[Mapping[str, Any]], pairs: Sequence[statistics.Pair], main: Measure
) -> list[str]:
    """The winner, and whether the intervals allow calling it one."""
    name, seeds = best["label"], pairs[0].seeds
    value = main.show(_mean(best, main))
    rivals = [cell["label"] for cell, one in zip(others, pairs, strict=True) if not one.clear]
    second = f"{others[0]['label']} ({main.show(_mean(others[0], main))})"
    on = f"it is better on {pairs[0].better} of {seeds} seed{'s' * (seeds > 1)}"
    if seeds < statistics.ENOUGH:
        return [
            f"{name} is ahead ({main.title} {value}), then {second}; {on}.",
            f"With {seeds} seed{'s' * (seeds > 1)} that is a hint, not a result: {statistics.ENOUGH} seeds are the "
            "least with which anything is claimed, and 10 the usual number (--seeds 10).",
        ]
    if not rivals:
        beaten = "the other one" if len(others) == 1 else f"each of the other {len(others)}"
        return [f"{name} wins ({main.title} {value}): better than {beaten} beyond chance. Next is {second}; {on}."]
    shown = ", ".join(rivals[:4]) + (f" and {len(rivals) - 4} more" if len(rivals) > 4 else "")
    if len(rivals) == len(others):
        return [f"{name} is ahead ({main.title} {value}), but nothing sets it apart from the others: {shown}."]
    return [
        f"{name} is ahead ({main.title} {value}). It is better than {len(others) - len(rivals)} of the other "
        f"{len(others)} beyond chance; between it and {shown} these seeds do not decide.",
    ]


def _far(best: Mapping[str, Any], fresh: float | None, main: Measure) -> list[str]:
    """A sentence where even the best is far from the truth."""
    value = _mean(best, main)
    if value is None or fresh is None:
        return []
    far = value < 0.5 * fresh if main.up else value > 20 * max(abs(fresh), 1e-3)
    if not far:
        return []
    return [f"Even the first is far from the data (fresh data: {main.show(fresh)}): a longer --budget would tell more."]


def _failures(made: Mapping[str, Any]) -> list[str]:
    """What failed, was refused, or is still to be played: counted, never left out."""
    cells, lines = made["cells"], []
    count = made["question"]["seeds"]
    why = Counter[str]()
    for cell in cells:
        why.update(cell.get("failures", {}))
    games = sum(len(cell["seeds"]) for cell in cells if cell["state"] == "played")
    if why:
        named = ", ".join(f"{number} {reason}" for reason, number in why.most_common())
        lines.append(f"{sum(why.values())} of {games} games failed ({named}); they count with what they reached.")
    elif games:
        lines.append(f"None of the {games} games failed.")
    for state, what in (("refused", "cannot be played"), ("killed", "killed"), ("failed", "broke off")):
        reasons: dict[str, list[str]] = {}
        for cell in cells:
            if cell["state"] == state:
                reasons.setdefault(cell["why"], []).append(cell["label"])
        lines += [f"{_listed(labels)} {what}: {why}." for why, labels in reasons.items()]
    if others := made.get("elsewhere"):
        lines.append(f"Also played in this directory, and not asked for now: {', '.join(others)}.")
    waiting = sum(cell["state"] == "waiting" for cell in cells)
    if waiting:
        lines.append(f"{waiting} of {len(cells)} cells, with {count} seeds each, are still to be played.")
    return lines


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def equal_beginnings(made: Mapping[str, Any]) -> dict[str, list[str]]:
    """player → the cells in which it did not begin with the weights that most of its recipe's cells began with."""
    odd: dict[str, list[str]] = {}
    played = [cell for cell in made["cells"] if cell["state"] == "played"]
    for recipe in dict.fromkeys(cell["recipe"] for cell in played):
        rows = [cell for cell in played if cell["recipe"] == recipe]
        for player in dict.fromkeys(name for cell in rows for seed in cell["seeds"] for name in seed["initial"]):
            hashes = {cell["label"]: tuple(seed["initial"].get(player) for seed in cell["seeds"]) for cell in rows}
            usual = Counter(hashes.values()).most_common(1)[0][0]
            odd.setdefault(player, []).extend(label for label, found in hashes.items() if found != usual)
    return odd
