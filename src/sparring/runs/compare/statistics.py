"""What numbers of a few seeds allow saying: intervals by drawing seeds again (scipy), and paired differences (t)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RESAMPLES = 9999
CONFIDENCE = 0.95
ENOUGH = 6
"""Seeds below which nothing is claimed: that all of n seeds favour one side happens by chance with probability 2/2ⁿ,
which is below 5 % from n = 6 on."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its interval. method: "BCa", "percentile" (where BCa is not defined), "equal" (all values
    are the same: no interval can be drawn from them) or "none" (fewer than two).   missing: seeds without a value."""

    mean: float | None
    low: float | None
    high: float | None
    method: str
    seeds: int
    missing: int = 0

    def record(self) -> dict[str, Any]:
        return asdict(self)


def mean(values: Sequence[float | None], confidence: float = CONFIDENCE) -> Mean:
    """The mean of the values that there are, with its bootstrap interval over seeds.

    Bias-corrected and accelerated (Efron 1987), as `scipy.stats.bootstrap` does it, with the same draws every time.

    >>> found = mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> found.mean, found.method, 1.0 < found.low < 3.5 < found.high < 6.0
    (3.5, 'BCa', True)
    >>> mean([2.0, 2.0, 2.0]).low, mean([2.0]).low
    (2.0, None)
    """
    found = np.array([value for value in values if value is not None and math.isfinite(value)], np.float64)
    missing = len(values) - len(found)
    if not len(found):
        return Mean(None, None, None, "none", 0, missing)
    middle = float(found.mean())
    if len(found) < 2:
        return Mean(middle, None, None, "none", 1, missing)
    if np.ptp(found) <= 1e-12 * max(1.0, abs(middle)):
        return Mean(middle, middle, middle, "equal", len(found), missing)
    from scipy import stats  # a second to import: not before it is needed

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                (found,), np.mean, confidence_level=confidence, n_resamples=RESAMPLES, method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval  # fmt: skip
        low, high = float(interval.low), float(interval.high)
        if math.isfinite(low) and math.isfinite(high):
            return Mean(middle, low, high, method, len(found), missing)
    return Mean(middle, float(found.min()), float(found.max()), "range", len(found), missing)


@dataclass(frozen=True)
class Pair:
    """How much better the best is than another, seed by seed (they share data and initial weights).

    mean, low, high: of the differences, above 0 where the best is better, with Student's interval at a confidence that
    holds for all pairs of rows together (Bonferroni): the best was chosen after looking, so it might have been any.
    Not a bootstrap: that never leaves the range of the differences, so six that agree would exclude 0 at any
    confidence.   better, worse: on how many of `seeds`; a seed without a value is worse than one that has one.
    clear: whether the interval excludes 0 and there are `ENOUGH` seeds.
    """

    other: str
    mean: float | None
    low: float | None
    high: float | None
    better: int
    worse: int
    seeds: int
    clear: bool
    confidence: float

    def record(self) -> dict[str, Any]:
        return asdict(self)


def pair(best: Sequence[float | None], other: Sequence[float | None], *, name: str, up: bool, pairs: int) -> Pair:
    """Compare two rows of values, seed by seed. up: more is better.   pairs: of rows, in the whole table.

    >>> pair([3.0, 3.1, 3.2, 3.0, 3.1, 3.3], [1.0, 1.1, 1.0, 1.1, 1.0, 1.2], name="b", up=True, pairs=1).clear
    True
    """
    both = [(a, b) for a, b in zip(best, other, strict=True) if a is not None and b is not None]
    differences = [(a - b) if up else (b - a) for a, b in both]
    confidence = 1 - (1 - CONFIDENCE) / max(1, pairs)
    middle, low, high = _student(differences, confidence)
    better = sum(d > 0 for d in differences) + sum(
        a is not None and b is None for a, b in zip(best, other, strict=True)
    )
    lost = sum(a is None and b is not None for a, b in zip(best, other, strict=True))
    worse = sum(d < 0 for d in differences) + lost
    clear = low is not None and low > 0 and len(differences) >= ENOUGH and not lost
    seeds = sum(a is not None or b is not None for a, b in zip(best, other, strict=True))
    return Pair(name, middle, low, high, better, worse, seeds, clear, confidence)


def _student(values: Sequence[float], confidence: float) -> tuple[float | None, float | None, float | None]:
    """(mean, low, high) by Student's t; no interval of fewer than two values, no width where all are the same."""
    if not values:
        return None, None, None
    found = np.array(values, np.float64)
    middle = float(found.mean())
    if len(found) < 2:
        return middle, None, None
    from scipy import stats  # a second to import: not before it is needed

    half = float(stats.t.isf((1 - confidence) / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
    return middle, middle - half, middle + half
