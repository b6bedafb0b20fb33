"""Raters whose skill is known: whoever measures them must find it again.

Each rater has a rate of being fooled of his or her own, drawn from a beta distribution, and answers by chance at that
rate. The truth is the mean of that distribution; `between` is the share of the variance of an answer that lies between
raters (the intraclass correlation ρ): 0 where all raters are alike, 0.05 where rates of 20 % spread by about 9 points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sparring.study import statistics
from sparring.study.plan import Study
from sparring.study.trials import trials_of

Array = NDArray[np.float64]


def skills(rate: float, between: float, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Rates of raters, of mean `rate` in (0, 1) and of spread ρ = `between` in [0, 1): variance ρ · rate (1 − rate).

    >>> found = skills(0.2, 0.05, (100_000,))
    >>> round(float(found.mean()), 2), round(float(found.std()), 2)
    (0.2, 0.09)
    """
    if not between:
        return np.full(shape, rate)
    scale = 1 / between - 1
    return np.random.default_rng((seed, 1)).beta(rate * scale, (1 - rate) * scale, shape)


def shares(rate: float, between: float, *, studies: int, raters: int, trials: int, seed: int = 0) -> Array:
    """How often raters are fooled in simulated studies, (studies, raters) shares of `trials` answers each."""
    of = skills(rate, between, (studies, raters), seed)
    return np.random.default_rng((seed, 2)).binomial(trials, of) / trials


def d_primes(d: float, spread: float, *, studies: int, raters: int, trials: int, seed: int = 0) -> Array:
    """d′ of raters as it is measured in simulated paired studies, (studies, raters), of raters whose own d′ is normal
    with mean `d` and standard deviation `spread`."""
    draw = np.random.default_rng((seed, 4))
    right = stats.norm.cdf(draw.normal(d, spread, (studies, raters)) / math.sqrt(2))
    found: Array = statistics.d_prime_paired(draw.binomial(trials, right), trials)
    return found


def intervals(x: Array, *, answers: int = 0, resamples: int = 999) -> tuple[Array, Array]:
    """Ends (S,), (S,) of what `statistics.mean` says of each of S studies, x (S, R) with R ≥ 8, all at once.

    answers: of all raters of a study, where x are shares in [0, 1]; 0: x are not bounded.
    """
    low, high = statistics.studentised(x, resamples=resamples)
    if answers:
        low, high = np.maximum(low, 0.0), np.minimum(high, 1.0)
        for k in np.flatnonzero(np.ptp(x, axis=1) < 1e-12):
            found = statistics.mean(x[k], bounds=(0, 1), answers=answers)
            low[k], high[k] = found.low, found.high
    return low, high


def coverage(low: Array, high: Array, truth: float) -> float:
    """The share of intervals that hold the truth.

    >>> coverage(np.array([0.0, 0.3]), np.array([0.2, 0.4]), 0.1)
    0.5
    """
    return float(((low <= truth) & (truth <= high)).mean())


def votes(
    study: Study, rates: dict[str, float], *, raters: int, between: float = 0.05, careless: int = 0, seed: int = 0,
) -> list[dict[str, Any]]:  # fmt: skip
    """The answers of simulated raters to a study, as `Store.rows` gives them.

    rates: by condition how often a rater is fooled or, of a preference, chooses the first model.   careless: the last
    so many of the raters press any key at once.   The rest see through every catch trial but one in fifty.
    """
    draw = np.random.default_rng((seed, 3))
    skill = {name: skills(rates[name], between, (raters,), seed + k) for k, name in enumerate(study.conditions)}
    found: list[dict[str, Any]] = []
    for rater in range(raters):
        hasty = rater >= raters - careless
        for trial in trials_of(study, rater):
            wrong = 0.02 if trial.kind == "catch" else float(skill[trial.condition][rater]) if trial.condition else 0.1
            yes = bool(draw.random() < (0.5 if hasty else wrong))
            if trial.truth:
                right = study.answers.index(trial.truth)
                answer = study.answers[1 - right if yes else right]
            else:
                answer = study.answers[int((trial.of[0] == trial.condition[0]) != yes)]
            time = draw.lognormal(5.0 if hasty else 6.9, 0.4)
            found.append({
                "rater": rater, "trial": trial.number, "kind": trial.kind, "condition": trial.condition,
                "item": trial.item, "left": trial.images[0], "right": (*trial.images, None)[1],
                "left_of": trial.of[0], "right_of": (*trial.of, None)[1], "truth": trial.truth, "answer": answer,
                "milliseconds": int(time), "seen": None, "at": float(len(found)),
            })  # fmt: skip
    return found
