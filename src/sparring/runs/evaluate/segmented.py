"""What ``sparring evaluate`` says of label maps: those that a run makes, and those it makes photos of (`fcn`)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError
from sparring.metrics.segmenters import Segmenter
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.evaluate import fcn
from sparring.runs.evaluate.opening import Place, Progress, data_of, translates, use_raw
from sparring.runs.evaluate.pairs import Translated
from sparring.runs.evaluate.sides import Side
from sparring.runs.recipe import game_class
from sparring.runs.run import Run
from sparring.types import Segments

if TYPE_CHECKING:
    from sparring.runs.evaluate.evaluation import Ask


def names_pixels(place: Place) -> bool:
    """Whether it is a run that says what pixels are, and makes nothing."""
    if place.kind == "data":
        return False
    return issubclass(game_class(str(RunDirectory(place.path).document()["recipe"])), Segments)


def of_maps(ask: Ask, place: Place, progress: Progress | None) -> dict[str, Any]:
    """The record of a run that names pixels and makes nothing: how well it does."""
    began = time.monotonic()
    which = str(place.checkpoint) if place.checkpoint is not None else ask.which
    run = Run(place.path, which=which, device=ask.device)
    if ask.weights == "raw":
        use_raw(run)
    dataset, _, changes = data_of(place.path, progress)
    try:
        found = fcn.maps_score(run, dataset, n=ask.n, seed=ask.seed, progress=progress)
    finally:
        dataset.close()
    record = {
        "segmentation": found, "metrics": found["rows"][0]["scores"], "warnings": [*run.remarks, *changes],
        "command": ask.command(), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_atomically(RunDirectory(place.path).path / "evaluation.json", text)
    if ask.out is not None:
        write_atomically(Path(ask.out), text)
    return record


def judge_of(ask: Ask, fake: Place) -> Segmenter | None:
    """Who is to judge photos made of label maps, opened before anything else is done; None where nobody is named."""
    if ask.fcn is None and ask.segmenter is None:
        return None
    if not translates(fake):
        raise UsageError(
            "FCN-CANNOT", "an FCN score is of a run that makes photos of label maps", where=ask.fake or ask.real,
            fix="sparring evaluate RUN --fcn FCN_RUN, where RUN is one of pix2pix that was given label maps",
        )  # fmt: skip
    return fcn.judge_of(ask.fcn, ask.segmenter, ask.device)


def of_translations(ask: Ask, side: Side, judge: Segmenter | None, progress: Progress | None) -> dict[str, Any] | None:
    """The FCN score of translations, where somebody judges; of label maps that are made, how right they are."""
    if not isinstance(side, Translated):
        return None
    scene = side.scene
    if judge is not None:
        return fcn.score(
            scene.run, scene.dataset, judge, against=ask.fcn_against, which=ask.which, weights=ask.weights, n=ask.n,
            seed=ask.seed, progress=progress,
        )  # fmt: skip
    if not scene.dataset.legend or not scene.paired:
        return None
    return fcn.maps_score(scene.run, scene.dataset, n=ask.n, seed=ask.seed, progress=progress)
