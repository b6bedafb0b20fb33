"""The arithmetic, held against closed forms, other implementations and simulated raters."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sparring.study import simulate, statistics

RAGGED = np.array([0.1, 0.25, 0.3, 0.05, 0.4, 0.2, 0.35, 0.15, 0.1, 0.3])


# ── intervals: 1,000 simulated studies of raters of known skill ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "between", "raters"),
    [(0.189, 0.05, 20), (0.189, 0.05, 50), (0.35, 0.1, 30), (0.5, 0.02, 30), (0.1, 0.0, 40), (0.1, 0.05, 50)],
)
def test_raters_of_known_skill_are_found_again(rate: float, between: float, raters: int) -> None:
    """The truth lies within the 95 % interval in at least 94 % of 1,000 studies; nor is the interval too wide."""
    x = simulate.shares(rate, between, studies=1000, raters=raters, trials=40)
    low, high = simulate.intervals(x, answers=40 * raters, resamples=4999)
    held = simulate.coverage(low, high, rate)
    assert 0.94 <= held <= 0.975
    student = 2 * stats.t.isf(0.025, raters - 1) * x.std(1, ddof=1).mean() / math.sqrt(raters)
    assert 0.9 < float((high - low).mean()) / student < 1.6


@pytest.mark.parametrize(("d", "spread"), [(0.0, 0.5), (1.0, 0.5), (1.5, 0.3)])
def test_d_prime_of_known_raters_is_found_again(d: float, spread: float) -> None:
    x = simulate.d_primes(d, spread, studies=1000, raters=30, trials=40)
    assert simulate.coverage(*simulate.intervals(x, resamples=1999), d) >= 0.94
    assert abs(float(x.mean()) - d) < 0.06, "the correction for 0 and 100 % pulls a little"


def test_one_study_and_many_are_measured_alike() -> None:
    x = simulate.shares(0.2, 0.05, studies=5, raters=25, trials=40, seed=1)
    low, high = simulate.intervals(x, answers=1000, resamples=statistics.RESAMPLES)
    for k in range(5):
        found = statistics.mean(x[k], bounds=(0, 1), answers=1000)
        assert (found.low, found.high) == (pytest.approx(low[k]), pytest.approx(high[k]))
        assert found.value == pytest.approx(x[k].mean()) and found.method == "studentised bootstrap"


def test_the_bootstrap_is_that_of_the_book() -> None:
    """Resample by resample, as Hall writes it."""
    draws = np.random.default_rng(0).multinomial(10, np.full(10, 0.1), 2000)
    error, t = RAGGED.std(ddof=1) / math.sqrt(10), []
    for times in draws:
        resample = np.repeat(RAGGED, times)
        spread = resample.std(ddof=1) / math.sqrt(10)
        t.append((resample.mean() - RAGGED.mean()) / spread)
    low, high = np.quantile(t, [0.025, 0.975])
    found = statistics.studentised(RAGGED[None], resamples=2000)
    assert found[0][0] == pytest.approx(RAGGED.mean() - high * error)
    assert found[1][0] == pytest.approx(RAGGED.mean() - low * error)


def test_intervals_move_with_the_data() -> None:
    low, high = statistics.studentised(RAGGED[None])
    moved = statistics.studentised(3 - 2 * RAGGED[None])
    assert moved[0][0] == pytest.approx(3 - 2 * high[0], abs=0.02) and moved[1][0] == pytest.approx(
        3 - 2 * low[0], abs=0.02
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_raters_who_all_agree(value: float) -> None:
    found = statistics.mean([value] * 30, bounds=(0, 1), answers=1200)
    reach = 1 - 0.025 ** (1 / 30)
    assert found.method == "exact" and found.high - found.low == pytest.approx(reach)
    assert value in (found.low, found.high)
    middle = statistics.mean([0.25] * 30, bounds=(0, 1), answers=1200)
    assert middle.method == "Wilson" and middle.low < 0.25 < middle.high


def test_few_raters() -> None:
    assert statistics.mean([]).value is None
    assert statistics.mean([0.5]).low is None
    found = statistics.mean([0.1, 0.2, 0.4], bounds=(0, 1))
    ends = stats.t.interval(0.95, 2, np.mean([0.1, 0.2, 0.4]), stats.sem([0.1, 0.2, 0.4]))
    assert (found.low, found.high) == (0.0, pytest.approx(min(1.0, ends[1])))
    assert found.half == pytest.approx(found.high / 2)


# ── d′ ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_d_prime_is_that_of_the_tables() -> None:
    """Macmillan and Creelman, table A5.2: 2AFC at 76 % right is d′ = 1; yes/no at H = 0.84, F = 0.5 too."""
    many = 10**6
    assert float(statistics.d_prime_paired(0.760 * many, many)) == pytest.approx(1.0, abs=0.005)
    d, c = statistics.d_prime_single(0.8413 * many, many, 0.5 * many, many)
    assert float(d) == pytest.approx(1.0, abs=0.001) and float(c) == pytest.approx(-0.5, abs=0.001)


def test_d_prime_is_symmetric_and_finite() -> None:
    for n in (1, 5, 40):
        d = statistics.d_prime_paired(np.arange(n + 1), np.full(n + 1, n))
        assert np.isfinite(d).all() and (np.diff(d) > 0).all()
        np.testing.assert_allclose(d, -d[::-1], atol=1e-12)
    one, other = statistics.d_prime_single(15, 20, 3, 20), statistics.d_prime_single(3, 20, 15, 20)
    assert one[0] == pytest.approx(-other[0]) and one[1] == pytest.approx(other[1])


# ── tests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_binomial_test_by_counting() -> None:
    for n, k in ((10, 2), (11, 9), (7, 3)):
        below = sum(math.comb(n, j) for j in range(min(k, n - k) + 1)) / 2**n
        assert statistics.binomial(k, n) == pytest.approx(min(1.0, 2 * below))
    assert statistics.binomial(0, 0) == 1.0


def test_signs_are_exchanged_in_every_way_or_in_many() -> None:
    d = np.array([0.3, -0.1, 0.2, 0.4, 0.25, -0.05, 0.1])
    by_hand = np.mean([abs(sum(s * x for s, x in zip(signs, d))) >= d.sum() - 1e-12
                       for signs in itertools.product((1, -1), repeat=7)])  # fmt: skip
    assert statistics.flipped(d) == pytest.approx(by_hand)
    both = np.concatenate([d, d, d])
    theirs = stats.permutation_test(
        (both,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert statistics.flipped(both) == pytest.approx(theirs.pvalue, abs=0.003)
    assert statistics.flipped([]) == 1.0


def test_signs_alarm_falsely_one_time_in_twenty() -> None:
    x = np.random.default_rng(5).normal(0, 1, (400, 12))
    assert np.mean([statistics.flipped(row) < 0.05 for row in x]) == pytest.approx(0.05, abs=0.025)


def test_welch_is_scipys() -> None:
    a, b = RAGGED, RAGGED[:6] + 0.2
    low, high, p = statistics.welch(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    assert p == pytest.approx(theirs.pvalue) and low < a.mean() - b.mean() < high
    assert statistics.welch(a[:1], b) == (None, None, 1.0)


def test_holm() -> None:
    assert statistics.holm([]) == []
    assert statistics.holm([0.5]) == [0.5]
    assert statistics.holm([0.9, 0.01, 0.02]) == pytest.approx([0.9, 0.03, 0.04])


# ── agreement ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_alpha_by_its_definition() -> None:
    """1 − observed over expected disagreement, over pairs of answers."""
    table = np.random.default_rng(3).random((6, 9)) < np.linspace(0.1, 0.9, 9)
    pairs = list(itertools.combinations(range(6), 2))
    observed = np.mean([table[a, p] != table[b, p] for p in range(9) for a, b in pairs])
    flat = table.ravel()
    expected = np.mean([x != y for x, y in itertools.combinations(flat, 2)])
    assert statistics.alpha(table.sum(0), [6] * 9) == pytest.approx(1 - observed / expected)


def test_alpha_at_its_ends() -> None:
    assert statistics.alpha([5, 0, 5], [5, 5, 5]) == 1.0
    assert statistics.alpha([0, 0], [5, 5]) is None and statistics.alpha([1, 0], [1, 1]) is None
    assert statistics.alpha([1, 1, 1, 1], [2, 2, 2, 2]) < 0, "always of two minds"
    chance = np.random.default_rng(0).binomial(20, 0.3, 500)
    assert statistics.alpha(chance, np.full(500, 20)) == pytest.approx(0, abs=0.02)


def test_halves_of_raters() -> None:
    draw = np.random.default_rng(2)
    hard = (draw.random((40, 30)) < np.linspace(0.05, 0.95, 30)).astype(float)
    hard[draw.random((40, 30)) < 0.3] = np.nan
    assert statistics.split_half(hard) > 0.9
    assert abs(statistics.split_half((draw.random((40, 200)) < 0.3).astype(float))) < 0.3
    assert statistics.split_half(hard[:3]) is None and statistics.split_half(hard[:, :2]) is None
    assert statistics.split_half(np.ones((10, 5))) is None
