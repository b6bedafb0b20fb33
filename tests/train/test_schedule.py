"""Ramps and plays as plain functions of where we are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sparring.recipes.gan import GANConfig
from sparring.train.schedule import Play, Ramp

SHARE = st.floats(0, 1)


@given(SHARE, st.sampled_from(["cosine", "linear", "log"]), st.floats(1e-6, 1e3), st.floats(1e-6, 1e3))
def test_a_ramp_stays_between_its_ends(progress: float, shape: str, start: float, end: float) -> None:
    value = Ramp(start, end, shape, 0.2, 0.7).at(progress)
    assert min(start, end) * (1 - 1e-9) <= value <= max(start, end) * (1 + 1e-9)
    if progress <= 0.2:
        assert value == pytest.approx(start, rel=1e-9)
    if progress >= 0.7:
        assert value == pytest.approx(end, rel=1e-9)


@given(SHARE, SHARE, st.sampled_from(["cosine", "linear", "log"]))
def test_a_ramp_is_monotone(a: float, b: float, shape: str) -> None:
    ramp = Ramp(5.0, 0.5, shape)
    low, high = min(a, b), max(a, b)
    assert ramp.at(low) >= ramp.at(high) - 1e-12


@pytest.mark.parametrize(
    ("shape", "quarter"),
    [("linear", 1.75), ("cosine", 1 + 0.5 * (1 + math.cos(math.pi / 4))), ("log", 2**0.75)],
)
def test_shapes(shape: str, quarter: float) -> None:
    assert Ramp(2.0, 1.0, shape).at(0.25) == pytest.approx(quarter, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "ramp"),
    [
        ("3e-4", Ramp(3e-4, 3e-4)),
        ("0", Ramp(0, 0)),
        ("1e-3 -> 2e-4", Ramp(1e-3, 2e-4)),
        ("1 → 0 linear", Ramp(1, 0, "linear")),
        ("5 -> 0.5 cosine 0..0.8", Ramp(5, 0.5, "cosine", 0, 0.8)),
        ("5 -> 0.5 0.1..0.8", Ramp(5, 0.5, "cosine", 0.1, 0.8)),
    ],
)
def test_ramps_are_read(text: str, ramp: Ramp) -> None:
    assert Ramp.parse(text) == ramp
    assert GANConfig(gamma=text).gamma == ramp


@pytest.mark.parametrize("text", ["", "fast", "1 ->", "1 -> 2 wavy", "nan", "inf", "1 -> 2 linear 0..2", "1 2"])
def test_what_is_no_ramp_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ValidationError)):
        GANConfig(lr=text)


@pytest.mark.parametrize("ramp", [{"begin": 0.5, "until": 0.5}, {"begin": -0.1}, {"until": 1.1}])
def test_ramps_run_inside_progress(ramp: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Ramp(1.0, 0.0, **ramp)
    with pytest.raises(ValidationError):
        Ramp(1.0, 0.0, "log")


def test_plays_are_read() -> None:
    assert Play.parse("D:1,G:1").order == ("D", "G")
    assert Play.parse(" D : 2 , G : 1 ").order == ("D", "D", "G")
    assert Play.parse("simultaneous").kind == "simultaneous"
    assert Play.parse("either-or").kind == "either-or"
    assert Play.parse("extragradient").kind == "extragradient"
    assert (Play.parse(" consensus( 1e-1 )").kind, Play.parse("consensus(0.1)").amount) == ("consensus", 0.1)
    gated = Play.parse("gated(D<0.8)")
    assert (gated.kind, gated.gate, gated.bound) == ("gated", "D", 0.8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D",
        "D:0,G:1",
        "D:1;G:1",
        "gated(D>0.8)",
        "gated()",
        "D:-1",
        "together",
        "consensus",
        "consensus(-1)",
        "extra",
    ],
)
def test_what_is_no_play_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no play"):
        Play.parse(text)
    with pytest.raises(ValidationError):
        GANConfig(play=text)
