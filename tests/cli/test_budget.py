"""Budgets and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.budget import Budget, parse_budget, parse_size
from sparring.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20m", Budget(seconds=1200)),
        ("2h", Budget(seconds=7200)),
        ("90s", Budget(seconds=90)),
        ("1.5d", Budget(seconds=129600)),
        (" 20 m ", Budget(seconds=1200)),
        ("500k", Budget(images=500_000)),
        ("500K", Budget(images=500_000)),
        ("2M", Budget(images=2_000_000)),
        ("12000", Budget(images=12_000)),
        ("12_000", Budget(images=12_000)),
        ("0.5k", Budget(images=500)),
        (".5h", Budget(seconds=1800)),
        ("+10m", Budget(seconds=600, more=True)),
        ("+100k", Budget(images=100_000, more=True)),
        ("1h30m", Budget(seconds=5400)),
        ("+1d2h3m4s", Budget(seconds=93784, more=True)),
        ("10min", Budget(seconds=600)),
        ("10 minutes", Budget(seconds=600)),
        ("1h30min", Budget(seconds=5400)),
        ("90sec", Budget(seconds=90)),
        ("3G", Budget(images=3_000_000_000)),
    ],
)
def test_a_budget_is_read(text, expected):
    assert parse_budget(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "20q",
        "-5m",
        "1e3",
        "20mm",
        "nan",
        "inf",
        "1.2.3k",
        "20m 3s",
        "++5m",
        "５m",
        "a,b",
        "1,000",
        "30m1h",
        "1h30",
    ],
)
def test_what_is_no_budget_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="BUDGET-FORM") as refused:
        parse_budget(text)
    assert "--budget 20m" in str(refused.value)


def test_commas_are_answered_with_the_number_without():
    with pytest.raises(UsageError, match=r"fix: write 1000000, without commas"):
        parse_budget("1,000,000")


@pytest.mark.parametrize("text", ["0", "0m", "0.0001", "99999d", "9999999999999999", "1" + "0" * 400 + "k"])
def test_a_budget_out_of_range_is_refused(text):
    with pytest.raises(UsageError, match="BUDGET-RANGE"):
        parse_budget(text)


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_a_usage_error(text):
    try:
        budget = parse_budget(text)
    except UsageError:
        return
    assert (budget.seconds is None) != (budget.images is None)
    assert (budget.seconds or budget.images) > 0


@given(st.integers(1, 10**9), st.booleans())
def test_a_budget_written_out_is_read_back(images, more):
    budget = Budget(images=images, more=more)
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64", (64, 64)), ("96x64", (64, 96)), ("96X64", (64, 96)), ("96×64", (64, 96)), (" 96 x 64 ", (64, 96))],
)
def test_a_size_is_width_by_height_and_becomes_height_width(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "64x", "x64", "64x64x3", "-64", "6.4", "0", "7", "2049", "64x99999", "1e2", "64px"]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(UsageError, match="SIZE-"):
        parse_size(text)
