"""How far a measured number can be trusted: bootstrap, jackknife, Wilson's interval, subsets.

Samples are the unit that chance acts on. All intervals here are of 95 % and all chance is counter-based: the same
data and seed give the same interval, whoever computes it.

Which one where: a proportion of independent samples: `wilson`. A mean, or a statistic that is cheap: `bootstrap`. A
smooth statistic that is expensive (an eigenvalue problem): `influence_error`, from the derivative with respect to the
weight of each sample (Efron 1982, "The jackknife, the bootstrap and other resampling plans", chapter 6; also called the
delta method or infinitesimal jackknife): one evaluation instead of a thousand. A statistic of neighbourhoods, which no
derivative describes: `by_halves`, from random halves of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice, permutation

LEVEL = 0.95
_Z = 1.959963984540054  # Φ⁻¹(0.975)
_DRAWS = 2**20  # indices drawn at a time: 8 MiB


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, which need not be symmetric. `interval`: how it was obtained."""

    value: float
    low: float
    high: float
    interval: str

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def wilson(successes: float, n: int) -> Measured:
    """Wilson's score interval (1927) of a proportion: successes of n independent trials. Within [0, 1], of sensible
    width also at 0 and 1, where the textbook's ± is 0. Without trials it is [0, 1] around nothing (NaN).

    >>> print(wilson(0, 100), wilson(50, 100))
    0.0000 [0.0000, 0.0370] 0.5000 [0.4038, 0.5962]
    """
    if n < 1:
        return Measured(math.nan, 0.0, 1.0, "Wilson")
    p, z2 = successes / n, _Z * _Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Measured(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), "Wilson")


def percentile(replicates: Sequence[float] | NDArray[np.floating]) -> tuple[float, float]:
    """The central 95 % of replicates, (B,): what lies between their 2.5 % and 97.5 % quantiles. NaN where one is NaN.

    >>> low, high = percentile(np.arange(41.0))
    >>> round(low, 6), round(high, 6)
    (1.0, 39.0)
    """
    low, high = np.quantile(np.asarray(replicates, np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def resamples(n: int, times: int, seed: int, purpose: str) -> Iterator[NDArray[np.int64]]:
    """`times` draws of n numbers out of 0 … n − 1 with replacement, each (n,) int64: draw b is a function of
    (seed, purpose, n, b) alone."""
    step = max(1, _DRAWS // max(1, n))
    for start in range(0, times, step):
        dice = Dice(seed, f"bootstrap/{purpose}", range(start, min(start + step, times)))
        yield from dice.integers(n, n).numpy()


def bootstrap(
    n: int,
    statistic: Callable[[NDArray[np.int64]], float],
    times: int = 1000,
    seed: int = 0,
    purpose: str = "samples",
) -> Measured:
    """The statistic of all n samples with its percentile interval over `times` resamples of them (Efron 1979).

    statistic: the number from the indices (n,) of samples, of which some come twice. It should be a smooth function of
    the samples' weights: what counts pairs of equal samples must not be bootstrapped.

    >>> x = np.arange(100.0)
    >>> print(bootstrap(100, lambda rows: float(x[rows].mean()), times=500))
    49.5000 [44..., 5...]
    """
    replicates = [statistic(rows) for rows in resamples(n, times, seed, purpose)]
    return Measured(statistic(np.arange(n)), *percentile(replicates), f"bootstrap of {times}")


def bootstrap_mean(values: Tensor | NDArray[np.floating], times: int = 1000, seed: int = 0) -> Measured:
    """The mean of one number per sample, (n,), with its percentile interval over `times` resamples."""
    x = np.asarray(values, np.float64)
    replicates = [x[rows].mean() for rows in resamples(len(x), times, seed, "mean")]
    return Measured(float(x.mean()), *percentile(replicates), f"bootstrap of {times}")


def normal(value: float, standard_error: float, interval: str) -> Measured:
    """value ± 1.96 standard errors.

    >>> print(normal(1.0, 0.1, "jackknife"))
    1.0000 [0.8040, 1.1960]
    """
    return Measured(value, value - _Z * standard_error, value + _Z * standard_error, interval)


def jackknife_error(*left_out: Tensor | Sequence[float]) -> float:
    """The jackknife's standard error (Tukey 1958) from a statistic without each sample once, (n,); or without each of G
    equal groups, (G,). For several independent sets give one such list for each: their variances add.

    >>> jackknife_error([0.0, 1.0, 2.0])  # of a mean whose values are 4, 2, 0: their standard deviation / √3
    1.154...
    """
    variance = 0.0
    for values in left_out:
        u = torch.as_tensor(values, dtype=torch.float64)
        variance += (len(u) - 1) * float(u.var(correction=0))
    return math.sqrt(variance)


HALVES = 20
"""Half samples that `by_halves` is asked for by the functions of this package."""


def halves(n: int, times: int, seed: int, purpose: str) -> Tensor:
    """(times, n) bool: a random half of n samples, again and again, ⌈n / 2⌉ of them each time.

    >>> halves(5, 2, 0, "doctest").sum(1)
    tensor([3, 3])
    """
    kept = torch.zeros(times, n, dtype=torch.bool)
    for k in range(times):
        kept[k, torch.from_numpy(permutation(seed, f"halves/{purpose}", k, n)[: (n + 1) // 2])] = True
    return kept


def by_halves(value: float, replicates: Sequence[float], trials: int = 0) -> Measured:
    """The statistic of all samples with its interval from the statistic of random halves of them, (B,).

    Drawn without replacement, half the samples differ from each other as much as all samples of one draw differ from
    those of another: 1/(n/2) − 1/n = 1/n. Right for a mean; for a statistic of neighbourhoods, which no derivative
    describes and which a bootstrap spoils (a sample that comes twice is its own neighbour), the interval is too wide by
    at most √2. The quantile is Student's, since B is small.

    trials: where the value is a share, of how many samples: the interval is then at least as wide as Wilson's for so
    many, and stays in [0, 1].

    >>> print(by_halves(0.5, [0.5, 0.48, 0.52, 0.5], trials=400), by_halves(1.0, [1.0] * 10, trials=100))
    0.5000 [0.4...] 1.0000 [0.9630, 1.0000]
    """
    from scipy.special import stdtrit  # Student's quantile, as of scipy.stats, which takes a second to import

    error = float(np.std(replicates, ddof=1))
    half = float(stdtrit(len(replicates) - 1, (1 + LEVEL) / 2)) * error
    low, high = value - half, value + half
    if trials:
        free = wilson(value * trials, trials)
        low, high = max(0.0, min(low, free.low)), min(1.0, max(high, free.high))
    return Measured(value, low, high, f"{len(replicates)} half samples")


def influence_error(*influences: Tensor) -> float:
    """The standard error from the influence of every sample, (n,) for each of several independent sets: the derivative
    of the statistic with respect to the sample's weight, which is 1 on average over samples, so that a mean has the
    influence xᵢ − x̄. √(Σ over sets of var / n)."""
    return math.sqrt(sum(float(u.double().var(correction=1)) / len(u) for u in influences))


def ratio_of_means(fake: Tensor, real: Tensor) -> Measured:
    """mean of fake (n,) over mean of real (m,), of what is never negative, with the interval of its logarithm. Infinite
    where reals have none and fakes have some, 1 where neither has any; such a ratio has no interval.

    >>> print(ratio_of_means(torch.tensor([1.0, 3.0]), torch.tensor([4.0, 4.0])))
    0.5000 [0.1877, 1.3322]
    """
    a, b = float(fake.mean()), float(real.mean())
    if b == 0.0 or a == 0.0:
        value = 1.0 if a == b else (math.inf if b == 0.0 else 0.0)
        return Measured(value, 0.0, math.inf, "none")
    error = influence_error(fake / a, real / b)  # of the logarithm of the ratio
    return Measured(a / b, a / b * math.exp(-1.96 * error), a / b * math.exp(1.96 * error), "infinitesimal jackknife")


def subsets(
    statistic: Callable[[list[NDArray[np.int64]]], float],
    sizes: Sequence[int],
    times: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> Measured:
    """Mean of a statistic over `times` random subsets, `size` of each of several sets of `sizes`, without replacement;
    with the interval of that mean: how well it is known, not how much data there is.

    >>> x = np.arange(100.0)
    >>> print(subsets(lambda rows: float(x[rows[0]].mean()), [100], times=50, size=25))
    49... [4..., 5...]
    """
    size = min(size, *sizes)
    values = [
        statistic([permutation(seed, f"subsets/{side}", k, n)[:size] for side, n in enumerate(sizes)])
        for k in range(times)
    ]
    error = float(np.std(values, ddof=1)) / math.sqrt(times) if times > 1 else math.nan
    return normal(float(np.mean(values)), error, f"{times} subsets of {size}")
