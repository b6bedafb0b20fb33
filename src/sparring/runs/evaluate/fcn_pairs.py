"""Which pairs an FCN score is of: held-out ones that the judge was not trained on either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.chance import permutation
from sparring.data import Dataset
from sparring.data.manifest import Manifest
from sparring.data.report import DataReport
from sparring.data.sources.partners import stem
from sparring.metrics.segmenters import FCN, Segmenter
from sparring.runs.directory import RunDirectory

FEWEST = 10
"""Pairs without which nothing can be said of a judge."""
_TRAINING = 100  # training pairs that are judged where too few are held out


@dataclass(frozen=True)
class Pairs:
    """Rows of the held-out part of a data set, or of its training part.

    seen: how many held-out pairs are left out because the judge was trained on them.   warnings: what is wrong.
    """

    rows: NDArray[np.int64]
    held_out: bool
    seen: int = 0
    warnings: tuple[str, ...] = ()


def chosen(dataset: Dataset, n: int | None, seed: int) -> Pairs:
    """All held-out pairs, or some training ones where too few are held out; at most n."""
    held_out = len(dataset.held_out) >= FEWEST
    total = len(dataset.held_out if held_out else dataset.train)
    count = min(total, n if n is not None else (total if held_out else _TRAINING))
    rows = np.sort(permutation(seed, "evaluate/fcn", 0, total)[:count])
    said = () if held_out else (f"{len(dataset.held_out)} pairs are held out, so training pairs are judged",)
    return Pairs(rows, held_out, warnings=said)


def unseen(dataset: Dataset, judge: Segmenter, n: int | None, seed: int) -> Pairs:
    """As `chosen`, but without pairs that the judge was trained on, as far as that is known."""
    found = chosen(dataset, None, seed)
    if isinstance(judge, FCN) and found.held_out:
        trained = trained_on(judge.of, dataset)
        if trained is None:
            said = "whether the judge was trained on some of these photos is not known: it has seen other files"
            found = replace(found, warnings=(*found.warnings, said))
        else:
            fresh = np.array([row for row in found.rows if stem(dataset.file(int(row))) not in trained], np.int64)
            seen = len(found.rows) - len(fresh)
            if len(fresh) >= FEWEST:
                found = replace(found, rows=fresh, seen=seen)
            elif seen:
                said = f"the judge was trained on {seen} of these {len(found.rows)} photos: it does too well on them"
                found = replace(found, warnings=(*found.warnings, said))
    return found if n is None else replace(found, rows=found.rows[:n])


def trained_on(fcn: str | Path, dataset: Dataset) -> set[str] | None:
    """The stems of the pairs that a judge was trained on; None where names say nothing: it was trained on another
    source than `dataset`, or its manifest is gone."""
    manifest = Manifest.load(RunDirectory(fcn).manifest)
    if manifest is None or _places(manifest.report) != _places(dataset.report):
        return None
    stems = [stem(name) for name in manifest.names]
    mine = {stem(dataset.file(row)) for row in range(len(dataset.held_out) + len(dataset.train))}
    if 2 * len(mine & set(stems)) < len(mine):
        return None
    return set(stems[manifest.report.held_out :])


def _places(report: DataReport) -> set[str]:
    """Where both sides lie, whichever is given."""
    return {_place(text) for text in (report.source, report.also) if text}


def _place(source: str) -> str:
    return source if source.startswith("hf:") or "://" in source else str(Path(source).expanduser().resolve())
