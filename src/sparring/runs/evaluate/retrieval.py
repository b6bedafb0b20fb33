"""``sparring evaluate RUN --metrics retrieval --scorer SCORER``: whether what a run makes of a text is of that text."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Dataset, batch_of
from sparring.errors import UsageError
from sparring.generate.sample import device_of
from sparring.metrics import retrieval
from sparring.metrics.features import quantise
from sparring.metrics.figure import Figure
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.evaluate.opening import Place, Progress, data_of, use_raw
from sparring.runs.run import Run
from sparring.runs.scorer import Scorer, in_colour, open_scorer
from sparring.types import SamplesByText

if TYPE_CHECKING:
    from sparring.runs.evaluate.evaluation import Ask

NAME = "retrieval"
EACH = 8
"""Samples of each text, where it is not said how many."""
_AT_ONCE = 64


def alone(metrics: tuple[str, ...]) -> bool:
    """Whether it is what is asked for. `UsageError` where other measures are named with it."""
    if NAME not in metrics:
        return False
    if len(metrics) > 1:
        raise UsageError("EVALUATE-METRIC", "retrieval is measured by itself: another judge looks at other samples",
                         where=",".join(metrics), fix="--metrics retrieval")  # fmt: skip
    return True


def evaluate(ask: Ask, place: Place, progress: Progress | None) -> dict[str, Any]:
    """The record of a run that makes images of a text: its R-precision on held-out captions by a scorer, beside that of
    the held-out pictures and of texts that are not theirs."""
    began = time.monotonic()
    run, scorer = _opened(ask, place), _scorer(ask)
    dataset, _, changes = data_of(place.path, progress)
    try:
        found, said = measured(run, dataset, scorer, ask.n or EACH, ask.seed, progress)
    finally:
        dataset.close()
    rows = {
        "retrieval": found.made.precision, "retrieval_real": found.real.precision,
        "retrieval_shuffled": found.floor.precision, "similarity": found.made.similarity,
        "similarity_real": found.real.similarity, "similarity_shuffled": found.floor.similarity,
    }  # fmt: skip
    n, of_run = len(said), (len(said) * (ask.n or EACH))
    counts = {"retrieval_real": n, "similarity_real": n}
    figures = [
        Figure.of(name, one, "higher" if name in ("retrieval", "similarity") else "", n, counts.get(name, of_run),
                  scorer.identity)
        for name, one in rows.items()
    ]  # fmt: skip
    record = {
        "retrieval": {
            "texts": n, "each": ask.n or EACH, "nearest": found.made.nearest, "candidates": found.made.candidates,
            "chance": found.made.chance, "scorer": scorer.identity,
            "by_text": dict(zip(said, found.made.by_text.tolist(), strict=True)),
        },
        "fake": {"what": str(run.path), "kind": place.kind, "split": "", "n": of_run, "weights": ask.weights,
                 "seed": ask.seed, "images": run.images},
        "metrics": {figure.name: figure.record() for figure in figures},
        "warnings": [*run.remarks, *changes], "command": ask.command(), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_atomically(RunDirectory(place.path).path / "evaluation.json", text)
    if ask.out is not None:
        write_atomically(Path(ask.out), text)
    return record


@dataclass(frozen=True)
class Found:
    """What is retrieved: of samples, of the real pictures (the ceiling), and of samples beside other texts."""

    made: retrieval.Retrieved
    real: retrieval.Retrieved
    floor: retrieval.Retrieved


@torch.no_grad()
def measured(
    run: Run, dataset: Dataset, scorer: Scorer, each: int = EACH, seed: int = 0, progress: Progress | None = None
) -> tuple[Found, list[str]]:
    """R-precision of `each` samples of every held-out caption (of the first caption of each picture; equal ones once),
    and these captions. Sample j of text i is number i · each + j of the seed, 8 bits a level, as files have it."""
    rows = held_out(dataset)
    said = list(rows)
    texts = scorer.texts(said).cpu()
    numbers = np.array(list(rows.values()), np.int64)
    reals = [_seen(scorer, batch_of(dataset, some, held_out=True).x) for some in _pieces(numbers)]
    game: Any = run.game
    asked, made = [text for text in said for _ in range(each)], []
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        dice = Dice(seed, "sample", range(start, start + len(part)), device=device_of(game))
        made.append(_seen(scorer, quantise(game.sample(dice, text=part))))
        if progress is not None:
            progress("drawing samples of held-out captions", start + len(part), len(asked))
    samples = torch.cat(made).unflatten(0, (len(said), each))
    found = [
        retrieval.retrieval(images, texts, seed=seed, said=said)
        for images in (samples, torch.cat(reals)[:, None], retrieval.shuffled(samples, seed))
    ]
    return Found(*found), said


def held_out(dataset: Dataset) -> dict[str, int]:
    """Each different held-out caption, and the row of the first picture that has it."""
    rows: dict[str, int] = {}
    for row, captions in enumerate(dataset.held_out_captions or ()):
        text = " ".join(next(iter(captions), "").split())
        if text:
            rows.setdefault(text, row)
    return rows


def _pieces(rows: Any) -> list[Any]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def _seen(scorer: Scorer, pixels: Tensor) -> Tensor:
    """(n, C, H, W) uint8 → (n, d) on the CPU."""
    return scorer.images(in_colour(pixels.float() / 127.5 - 1)).cpu()


def _opened(ask: Ask, place: Place) -> Run:
    if place.kind == "data" or ask.fake is not None:
        raise UsageError(
            "EVALUATE-RETRIEVAL", "retrieval is of a run, by the captions that it held out", where=ask.fake or ask.real,
            fix="sparring evaluate RUN --metrics retrieval --scorer SCORER_RUN",
        )  # fmt: skip
    which = str(place.checkpoint) if place.checkpoint is not None else ask.which
    run = Run(place.path, which=which, device=ask.device)
    if not isinstance(run.game, SamplesByText):
        raise UsageError(
            "EVALUATE-RETRIEVAL", "this run was not told texts, so it makes no pictures of any", where=place.path,
            fix="train --recipe text2image on images with captions (docs/text.md)",
        )  # fmt: skip
    if ask.weights == "raw":
        use_raw(run)
    return run


def _scorer(ask: Ask) -> Scorer:
    if ask.scorer is None:
        raise UsageError(
            "EVALUATE-SCORER", "somebody must say which text a picture is of, and nobody is named",
            fix="--scorer SCORER_RUN, a run of dualencoder on other captions (sparring train DATA --recipe "
            "dualencoder); or --scorer clip",
        )  # fmt: skip
    return open_scorer(ask.scorer, "cpu" if ask.device == "auto" else ask.device)
