"""Estimates from samples: right in the limit, honest about noise and bias."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sparring.errors import SparringError
from sparring.losses import divergences, estimates
from sparring.losses.estimates import Interval, from_counts, histograms, kl_nearest


def normal(n: int, d: int, seed: int, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    return mean + std * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_neighbours_by_hand(k: int) -> None:
    """Every distance written out in plain Python."""
    x, y = normal(9, 2, 7), normal(12, 2, 8)
    total = 0.0
    for i in range(9):
        own = sorted(math.dist(x[i].tolist(), x[j].tolist()) for j in range(9) if j != i)
        other = sorted(math.dist(x[i].tolist(), point) for point in y.tolist())
        total += math.log(other[k - 1] / own[k - 1])
    wanted = 2 * total / 9 + math.log(12 / 8)
    assert kl_nearest(x, y, k=k, resamples=10).value == pytest.approx(wanted, abs=1e-12)


def test_many_samples_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(50, 2, 7), normal(40, 2, 8)
    whole = kl_nearest(x, y, resamples=5)
    monkeypatch.setattr(estimates, "_ROWS", 7)
    assert kl_nearest(x, y, resamples=5).value == whole.value


def test_nearest_neighbours_do_not_depend_on_the_unit() -> None:
    x, y = normal(300, 3, 2), normal(200, 3, 3, 0.5)
    a, b = kl_nearest(x, y, resamples=50, seed=4), kl_nearest(7 * x + 1, 7 * y + 1, resamples=50, seed=4)
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-9)


def test_nearest_neighbours_refuse() -> None:
    x = normal(20, 2, 0)
    for a, b, k in (
        (x, normal(20, 3, 1), 5), (x[:11], x, 5), (x, x[:9], 5), (x[:, 0], x, 5), (x, x[:, 0], 5), (x, x, 0),
    ):  # fmt: skip
        with pytest.raises(SparringError, match=r"LOSS-SHAPE.*neighbour"):
            kl_nearest(a, b, k=k)
    assert math.isfinite(kl_nearest(x[:12], normal(10, 2, 1), k=5, resamples=5).value)  # just enough
    same = torch.zeros(10, 2, dtype=torch.float64)
    for a, b in ((torch.cat([x, same]), x), (torch.cat([x, same[:1]]), same)):
        with pytest.raises(SparringError, match="LOSS-REPEATED.*more than 4 samples"):
            kl_nearest(a, b, k=5)
    assert math.isfinite(kl_nearest(torch.cat([x, same[:5]]), normal(30, 2, 3), k=5, resamples=5).value)


@pytest.mark.parametrize("divergence", [divergences.kl, divergences.reverse_kl, divergences.js, divergences.tv])
def test_counts_give_the_divergence_of_the_frequencies(divergence: object) -> None:
    p, q = torch.tensor([300, 500, 200]), torch.tensor([100, 250, 150])
    found = from_counts(divergence, p, q, resamples=300)
    assert found.value == pytest.approx(divergence(p / 1000.0, q / 500.0).item(), abs=1e-6)
    assert found.low < found.value < found.high


def test_bias_of_counting() -> None:
    """KL of N draws from the law itself, against the known law: (K − 1)/2N on average, and the bootstrap knows."""
    law, n = torch.full((25,), 1 / 25, dtype=torch.float64), 2500
    draws = torch.multinomial(law.expand(200, 25), n, replacement=True, generator=torch.Generator().manual_seed(0))
    seen = torch.stack([torch.bincount(row, minlength=25) for row in draws])
    values = divergences.kl(seen / n, law.expand(200, 25))
    assert values.mean().item() == pytest.approx(24 / (2 * n), rel=0.1)
    found = from_counts(divergences.kl, seen[0], law * 1e12, resamples=1000)
    assert found.bias == pytest.approx(24 / (2 * n), rel=0.15)


def test_a_missing_mode_is_infinite_in_one_direction() -> None:
    p, q = torch.tensor([50, 50]), torch.tensor([100, 0])
    assert from_counts(divergences.kl, p, q, resamples=20).value == math.inf
    assert from_counts(divergences.reverse_kl, p, q, resamples=20).value == pytest.approx(math.log(2))


def test_both_sides_of_counting_are_noisy() -> None:
    """Two equal counts differ when they are drawn again: each by itself."""
    p = torch.tensor([300, 500, 200])
    found = from_counts(divergences.tv, p, p, resamples=200)
    assert found.value == 0.0 and found.low < -0.01 and found.bias > 0.005
    one = torch.tensor([1, 0, 0])  # a single sample counts
    for a, b in ((one, p), (p, one)):
        assert from_counts(divergences.tv, a, b, resamples=9).value == pytest.approx(0.7)


def test_counts_are_refused() -> None:
    one = torch.tensor([1, 2])
    for p, q in (
        (one, torch.tensor([1, 2, 3])),
        (one, one * 0),
        (one * 0, one),
        (one[None], one[None]),
        (one[0], one[0]),
    ):
        with pytest.raises(SparringError, match="LOSS-SHAPE.*counts"):
            from_counts(divergences.kl, p, q)


def test_the_seed_decides() -> None:
    p, q = torch.tensor([300, 500, 200]), torch.tensor([100, 250, 150])
    a, b, c = (from_counts(divergences.js, p, q, resamples=200, seed=s) for s in (3, 3, 4))
    assert a == b != c
    x, y = normal(60, 1, 0), normal(60, 1, 1)
    a, b, c = (kl_nearest(x, y, resamples=50, seed=s) for s in (3, 3, 4))
    assert (a.low, a.high) == (b.low, b.high) != (c.low, c.high)


def test_what_is_drawn_unless_said() -> None:
    x, y = normal(60, 1, 0), normal(60, 1, 1)
    a, b = kl_nearest(x, y), kl_nearest(x, y, k=5, resamples=100, seed=0)
    assert (a.value, a.low, a.high) == (b.value, b.low, b.high)
    p, q = torch.tensor([300, 500, 200]), torch.tensor([100, 250, 150])
    assert from_counts(divergences.js, p, q) == from_counts(divergences.js, p, q, resamples=1000, seed=0)


def test_histograms_share_their_boxes() -> None:
    x = torch.tensor([[0.0, 0.0], [0.9, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.1, 0.9], [0.6, 0.4]])
    p, q = histograms(x, y, 2)
    assert p.tolist() == [1, 0, 1, 1] and q.tolist() == [0, 1, 1, 0]
    p, q = histograms(torch.ones(3, 1), torch.ones(2, 1), 4)  # no extent at all
    assert p.tolist() == [3, 0, 0, 0] and q.tolist() == [2, 0, 0, 0]


def test_histograms_bound_the_divergence_from_below() -> None:
    x, y = normal(40_000, 1, 0), normal(40_000, 1, 1, 2.0)
    truth = divergences.js_gaussian(0, 1, 2, 1)
    coarse, fine = (divergences.js(*(c / 40_000 for c in histograms(x, y, bins))).item() for bins in (4, 40))
    assert coarse < fine < truth + 0.01
    assert fine == pytest.approx(truth, abs=0.01)
    found = from_counts(divergences.js, *histograms(x, y, 40), resamples=100)
    assert found.low - 0.005 < truth < found.high + 0.005


def test_boxes_that_nobody_is_in_are_counted() -> None:
    p, q = histograms(torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]]), 3)
    assert p.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0] and q.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0]


def test_the_basic_bootstrap() -> None:
    """The 2.5 % and 97.5 % quantiles of what was drawn again, mirrored at the estimate."""
    again = torch.arange(1001.0)[torch.randperm(1001, generator=torch.Generator().manual_seed(0))]
    assert estimates._interval(10.0, again, bias=3.0) == Interval(10.0, 20.0 - 975.0, 20.0 - 25.0, 3.0)


def test_intervals_print() -> None:
    interval = Interval(0.125, 0.0625, 1.0)
    assert str(interval) == "0.1250 [0.0625, 1.0000]"
    with pytest.raises(dataclasses.FrozenInstanceError):
        interval.value = 0.0


# ── what takes longest ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0), (0.5, 1.5)])
def test_nearest_neighbours_find_the_divergence_of_gaussians(mean: float, std: float) -> None:
    x, y = normal(1200, 2, 0), normal(1800, 2, 1, mean, std)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    truth = divergences.kl_gaussian(zero, one, zero + mean, one * std**2).item()
    found = kl_nearest(x, y, resamples=20)
    assert found.value == pytest.approx(truth, abs=0.1)
    assert found.low < found.value < found.high and 0.05 < found.high - found.low < 0.3
    assert math.isnan(found.bias)


def test_the_interval_of_nearest_neighbours_is_the_spread_of_the_estimate() -> None:
    """About 1.96 standard deviations, on each side, of estimates from independent samples of both laws."""
    values = torch.tensor(
        [kl_nearest(normal(300, 1, 2 * i), normal(200, 1, 2 * i + 1, 1.0), resamples=2).value for i in range(60)]
    )
    widths = [kl_nearest(normal(300, 1, 500 + i), normal(200, 1, 600 + i, 1.0)) for i in range(5)]
    width = sum(found.high - found.low for found in widths) / 5
    assert width / 2 == pytest.approx(1.96 * values.std().item(), rel=0.3)
    for found in widths:
        assert 0.6 < (found.high - found.value) / (found.value - found.low) < 1.7


def test_intervals_of_counts_hold_the_truth() -> None:
    """95 % intervals of TV between two laws that differ: right in 90 to 100 % of 150 repetitions."""
    p = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    q = torch.tensor([0.25, 0.25, 0.25, 0.25], dtype=torch.float64)
    generator, hits = torch.Generator().manual_seed(1), 0
    for i in range(150):
        a, b = (torch.bincount(torch.multinomial(law, 800, replacement=True, generator=generator), minlength=4)
                for law in (p, q))  # fmt: skip
        found = from_counts(divergences.tv, a, b, resamples=200, seed=i)
        hits += found.low <= divergences.tv(p, q).item() <= found.high
    assert 0.9 <= hits / 150 <= 1.0
