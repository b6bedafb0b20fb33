"""2-D data against the closed form of each distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparring.data import open_data, points


@pytest.mark.parametrize("name", points.NAMES)
def test_points_are_a_function_of_seed_and_number(name: str) -> None:
    whole, part = points.make(name, count=50), points.make(name, count=20, start=30)
    np.testing.assert_array_equal(whole.values[30:], part.values)
    other = points.make(name, count=50, seed=1)
    assert name == "dirac" or not np.array_equal(whole.values, other.values)
    assert whole.values.dtype == np.float32


@pytest.mark.parametrize("name", [name for name in points.NAMES if name != "dirac"])
def test_coordinates_have_unit_root_mean_square(name: str) -> None:
    values = points.make(name).values.astype(float)
    assert abs(math.sqrt((values**2).mean()) - 1.0) < 0.01
    assert np.abs(values.mean(axis=0)).max() < 0.35  # only the spiral is not centred


@pytest.mark.parametrize(("name", "count", "radius", "spread"), [("ring", 8, 1.0, 0.01), ("grid", 25, None, 0.05)])
def test_mixtures_as_in_pacgan(name: str, count: int, radius: float | None, spread: float) -> None:
    made = points.make(name)
    assert made.modes is not None and made.modes.shape == (count, 2) and made.spread == spread
    if radius:
        np.testing.assert_allclose(np.hypot(*made.modes.T), radius, atol=1e-6)
    else:
        assert sorted(set(made.modes.ravel().tolist())) == [-4, -2, 0, 2, 4]
    real = made.values * made.scale
    distance = np.linalg.norm(real[:, None] - made.modes[None], axis=2)
    share = np.bincount(distance.argmin(1), minlength=count) / len(real)
    assert np.abs(share * count - 1).max() < 0.08  # 4 standard errors of 100,000 / 25
    within = (distance.min(1) < 3 * spread).mean()
    assert abs(within - (1 - math.exp(-4.5))) < 0.002  # Rayleigh: a perfect sampler has 98.89 % within 3 σ
    assert abs(math.sqrt((distance.min(1) ** 2).mean() / 2) / spread - 1) < 0.02


def test_the_checkerboard_fills_only_dark_fields() -> None:
    made = points.make("checkerboard")
    real = made.values.astype(float) * made.scale
    field = np.floor(np.clip(real, -1.999999, 1.999999)).astype(int)
    assert (field.sum(1) % 2 == 0).mean() > 0.9999  # float32 may round onto an edge
    counts = np.unique(field, axis=0, return_counts=True)[1]
    assert len(counts) == 8 and counts.min() > 0.95 * counts.max()


def test_the_spiral_winds_outwards() -> None:
    made = points.make("swissroll")
    radius = np.hypot(*(made.values * made.scale).T)
    assert 1.5 * math.pi - 2.5 < radius.min() and radius.max() < 4.5 * math.pi + 2.5


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_know_the_mode_of_each_point(name: str) -> None:
    told, untold = open_data(name), open_data(name, labels="none")
    assert told.modes is not None and told.labels is not None and told.held_out_labels is not None
    assert told.classes == tuple(f"mode {k}" for k in range(len(told.modes)))
    for values, labels in ((told.train, told.labels), (told.held_out, told.held_out_labels)):
        away = values.astype(float) * told.scale - told.modes[labels]
        assert np.linalg.norm(away, axis=1).max() < 6 * told.spread and labels.dtype == np.int64
    assert sum(told.report.classes.values()) == told.report.found and told.report.labels == "modes"
    assert untold.labels is None and untold.classes == () and untold.report.labels == ""
    assert untold.fingerprint == told.fingerprint, "the points are the same, and so are runs that ignore the labels"


@pytest.mark.parametrize("name", ["swissroll", "checkerboard", "dirac"])
def test_what_has_no_modes_has_no_labels(name: str) -> None:
    assert open_data(name).labels is None and open_data(name).classes == ()


def test_as_data_sets() -> None:
    dirac = open_data("dirac")
    assert dirac.kind == "points" and dirac.shape == (1,) and not dirac.train.any() and dirac.scale == 1.0
    grid = open_data("grid")
    assert len(grid) == 100_000 and len(grid.held_out) == 5_000 and grid.scale == points.make("grid", count=1).scale
    assert not {row.tobytes() for row in grid.train} & {row.tobytes() for row in grid.held_out}
    assert len(open_data("grid", held_out=0).held_out) == 0
    assert open_data("grid").fingerprint == grid.fingerprint != open_data("ring").fingerprint
    with pytest.raises(ValueError, match="no points called"):
        points.make("cube")
