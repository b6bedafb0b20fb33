"""The studies below the roots of a desk, and what one rater may know of theirs."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import Response

from sparring.app.desk import Desk
from sparring.app.trouble import Unknown
from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.study.store import Store


SHOWN = 8
"""Pictures of each kind that the page of a study shows to whoever made it."""


class Studies:
    """Studies by their ids; a store of answers is opened when it is first asked for and kept open. Thread-safe."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._open: dict[str, tuple[Store, tuple[int, ...]]] = {}
        self._lock = threading.Lock()

    def store(self, id: str) -> Store:
        """The answers of a study; `Unknown` where there is no such study (any longer). Opened anew where another study
        was put into the same place: answers to the one before would be kept in a file that nobody finds."""
        from sparring.api.study import open_study

        with self._lock:
            try:
                place = self.desk.study(id)
            except Unknown:
                self._drop(id)
                raise
            kept, now = self._open.get(id), _mark(place)
            if kept is None or kept[1] != now:
                self._drop(id)
                kept = self._open[id] = open_study(place), now
            return kept[0]

    def _drop(self, id: str) -> None:
        if id in self._open:
            self._open.pop(id)[0].close()

    def listed(self) -> list[dict[str, Any]]:
        """Every study of the desk, the newest first; one that cannot be opened with what is wrong."""
        found = []
        for id, place in self.desk.studies().items():
            try:
                store = self.store(id)
                about = {"title": store.study.title, "protocol": store.study.protocol, **store.counts()}
            except SparringError as error:
                about = {"title": place.name, "trouble": error.what}
            found.append({"id": id, "name": place.name, **about, "made": _when(place)})
        return sorted(found, key=lambda study: -study["made"])

    def close(self) -> None:
        with self._lock:
            for id in list(self._open):
                self._drop(id)


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


def sight(store: Store, name: str) -> Response:
    """A picture of a study, with nothing beside it that says where it came from. A link out of the study is none."""
    try:
        file = store.picture(name).resolve()
        if file.is_relative_to(store.path.resolve()) and (data := file.read_bytes()).startswith(b"\x89PNG"):
            return Response(data, media_type="image/png")
    except (SparringError, OSError, RuntimeError):
        pass
    raise Unknown("PICTURE", "the study has no such picture", fix="reload the page")


def facts(store: Store, id: str) -> dict[str, Any]:
    """What whoever made a study may know of it: everything."""
    study = store.study
    shown: dict[str, list[str]] = {}
    for picture in sorted(study.pictures, key=lambda one: one.item):
        if picture.use == "scored" and len(shown.setdefault(picture.of, [])) < SHOWN:
            shown[picture.of].append(picture.name)
    return {
        "id": id,
        "name": store.path.name,
        "place": _typed(store.path),
        "title": study.title,
        "question": study.question,
        "protocol": study.protocol,
        "seconds": study.seconds,
        "trials": study.trials,
        "practice": study.practice,
        "catch": study.catch,
        "asked": study.asked,
        "models": [{"letter": model.letter, "name": model.name, "images": model.images} for model in study.models],
        "rules": study.rules.lines(),
        "remarks": _remarks(store),
        "shown": shown,
        "counts": store.counts(),
    }


def _remarks(store: Store) -> list[str]:
    """What is to be known of the pictures, each once, with the name of its model and without what one would type."""
    study = store.study
    made = [(f"{model.name}: ", remark) for model in study.models for remark in model.remarks]
    known = {remark for _, remark in made}
    real = [("", remark) for remark in (study.real.remarks if study.real else ()) if remark not in known]
    return list(dict.fromkeys(name + remark.split("; --")[0] for name, remark in [*real, *made]))


def _typed(place: Path) -> str:
    """A directory as one types it in the shell that started the app."""
    here = Path.cwd()
    return shlex.quote(str(place.relative_to(here) if place.is_relative_to(here) else place))


def _mark(place: Path) -> tuple[int, ...]:
    """Of the very file that says what is asked: another one at the same place has another."""
    try:
        found = (place / "study.yaml").stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _when(place: Path) -> float:
    try:
        return (place / "study.yaml").stat().st_mtime
    except OSError:
        return 0.0
