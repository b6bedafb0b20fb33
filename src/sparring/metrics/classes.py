"""Classes and modes: do samples keep the proportions of the data, and how many of its classes do they show at all?

`frequencies` compares counts of samples with counts of data, class by class and as a whole. `modes` counts the classes
that a classifier sees in samples (the protocol of stacked digits: Metz et al. 2017; Lin et al. 2018, section 4.2), with
what that count leaves out: how sure the classifier was, what n samples of a perfect sampler would show, and what mere
noise would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.modes import of_counts
from sparring.metrics.uncertainty import Measured, percentile, resamples, wilson

THRESHOLDS = (0.0, 0.5, 0.9, 0.99)
"""How sure a classifier must be for a sample to count; the published counts use none (0)."""
SURE = 0.05
"""A class is flagged where, of all classes together, a fair sampler would be flagged in at most this share of cases."""


@dataclass(frozen=True)
class ClassShare:
    """One class among samples and data.

    share: of the samples, in [0, 1], with Wilson's interval.   of_data: of the data, in [0, 1].
    ratio: share / of_data (shares of counts + ½, so that it is finite), with the interval of a ratio of shares.
    p:     probability of such a difference between equal laws (Fisher's exact test), adjusted for the number of classes
           (Holm 1979).
    flag:  "over" or "under" where p is below `SURE`, "absent" where there is no sample of it; else "".
    """

    name: str
    share: Measured
    of_data: float
    ratio: Measured
    p: float
    flag: Literal["over", "under", "absent", ""]

    def sentence(self) -> str:
        """The flag in plain words; empty without one."""
        match self.flag:
            case "absent":
                return f"{self.name}: never, though {_percent(self.of_data)} of the data"
            case "over" | "under":
                often = "too often" if self.flag == "over" else "too seldom"
                return f"{self.name}: {often}, {_percent(self.share.value)} instead of {_percent(self.of_data)}"
        return ""


@dataclass(frozen=True)
class Frequencies:
    """Classes of samples against data.

    classes: one row for each, in the order given.
    p:       probability of such differences between equal laws, χ² test of all classes together (classes that are
             expected fewer than 5 times are taken together).
    apart:   half the sum of the differences of shares (total variation), 0 to 1: the part of the samples that would
             have to be of another class.
    chance:  what `apart` is for equal laws and these numbers, on average.
    """

    classes: tuple[ClassShare, ...]
    p: float
    apart: float
    chance: float
    n_fake: int
    n_real: int

    @property
    def flags(self) -> list[str]:
        """What is over- or under-represented, a sentence each, the largest difference first."""
        rows = sorted(self.classes, key=lambda c: -abs(c.share.value - c.of_data))
        return [c.sentence() for c in rows if c.flag]


def frequencies(fake: Counts, real: Counts, names: Sequence[str] = ()) -> Frequencies:
    """Compare the counts of K classes among samples with those among data, (K,) each, both at least 1 in all.

    Count labels with `counts`. Where samples have no labels both sides should be judged by the same classifier, so that
    its mistakes are on both.

    >>> found = frequencies([900, 90, 10], [500, 300, 200], ["tabby", "siamese", "sphynx"])
    >>> found.flags
    ['tabby: too often, 90 % instead of 50 %', 'siamese: too seldom, 9.0 % instead of 30 %',
     'sphynx: too seldom, 1.0 % instead of 20 %']
    """
    from scipy import stats  # half a second to import: not before it is needed

    f, r = _counts(fake), _counts(real)
    if len(f) != len(r) or not f.sum() or not r.sum() or (names and len(names) != len(f)):
        raise SparringError("METRIC-CLASSES", f"counts of {len(f)} and {len(r)} classes cannot be compared")
    n, m = int(f.sum()), int(r.sum())
    tests = [stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue if a + b else 1.0 for a, b in zip(f, r)]
    adjusted = _holm(tests)
    rows = tuple(
        _row(names[k] if names else str(k), int(f[k]), int(r[k]), n, m, float(adjusted[k])) for k in range(len(f))
    )
    shares = (f + r) / (n + m)
    chance = float(np.sqrt(2 / math.pi * shares * (1 - shares) * (1 / n + 1 / m)).sum() / 2)  # E|N(0, σ²)| = σ √(2/π)
    return Frequencies(rows, _chi_square(f, r), float(np.abs(f / n - r / m).sum() / 2), chance, n, m)


def counts(labels: Tensor | NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(K,) how often each of `classes` occurs among labels (n,), 0 … K − 1.

    >>> import torch
    >>> counts(torch.tensor([0, 2, 2]), 4)
    array([1, 0, 2, 0])
    """
    return np.bincount(np.asarray(labels, np.int64), minlength=classes)


@dataclass(frozen=True, eq=False)
class Covered:
    """What n samples show of K classes, where the classifier is sure enough.

    threshold: least probability of the winning class for a sample to count.
    modes:     classes with at least one such sample, 0 to K.   counts: (K,) such samples of each.
    expected:  how many classes as many samples of the reference would show.
    noise:     how many classes mere noise shows to this classifier; None where no noise was given. Modes below about
               that number mean nothing.
    sure:      share of the samples that count, with Wilson's interval.
    kl:        KL(q ‖ reference) in nats of the histogram q of those samples, less `floor`, not below 0; with its
               interval (bootstrap of samples, shifted by its own bias).
    raw_kl:    before that; what papers print. 0 to log K for a uniform reference.
    floor:     (K − 1) / 2n, what a perfect sampler has on average (n: samples that count).
    p:         probability that a perfect sampler has such a raw_kl or more (χ² law of 2n KL).
    """

    threshold: float
    modes: int
    classes: int
    expected: float
    noise: int | None
    sure: Measured
    kl: Measured
    raw_kl: float
    floor: float
    p: float
    counts: NDArray[np.int64]


def modes(
    probabilities: Tensor,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    reference: Sequence[float] | NDArray[np.floating] | None = None,
    noise: Tensor | None = None,
    seed: int = 0,
) -> list[Covered]:
    """Count the classes among samples, once for every threshold.

    probabilities: (n, K) of a classifier for the samples.
    reference: (K,) frequencies of the data, all above 0; uniform where none are given.
    noise: (m, K) probabilities of the same classifier for images of noise, to say what its confidence is worth.

    >>> import torch
    >>> found = modes(torch.eye(4)[:3].repeat(100, 1))[0]
    >>> found.modes, found.expected, round(found.raw_kl, 4)  # log 4/3
    (3, 4.0, 0.2877)
    """
    if probabilities.dim() != 2 or not len(probabilities):
        raise SparringError("METRIC-SHAPE", f"probabilities {tuple(probabilities.shape)} must be (n, K), not empty")
    n, k = probabilities.shape
    p = np.full(k, 1 / k) if reference is None else np.asarray(reference, np.float64) / np.sum(reference)
    if len(p) != k or p.min() <= 0:
        raise SparringError("METRIC-CLASSES", f"{k} classes need as many frequencies above 0 to compare with")
    confidence, winner = (t.cpu() for t in probabilities.detach().double().max(1))
    found = []
    for threshold in thresholds:
        kept = winner[confidence >= threshold].numpy()
        told = None if noise is None else _shown(noise, threshold)
        found.append(_covered(kept, n, p, threshold, told, seed))
    return found


Counts = Sequence[int] | NDArray[np.integer] | Tensor


def _covered(
    kept: NDArray[np.int64], n: int, p: NDArray[np.float64], threshold: float, noise: int | None, seed: int
) -> Covered:
    from scipy import stats  # half a second to import: not before it is needed

    k, good = len(p), len(kept)
    histogram = counts(kept, k)
    shown = of_counts(histogram, n).modes
    expected = float(np.sum(-np.expm1(good * np.log1p(-np.minimum(p, 1 - 1e-12)))))
    sure = wilson(good, n)
    if not good:
        worst = float(-np.log(p.min()))
        return Covered(
            threshold, 0, k, 0.0, noise, sure, Measured(worst, worst, worst, "none"), worst, math.nan, 0.0, histogram
        )
    raw, floor = _kl(histogram, p), (k - 1) / (2 * good)
    again = np.array([_kl(counts(kept[rows], k), p) for rows in resamples(good, 200, seed, f"kl/{threshold}")])
    low, high = percentile(again - again.mean())
    value = max(0.0, raw - floor)
    kl = Measured(value, min(value, max(0.0, raw - floor + low)), max(value, raw - floor + high), "bootstrap of 200")
    return Covered(
        threshold,
        shown,
        k,
        expected,
        noise,
        sure,
        kl,
        raw,
        floor,
        float(stats.chi2.sf(2 * good * raw, k - 1)),
        histogram,
    )


def _kl(histogram: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    """KL(q ‖ p) in nats of the frequencies q of a histogram."""
    q = histogram / histogram.sum()
    return float(np.sum(q * np.log(np.where(q > 0, q / p, 1.0))))


def _shown(probabilities: Tensor, threshold: float) -> int:
    confidence, winner = probabilities.detach().double().max(1)
    return int(winner[confidence >= threshold].bincount().count_nonzero())


def _row(name: str, a: int, b: int, n: int, m: int, p: float) -> ClassShare:
    share, of_data = wilson(a, n), b / m
    log = math.log((a + 0.5) / (n + 0.5)) - math.log((b + 0.5) / (m + 0.5))
    error = math.sqrt(1 / (a + 0.5) - 1 / (n + 0.5) + 1 / (b + 0.5) - 1 / (m + 0.5))  # Katz et al. 1978
    ratio = Measured(math.exp(log), math.exp(log - 1.96 * error), math.exp(log + 1.96 * error), "log ratio")
    flag: Literal["over", "under", "absent", ""] = ""
    if p < SURE:
        flag = "absent" if a == 0 else ("over" if share.value > of_data else "under")
    return ClassShare(name, share, of_data, ratio, p, flag)


def _chi_square(f: NDArray[np.int64], r: NDArray[np.int64]) -> float:
    """p of the test that two rows of counts are of one law; the rarest classes are merged until each cell expects 5."""
    from scipy import stats  # half a second to import: not before it is needed

    order = np.argsort(f + r, kind="stable")
    smaller = min(f.sum(), r.sum()) / (f.sum() + r.sum())
    rows: list[tuple[int, int]] = []
    a = b = 0
    for k in order:
        a, b = a + int(f[k]), b + int(r[k])
        if (a + b) * smaller >= 5:
            rows.append((a, b))
            a = b = 0
    if rows and a + b:  # what is left of the merged classes goes to the last one
        rows[-1] = (rows[-1][0] + a, rows[-1][1] + b)
    if len(rows) < 2:
        return 1.0
    return float(stats.chi2_contingency(np.array(rows).T, correction=False).pvalue)


def _holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Holm's adjustment of p values for their number."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, scaled)
    return adjusted


def _counts(values: Counts) -> NDArray[np.int64]:
    return np.asarray(values, np.int64)


def _percent(share: float) -> str:
    """
    >>> _percent(0.5), _percent(0.031), _percent(0.00123)
    ('50 %', '3.1 %', '0.12 %')
    """
    digits = 0 if share >= 0.1 or not share else 1 if share >= 0.01 else 2
    return f"{100 * share:.{digits}f} %"
