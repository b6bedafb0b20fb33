"""Intervals that hold the truth as often as they say, and figures that can be shown."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from sparring.metrics.figure import Figure
from sparring.metrics.kernel import Estimate
from sparring.metrics.uncertainty import (
    Measured,
    bootstrap,
    bootstrap_mean,
    by_halves,
    halves,
    influence_error,
    jackknife_error,
    resamples,
    subsets,
    wilson,
)


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=seed)).normal(size=n)


def held(found: list[Measured], truth: float) -> float:
    return float(np.mean([f.low <= truth <= f.high for f in found]))


def test_wilson_agrees_with_scipy() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (50, 1000)):
        expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        found = wilson(k, n)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert math.isnan(wilson(0, 0).value)


def test_intervals_of_a_mean_cover() -> None:
    samples = [normal(60, s) + 1.0 for s in range(200)]
    assert 0.9 <= held([bootstrap_mean(x, times=200) for x in samples], 1.0) <= 0.99
    by_half = [by_halves(x.mean(), [x[k.numpy()].mean() for k in halves(60, 20, 0, "t")]) for x in samples]
    assert 0.9 <= held(by_half, 1.0) <= 0.99
    exact = [(x.mean(), influence_error(torch.from_numpy(x))) for x in samples]
    assert 0.9 <= np.mean([abs(m - 1.0) <= 1.96 * e for m, e in exact]) <= 0.99


def test_intervals_of_a_share_cover() -> None:
    counts = [int((normal(100, s) > 1.0).sum()) for s in range(200)]
    assert 0.9 <= held([wilson(c, 100) for c in counts], float(stats.norm.sf(1.0))) <= 0.99


def test_errors_of_a_mean_are_the_textbook_ones() -> None:
    x = torch.from_numpy(normal(50, 0))
    expected = float(x.std()) / 50**0.5
    assert influence_error(x) == pytest.approx(expected, rel=1e-12)
    assert jackknife_error((x.sum() - x) / 49) == pytest.approx(expected, rel=1e-9)
    two = influence_error(x, x)
    assert two == pytest.approx(expected * 2**0.5, rel=1e-12)


def test_chance_is_counted() -> None:
    first = list(resamples(7, 5, 3, "t"))
    assert all((a == b).all() for a, b in zip(first, resamples(7, 3, 3, "t"), strict=False))
    assert any((a != b).any() for a, b in zip(first, resamples(7, 5, 4, "t"), strict=True))
    x = normal(40, 0)
    one, two = (bootstrap(40, lambda rows: float(np.median(x[rows])), 100, seed) for seed in (0, 1))
    assert one == bootstrap(40, lambda rows: float(np.median(x[rows])), 100, 0) and one.low != two.low
    assert halves(9, 50, 0, "t").float().mean(0).sub(5 / 9).abs().max() < 0.3


def test_subsets() -> None:
    x = normal(500, 0)
    found = subsets(lambda rows: float(x[rows[0]].mean() - x[rows[1]].mean()), [500, 500], times=50, size=100)
    assert abs(found.value) < 0.1 and found.low < 0 < found.high and found.interval == "50 subsets of 100"


def test_figures() -> None:
    figure = Figure.of("kid", Estimate(0.5, 0.1), "lower", 10, 20, "pixels", "few")
    record = figure.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["interval"] == [0.304, 0.696] and record["warning"] == "few" and record["method"] == "jackknife"
    refused = Figure.of("fd", Measured(math.nan, 0, 1, "x"))
    assert refused.value is None and "nan" in refused.refused and refused.record()["interval"] is None
    assert Figure.of("ratio", Measured(1.0, 0.0, math.inf, "x")).record()["interval"] is None
    for value, reason in ((1.0, "why"), (None, "")):
        with pytest.raises(ValueError, match="either"):
            Figure("kid", value, refused=reason)
