"""Resumed = never stopped: bit-identical tensors, state, log and pictures, from any round, for every recipe.

The game that is resumed has other weights than the run began with, so nothing can be right by luck.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tests.train.arena import BUILT, CODING, LIKELY, NANO, SAYING, TRANSLATING, digest
from tests.train.resumption import LONG, Whole, begin, outcome, pictures_of, resumed, stop_after, total, uninterrupted

from sparring.train.checkpoint import Store
from sparring.types import Done


@pytest.fixture(scope="module", params=[*NANO, *SAYING, *BUILT, *TRANSLATING, *CODING, *sorted(LIKELY), "dualencoder"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return uninterrupted(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("name", sorted(LONG))
def test_saving_changes_nothing(name: str, tmp_path: Path) -> None:
    """Of the other games the next test says it: what it plays from the first round to the end is not saved."""
    whole, loop = uninterrupted(name, tmp_path / "saved"), begin(name, tmp_path / "unsaved")
    assert outcome(loop, list(loop)) - whole.end == []


def test_resume_from_25_rounds(whole: Whole, tmp_path: Path) -> None:
    """From the checkpoints of 25 rounds in random order (of the other games from the first and 4 more): between log
    lines and penalties; each compared a few rounds later, the first of them at the end of the run.
    """
    two_batches_a_round = whole.name in ("gan-images", "gan-ahead")
    rounds = 26 if whole.name in LONG else 14
    assert whole.moments[-1] == total(whole.name)
    assert len(whole.moments) == (rounds // 2 if two_batches_a_round else rounds)
    first, *others = whole.moments
    wanted = 25 if whole.name in ("gan", "r3gan") else 5
    chosen = [first, *Random(whole.name).sample(others, wanted - 1)]
    for number, images in enumerate(chosen):
        rounds = 99 if number == 0 else 2 + number % 3
        assert resumed(whole, images, tmp_path / str(images), rounds) == [], f"{whole.name} from {images} images"


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_stopping_again_and_again(name: str, tmp_path: Path) -> None:
    """Stopped politely after every few rounds, each time in a new process's place: as if it had never stopped."""
    loop = begin(name, tmp_path / "whole")
    truth = outcome(loop, list(loop))
    shown: dict[int, bytes] = {}
    for number in range(99):
        loop = begin(name, tmp_path / "pieces", init=number)
        assert loop.store is not None
        if (newest := loop.store.newest()) is not None:
            loop.load(newest)
        stop_after(loop, 5)
        events = list(loop)
        shown |= pictures_of(events)
        done = events[-1]
        assert isinstance(done, Done)
        if done.reason == "budget":
            break
        assert done.reason == "stopped"
    assert number == 5
    assert outcome(loop, events, shown) - truth == []


def test_schedules_stay_at_their_end_beyond_the_horizon(tmp_path: Path) -> None:
    """A longer budget: the part up to the horizon is the same, and beyond it the ramps stand still."""
    horizon = total("gan")
    short = begin("gan", tmp_path / "a", every=True)
    list(short)
    longer = begin("gan", tmp_path / "b", images=2 * horizon, every=True)
    list(longer)
    here, there = (Store(tmp_path / label / "checkpoints").at(horizon) for label in "ab")
    assert digest({"D": here.tensors("D")}) == digest({"D": there.tensors("D")})
    now = longer.match.now(range(1))
    assert now.images == 2 * horizon and now.progress == 1.0
    assert now.at(longer.match.training.lr) == longer.match.training.lr.end
