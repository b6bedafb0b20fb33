"""The measures of the rows on ring and grid, and what their two kinds of settings are."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
import torch

from benchmarks import points as bench
from benchmarks.points import Cell, configured, judged, met
from sparring.data import points


def test_examples() -> None:
    assert doctest.testmod(bench).failed == 0


@pytest.mark.parametrize("data", bench.DATA)
def test_points_of_the_data_meet_the_goal_and_have_the_width_of_their_modes(data: str) -> None:
    made = points.make(data, count=50_000, start=10**6)
    rows = judged(torch.from_numpy(made.values * made.scale).view(2, 25_000, 2), data)
    assert met(rows, data)
    for row in rows:
        assert row["high_quality"] == pytest.approx(0.98889, abs=0.003)
        assert row["width"] == pytest.approx(1.0, abs=0.01)


def test_what_misses_a_mode_or_lies_between_modes_does_not_meet_it() -> None:
    made = points.make("ring", count=5_000, start=10**6)
    x = torch.from_numpy(made.values * made.scale)
    assert made.labels is not None
    missing = x[torch.from_numpy(made.labels) > 0][:2_500]
    between = x[:2_500].clone()
    between[:150] = 0.0
    (without,), (bridged,) = judged(missing[None], "ring"), judged(between[None], "ring")
    assert without["modes"] == 7 and without["smallest_share"] == 0 and not met([without], "ring")
    assert bridged["beyond_10_sigma"] == pytest.approx(0.06) and not met([bridged], "ring")


def test_the_goal_is_asked_of_every_seed() -> None:
    good = {"modes": 8.0, "high_quality": 0.96, "reverse_kl": 0.01}
    assert met([good] * 10, "ring")
    assert not met([good] * 9 + [good | {"reverse_kl": 0.031}], "ring")


def test_blind_is_one_setting_for_both_and_sigma_is_not() -> None:
    assert configured(Cell("ring", "minutes", "blind")) == configured(Cell("grid", "long", "blind"))
    known = configured(Cell("grid", "minutes", "sigma"))
    assert known.gamma.end == pytest.approx((0.05 / points.make("grid", count=1).scale) ** 2, rel=0.01)


def test_the_page_has_every_finished_row_of_the_results() -> None:
    page = (Path(__file__).parents[2] / "docs" / "points.md").read_text()
    table = page.split(bench.BEGIN)[1].split(bench.END)[0]
    assert table.strip() == bench.table(unfinished=False)
