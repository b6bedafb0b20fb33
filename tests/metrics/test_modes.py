"""Laws of the measures on mixtures: cases by hand, the perfect sampler, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparring.data import points
from sparring.metrics.modes import modes, of_counts

CROSS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def _at_centres(counts: list[int]) -> np.ndarray:
    return np.repeat(CROSS, counts, axis=0)


def test_by_hand() -> None:
    x = np.concatenate([_at_centres([4, 2, 1, 0]), [[0.0, 0.0]]])  # seven on modes, one between all of them
    found = modes(x, CROSS, 0.1)
    assert found.counts.tolist() == [4, 2, 1, 0]
    assert found.modes == 3 and found.high_quality == 7 / 8 and found.smallest_share == 0.0
    by_hand = 4 / 7 * math.log(16 / 7) + 2 / 7 * math.log(8 / 7) + 1 / 7 * math.log(4 / 7)
    assert found.reverse_kl == pytest.approx(by_hand, rel=1e-12)


def test_three_standard_deviations_are_within_and_no_more() -> None:
    x = np.array([[1.0, 0.2999], [1.0, -0.3001], [1.2999, 0.0]])
    assert modes(x, CROSS, 0.1).counts.tolist() == [2, 0, 0, 0]


def test_a_sample_belongs_to_its_nearest_mode_even_where_modes_overlap() -> None:
    assert modes(np.array([[0.4, 0.0], [0.6, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]), 1.0).counts.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_the_perfect_sampler(name: str) -> None:
    """HQ = 1 − e^(−9/2) and E KL ≈ (K − 1) / 2N: the data themselves reach the ceiling of the protocol."""
    made = points.make(name, count=50_000, seed=3)
    assert made.modes is not None and made.spread is not None
    found = modes(made.values * made.scale, made.modes, made.spread)
    k = len(made.modes)
    assert found.modes == k
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=5 * math.sqrt(0.011 / 50_000))
    pieces = [modes(made.values[i : i + 2500] * made.scale, made.modes, made.spread) for i in range(0, 50_000, 2500)]
    floor = (k - 1) / (2 * 2500 * found.high_quality)
    assert np.mean([piece.reverse_kl for piece in pieces]) == pytest.approx(floor, rel=0.6)
    assert 0.5 < pieces[0].smallest_share < 1


def test_a_starved_mode_shows_although_all_are_covered() -> None:
    x = _at_centres([1000, 1000, 1000, 10])
    found = modes(x, CROSS, 0.1)
    assert found.modes == 4 and found.high_quality == 1.0
    assert found.smallest_share == pytest.approx(4 * 10 / 3010)
    assert modes(_at_centres([5, 5, 5, 5]), CROSS, 0.1).smallest_share == 1.0


def test_uniform_is_zero_and_one_mode_is_log_k() -> None:
    assert of_counts(np.array([7, 7, 7, 7]), 28).reverse_kl == 0.0
    assert of_counts(np.array([0, 9, 0, 0]), 9).reverse_kl == pytest.approx(math.log(4))


def test_order_of_samples_and_of_modes_does_not_matter() -> None:
    made = points.make("ring", count=1000)
    assert made.modes is not None and made.spread is not None
    x, rng = made.values * made.scale, np.random.default_rng(0)
    a = modes(x, made.modes, made.spread)
    b = modes(rng.permutation(x), made.modes, made.spread)
    c = modes(x, made.modes[::-1].copy(), made.spread)
    assert a.values() == b.values() and a.counts.tolist() == b.counts.tolist()
    assert c.values() == pytest.approx(a.values()) and c.counts.tolist() == a.counts.tolist()[::-1]


def test_units_cancel_and_far_origins_do_not_matter() -> None:
    made = points.make("grid", count=2000)
    assert made.modes is not None and made.spread is not None
    x = (made.values * made.scale).astype(np.float64)
    a = modes(x, made.modes, made.spread)
    assert modes(1000 * x, 1000 * made.modes, 1000 * made.spread).values() == a.values()
    assert modes(x + 1e6, made.modes + 1e6, made.spread).counts.tolist() == a.counts.tolist()


def test_tensors_and_arrays_agree() -> None:
    made = points.make("ring", count=500)
    assert made.modes is not None and made.spread is not None
    x = made.values * np.float32(made.scale)
    assert modes(torch.from_numpy(x), torch.from_numpy(made.modes), made.spread).values() == (
        modes(x, made.modes, made.spread).values()
    )


def test_what_is_not_finite_or_nowhere_near() -> None:
    x = np.array([[math.nan, 0.0], [math.inf, 0.0], [1.0, 0.0], [9.0, 9.0]])
    assert modes(x, CROSS, 0.1).high_quality == 0.25
    lost = modes(np.full((5, 2), 9.0), CROSS, 0.1)
    assert (lost.modes, lost.high_quality, lost.smallest_share) == (0, 0.0, 0.0)
    assert lost.reverse_kl == pytest.approx(math.log(4))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="centres"):
        modes(np.zeros((3, 3)), CROSS, 0.1)
