"""Answers: kept once, kept for ever, from any thread and through a kill."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.study.studies import study_of, written

from sparring.errors import DataError, MachineError, UsageError
from sparring.study.store import MOST, Store
from sparring.study.trials import trials_of

TOKENS = [f"token of rater number {k:03d}" for k in range(40)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return written(study_of(models=2), tmp_path / "study")


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store(home) as opened:
        yield opened


def test_raters_are_numbered_as_they_come_and_known_again(store: Store, home: Path) -> None:
    assert [store.enrol(token) for token in TOKENS[:3]] == [0, 1, 2]
    assert store.enrol(TOKENS[1]) == 1 and store.rater(TOKENS[2]) == 2 and store.rater(TOKENS[9]) is None
    assert store.counts() == {"raters": 3, "finished": 0, "votes": 0}
    assert store.trials(1) == trials_of(store.study, 1)
    with Store(home) as again:
        assert again.enrol(TOKENS[0]) == 0 and again.trials(0) == store.trials(0)


def test_the_file_holds_no_token(store: Store, home: Path) -> None:
    store.enrol(TOKENS[0])
    store.close()
    assert TOKENS[0].encode() not in b"".join(file.read_bytes() for file in home.iterdir())


def test_the_first_answer_stands(store: Store) -> None:
    rater = store.enrol(TOKENS[0])
    assert store.vote(rater, 5, "left", 640, 1000) is True
    assert store.vote(rater, 5, "left", 640, 1000) is False, "sent again"
    assert store.vote(rater, 5, "right", 700) is False, "thought better of it"
    assert store.answered(rater) == {5: "left"}
    row = store.rows()[0]
    assert (row["answer"], row["milliseconds"], row["seen"]) == ("left", 640, 1000)


@pytest.mark.parametrize(
    ("rater", "trial", "answer", "time", "seen", "code"),
    [
        (0, 0, "real", 500, None, "STUDY-ANSWER"), (0, 0, "", 500, None, "STUDY-ANSWER"),
        (0, 0, "left", -1, None, "STUDY-TIME"), (0, 0, "left", 1.5, None, "STUDY-TIME"),
        (0, 0, "left", True, None, "STUDY-TIME"), (0, 0, "left", 5, 10**12, "STUDY-TIME"),
        (0, 24, "left", 500, None, "STUDY-TRIAL"), (0, -1, "left", 500, None, "STUDY-TRIAL"),
        (1, 0, "left", 500, None, "STUDY-TRIAL"), (0, 10**30, "left", 500, None, "STUDY-TRIAL"),
        (10**30, 0, "left", 500, None, "STUDY-TRIAL"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_and_leaves_nothing(store, rater, trial, answer, time, seen, code) -> None:
    store.enrol(TOKENS[0])
    with pytest.raises(UsageError) as refused:
        store.vote(rater, trial, answer, time, seen)
    assert refused.value.code == code
    assert store.counts()["votes"] == 0
    assert store.vote(0, 0, "left", 500), "the next one is kept"


@pytest.mark.parametrize("token", ["", "short", "x" * 201, "line\nbreak and more", 7])
def test_tokens_that_are_none(store: Store, token: str) -> None:
    with pytest.raises(UsageError, match="STUDY-TOKEN"):
        store.enrol(token)


def test_raters_that_are_none(store: Store) -> None:
    with pytest.raises(UsageError, match="STUDY-RATER"):
        store.trials(0)


def test_a_full_study(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST >= 1000
    monkeypatch.setattr("sparring.study.store.MOST", 1)
    assert store.enrol(TOKENS[0]) == 0 == store.enrol(TOKENS[0])
    with pytest.raises(UsageError, match="STUDY-FULL"):
        store.enrol(TOKENS[1])


def test_feedback_is_for_practice_that_was_answered(store: Store) -> None:
    rater = store.enrol(TOKENS[0])
    trials = store.trials(rater)
    for trial in trials:
        assert store.feedback(rater, trial.number) == ""
        store.vote(rater, trial.number, "left", 500)
        assert store.feedback(rater, trial.number) == (trial.truth if trial.kind == "practice" else "")
    assert store.counts() == {"raters": 1, "finished": 1, "votes": len(trials)}


def test_pictures_are_those_of_the_study(store: Store, home: Path) -> None:
    name = store.study.pictures[0].name
    assert store.picture(name) == home / "images" / f"{name}.png"
    for other in ("f" * 16, "../study", "", name.upper() + "x"):
        with pytest.raises(UsageError, match="STUDY-PICTURE"):
            store.picture(other)


def test_export(store: Store) -> None:
    rater = store.enrol(TOKENS[0])
    store.vote(rater, 0, "left", 500)
    store.vote(rater, 7, "right", 600, 1010)
    table = list(csv.DictReader(io.StringIO(store.export())))
    assert [(row["trial"], row["answer"], row["seen"]) for row in table] == [("0", "left", ""), ("7", "right", "1010")]
    document = json.loads(store.export("json"))
    assert document["votes"] == store.rows() and document["study"]["protocol"] == "paired"
    with pytest.raises(UsageError, match="STUDY-EXPORT"):
        store.export("xml")


def test_many_threads_and_two_stores_lose_and_double_nothing(home: Path) -> None:
    kept: list[tuple[int, int]] = []
    with Store(home) as one, Store(home) as two:

        def take(number: int) -> None:
            store = (one, two)[number % 2]
            rater = store.enrol(TOKENS[number])
            for trial in store.trials(rater)[:6]:
                if store.vote(rater, trial.number, "left", 500):
                    kept.append((rater, trial.number))
                assert not (two, one)[number % 2].vote(rater, trial.number, "right", 500)

        threads = [threading.Thread(target=take, args=(k,)) for k in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = one.rows()
    assert sorted(kept) == [(row["rater"], row["trial"]) for row in rows] and len(kept) == 72
    assert {row["answer"] for row in rows} == {"left"}


VOTER = """
import sys
from sparring.study.store import Store
store = Store(sys.argv[1])
rater = store.enrol(sys.argv[2])
for trial in store.trials(rater):
    store.vote(rater, trial.number, "left", 500)
    print(rater, trial.number, flush=True)
"""


def test_what_was_acknowledged_is_there_after_a_kill(home: Path) -> None:
    told = []
    for token in TOKENS[:3]:
        voter = subprocess.Popen(
            [sys.executable, "-c", VOTER, str(home), token], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert voter.stdout is not None
        told += [voter.stdout.readline() for _ in range(7)]
        voter.send_signal(signal.SIGKILL)
        told += voter.stdout.readlines()
        voter.wait()
        voter.stdout.close()
    with Store(home) as store:
        rows = [(row["rater"], row["trial"]) for row in store.rows()]
    acknowledged = [tuple(map(int, line.split())) for line in told if line.endswith("\n")]
    assert set(acknowledged) <= set(rows) and len(rows) == len(set(rows)) and len(acknowledged) >= 21


def test_broken_studies_are_named(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataError, match="STUDY-MISSING"):
        Store(tmp_path)
    (home / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(DataError, match="STUDY-ANSWERS"):
        Store(home)
    for text in ("protocol: paired\n", "[1, 2]", "a: [", "\x00", "format: 2\n"):
        (home / "study.yaml").write_text(text)
        with pytest.raises(DataError, match="STUDY-DOCUMENT"):
            Store(home)


def test_a_file_that_cannot_be_written_says_so(store: Store, home: Path) -> None:
    rater = store.enrol(TOKENS[0])
    other = sqlite3.connect(home / "study.db", isolation_level=None)
    store._db.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(MachineError, match="STUDY-DISK"):
        store.vote(rater, 0, "left", 500)
    other.execute("ROLLBACK")
    other.close()
    assert store.vote(rater, 0, "left", 500)
