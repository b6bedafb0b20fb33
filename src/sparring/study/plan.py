"""What a study says of itself: ``study.yaml``, with everything that decides what raters see and what is counted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparring.errors import DataError, UsageError

FORMAT = 1
DOCUMENT, PICTURES, ANSWERS = "study.yaml", "images", "study.db"
"""The files of a study."""
_LARGEST = 16 * 2**20  # bytes of a study.yaml; one of 150 pictures has 12 kB

Protocol = Literal["paired", "single", "preference"]
Kind = Literal["practice", "scored", "catch"]
Answer = Literal["left", "right", "real", "fake"]

QUESTIONS: dict[Protocol, str] = {
    "paired": "Which one is real?",
    "single": "Is this one real or fake?",
    "preference": "Which one is better?",
}


TITLES: dict[Protocol, str] = {"paired": "Which is real?", "single": "Real or not?", "preference": "Which is better?"}
"""What raters read unless there is another title. It names no model."""


def headed(title: str, question: str) -> str:
    """A title with the question, unless it is one.

    >>> headed("cats", "Which one is real?"), headed("Which is real?", "Which one is real?")
    ('cats: Which one is real?', 'Which is real?')
    """
    return title if title in TITLES.values() else f"{title}: {question}"


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Said):
    """What is not counted, stated before anybody has answered.

    fast_ms:     an answer sooner than so many milliseconds after the pictures appeared.
    late_ms:     an answer to pictures that were to be seen for so many milliseconds longer than the protocol says, or
                 more than once, where the protocol says how long.
    catch_wrong: a rater who got more catch trials wrong.
    fast_share:  a rater of whose answers a larger share was too fast.
    least:       a rater who answered a smaller share of the scored trials.
    """

    fast_ms: int = Field(default=200, ge=0, le=60_000)
    late_ms: int = Field(default=250, ge=0, le=60_000)
    catch_wrong: int = Field(default=1, ge=0, le=1000)
    fast_share: float = Field(default=0.2, ge=0, le=1)
    least: float = Field(default=0.5, ge=0, le=1)

    def lines(self) -> list[str]:
        """The rules in words."""
        return [
            f"an answer within {self.fast_ms} ms of the pictures appearing is not counted",
            f"nor is one to pictures that were seen {self.late_ms} ms longer than they should have been, or twice",
            f"a rater with more than {self.catch_wrong} wrong in catch trials is not counted",
            f"nor is one with more than {self.fast_share:.0%} of answers too fast",
            f"nor is one who answered fewer than {self.least:.0%} of the scored trials",
        ]


class Model(_Said):
    """What made pictures. letter: "A", "B", …   name: for tables.   path: of the run or of the pictures.
    kind: "run" or "data".   images: seen by its checkpoint, None of pictures that were made elsewhere."""

    letter: str = Field(pattern=r"^[A-Z]$")
    name: str = Field(min_length=1)
    path: str
    kind: Literal["run", "data"]
    images: int | None = None
    remarks: tuple[str, ...] = ()


class Picture(_Said):
    """One file of ``images/``. name: 16 random hexadecimal digits, which say nothing; the file is ``images/NAME.png``.

    of: "real", the letter of a model, or "noise".   use: the kind of trial that it is for.   item: its number among
    those of the same `of` and `use`; where the study is matched, equal items were made from the same input.
    source: the file or the number of the sample that it was.
    """

    name: str = Field(pattern=r"^[0-9a-f]{16}$")
    of: str = Field(pattern=r"^(real|noise|[A-Z])$")
    use: Kind
    item: int = Field(ge=0)
    source: str | int = ""


class Real(_Said):
    """Where the real pictures are from. split: "held-out", "all" or "train" of the data of a run."""

    source: str
    split: str = "all"
    prepared: str = ""
    remarks: tuple[str, ...] = ()


class Study(_Said):
    """A study.

    protocol: "paired": a real and a made picture, which is real?   "single": one picture, real or fake?
              "preference": two made ones, which is better?
    seconds:  how long pictures are seen; None: until the answer.
    trials:   questions to each rater, catch trials not among them.   practice: how many of them come first, with
              feedback where there is a right answer, and are never counted.   catch: catch trials besides, with noise
              for one picture, mixed among the scored ones.
    seed:     of samples, of order, of sides.   matched: both pictures of a trial belong to the same input.
    one_each: each rater sees one model only (of a preference: one pair of models).
    models, real, rules, pictures: see there.   made_by: version of sparring.
    """

    format: Literal[1] = 1
    title: str = Field(min_length=1, max_length=200)
    protocol: Protocol
    seconds: float | None = Field(default=None, gt=0, le=60)
    trials: int = Field(ge=1, le=2000)
    practice: int = Field(ge=0, le=1000)
    catch: int = Field(ge=0, le=1000)
    seed: int = Field(ge=0, lt=2**63)
    matched: bool = False
    one_each: bool = False
    models: tuple[Model, ...] = Field(min_length=1, max_length=26)
    real: Real | None = None
    rules: Rules = Rules()
    pictures: tuple[Picture, ...] = ()
    made_by: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.practice >= self.trials:
            raise ValueError(f"{self.practice} practice trials leave none of {self.trials} that count")
        if self.protocol == "preference" and len(self.models) < 2:
            raise ValueError("a preference is between two models or more")
        if self.protocol != "preference" and self.real is None:
            raise ValueError("this protocol needs real pictures")
        letters = [model.letter for model in self.models]
        if letters != [chr(ord("A") + k) for k in range(len(letters))]:
            raise ValueError(f"models have the letters A, B, … in order, not {', '.join(letters)}")
        return self

    @property
    def scored(self) -> int:
        """Trials of each rater that count."""
        return self.trials - self.practice

    @property
    def asked(self) -> str:
        """How many trials a rater has, and which: "14 trials: 2 for practice, 10 that count, 2 catch trials"."""
        total, catches = self.trials + self.catch, f"{self.catch} catch trial{'s' * (self.catch != 1)}"
        parts = [f"{self.practice} for practice"] * bool(self.practice) + [f"{self.scored} that count"]
        parts += [catches] * bool(self.catch)
        return f"{total} trial{'s' * (total != 1)}: {', '.join(parts)}"

    @property
    def question(self) -> str:
        return QUESTIONS[self.protocol]

    @property
    def answers(self) -> tuple[Answer, Answer]:
        """What a rater may say."""
        return ("real", "fake") if self.protocol == "single" else ("left", "right")

    @property
    def conditions(self) -> tuple[str, ...]:
        """What is measured one by one: "A", "B", … or, of preferences, the pairs "AB", "AC", …"""
        letters = [model.letter for model in self.models]
        if self.protocol != "preference":
            return tuple(letters)
        return tuple(a + b for k, a in enumerate(letters) for b in letters[k + 1 :])

    def model(self, letter: str) -> Model:
        return self.models[ord(letter) - ord("A")]

    def lines(self) -> list[str]:
        """What a person should know of the study."""
        seen = f"pictures are seen for {self.seconds:g} s" if self.seconds else "pictures are seen until the answer"
        made = [f"{m.letter}  {m.name}" + (f", {m.images:,} images seen" if m.images else "") for m in self.models]
        real = [f"real      {self.real.source}, {self.real.split}"] if self.real else []
        notes = [*(self.real.remarks if self.real else ()), *(r for m in self.models for r in m.remarks)]
        return [
            f"study     {headed(self.title, self.question)}",
            f"a rater   {self.asked}; {seen}"
            + ("; one model each" if self.one_each and len(self.conditions) > 1 else ""),
            *(f"{'made' if k == 0 else '':<10}{line}" for k, line in enumerate(made)),
            *real,
            *(f"{'rules' if k == 0 else '':<10}{line}" for k, line in enumerate(self.rules.lines())),
            *(f"! {note}" for note in notes),
        ]


def write(study: Study, folder: Path) -> None:
    """Write study.yaml, whole or not at all; pictures a line each."""
    values = study.model_dump(mode="json")
    pictures = values.pop("pictures")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    rows = [yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=10_000).strip() for row in pictures]
    text += "pictures:\n" + "".join(f"- {row}\n" for row in rows)
    aside = folder / f".{DOCUMENT}.{os.getpid()}.tmp"
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / DOCUMENT)


def read(folder: str | Path) -> Study:
    """The study in a directory; `DataError` where there is none, or where its study.yaml cannot be used."""
    path = Path(folder) / DOCUMENT
    if not path.is_file():
        raise DataError(
            "STUDY-MISSING", "there is no study here", where=str(folder), why=f"a study is a directory with {DOCUMENT}",
            fix="make one: sparring study new RUN",
        )  # fmt: skip
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"more than {_LARGEST:,} bytes")
        values: Any = _LOADER(path.read_text(encoding="utf-8")).get_single_data()
        if not isinstance(values, dict):
            raise ValueError("it does not say `key: value`")
        return Study.model_validate(values)
    except ValidationError as error:
        why = _reasons(error)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
    raise DataError("STUDY-DOCUMENT", "this study cannot be read", where=str(path), why=why,
                    fix="put back the file as `sparring study new` wrote it")  # fmt: skip


def usable(values: dict[str, Any]) -> Study:
    """A study of what somebody asked for; `UsageError` with every reason where it cannot be."""
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise UsageError(
            "STUDY-ASKED", "there can be no such study", why=_reasons(error), fix=_mended(values, error)
        ) from None


def _mended(values: dict[str, Any], error: ValidationError) -> str:
    """What to type instead."""
    place = error.errors()[0]["loc"]
    if place:
        flag = {"rules": place[-1], "title": "heading"}.get(str(place[0]), place[0])
        flag = str(flag).removesuffix("_ms").replace("_", "-")
        return f"leave --{flag} out for the usual one, or give another"
    trials, practice = values["trials"], values["practice"]
    if practice >= trials:
        return f"--trials {practice + 40} --practice {practice}" + (
            f", or --practice {trials // 5}" if trials > 1 else ""
        )
    if values["protocol"] == "preference":
        return "name the second model: --against RUN"
    return "name real pictures: --real DATA"


def _reasons(error: ValidationError) -> str:
    """The first three complaints, each with its place."""
    said = []
    for one in error.errors()[:3]:
        place, what = ".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")
        said.append(f"{place}: {what}" if place else what)
    return "; ".join(said)


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
