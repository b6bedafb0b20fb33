"""How often intervals over raters hold the truth, and the worked example of docs/study.md.

    python -m benchmarks.study            writes benchmarks/results/study.json, in about a minute of one core
    python -m benchmarks.study --example  the example alone; writes nothing
    python -m benchmarks.study --page     writes the tables and the example of docs/study.md anew from the results

Coverage: studies of simulated raters whose mean rate of being fooled is known, over rates, spreads of skill (the share
ρ of the variance of an answer that lies between raters) and numbers of raters; four ways to an interval of the same
data. Of d′, the same with raters whose d′ is normal. The example: two models, 44 raters of whom 4 press any key.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.speed.machine import describe
from sparring.study import analyse, simulate, statistics, words
from sparring.study.plan import Kind, Model, Picture, Real, Study

OUT = Path(__file__).parent / "results" / "study.json"
PAGE = Path(__file__).parents[1] / "docs" / "study.md"
STUDIES, RESAMPLES, TRIALS, PIECE = 4000, 999, 40, 1000
RATERS, BETWEEN, RATES = (10, 20, 30, 50), (0.0, 0.02, 0.05, 0.1, 0.2), (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
TRUTH = {"A": 0.189, "B": 0.1}
"""Of the example: how often its raters are fooled on average. A is what Pix2Pix reported of map → photo."""


def others(x: np.ndarray, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Ends of the intervals that were not chosen, of the means of x (S, R)."""
    raters, mean = x.shape[1], x.mean(1)
    error = x.std(1, ddof=1) / math.sqrt(raters)
    q = stats.t.isf(0.025, raters - 1)
    weights = np.random.default_rng(seed).multinomial(raters, np.full(raters, 1 / raters), RESAMPLES) / raters
    means = np.sort(weights @ x.T, 0)
    centred = x - mean[:, None]
    below = ((means < mean - 1e-12).mean(0) + (means <= mean + 1e-12).mean(0)) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    speed = (centred**3).sum(1) / (6 * np.maximum((centred**2).sum(1), 1e-12) ** 1.5)
    ends = []
    for z in (-1.959964, 1.959964):
        level = stats.norm.cdf(bias + (bias + z) / (1 - speed * (bias + z)))
        ends.append(means[np.clip((level * RESAMPLES).astype(int), 0, RESAMPLES - 1), np.arange(len(x))])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return {"Student's t": (mean - q * error, mean + q * error), "percentile": (low, high), "BCa": (ends[0], ends[1])}


def together(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Ends of all studies from those of some at a time."""
    return np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])


def cell(rate: float, between: float, raters: int) -> dict[str, Any]:
    """The coverage of every way, and the mean width of the chosen one and of Student's t."""
    x = simulate.shares(rate, between, studies=STUDIES, raters=raters, trials=TRIALS, seed=raters)
    parts = [x[k : k + PIECE] for k in range(0, STUDIES, PIECE)]  # a little memory
    found = {"studentised": together([simulate.intervals(p, answers=raters * TRIALS, resamples=RESAMPLES)
                                      for p in parts])}  # fmt: skip
    rest = [others(part, raters) for part in parts]
    found |= {name: together([one[name] for one in rest]) for name in rest[0]}
    return {
        "rate": rate, "between": between, "raters": raters,
        "coverage": {name: round(simulate.coverage(*ends, rate), 4) for name, ends in found.items()},
        "width": {name: round(float(np.mean(found[name][1] - found[name][0])), 4)
                  for name in ("studentised", "Student's t")},
    }  # fmt: skip


def of_d_prime(d: float, spread: float, raters: int) -> dict[str, Any]:
    """The coverage of the mean d′, and how far the log-linear correction pulls it."""
    x = simulate.d_primes(d, spread, studies=STUDIES, raters=raters, trials=TRIALS, seed=raters)
    ends = [simulate.intervals(x[k : k + PIECE], resamples=RESAMPLES) for k in range(0, STUDIES, PIECE)]
    held = simulate.coverage(*together(ends), d)
    return {"d_prime": d, "spread": spread, "raters": raters, "coverage": round(held, 4),
            "bias": round(float(x.mean()) - d, 4)}  # fmt: skip


def summary(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the number of raters and the way: the least and mean coverage, and the share of cells with 94 % or more."""
    found = []
    for raters, name in product(RATERS, cells[0]["coverage"]):
        held = [one["coverage"][name] for one in cells if one["raters"] == raters]
        found.append({
            "raters": raters, "way": name, "least": min(held), "mean": round(float(np.mean(held)), 4),
            "cells at 94 %": round(float(np.mean([h >= 0.94 for h in held])), 3),
        })  # fmt: skip
    return found


def example() -> tuple[Study, dict[str, Any]]:
    """A study of two models of simulated raters, and its result."""
    uses: list[tuple[Kind, int]] = [("scored", 40), ("practice", 10), ("catch", 6)]
    parts = [(of, use, k) for of in ("A", "B", "real", "noise") for use, n in uses for k in range(n)
             if of != "noise" or use == "catch"]  # fmt: skip
    study = Study(
        title="map to photo", protocol="paired", seconds=1.0, trials=50, practice=10, catch=6, seed=0,
        models=tuple(Model(letter=letter, name=name, path=name, kind="run")
                     for letter, name in (("A", "L1+cGAN"), ("B", "L1"))),
        real=Real(source="maps", split="held-out"),
        pictures=tuple(Picture(name=f"{k:016x}", of=of, use=use, item=i) for k, (of, use, i) in enumerate(parts)),
    )  # fmt: skip
    return study, analyse.result(study, simulate.votes(study, TRUTH, raters=44, careless=4, between=0.05, seed=1))


def page(document: dict[str, Any], text: str) -> str:
    """The page with what stands between ``<!-- NAME -->`` and ``<!-- end -->`` as the results say."""
    blocks = {
        "coverage": _coverage(document["summary"]), "width": _width(document["cells"]),
        "bias": _bias(document["d_prime"]), "example": ["```text", *document["example"]["lines"], "```"],
    }  # fmt: skip
    for name, lines in blocks.items():
        block = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text = re.sub(f"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S)  # type: ignore[misc]
    return text


def _coverage(summary: list[dict[str, Any]]) -> list[str]:
    ways = list(dict.fromkeys(one["way"] for one in summary))
    found = {(one["raters"], one["way"]): one for one in summary}
    rows = ["| raters | " + " | ".join(f"{way}: mean (least)" for way in ways) + " |", "|---" * (1 + len(ways)) + "|"]
    for raters in RATERS:
        cells = [f"{found[raters, way]['mean']:.1%} ({found[raters, way]['least']:.1%})" for way in ways]
        rows.append(f"| {raters} | " + " | ".join(cells).replace("%", " %") + " |")
    return rows


def _width(cells: list[dict[str, Any]]) -> list[str]:
    half = {(one["raters"], one["rate"]): one["width"]["studentised"] / 2 for one in cells if one["between"] == 0.05}
    rates = (0.05, 0.1, 0.2, 0.35, 0.5)
    rows = ["| raters | " + " | ".join(f"at {100 * rate:.0f} %" for rate in rates) + " |", "|---" * 6 + "|"]
    return rows + [
        f"| {raters} | " + " | ".join(f"± {100 * half[raters, rate]:.1f} %" for rate in rates) + " |"
        for raters in RATERS
    ]


def _bias(d_prime: list[dict[str, Any]]) -> list[str]:
    by_d = {d: [one for one in d_prime if one["d_prime"] == d] for d in (0, 0.5, 1, 2)}
    held = [
        f"at d′ = {d} by {abs(float(np.mean([one['bias'] for one in some]))):.2f} (held in "
        f"{100 * float(np.mean([one['coverage'] for one in some])):.1f} %)" for d, some in by_d.items() if d
    ]  # fmt: skip
    return [", ".join(held) + "."]


def main() -> None:
    if "--page" in sys.argv:
        text = page(json.loads(OUT.read_text(encoding="utf-8")), PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(text, encoding="utf-8")
        return
    study, record = example()
    if "--example" in sys.argv:
        print("\n".join([*study.lines(), "", *words.lines(record)]))
        return
    began = time.perf_counter()
    cells = [cell(rate, between, raters) for raters, between, rate in product(RATERS, BETWEEN, RATES)]
    d_prime = [of_d_prime(d, spread, raters) for raters, spread, d in product((20, 30, 50), (0.0, 0.5), (0, 0.5, 1, 2))]
    document = {
        "command": "python -m benchmarks.study", "machine": describe(1),
        "seconds": round(time.perf_counter() - began, 1),
        "studies": STUDIES, "resamples": RESAMPLES, "trials": TRIALS, "level": statistics.LEVEL,
        "summary": summary(cells), "cells": cells, "d_prime": d_prime,
        "example": {"truth": TRUTH, "result": record, "lines": words.lines(record)},
    }  # fmt: skip
    OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    for one in document["summary"]:
        print(one)
    print(*(one for one in d_prime if one["coverage"] < 0.94), sep="\n")


if __name__ == "__main__":
    main()
