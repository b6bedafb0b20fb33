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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, bootstrap, resamples

NAMES = ("pixel_accuracy", "class_accuracy", "class_iou")
"""The three scores, in the order in which `scores` gives them."""
SURE = 3.0
"""Standard errors by which real images must beat the majority class before a judge's numbers are shown."""

Counts = NDArray[np.int64]


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
    class_accuracy: NDArray[np.float64]
    class_iou: NDArray[np.float64]

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
    right, true, said = np.diag(n), n.sum(1), n.sum(0)
    each, iou = _share(right, true), _share(right, true + said - right)
    total = _share(right.sum(), n.sum())
    return Scores(float(total), _mean(each), _mean(iou), each, iou)


def measured(counts: Counts, times: int = 1000, seed: int = 0) -> dict[str, Measured]:
    """The three scores by their `NAMES` with 95 % intervals: percentiles over resamples of the images.

    counts: (n, K, K), of `confusion`. All three, and every set of n images, are resampled in the same way.
    """
    n = len(counts)
    return {
        name: bootstrap(n, lambda rows, k=k: _three(counts, rows)[k], times, seed, "segmentation")  # type: ignore[misc]
        for k, name in enumerate(NAMES)
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
    n = len(counts)
    replicates = np.array([
        np.subtract(_three(counts, rows), _three(others, rows))
        for rows in resamples(n, times, seed, "segmentation")
    ])  # fmt: skip
    differences = np.subtract(scores(counts).three, scores(others).three)
    errors = np.nanstd(replicates, axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(differences == 0, 0.0, differences / errors)
    return dict(zip(NAMES, found.tolist(), strict=True))


def _three(counts: Counts, rows: NDArray[np.int64]) -> tuple[float, float, float]:
    return scores(np.tensordot(np.bincount(rows, minlength=len(counts)), counts, 1)).three


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=found, where=np.asarray(whole) > 0)


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
