"""Counter-based chance: a pure function of (seed, purpose, time, sample), with the laws it should have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparring.chance import Dice, permutation
from sparring.train.game import Now

KINDS = ("uniform", "normal", "field", "integers")


def draw(dice: Dice, kind: str, *shape: int) -> torch.Tensor:
    return dice.integers(7, *shape) if kind == "integers" else getattr(dice, kind)(*shape)


@given(st.sampled_from(KINDS), st.integers(0, 2**40), st.integers(0, 9), st.integers(1, 9), st.integers(0, 5))
def test_a_sample_is_the_same_in_any_range(kind: str, start: int, before: int, count: int, width: int) -> None:
    shape = (width,) if width else ()
    whole = draw(Dice(1, "x", range(start, start + before + count)), kind, *shape)
    part = draw(Dice(1, "x", range(start + before, start + before + count)), kind, *shape)
    assert torch.equal(whole[before:], part)
    steps = draw(Dice(1, "x", range(start, start + before + count, 2)), kind, *shape)
    assert torch.equal(whole[::2], steps)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_names_a_draw_changes_it(kind: str) -> None:
    base = Dice(0, "z", range(50), (3, 1))
    others = [
        Dice(1, "z", range(50), (3, 1)), Dice(0, "w", range(50), (3, 1)), Dice(0, "z", range(50, 100), (3, 1)),
        Dice(0, "z", range(50), (1, 3)), Dice(0, "z", range(50), (3,)), Dice(0, "z", range(50), (3, 2)),
        base.of("more"),
    ]  # fmt: skip
    mine = draw(base, kind, 4)
    assert torch.equal(mine, draw(base, kind, 4))
    assert all(not torch.equal(mine, draw(other, kind, 4)) for other in others)


def test_the_laws() -> None:
    """Kolmogorov-Smirnov against N(0, 1) and U(0, 1); chi-squared for whole numbers; samples are uncorrelated."""
    normal = Dice(5, "z", range(4000)).normal(5).numpy()
    uniform = Dice(5, "u", range(4000)).uniform(5).numpy()
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(Dice(5, "f", range(1000)).field(4, 5).numpy().ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert uniform.min() >= 0 and uniform.max() < 1
    counts = np.bincount(Dice(5, "i", range(20_000)).integers(7).numpy(), minlength=7)
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 1e-3
    correlations = np.corrcoef(np.concatenate([normal, np.roll(normal, 1, axis=0)], axis=1).T)
    assert np.abs(correlations - np.eye(10)).max() < 0.07


@given(st.integers(0, 9), st.integers(0, 99), st.integers(1, 200))
def test_permutations(seed: int, number: int, n: int) -> None:
    found = permutation(seed, "order", number, n)
    assert sorted(found.tolist()) == list(range(n))
    assert (found == permutation(seed, "order", number, n)).all()
    if n > 20:
        assert (found != permutation(seed, "order", number + 1, n)).any()


def test_now_gives_other_dice_every_turn() -> None:
    now = Now(seed=0, images=64, horizon=128, round=4, turn=0, samples=range(8))
    same = Now(seed=0, images=0, horizon=1, round=4, turn=0, samples=range(8))
    assert torch.equal(now.chance("z").normal(2), same.chance("z").normal(2))
    for other in (Now(0, 64, 128, 5, 0, range(8)), Now(0, 64, 128, 4, 1, range(8)), Now(1, 64, 128, 4, 0, range(8))):
        assert not torch.equal(now.chance("z").normal(2), other.chance("z").normal(2))
    assert now.progress == 0.5 and Now(0, 300, 128, 0, 0, range(1)).progress == 1.0
    assert [Now(0, 0, 1, r, 0, range(1)).every(3) for r in range(4)] == [True, False, False, True]
