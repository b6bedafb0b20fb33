"""What came of recipes that were compared as they are: a row for each, and what the rows tell, in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import sparring
from sparring.budget import duration
from sparring.data import Dataset
from sparring.generate.grid import picture
from sparring.metrics.features import identity
from sparring.runs.compare import entrant, statistics
from sparring.runs.compare.director import failure, finished, folder_of, results
from sparring.runs.compare.entrant import SHOWN, rough
from sparring.runs.compare.measures import KID, Measure
from sparring.runs.compare.question import Cell, Comparison, typed
from sparring.runs.compare.verdict import machine
from sparring.runs.directory import write_atomically
from sparring.runs.evaluate.judges import open_judge
from sparring.runs.evaluate.measures import MEASURES, Scene
from sparring.runs.evaluate.sides import Rows
from sparring.runs.evaluate.stream import look

FORMAT = "sparring compare recipes 1"
"""What compare.json of such a comparison says that it is."""
REAL = "held-out"
"""What the pictures of real images are called."""
FAR, LEAST = 20.0, 0.02
"""Times the KID of real images beside real ones (at least `LEAST`: of few images it is 0 within chance) beyond which
samples are not near the data, however they stand beside others."""
SHOWN_AS = (
    KID,
    Measure("fd", "FD", "Fréchet distance on the same features; compare at equal n only", up=False, digits=1),
    Measure("precision", "precision", "share of samples that look like real images", digits=0, share=True),
    Measure("recall", "recall", "share of real images that the samples could be", digits=0, share=True),
    Measure("coverage", "coverage", "share of real images with a sample nearby", digits=0, share=True),
    Measure("texture", "texture", "variance inside squares of 4 × 4 pixels, over that of real images", digits=2),
    Measure(
        "background_texture", "in backgrounds", "the same over the half of the squares that has no edge near: what is "
        "averaged is smooth there", digits=2,
    ),
)  # fmt: skip
assert tuple(measure.name for measure in SHOWN_AS) == entrant.MEASURED


def record(comparison: Comparison) -> dict[str, Any]:
    """Everything about the comparison, as far as it is played, in plain JSON values."""
    made = {
        "format": FORMAT,
        "sparring": sparring.__version__,
        "command": typed(comparison),
        "machine": machine(comparison),
        "question": comparison.question(),
        "samples": entrant.SAMPLES,
        "measures": [measure.record() for measure in SHOWN_AS],
        "reference": reference(comparison),
        "cells": [_row(comparison, cell) for cell in comparison.cells],
    }
    return {**made, "words": words(made)}


def save(comparison: Comparison) -> dict[str, Any]:
    """`record`, also written to compare.json."""
    made = record(comparison)
    write_atomically(comparison.out / "compare.json", json.dumps(made, indent=1, allow_nan=False) + "\n")
    return made


def runs(made: Mapping[str, Any], folder: Path) -> list[Path]:
    """The directories of all runs that are finished."""
    return [folder / cell["folder"] / f"seed-{seed['seed']}" for cell in played(made) for seed in cell["seeds"]]


def played(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that were played, nearest to the data first; what could not be measured comes last."""
    rows = [cell for cell in made["cells"] if cell["state"] == "played"]
    return sorted(rows, key=lambda cell: (value(cell, "kid") is None, value(cell, "kid") or 0.0))


def value(row: Mapping[str, Any], name: str) -> float | None:
    """A measure of a row; None where there is none."""
    found = row["summary"].get(name)
    return None if found is None else found["mean"]


def reference(comparison: Comparison) -> dict[str, Any]:
    """What fresh data get: training images, as many as there are samples, against those held out. Measured once, with a
    picture of held-out images."""
    path = comparison.out / "reference.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        found = _reference(comparison.dataset, comparison.device, comparison.out)
        write_atomically(path, json.dumps(found) + "\n")
        return found


def _reference(dataset: Dataset, device: str, out: Path) -> dict[str, Any]:
    judge = open_judge(entrant.JUDGE, device)
    sides = Rows(dataset, "held-out", None, None, None, 0), Rows(dataset, "train", None, None, entrant.SAMPLES, 0)
    real, fresh = (look(side, judge) for side in sides)
    scene = Scene(real, fresh, judge, identity(judge), 0, *sides)
    shown = sides[0].at(range(min(SHOWN, len(sides[0]))))
    images = torch.stack(shown)
    picture(images.float() / 127.5 - 1, columns=SHOWN).save(out / f"{REAL}.png", format="PNG", optimize=True)
    rough(images).save(out / f"{REAL}-texture.png", format="PNG", optimize=True)
    return {name: MEASURES[name].of(scene).record() for name in entrant.MEASURED}


# ── one row ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(comparison: Comparison, cell: Cell) -> dict[str, Any]:
    said = {**cell.record(), "label": cell.label(comparison.cells)}
    if cell.refused:
        return {**said, "state": "refused", "why": cell.refused, "seeds": []}
    if not finished(comparison, cell):
        state, why = failure(comparison, cell)
        return {**said, "state": state, "why": why, "seeds": []}
    seeds = sorted(results(comparison, cell), key=lambda seed: int(seed["seeds"][0]))
    names = list(dict.fromkeys(name for seed in seeds for name in seed["figures"]))
    first = seeds[0]
    return {
        **said,
        "state": "played",
        "why": "",
        "folder": str(folder_of(comparison, cell).relative_to(comparison.out)),
        "images": first["images"],
        "seconds": _mean([seed["seconds"] for seed in seeds]),
        "wall": _mean([seed.get("wall") for seed in seeds]),
        "parameters": first["parameters"],
        "likelihood": first.get("likelihood"),
        "sampling": {**first["sampling"], "seconds": _mean([s["sampling"]["seconds"] for s in seeds if s["sampling"]])}
        if first["sampling"]
        else None,
        "failures": {key: why for seed in seeds for key, why in seed["failures"].items()},
        "summary": {name: _summary([seed["figures"].get(name) for seed in seeds]) for name in names},
        "seeds": [
            {key: seed[key] for key in ("images", "seconds", "planned", "figures", "sampling")}
            | {"seed": seed["seeds"][0], "wall": seed.get("wall"), "measuring": seed.get("measuring")}
            for seed in seeds
        ],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


def _summary(figures: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Of one seed its figure with the interval over images; of several the mean, with the interval over seeds."""
    values = [figure["value"] if figure is not None else None for figure in figures]
    if len(figures) == 1:
        only = figures[0] or {}
        low, high = only.get("interval") or (None, None)
        found = {"mean": values[0], "low": low, "high": high, "over": "images", "missing": int(values[0] is None)}
        return found | ({"refused": only["refused"]} if only.get("refused") else {})
    return {**statistics.mean(values).record(), "over": "seeds"}


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────


def words(made: Mapping[str, Any]) -> list[str]:
    """What the table tells, a sentence each: who is nearest, then what each kind of model is good for."""
    rows = played(made)
    said = [*_nearest(rows, made), *_spent(rows, made), *_backgrounds(rows), *_costs(rows), *_likelihoods(rows)]
    for row in rows:
        for seed, why in row["failures"].items():
            said.append(f"{row['label']}, seed {seed}: {why['why']} after {why['images']:,} images ({why['said']}).")
    states = {
        "refused": "cannot be played",
        "killed": "was killed",
        "failed": "broke off",
        "waiting": "is not finished",
    }
    for cell in made["cells"]:
        if cell["state"] != "played":
            said.append(
                f"{cell['label']} {states.get(cell['state'], cell['state'])}" + f": {cell['why']}" * bool(cell["why"])
            )
    return said


def _nearest(rows: Sequence[Mapping[str, Any]], made: Mapping[str, Any]) -> list[str]:
    kid = SHOWN_AS[0]
    known = [row for row in rows if value(row, "kid") is not None]
    if not known:
        return []
    first, best = known[0], value(known[0], "kid") or 0.0
    seeds = made["question"]["seeds"]
    if len(known) == 1:
        return [f"{first['label']} alone was measured (KID {kid.show(best)}): there is nothing to compare it with."]
    fresh = (made.get("reference") or {}).get("kid") or {}
    real = max([v for v in (fresh.get("value"), *(fresh.get("interval") or ())) if v is not None], default=0.0)
    if best > FAR * max(real, LEAST):
        beside = f"real images beside real ones: {kid.show(fresh['value'])}" if fresh.get("value") is not None else ""
        said = [f"None is near the data{f' ({beside})' if beside else ''}: the least far is {first['label']} (KID "
                f"{kid.show(best)})"]  # fmt: skip
    else:
        said = [f"{first['label']} is nearest to the data (KID {kid.show(best)})"]
    said += [f"then {row['label']} ({kid.show(value(row, 'kid'))})" for row in known[1:]]
    lines = [", ".join(said) + f", after {_amount(made)} each."]
    if len(known) > 1 and seeds < statistics.ENOUGH:
        lines.append(
            f"{'One seed' if seeds == 1 else f'{seeds} seeds'} of each: what lies close together may be the other way "
            "round with another seed, and with another budget."
        )
    return lines


def _amount(made: Mapping[str, Any]) -> str:
    budget = made["question"]["budget"]
    return f"{budget['images']:,} images" if budget["images"] else f"{duration(budget['seconds'])} of computing"


def _spent(rows: Sequence[Mapping[str, Any]], made: Mapping[str, Any]) -> list[str]:
    """What training really took, where a time was asked for."""
    known = [row for row in rows if row["seconds"] is not None]
    if made["question"]["budget"]["images"] or not known:
        return []
    each = []
    for row in known:
        by = f", {duration(row['wall'])} by the clock" if row.get("wall") is not None else ""
        each.append(f"{row['label']} {duration(row['seconds'])}{by}")
    return [
        f"Asked for were {_amount(made)}, turned into images by a short timing before; spent were: {'; '.join(each)}. "
        "Pictures and looks on the way are in it, and a timing of seconds is rough; the clock also counts what else "
        "runs on the machine."
    ]


def _backgrounds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [(found, row["label"]) for row in rows if (found := value(row, "background_texture")) is not None]
    if not known:
        return []
    listed = ", ".join(f"{label} {found:.2f}" for found, label in sorted(known))
    return [f"Backgrounds, as variance where no edge is near (real images: 1): {listed}."]


def _costs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    known = sorted((row["sampling"]["seconds"], row["label"]) for row in rows if row["sampling"])
    if len(known) < 2:
        return []
    (least, quick), (most, slow) = known[0], known[-1]
    times = f"{most / max(least, 1e-12):,.0f} times"
    return [f"A sample costs {quick} {small(least)} and {slow} {small(most)}, {times} as much."]


def small(seconds: float) -> str:
    """A short time.

    >>> small(0.00012), small(0.0345), small(2.5)
    ('0.12 ms', '34 ms', '2.5 s')
    """
    if seconds >= 1:
        return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:,.0f} s"
    return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{1000 * seconds:.0f} ms"


def _likelihoods(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    having: dict[str, list[str]] = {}
    for row in rows:
        if row["likelihood"]:
            having.setdefault(_outcome(row), []).append(f"{row['label']} {likelihood(row)}")
    without = [row["label"] for row in rows if not row["likelihood"]]
    if not having:
        return []
    each = [f"{', '.join(said)}{f' ({OF[of]})' if of in OF else ''}" for of, said in having.items()]
    lines = [f"What held-out images cost, −log p(x), lower is better: {'; '.join(each)}."]
    if len(having) > 1:
        lines.append("Numbers of different things cannot be ranked against each other: a density may be above 1, and "
                     "its cost below 0, where no probability can.")  # fmt: skip
    return [*lines, f"No likelihood: {', '.join(without)}."] if without else lines


OF = {
    "continuous": "of the density of values in [-1, 1]", "levels": "of the probability of 256 levels of each value",
    "binary": "of the probability of black and white",
}  # fmt: skip
"""What a likelihood is of, by `Outcome`."""


def _outcome(row: Mapping[str, Any]) -> str:
    return str(row["likelihood"].get("outcome") or row["likelihood"].get("of", ""))


def likelihood(row: Mapping[str, Any]) -> str:
    """The cell of the table about likelihood."""
    if not row["likelihood"]:
        return "none"
    bits, nats = value(row, "bits_per_dim"), value(row, "nll")
    if bits is None and nats is None:
        return "refused"
    bound = "" if row["likelihood"].get("exact") else "≤ "
    density = ", density" * (row["likelihood"].get("outcome") == "continuous")
    return f"{bound}{bits:.2f} bits/dim" if bits is not None else f"{bound}{nats:.1f} nats{density}"


# ── for a terminal ────────────────────────────────────────────────────────────────────────────────────────────────


def lines(made: Mapping[str, Any]) -> list[str]:
    """The words and the table, for a terminal."""
    measures = [Measure.of(m) for m in made["measures"]]
    head = ["", *(m.title for m in measures), "−log p(x)", "a sample", "parameters", "images", "time"]
    rows = []
    for row in played(made):
        shown = [
            _shown(row["summary"].get(m.name), m, bounds=m.name in ("kid", "background_texture")) for m in measures
        ]
        cost = small(row["sampling"]["seconds"]) if row["sampling"] else "–"
        time = duration(row["seconds"]) if row["seconds"] is not None else "–"
        rows.append(
            [
                row["label"],
                *shown,
                likelihood(row),
                cost,
                f"{row['parameters']['sampling']:,}",
                f"{row['images']:,}",
                time,
            ]
        )
    fresh = {name: _summary([figure]) for name, figure in made["reference"].items()}
    rows.append(["(the data themselves)", *(_shown(fresh.get(m.name), m, bounds=False) for m in measures)])
    widths = [max(len(row[k]) for row in [head, *rows] if len(row) > k) for k in range(len(head))]
    table = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in [head, *rows]]
    return [*made["words"], "", *table]


def _shown(found: Mapping[str, Any] | None, measure: Measure, *, bounds: bool) -> str:
    if found is None or found["mean"] is None:
        return "–"
    text = measure.show(found["mean"])
    if bounds and found["low"] is not None:
        text += f" [{measure.show(found['low'])}, {measure.show(found['high'])}]"
    return text
