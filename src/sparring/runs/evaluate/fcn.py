"""The FCN score: photos that a run makes of held-out label maps are segmented, and what is found is compared with the
maps they were made from (Isola et al. 2017, section 3.2; Zhang et al. 2016).

The rows are this run, other runs, the real photos, and the class that most pixels are of, each judged alike. The scores
are those of the judge as much as those of a run: where it does not beat the majority class on real photos by `SURE`
standard errors in all three of them, no score of a run is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Dataset, batch_of
from sparring.errors import UsageError
from sparring.metrics.features import quantise
from sparring.metrics.figure import Figure
from sparring.metrics.segmentation import NAMES, SURE, Counts, ahead, confusion, majority, measured, scores
from sparring.metrics.segmenters import FCN, Public, Segmenter, matched
from sparring.runs import plan as plans
from sparring.runs.evaluate.fcn_pairs import Pairs, chosen, unseen
from sparring.runs.evaluate.opening import use_raw
from sparring.runs.run import Run
from sparring.train.engine import choose_device
from sparring.types import Batch, Segments, Space, Translates

PIECE = 8
"""Label maps that are translated, and photos that are segmented, at once."""
Progress = Callable[[str, int, int], None]


def judge_of(fcn: str | None, segmenter: str | None, device: str = "auto") -> Segmenter:
    """The judge that is asked for: a run of fcn8s, or a published network. Raises `UsageError` for both at once."""
    if fcn is not None and segmenter is not None:
        raise UsageError("ARGUMENT", "--fcn and --segmenter are two judges", fix="name one of them")
    if segmenter is not None:
        return Public(segmenter, choose_device(device))
    assert fcn is not None
    run = Run(fcn, device=device)
    data = run.document["data"]
    if not isinstance(run.game, Segments):
        raise UsageError("FCN-RUN", f"a run of {run.document['recipe']} does not say what a pixel is", where=fcn,
                         fix="train a judge: sparring train PHOTOS/ LABELS/ --recipe fcn8s --maps B")  # fmt: skip
    space = _space(run)
    assert space.condition is not None  # fcn8s needs pairs
    ignored = tuple(space.legend[number] for number in run.game.ignored)
    return FCN(run.game, (space.condition[0], *data["shape"][1:]), space.legend, str(fcn), ignored)


def score(
    run: Run, dataset: Dataset, judge: Segmenter, *, against: Sequence[str] = (), which: str = "best",
    weights: str = "ema", n: int | None = None, seed: int = 0, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The record of the FCN score of `run` on its `dataset`; `lines` makes a table of it.

    against: other runs, which are given the same label maps.   n: pairs, at most; None: all.
    Raises `UsageError` where the run makes no photos of label maps, or the judge knows none of their classes.
    """
    legend = _legend(run, dataset)
    table = matched(legend, judge)
    known = [k for k, number in enumerate(table) if number is not None and legend[k] not in judge.ignored]
    if len(known) < 2:
        raise UsageError(
            "FCN-LEGEND", "the judge knows fewer than two classes of these label maps", where=judge.of,
            why=f"it knows {_few(judge.legend)}; the maps have {_few(legend)}",
            fix="train a judge on pairs whose label maps have the same classes",
        )  # fmt: skip
    others = [_other(path, legend, dataset, which, run.device.type, weights) for path in against]
    rows = unseen(dataset, judge, n, seed, progress)
    counts = _counted([run, *others], dataset, judge, legend, table, known, rows, seed, progress)
    truth = counts["truth"]
    least = majority(truth)
    lead = ahead(truth, least, seed=seed)
    shown = all(value >= SURE for value in lead.values())
    found = {"truth": truth, "majority": least}
    if shown:
        found |= {name: counts[name] for name in counts if name != "truth"}
    named = {"truth": "real photos", "majority": f"majority class ({legend[_most(truth)]})", "run": str(run.path)}
    named |= {f"against {k}": str(other.path) for k, other in enumerate(others)}
    label = f"{judge.name} {judge.version}"
    return {
        "judge": {"name": judge.name, "version": judge.version, "of": judge.of, "protocol": judge.protocol},
        "n": len(rows.rows), "held_out": rows.held_out, "left_out": rows.seen, "trained_on": rows.trained_on,
        "size": list(dataset.shape[1:]), "classes": [legend[k] for k in known],
        "not_judged": [name for k, name in enumerate(legend) if k not in known],
        "ahead": {name: round(float(min(value, 1e9)), 3) for name, value in lead.items()}, "shown": shown,
        "why": "" if shown else _why(lead),
        "rows": [
            {"what": what.partition(" ")[0], "name": named[what], "scores": _figures(found[what], label, seed),
             "class_iou": _by_class(found[what], known)}
            for what in ("run", *(f"against {k}" for k in range(len(others))), "truth", "majority") if what in found
        ],
        "warnings": list(rows.warnings),
    }  # fmt: skip


def maps_score(
    run: Run, dataset: Dataset, *, n: int | None = None, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """The same scores of a run that makes label maps, or names pixels, which needs no judge: its maps against the true
    ones of held-out pairs, beside the majority class (Isola et al. 2017, table 6)."""
    game, legend = run.game, dataset.legend
    if not legend or not isinstance(game, Translates | Segments):
        raise UsageError("FCN-MAPS", "this run makes no label maps", where=str(run.path))
    ignored = list(game.ignored) if isinstance(game, Segments) else []
    rows = chosen(dataset, n, seed)
    found = []
    for start, batch in _pieces(dataset, rows, progress, "naming pixels"):
        given = _floats(batch.condition, run.device)
        with torch.no_grad():
            dice = _dice(seed, start, given)
            said = game.segment(given) if isinstance(game, Segments) else game.translate(given, dice)
        found.append(confusion(batch.x.argmax(1), said.argmax(1).cpu(), len(legend), ignored))
    counts = np.concatenate(found)
    least = majority(counts)
    known = [k for k in range(len(legend)) if k not in ignored]
    lead = ahead(counts, least, seed=seed)
    return {
        "judge": None, "n": len(rows.rows), "held_out": rows.held_out, "left_out": 0, "trained_on": 0,
        "size": list(dataset.shape[1:]),
        "classes": [legend[k] for k in known], "not_judged": [legend[k] for k in ignored],
        "ahead": {name: round(float(min(value, 1e9)), 3) for name, value in lead.items()}, "shown": True, "why": "",
        "rows": [
            {"what": what, "name": name, "scores": _figures(part, "", seed), "class_iou": _by_class(part, known)}
            for what, name, part in (("run", str(run.path), counts),
                                     ("majority", f"majority class ({legend[_most(counts)]})", least))
        ],
        "warnings": list(rows.warnings),
    }  # fmt: skip


# ── who is judged, and on what ────────────────────────────────────────────────────────────────────────────────────


def _legend(run: Run, dataset: Dataset) -> tuple[str, ...]:
    given = dataset.given
    if not isinstance(run.game, Translates) or given is None or not given.legend or not given.paired:
        raise UsageError(
            "FCN-CANNOT", "an FCN score is of photos that are made of label maps", where=str(run.path),
            why=f"this run of {run.document['recipe']} is given no label maps",
            fix="evaluate a run that was trained with --maps on the side that is given",
        )  # fmt: skip
    if dataset.legend:
        raise UsageError("FCN-CANNOT", "this run makes label maps of label maps", where=str(run.path))
    return given.legend


def _other(path: str, legend: tuple[str, ...], dataset: Dataset, which: str, device: str, weights: str) -> Run:
    other = Run(path, which=which, device=device)
    space = _space(other)
    assert dataset.given is not None
    if not isinstance(other.game, Translates) or tuple(space.condition_legend) != legend:
        raise UsageError(
            "FCN-AGAINST", "a run that is compared with must be given the same label maps", where=path,
            why=f"its classes are {_few(space.condition_legend) or 'none'}, and not {_few(legend)}",
            fix="name runs on the same data",
        )  # fmt: skip
    if weights == "raw":
        use_raw(other)
    return other


def _space(run: Run) -> Space:
    return plans.space_of_document(run.document)


# ── what is counted ───────────────────────────────────────────────────────────────────────────────────────────────


def _counted(
    runs: Sequence[Run], dataset: Dataset, judge: Segmenter, legend: tuple[str, ...], table: list[int | None],
    known: list[int], rows: Pairs, seed: int, progress: Progress | None,
) -> dict[str, Counts]:  # fmt: skip
    """The confusion matrices (n, K, K) of the real photos ("truth"), of the first run ("run"), and of the others."""
    names = ["run", *(f"against {k}" for k in range(len(runs) - 1))]
    found: dict[str, list[Counts]] = {name: [] for name in ("truth", *names)}
    ignored = [k for k in range(len(legend)) if k not in known]
    theirs = [number for k in known if (number := table[k]) is not None]

    def count(name: str, photos: Tensor, label: Tensor) -> None:
        logits = judge(photos)[:, theirs]  # the likeliest of the classes that both know
        said = torch.tensor(known)[logits.argmax(1).cpu()]
        found[name].append(confusion(label, said, len(legend), ignored))

    for start, batch in _pieces(dataset, rows, progress, "segmenting"):
        assert batch.condition is not None
        label = batch.condition.argmax(1)
        count("truth", batch.x, label)
        for name, run in zip(names, runs, strict=True):
            game = run.game
            assert isinstance(game, Translates)
            given = _floats(batch.condition, run.device)
            with torch.no_grad():
                made = quantise(game.translate(given, _dice(seed, start, given)))
            count(name, made.cpu(), label)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _pieces(dataset: Dataset, rows: Pairs, progress: Progress | None, stage: str) -> Iterator[tuple[int, Batch]]:
    """(number of the first one, batch) of some pairs at a time."""
    for start in range(0, len(rows.rows), PIECE):
        if progress is not None:
            progress(stage, start, len(rows.rows))
        yield start, batch_of(dataset, rows.rows[start : start + PIECE], held_out=rows.held_out)


def _floats(images: Tensor | None, device: torch.device) -> Tensor:
    assert images is not None
    return images.to(device).float().div(127.5).sub(1.0)


def _dice(seed: int, start: int, given: Tensor) -> Dice:
    return Dice(seed, "sample", range(start, start + len(given)), (), given.device)


def _most(counts: Counts) -> int:
    return int(counts.sum((0, 2)).argmax())


def _figures(counts: Counts, judge: str, seed: int) -> dict[str, Any]:
    found = measured(counts, seed=seed)
    return {name: Figure.of(name, found[name], "higher", len(counts), len(counts), judge).record() for name in NAMES}


def _by_class(counts: Counts, known: list[int]) -> list[float | None]:
    iou = scores(counts).class_iou
    return [None if np.isnan(iou[k]) else round(float(iou[k]), 4) for k in known]


def _why(lead: dict[str, float]) -> str:
    short = [f"{name.replace('_', ' ')} by {value:.1f}" for name, value in lead.items() if value < SURE]
    return (
        f"no score of a run is shown: on real photos the judge must beat the majority class by {SURE:g} standard "
        f"errors, and does in {', in '.join(short)}; train it longer, or on more pairs"
    )


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
