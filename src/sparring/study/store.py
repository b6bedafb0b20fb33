"""The answers of a study: one SQLite file, in which an answer that was acknowledged is never lost and never twice.

The schema (``study.db``, times in seconds since 1970, UTC):

    raters(rater, token, enrolled)      rater: 0, 1, … in the order of enrolment, which decides what the rater sees;
                                        token: SHA-256 of what the browser was given, so the file opens no doors
    trials(rater, trial, kind, condition, item, left, right, left_of, right_of, truth)
                                        what each rater is asked, written when the rater enrols; of single pictures
                                        right and right_of are null
    votes(rater, trial, answer, milliseconds, seen, at)
                                        primary key (rater, trial): the first answer stands; milliseconds from the
                                        moment the pictures appeared; seen: for how long they were, null if not told
    looks(rater, trial, look, at)       each time that a page was about to show a trial that had no answer yet; look:
                                        random, drawn by the page. Two of them: loaded again, or in a second tab

WAL, synchronous=FULL: a transaction is on the disk when it is committed, so `Store.vote` returns only what a kill -9,
or a power cut, does not take back. Several threads may use one `Store`, several processes one file.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sparring.errors import DataError, MachineError, UsageError
from sparring.study import plan
from sparring.study.trials import Trial, trials_of

MOST = 10_000
"""Raters of a study; more are somebody's script."""
LOOKS = 100
"""At one trial that are counted."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS raters (rater INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, enrolled REAL NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
  rater INTEGER NOT NULL REFERENCES raters, trial INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('practice', 'scored', 'catch')), condition TEXT NOT NULL, item INTEGER NOT NULL,
  left TEXT NOT NULL, right TEXT, left_of TEXT NOT NULL, right_of TEXT, truth TEXT NOT NULL,
  PRIMARY KEY (rater, trial)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
  rater INTEGER NOT NULL, trial INTEGER NOT NULL,
  answer TEXT NOT NULL CHECK (answer IN ('left', 'right', 'real', 'fake')),
  milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0), seen INTEGER, at REAL NOT NULL,
  PRIMARY KEY (rater, trial), FOREIGN KEY (rater, trial) REFERENCES trials) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_LOOKS = """
CREATE TABLE IF NOT EXISTS looks (
  rater INTEGER NOT NULL, trial INTEGER NOT NULL, look TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (rater, trial, look), FOREIGN KEY (rater, trial) REFERENCES trials) WITHOUT ROWID;
"""
COLUMNS = (
    "rater", "trial", "kind", "condition", "item", "left", "right", "left_of", "right_of", "truth", "answer",
    "milliseconds", "seen", "at", "looks",
)  # fmt: skip
"""Of a vote, as `Store.rows` and `Store.export` give it. looks: how often its pictures were shown before it, 0 where
no page told."""
_LONGEST = 86_400_000  # milliseconds: a day


class Store:
    """The answers of the study in a directory. Close it, or use ``with Store(path) as store``.

    study: what its study.yaml says.   Raises `DataError` where there is no study or its study.db is no database.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.study = plan.read(self.path)
        self._lock = threading.RLock()
        self._pictures = {picture.name for picture in self.study.pictures}
        file = self.path / plan.ANSWERS
        try:
            self._db = sqlite3.connect(file, timeout=30.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _broken(file, error) from None
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            for pragma in ("synchronous = FULL", "fullfsync = ON", "foreign_keys = ON"):
                self._db.execute(f"PRAGMA {pragma}")
            if not self._db.execute("PRAGMA user_version").fetchone()[0]:
                self._db.executescript(_SCHEMA)
            self._db.executescript(_LOOKS)  # studies of the first days have no such table
        except sqlite3.Error as error:
            self._db.close()
            raise _broken(file, error) from None

    # ── raters ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def enrol(self, token: str) -> int:
        """The number of the rater with this token, who is enrolled if new: 0, 1, … in the order of enrolment.

        token: 16 to 200 characters that only this rater's browser knows (`secrets.token_urlsafe(24)`).
        `UsageError` for another token, or when the study has `MOST` raters. Durable when it returns.
        """
        secret = _hidden(token)
        with self._writing():
            found = self._db.execute("SELECT rater FROM raters WHERE token = ?", (secret,)).fetchone()
            if found is not None:
                return int(found[0])
            rater = int(self._db.execute("SELECT count(*) FROM raters").fetchone()[0])
            if rater >= MOST:
                raise UsageError("STUDY-FULL", f"this study has its {MOST:,} raters", fix="make another study")
            self._db.execute("INSERT INTO raters VALUES (?, ?, ?)", (rater, secret, time.time()))
            self._db.executemany(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (rater, t.number, t.kind, t.condition, t.item, t.images[0], (*t.images, None)[1], t.of[0],
                     (*t.of, None)[1], t.truth)
                    for t in trials_of(self.study, rater)
                ],
            )  # fmt: skip
            return rater

    def rater(self, token: str) -> int | None:
        """The number of the rater with this token; None if nobody has it. Changes nothing."""
        with self._reading():
            found = self._db.execute("SELECT rater FROM raters WHERE token = ?", (_hidden(token),)).fetchone()
        return None if found is None else int(found[0])

    def trials(self, rater: int) -> list[Trial]:
        """What a rater is asked, in order; the same list whenever it is asked for. Send `Trial.public` of each to the
        page, never more. `UsageError` if nobody has this number."""
        with self._reading():
            rows = self._db.execute(
                "SELECT trial, kind, left, right, left_of, right_of, condition, item, truth FROM trials "
                "WHERE rater = ? ORDER BY trial", (rater,),
            ).fetchall()  # fmt: skip
        if not rows:
            raise UsageError("STUDY-RATER", "there is no such rater", where=str(rater), fix="enrol first")
        return [
            Trial(number, kind, _both(left, right), _both(left_of, right_of), condition, item, truth)
            for number, kind, left, right, left_of, right_of, condition, item, truth in rows
        ]

    def answered(self, rater: int) -> dict[int, str]:
        """What a rater has answered so far, by the number of the trial: a page that is opened again goes on there."""
        with self._reading():
            rows = self._db.execute("SELECT trial, answer FROM votes WHERE rater = ? ORDER BY trial", (rater,))
            return {int(trial): str(answer) for trial, answer in rows}

    # ── votes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def vote(self, rater: int, trial: int, answer: str, milliseconds: int, seen: int | None = None) -> bool:
        """Keep an answer. True: it is kept now; False: this trial was answered before, and the first answer stands.
        Either way an answer to the trial is on the disk when it returns, so a client that is not sure sends it again.

        answer: one of `Study.answers`.   milliseconds: from the moment the pictures appeared.   seen: for how many
        milliseconds they were to be seen, if the page measured it. `UsageError` for what cannot be.
        """
        if answer not in self.study.answers:
            raise UsageError("STUDY-ANSWER", "this is no answer", where=str(answer)[:40],
                             fix=f"{' or '.join(self.study.answers)}")  # fmt: skip
        for count in (milliseconds, 0 if seen is None else seen):
            if type(count) is not int or not 0 <= count <= _LONGEST:
                raise UsageError("STUDY-TIME", "a time is a whole number of milliseconds", where=str(count)[:40])
        with self._writing():
            self._known(rater, trial)
            done = self._db.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (rater, trial, answer, milliseconds, seen, time.time()),
            )
            return done.rowcount == 1

    def look(self, rater: int, trial: int, look: str) -> bool:
        """A page is about to show the pictures of a trial. True: it may; False: the trial was answered before.

        look: 32 hexadecimal digits drawn by the page for this one time, so that what is sent again counts once. Durable
        when it returns. `UsageError` where there is no such trial.
        """
        with self._writing():
            self._known(rater, trial)
            if self._db.execute("SELECT 1 FROM votes WHERE rater = ? AND trial = ?", (rater, trial)).fetchone():
                return False
            count = "SELECT count(*) FROM looks WHERE rater = ? AND trial = ?"
            if self._db.execute(count, (rater, trial)).fetchone()[0] < LOOKS:
                self._db.execute(
                    "INSERT INTO looks VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (rater, trial, look, time.time())
                )
            return True

    def _known(self, rater: int, trial: int) -> None:
        """`UsageError` unless this rater has this trial."""
        if 0 <= rater < MOST and 0 <= trial < 2**31:
            ask = "SELECT 1 FROM trials WHERE rater = ? AND trial = ?"
            if self._db.execute(ask, (rater, trial)).fetchone():
                return
        raise UsageError("STUDY-TRIAL", "this rater has no such trial", where=f"rater {rater}, trial {trial}")

    def stands(self, rater: int, trial: int) -> tuple[str, int] | None:
        """The answer to a trial and its milliseconds, by which one that is sent again is known; None without any."""
        with self._reading():
            ask = "SELECT answer, milliseconds FROM votes WHERE rater = ? AND trial = ?"
            found = self._db.execute(ask, (rater, trial)).fetchone()
        return None if found is None else (str(found[0]), int(found[1]))

    def feedback(self, rater: int, trial: int) -> str:
        """The right answer of a practice trial that was answered; "" for any other trial, and where there is none."""
        with self._reading():
            found = self._db.execute(
                "SELECT truth FROM trials JOIN votes USING (rater, trial) "
                "WHERE rater = ? AND trial = ? AND kind = 'practice'", (rater, trial),
            ).fetchone()  # fmt: skip
        return "" if found is None else str(found[0])

    # ── what is there ───────────────────────────────────────────────────────────────────────────────────────────────

    def picture(self, name: str) -> Path:
        """The file of a picture of this study; `UsageError` for any other name."""
        if name not in self._pictures:
            raise UsageError("STUDY-PICTURE", "the study has no such picture", where=name[:40])
        return self.path / plan.PICTURES / f"{name}.png"

    def counts(self) -> dict[str, int]:
        """raters: enrolled.   finished: who answered every trial.   votes: answers of all kinds."""
        with self._reading():
            raters = self._db.execute("SELECT count(*) FROM raters").fetchone()[0]
            votes = self._db.execute("SELECT count(*) FROM votes").fetchone()[0]
            finished = self._db.execute(
                "SELECT count(*) FROM (SELECT rater FROM votes GROUP BY rater HAVING count(*) >= ?)",
                (self.study.trials + self.study.catch,),
            ).fetchone()[0]
        return {"raters": int(raters), "finished": int(finished), "votes": int(votes)}

    def rows(self) -> list[dict[str, Any]]:
        """Every answer with what was asked, `COLUMNS` of it, by rater and trial."""
        with self._reading():
            found = self._db.execute(
                f"SELECT {', '.join(COLUMNS[:-1])}, "
                "(SELECT count(*) FROM looks l WHERE l.rater = votes.rater AND l.trial = votes.trial) "
                "FROM trials JOIN votes USING (rater, trial) ORDER BY rater, trial"
            ).fetchall()
        return [dict(zip(COLUMNS, row)) for row in found]

    def export(self, form: str = "csv") -> str:
        """Every answer as the text of a CSV file, or of a JSON document with the study beside them."""
        if form not in ("csv", "json"):
            raise UsageError("STUDY-EXPORT", "answers are exported as csv or json", where=form, fix="csv")
        rows = self.rows()
        if form == "json":
            study = self.study.model_dump(mode="json")
            return json.dumps({"study": study, "votes": rows}, ensure_ascii=False, indent=1) + "\n"
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    # ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, on the disk when it is left; nothing of it where it was left by an error."""
        with self._lock, self._telling():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._telling():
            yield

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MachineError(
                "STUDY-DISK", "the answer cannot be kept or read", where=str(self.path / plan.ANSWERS), why=str(error),
                fix="look whether the disk is full, or the file is read-only; nothing that was acknowledged is lost",
            ) from error  # fmt: skip

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _both(left: str, right: str | None) -> tuple[str, ...]:
    return (left,) if right is None else (left, right)


def _hidden(token: str) -> str:
    if not (isinstance(token, str) and 16 <= len(token) <= 200 and token.isprintable()):
        raise UsageError("STUDY-TOKEN", "a token has 16 to 200 characters", fix="ask for the page of the study anew")
    return hashlib.sha256(token.encode()).hexdigest()


def _broken(file: Path, error: sqlite3.Error) -> DataError:
    return DataError("STUDY-ANSWERS", "the answers of this study cannot be opened", where=str(file), why=str(error),
                     fix="put back a copy of study.db; copy study.db-wal and study.db-shm with it")  # fmt: skip
