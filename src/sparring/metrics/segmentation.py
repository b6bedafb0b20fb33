"""How well a segmentation agrees with label maps: per-pixel accuracy, per-class accuracy, class IoU.

Long et al. 2015, section 5, of a confusion matrix n, where n[i, j] counts the pixels of class i that are said to be of
class j: Σᵢ n[i, i] / Σ n; the mean over i of n[i, i] / Σⱼ n[i, j]; the mean over i of
n[i, i] / (Σⱼ n[i, j] + Σⱼ n[j, i] − n[i, i]). With a segmentation network for a judge these are the FCN scores of Isola
et al. 2017, section 3.2. The matrix is that of all images together: no mean of images' scores has that value.

Images are what chance acts on (pixels of one image depend on each other), so intervals are from a bootstrap over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, percentile, resamples

NAMES = ("pixel_accuracy", "class_accuracy", "class_iou")
"""The three scores, in the order in which `scores` gives them."""
SURE = 3.0
"""Standard errors by which real images must beat the majority class before a judge's numbers are shown."""

_CELLS = 2**22
"""Numbers of resampled matrices, or of images drawn for them, that are held at a time: 32 MiB."""

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def confusion(truth: Tensor, said: Tensor, classes: int, ignored: Sequence[int] = ()) -> Counts:
    """(n, K, K) int64, a matrix for each image; row: the true class, column: what was said.

    truth, said: (n, H, W) class numbers, 0 … K − 1.   ignored: classes whose pixels, by the truth, do not count.

    >>> confusion(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 0]]]), 2)[0].tolist()
    [[1, 0], [1, 1]]
    """
    if truth.shape != said.shape or truth.dim() != 3:
        raise SparringError("METRIC-SHAPE", f"label maps {tuple(truth.shape)} and {tuple(said.shape)} must agree")
    for name, maps in (("truth", truth), ("said", said)):
        if maps.numel() and not 0 <= int(maps.min()) <= int(maps.max()) < classes:
            raise SparringError("METRIC-CLASSES", f"{name} has classes that are not among 0 … {classes - 1}")
    n, square = len(truth), classes * classes
    cells = truth.long() * classes + said.long()
    cells += torch.arange(n, device=cells.device)[:, None, None] * square
    counts = cells.flatten().bincount(minlength=n * square).cpu().numpy().reshape(n, classes, classes)
    counts[:, list(ignored)] = 0
    return counts.astype(np.int64, copy=False)


@dataclass(frozen=True)
class Scores:
    """pixel, classes, iou: the three scores, in [0, 1]; NaN where no pixel counts.

    class_accuracy, class_iou: (K,) of each class. NaN: the class does not occur (of IoU: and nobody says it does); such
    classes are left out of the means.
    """

    pixel: float
    classes: float
    iou: float
    class_accuracy: Values
    class_iou: Values

    @property
    def three(self) -> tuple[float, float, float]:
        """In the order of `NAMES`."""
        return self.pixel, self.classes, self.iou


def scores(counts: Counts) -> Scores:
    """Of a confusion matrix (K, K), or of several (n, K, K) together.

    >>> found = scores(np.array([[3, 1], [2, 2]]))  # two classes, four pixels each
    >>> found.pixel, found.classes, round(found.iou, 4)  # 5/8, (3/4 + 2/4)/2, (3/6 + 2/5)/2
    (0.625, 0.625, 0.45)
    """
    n = np.asarray(counts, np.int64)
    n = n.sum(0) if n.ndim == 3 else n
    pixel, classes, iou = _three(n).tolist()
    return Scores(pixel, classes, iou, *_by_class(n))


def measured(counts: Counts, times: int = 1000, seed: int = 0) -> dict[str, Measured]:
    """The three scores by their `NAMES` with 95 % intervals: percentiles over resamples of the images.

    counts: (n, K, K), of `confusion`. All three, and every set of n images, are resampled in the same way.
    """
    replicates, every = _replicates(counts, times, seed), scores(counts).three
    return {
        name: Measured(value, *percentile(found), f"bootstrap of {times}")
        for name, value, found in zip(NAMES, every, replicates.T, strict=True)
    }


def majority(counts: Counts) -> Counts:
    """The matrices (n, K, K) of somebody who says of every pixel the class that most pixels are of.

    >>> majority(np.array([[[3, 1], [2, 0]]]))[0].tolist()
    [[4, 0], [2, 0]]
    """
    true = np.asarray(counts, np.int64).sum(2)
    made = np.zeros_like(counts)
    made[:, :, int(true.sum(0).argmax())] = true
    return made


def ahead(counts: Counts, others: Counts, times: int = 1000, seed: int = 0) -> dict[str, float]:
    """By how many standard errors each score of `counts` lies above that of `others`, (n, K, K) of the same n images.

    The standard error is that of the difference, over resamples of the images. Without any spread: ±∞, or 0 where
    there is no difference either.
    """
    replicates = _replicates(counts, times, seed) - _replicates(others, times, seed)
    differences = np.subtract(scores(counts).three, scores(others).three)
    errors = np.nanstd(replicates, axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(differences == 0, 0.0, differences / errors)
    return dict(zip(NAMES, found.tolist(), strict=True))


def _replicates(counts: Counts, times: int, seed: int) -> Values:
    """(times, 3): the scores in the order of `NAMES`, each time of n images drawn again out of the n of `counts`."""
    n, classes = len(counts), counts.shape[-1]
    flat = counts.reshape(n, -1).astype(np.float64)  # numbers of pixels are exact in it, and its products are fast
    drawn = resamples(n, times, seed, "segmentation")
    found = [np.zeros((0, len(NAMES)))]
    while rows := list(islice(drawn, max(1, _CELLS // max(n, classes * classes)))):
        often = np.stack([np.bincount(each, minlength=n) for each in rows]).astype(np.float64)
        found.append(_three((often @ flat).reshape(-1, classes, classes)))
    return np.concatenate(found)


def _by_class(n: Counts | Values) -> tuple[Values, Values]:
    """(…, K) and (…, K): the accuracy and the IoU of each class, of matrices (…, K, K)."""
    n = np.asarray(n, np.float64)
    right, true, said = np.diagonal(n, axis1=-2, axis2=-1), n.sum(-1), n.sum(-2)
    return _share(right, true), _share(right, true + said - right)


def _three(n: Counts | Values) -> Values:
    """(…, 3): the scores of matrices (…, K, K), in the order of `NAMES`."""
    right = np.diagonal(n, axis1=-2, axis2=-1).sum(-1)
    return np.stack([_share(right, n.sum((-2, -1))), *map(_mean, _by_class(n))], -1)


def _share(part: Counts | Values, whole: Counts | Values) -> Values:
    found: Values = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=found, where=np.asarray(whole) > 0)


def _mean(values: Values) -> Values:
    """Over the last axis, of what is there."""
    there = ~np.isnan(values)
    return _share(np.where(there, values, 0.0).sum(-1), there.sum(-1))
