"""Which pairs an FCN score is of: held-out ones that the judge was not trained on either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import permutation
from sparring.data import Dataset
from sparring.data.binary import Binarised
from sparring.data.live import Live
from sparring.errors import SparringError
from sparring.health.copies import nearest, thumbnails
from sparring.metrics.segmenters import FCN, Segmenter
from sparring.runs.directory import RunDirectory
from sparring.runs.evaluate.opening import data_of

FEWEST = 10
"""Pairs without which nothing can be said of a judge."""
SAME = 3.0
"""Levels, root mean square, by which thumbnails of one photo may differ. Of the CMP facades those of one photo at 64
and at 128 px are at most 0.8 apart, after JPEG of quality 40 at most 1.9; two photos at least 15."""
_TRAINING = 100  # training pairs that are judged where too few are held out
_READ = 256  # photos at once

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pairs:
    """Rows of the held-out part of a data set, or of its training part.

    seen: how many pairs are left out because the judge was trained on their photos.
    trained_on: of how many of `rows` it was all the same.   warnings: what is wrong.
    """

    rows: NDArray[np.int64]
    held_out: bool
    seen: int = 0
    trained_on: int = 0
    warnings: tuple[str, ...] = ()


def chosen(dataset: Dataset, n: int | None, seed: int) -> Pairs:
    """All held-out pairs, or some training ones where too few are held out; at most n."""
    held_out = len(dataset.held_out) >= FEWEST
    total = len(dataset.held_out if held_out else dataset.train)
    count = min(total, n if n is not None else (total if held_out else _TRAINING))
    rows = np.sort(permutation(seed, "evaluate/fcn", 0, total)[:count])
    few = len(dataset.held_out)
    aside = f"only {few} pair{'s are' if few != 1 else ' is'} held out"
    said = () if held_out else (f"{aside}, so training pairs are judged: a run does better on them than on others",)
    return Pairs(rows, held_out, warnings=said)


def unseen(dataset: Dataset, judge: Segmenter, n: int | None, seed: int, progress: Progress | None = None) -> Pairs:
    """As `chosen`, but without pairs whose photos the judge was trained on, while `FEWEST` others remain."""
    found = chosen(dataset, None, seed)
    known = trained_on(judge.of, dataset, progress) if isinstance(judge, FCN) else np.zeros(0, np.bool_)
    if known is None:
        said = "whether the judge was trained on these photos is not known: its own are gone, or cropped in another way"
        found = replace(found, warnings=(*found.warnings, said))
    elif len(known):
        mine = known[found.rows + (0 if found.held_out else len(dataset.held_out))]
        if (~mine).sum() >= FEWEST:
            found = replace(found, rows=found.rows[~mine], seen=int(mine.sum()))
        elif mine.any():
            mine = mine[:n]
            count = int(mine.sum())
            said = (
                f"the judge was trained on {count} of these {len(mine)} photos, or on ones that look the same: its "
                "scores are too high, of real photos above all; take a judge that was trained on others, or a run with "
                "more pairs held out"
            )
            found = replace(found, trained_on=count, warnings=(*found.warnings, said))
    return found if n is None else replace(found, rows=found.rows[:n])


def trained_on(fcn: str | Path, dataset: Dataset, progress: Progress | None = None) -> NDArray[np.bool_] | None:
    """Of each photo that `dataset` has of what is to be made, held-out ones first, whether a judge was trained on it.

    What counts is what is seen (thumbnails that differ by `SAME` at most): neither names, nor folders, zips or halves
    of a picture, nor direction, size and compression matter. None where the judge's photos are not there any more, or
    were cropped in another way.
    """
    try:
        theirs, _, changes = data_of(fcn, progress)
    except SparringError:
        return None
    try:
        (h, w), (height, width) = theirs.shape[1:], dataset.shape[1:]
        given = theirs.given
        if given is None or h * width != w * height or theirs.report.crop != dataset.report.crop:
            return None
        if changes and theirs.fingerprint != RunDirectory(fcn).document()["data"]["fingerprint"]:
            return None
        grey = given.shape[0] != dataset.shape[0]
        known = _thumbnails(given.train, grey)
        mine = torch.cat([_thumbnails(part, grey) for part in (dataset.held_out, dataset.train) if len(part)])
        found: NDArray[np.bool_] = (nearest(mine, known)[0] <= SAME).numpy()
        return found
    finally:
        theirs.close()


def _thumbnails(photos: NDArray[Any] | Live | Binarised, grey: bool) -> Tensor:
    """Of photos (n, H, W, c), some at a time; without their colours where another side has none."""
    parts = []
    for start in range(0, len(photos), _READ):
        piece = torch.from_numpy(np.array(photos[start : start + _READ])).permute(0, 3, 1, 2)
        piece = piece[:, :3].float().mean(1, keepdim=True).to(torch.uint8) if grey else piece
        parts.append(thumbnails(piece))
    return torch.cat(parts)
