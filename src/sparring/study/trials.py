"""Who sees what, in which order, on which side: a function of the study and of the number of the rater.

Everything is shuffled by hashes of (seed, purpose, number), so that a list is the same on every machine and in every
version. Raters 2q and 2q + 1 are twins: they get the same trials, the second one in the reverse order and with sides
swapped, so that every two raters balance order and side exactly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from sparring.study.plan import Kind, Study


@dataclass(frozen=True)
class Trial:
    """One question. number: its place in the list of the rater, from 0.   images: names of the pictures, the left one
    first, or of the only one.   of: what each is.   condition: the model, or pair of models, that it asks about; "" of
    a real picture alone, and of catch trials.   item: of the made picture (of a preference, of the first model), by
    which raters are compared.   truth: the right answer, or "" where there is none."""

    number: int
    kind: Kind
    images: tuple[str, ...]
    of: tuple[str, ...]
    condition: str
    item: int
    truth: str

    def public(self) -> dict[str, object]:
        """What the page of a rater may know: nothing of what is right, nor whether it is a catch."""
        return {"number": self.number, "practice": self.kind == "practice", "images": list(self.images)}


@dataclass(frozen=True)
class _Question:
    """A trial before it has a place: pictures as (of, item), the first one on the left unless it is swapped."""

    kind: Kind
    pictures: tuple[tuple[str, int], ...]
    condition: str = ""


def trials_of(study: Study, rater: int) -> list[Trial]:
    """The trials of rater number 0, 1, …: practice first, then the scored ones with catch trials among them."""
    conditions, number = study.conditions, rater
    if study.one_each:
        block, place = divmod(rater, len(conditions))
        mine = order(len(conditions), study.seed, "model", block)[place]
        conditions, number = (conditions[mine],), block
    twin, mirrored = divmod(number, 2)
    draws = (study.seed, "".join(conditions), twin)
    practice = _swapped(shuffled(_practice(study, conditions), *draws, "practice"), *draws, "practice side")
    scored = _swapped(shuffled(_scored(study, conditions, twin), *draws, "order"), *draws, "side")
    catch = _swapped(_catch(study, conditions), *draws, "catch side")
    if mirrored:
        practice, scored, catch = (_mirrored(part) for part in (practice, scored, catch))
    listed = practice + _among(scored, catch, *draws, int(mirrored))
    names = {(p.use, p.of, p.item): p.name for p in study.pictures}
    return [_trial(study, k, question, names) for k, question in enumerate(listed)]


def order(n: int, *key: int | str) -> list[int]:
    """A shuffle of 0 … n − 1 that is a function of the key alone.

    >>> order(5, 0, "order", 3) == order(5, 0, "order", 3), sorted(order(5, 0, "order", 4))
    (True, [0, 1, 2, 3, 4])
    """
    return sorted(range(n), key=lambda k: hashed(*key, k))


def hashed(*key: int | str) -> int:
    """64 bits that are a function of the key."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def shuffled(questions: list[_Question], *key: int | str) -> list[_Question]:
    return [questions[k] for k in order(len(questions), *key)]


def _scored(study: Study, conditions: tuple[str, ...], twin: int) -> list[_Question]:
    """Every item at most once. Which condition asks about an item rotates from twins to twins."""
    pool = 1 + max(p.item for p in study.pictures if p.use == "scored")
    row = order(pool, study.seed, "item")
    n, k = study.scored, len(conditions)
    items = [row[(twin * n + i) % pool] for i in range(n)]
    together = study.matched or study.protocol == "preference" or n == 1
    shift = 0 if together else 1 + hashed(study.seed, "shift", twin) % (n - 1)
    found = []
    for i, item in enumerate(items):
        condition, other = conditions[(i + twin) % k], items[(i + shift) % n]
        real = study.protocol == "single" and (i // k + twin // k) % 2 == 0
        found.append(_question(study, "scored", condition, item, other, alone="real" if real else condition))
    return found


def _practice(study: Study, conditions: tuple[str, ...]) -> list[_Question]:
    n, k = study.practice, len(conditions)
    shift = 0 if study.matched or study.protocol == "preference" else 1
    return [
        _question(study, "practice", conditions[i % k], i, (i + shift) % n,
                  alone="real" if (i // k) % 2 == 0 else conditions[i % k])
        for i in range(n)
    ]  # fmt: skip


def _question(study: Study, kind: Kind, condition: str, item: int, other: int, *, alone: str) -> _Question:
    """alone: what the only picture of the protocol "single" is."""
    if study.protocol == "single":
        return _Question(kind, ((alone, item),), condition if alone == condition else "")
    second = "real" if study.protocol == "paired" else condition[1]
    return _Question(kind, ((condition[0], item), (second, other)), condition)


def _catch(study: Study, conditions: tuple[str, ...]) -> list[_Question]:
    """Noise, beside a picture of which nobody can doubt that it is less noise."""
    if study.protocol == "single":
        return [_Question("catch", (("noise", i),)) for i in range(study.catch)]
    k = len(conditions)
    seen = ["real" if study.protocol == "paired" else conditions[i % k][0] for i in range(study.catch)]
    return [_Question("catch", (("noise", i), (of, i))) for i, of in enumerate(seen)]


def _swapped(questions: list[_Question], *key: int | str) -> list[_Question]:
    """Every second question of each condition with its pictures the other way round."""
    seen: dict[str, int] = {}
    found = []
    for question in questions:
        count = seen.setdefault(question.condition, hashed(*key, question.condition) % 2)
        seen[question.condition] = count + 1
        found.append(_turned(question) if count % 2 else question)
    return found


def _turned(question: _Question) -> _Question:
    return replace(question, pictures=question.pictures[::-1])


def _mirrored(questions: list[_Question]) -> list[_Question]:
    return [_turned(question) for question in reversed(questions)]


def _among(scored: list[_Question], catch: list[_Question], *key: int | str) -> list[_Question]:
    """The catch trials among the scored ones, one in each of as many stretches of about equal length."""
    found, n = list(scored), len(scored)
    for i in reversed(range(len(catch))):
        first, last = i * n // len(catch), (i + 1) * n // len(catch)
        found.insert(first + 1 + hashed(*key, "catch", i) % max(1, last - first), catch[i])
    return found


def _trial(study: Study, number: int, question: _Question, names: dict[tuple[Kind, str, int], str]) -> Trial:
    of = tuple(what for what, _ in question.pictures)
    item = next((i for what, i in question.pictures if what == question.condition[:1]), question.pictures[0][1])
    images = tuple(names[question.kind, what, i] for what, i in question.pictures)
    return Trial(number, question.kind, images, of, question.condition, item, _truth(study, question.kind, of))


def _truth(study: Study, kind: Kind, of: tuple[str, ...]) -> str:
    if study.protocol == "single":
        return "real" if of == ("real",) else "fake"
    if kind == "catch":
        return "left" if of[1] == "noise" else "right"
    return "" if study.protocol == "preference" else "left" if of[0] == "real" else "right"
