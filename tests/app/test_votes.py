"""The vote proof, short: the server is killed while people vote. At full length: make proof-votes."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from tests.forking import Forks

from benchmarks.proofs import votes
from sparring.study import plan


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> tuple[Path, votes.Found, list[votes.Rater]]:
    folder = tmp_path_factory.mktemp("votes") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forked.words()[0])
        found, people = votes.prove(folder, raters=4, votes=10, kills=2)
    return folder, found, people


def test_no_acknowledged_answer_is_lost_or_kept_twice(
    proved: tuple[Path, votes.Found, list[votes.Rater]],
) -> None:
    _, found, _ = proved
    assert found.failures == [] and (found.acknowledged, found.lost, found.duplicated) == (40, 0, 0)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("DELETE FROM votes WHERE rater = 1 AND trial = 3", "1 acknowledged answers are lost"),
        ("UPDATE votes SET answer = CASE answer WHEN 'left' THEN 'right' ELSE 'left' END WHERE trial = 0",
         "4 acknowledged answers are lost"),
        ("INSERT INTO raters VALUES (4, 'x', 0)", "5 raters are enrolled, not 4"),
    ],
)  # fmt: skip
def test_the_proof_sees_what_is_wrong(
    proved: tuple[Path, votes.Found, list[votes.Rater]], tmp_path: Path, harm: str, says: str
) -> None:
    folder, _, people = proved
    for name in (plan.ANSWERS, f"{plan.ANSWERS}-wal"):
        if (folder / name).exists():
            shutil.copy(folder / name, tmp_path / name)
    database = sqlite3.connect(tmp_path / plan.ANSWERS)
    with database:
        database.execute(harm)
    database.close()
    found = votes.Found(4, 10, 2)
    votes.examine(tmp_path / plan.ANSWERS, people, found)
    assert says in found.failures
