"""Laws of the energy distance: closed forms, unbiasedness, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparring.metrics import energy
from sparring.metrics.energy import energy_distance, mean_distance


def _normal(n: int, seed: int, shift: float = 0.0, dimensions: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, (n, dimensions))


def test_two_points_have_twice_their_distance() -> None:
    assert energy_distance(np.zeros((4, 2)), np.tile([[3.0, 4.0]], (6, 1))) == pytest.approx(10.0)


def test_a_discrete_law_by_hand() -> None:
    """X uniform on {0, 1, 2}, Y uniform on {0, 4}: U-statistics over pairs of different samples."""
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [4.0]])
    assert mean_distance(x, y) == pytest.approx((0 + 1 + 2 + 4 + 3 + 2) / 6)
    assert mean_distance(x) == pytest.approx((1 + 2 + 1) / 3) and mean_distance(y) == pytest.approx(4.0)
    assert energy_distance(x, y) == pytest.approx(2 * 2 - 4 / 3 - 4)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_shifted_normals_have_a_closed_form(shift: float) -> None:
    """E|N(m, 2)| = √2 (√(2/π) e^(−m²/4) + (m/√2) erf(m/2)), and both inner terms are 2/√π."""
    across = math.sqrt(2) * (
        math.sqrt(2 / math.pi) * math.exp(-(shift**2) / 4) + shift / math.sqrt(2) * math.erf(shift / 2)
    )
    exact = 2 * across - 4 / math.sqrt(math.pi)
    assert energy_distance(_normal(6000, 1), _normal(6000, 2, shift)) == pytest.approx(exact, rel=0.1)


def test_in_one_dimension_it_is_twice_the_area_between_the_distributions_squared() -> None:
    """2 ∫ (F − G)² dx for x uniform on [0, 1], y on [0, 2]: 2 (∫₀¹ (x/2)² + ∫₁² (1 − x/2)²) = 1/3."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (4000, 1)), rng.uniform(0, 2, (4000, 1))
    assert energy_distance(x, y) == pytest.approx(1 / 3, abs=0.03)


def test_equal_laws_are_zero_on_average_and_not_biased_upwards() -> None:
    found = [
        energy_distance(_normal(60, 2 * k, dimensions=2), _normal(40, 2 * k + 1, dimensions=2)) for k in range(400)
    ]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error < 0.02
    assert min(found) < 0 < max(found)


def test_symmetry_shift_scale_and_rotation() -> None:
    x, y = _normal(300, 1, dimensions=2), _normal(200, 2, 0.7, 2)
    a, turn = energy_distance(x, y), np.array([[0.6, -0.8], [0.8, 0.6]])
    assert energy_distance(y, x) == pytest.approx(a)
    assert energy_distance(x + 1e6, y + 1e6) == pytest.approx(a, rel=1e-5)
    assert energy_distance(3 * x, 3 * y) == pytest.approx(3 * a)
    assert energy_distance(x @ turn, y @ turn) == pytest.approx(a)
    assert energy_distance(x[::-1].copy(), y) == pytest.approx(a)


def test_chunks_and_what_is_known_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.from_numpy(_normal(101, 1, dimensions=2)), torch.from_numpy(_normal(97, 2, 0.3, 2))
    whole = energy_distance(x, y)
    assert energy_distance(x, y, within_y=mean_distance(y)) == whole
    monkeypatch.setattr(energy, "_CHUNK", 250)
    assert energy_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        energy_distance(np.zeros((1, 2)), np.zeros((3, 2)))
