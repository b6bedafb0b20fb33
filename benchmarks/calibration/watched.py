"""What the doctor sees of a run that was played: its signals, at each moment, by the run's own watch.

The watch measures and concludes as in any run, but what it decides is not done: a run goes on as it was played.
Features are remembered by the content of the images (benchmarks/state), so that a signal that is defined anew does not
cost the judge's time again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.calibration.cases import Case
from benchmarks.calibration.runs import Prepared, folder_of, prepare, revisit
from benchmarks.calibration.truth import Truth, Values, plain
from sparring.health.verdict import Context
from sparring.losses.adversarial import OBJECTIVES
from sparring.metrics import features
from sparring.metrics.features import Extractor
from sparring.runs.observe import Observer
from sparring.runs.settings import plain as settings_of
from sparring.runs.watch import RunWatch, distance_of, measure_of
from sparring.types import Turn

SAMPLES = {"points": 512, "images": 128}
"""Of G, at a look: what runs of some minutes afford (`runs.probes.SIZES`)."""
SIZE = 64
"""Side at which the judge looks, in pixels. Runs look at 112 px; images of 16 px are enlarged either way, and the judge
costs a third so: results/calibration.json says how far the signals of some runs agree."""
REFERENCE = 20_000
LINES = 2
"""Lines of the log that are told as one (their mean): 200 of a run, so that the watch forgets none of them."""
HEARD = ("gradient", "r1", "r2", "gp", "gp-one-sided", "gp-zero", "dragan")
"""Terms whose size means something by itself."""


class Remembered:
    """An extractor that computes the features of a batch once; what it knows is kept in files."""

    def __init__(self, inner: Extractor) -> None:
        self.inner = inner
        self.name, self.version, self.weights_sha256 = inner.name, inner.version, inner.weights_sha256
        self.size, self.preprocessing, self.dimensions = inner.size, inner.preprocessing, inner.dimensions
        self.known: dict[str, Tensor] = {}
        self.new = False

    @property
    def device(self) -> torch.device:
        return self.inner.device

    def __call__(self, images: Tensor) -> Tensor:
        key = hashlib.blake2b(images.contiguous().numpy().tobytes() + repr(images.shape).encode(), digest_size=16)
        if key.hexdigest() not in self.known:
            self.known[key.hexdigest()] = self.inner(images)
            self.new = True
        return self.known[key.hexdigest()]


_REALS: dict[str, Any] = {}


def observer_of(prepared: Prepared, judge: Remembered) -> Observer:
    """Eyes for the data of the run; of data that several runs share they are opened once."""
    key = prepared.used.fingerprint
    if key not in _REALS:
        kind = prepared.used.kind
        _REALS[key] = Observer(prepared.used, samples=SAMPLES[kind], reference=min(REFERENCE, len(prepared.used.train)),
                               seed=0, mirrored=prepared.recipe.config.flip, judge=judge)  # fmt: skip
    found: Observer = _REALS[key]
    found._judge = judge
    return found


_JUDGE: list[Extractor] = []


def context_of(prepared: Prepared) -> Context:
    """What a run says of itself to whoever judges it."""
    config, used = prepared.recipe.config, prepared.used
    return Context(
        recipe=prepared.recipe.name, objective=config.objective, relative=OBJECTIVES[config.objective].relative,
        images=len(used.train), held_out=len(used.held_out), settings=settings_of(config), classes=len(used.classes),
        kind=used.kind, planned=prepared.total,
    )  # fmt: skip


def told(turns: list[list[Any]]) -> list[tuple[int, Values]]:
    """The lines of a log, `LINES` at a time as their mean; only the terms that are `HEARD`.

    >>> told([[10, {"G/gradient": 1.0, "G/fake": 9.0}], [20, {"G/gradient": 3.0}]])
    [(20, {'G/gradient': 2.0})]
    """
    rows = []
    for start in range(0, len(turns) - LINES + 1, LINES):
        some = turns[start : start + LINES]
        names = [name for name in some[-1][1] if name.split("/")[-1] in HEARD]
        rows.append((int(some[-1][0]), {n: mean([v[n] for _, v in some if n in v]) for n in names}))
    return rows


def mean(values: list[float]) -> float:
    return float(f"{sum(values) / len(values):.3g}")


def watch(case: Case) -> dict[str, Any]:
    """The record of a played run: what became of it, and what the doctor saw, at each moment."""
    judge = None
    eyes: RunWatch | None = None
    truth: Truth | None = None
    rows: list[tuple[int, Values]] = []
    truths: list[Mapping[str, Values]] = []
    record: dict[str, Any] = {}
    lines: list[tuple[int, Values]] = []
    heard = 0
    kept = folder_of(case) / f"features-{SIZE}.safetensors"
    prepared: Prepared | None = None
    for prepared, record, _ in revisit(case):
        if eyes is None:
            judge = Remembered(_judge())
            judge.known = load_file(kept) if kept.exists() else {}
            points = prepared.used.kind == "points"
            eyes = RunWatch(
                observer_of(prepared, judge), prepared.moments, context=context_of(prepared),
                measure=measure_of(prepared.used) if points else None,
                distance=distance_of(prepared.used) if points else None,
            )  # fmt: skip
            truth = truth_of(prepared)
            lines = told(record["turns"])
        assert truth is not None
        while heard < len(lines) and lines[heard][0] <= prepared.match.images:
            eyes.hear(Turn(lines[heard][0], 0, lines[heard][1]))
            heard += 1
        values = dict(eyes.look(prepared.match).values)
        rows.append((prepared.match.images, plain({k: v for k, v in values.items() if k not in ("spent", "share")})))
        truths.append(plain(truth(prepared.match, raw=case.fault.startswith("ema"))))
    if judge is not None and judge.new and judge.known:
        save_file(judge.known, kept)
    if prepared is None:
        prepared = prepare(case)
    context = context_of(prepared)
    return {
        "run": case.name, "ended": record.get("ended"), "images": record.get("images"), "planned": prepared.total,
        "kind": prepared.used.kind, "classes": len(prepared.used.classes), "objective": context.objective,
        "relative": context.relative, "train": context.images, "held_out": context.held_out,
        "seconds": record.get("seconds"), "truth": truths, "probes": rows, "turns": lines,
    }  # fmt: skip


_TRUTHS: dict[str, Truth] = {}


def truth_of(prepared: Prepared) -> Truth:
    key = prepared.used.fingerprint
    if key not in _TRUTHS:
        _TRUTHS[key] = Truth(prepared.whole, prepared.used)
    return _TRUTHS[key]


def _judge() -> Extractor:
    if not _JUDGE:
        _JUDGE.append(features.default(size=SIZE))
    return _JUDGE[0]
