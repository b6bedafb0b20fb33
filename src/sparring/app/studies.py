"""The studies below the roots of a desk, and what one rater may know of theirs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sparring.app.desk import Desk

if TYPE_CHECKING:
    from sparring.study.store import Store


class Studies:
    """Studies by their ids; a store of answers is opened when it is first asked for and kept open. Thread-safe."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._open: dict[str, Store] = {}
        self._lock = threading.Lock()

    def store(self, id: str) -> Store:
        """The answers of a study; `Unknown` where there is no such study (any longer)."""
        from sparring.api.study import open_study

        with self._lock:
            found = self._open.get(id)
            if found is not None and (found.path / "study.yaml").is_file():
                return found
            if found is not None:
                self._open.pop(id).close()
            self._open[id] = store = open_study(self.desk.study(id))
            return store

    def close(self) -> None:
        with self._lock:
            for store in self._open.values():
                store.close()
            self._open.clear()


def rater_of(store: Store, token: str | None) -> int | None:
    """The rater with this cookie; None for anything that is none of ours."""
    if token is None or not (16 <= len(token) <= 200 and token.isprintable()):
        return None
    return store.rater(token)


def standing(store: Store, rater: int | None) -> dict[str, Any]:
    """What the first screen says of the study, and how far the rater is."""
    study = store.study
    return {
        "title": study.title,
        "question": study.question,
        "protocol": study.protocol,
        "seconds": study.seconds,
        "practice": study.practice,
        "total": study.trials + study.catch,
        "done": 0 if rater is None else len(store.answered(rater)),
    }


def sheet(store: Store, rater: int) -> dict[str, Any]:
    """What is still to be asked, without anything of what is true."""
    answered = store.answered(rater)
    left = [trial.public() for trial in store.trials(rater) if trial.number not in answered]
    return {"done": len(answered), "practice": store.study.practice, "trials": left}


def tally(store: Store, rater: int) -> dict[str, int]:
    """How a rater did, of the trials that count: right of `of`; and made pictures that were taken for real, `fooled`
    of `fooled_of`. Zeros where there is no right answer."""
    answered = store.answered(rater)
    found = {"right": 0, "of": 0, "fooled": 0, "fooled_of": 0}
    for trial in store.trials(rater):
        answer = answered.get(trial.number)
        if trial.kind != "scored" or not trial.truth or answer is None:
            continue
        right = answer == trial.truth
        made = trial.truth != "real"  # a pair holds a made picture, a single one is made or not
        found["right"] += right
        found["of"] += 1
        found["fooled"] += made and not right
        found["fooled_of"] += made
    return found
