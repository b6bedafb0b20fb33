"""What is concluded about a run, in plain words: what is seen, how sure, what it usually means, what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sparring.health.words import count

LEVELS = ("fine", "note", "warn", "hard")
"""How serious a verdict is, the most serious last."""

SURE = ("possible", "likely", "certain")
"""How sure it is, the surest last. "possible" on a hard verdict: one probe showed the sign, nothing is confirmed."""

TITLES = {
    "NOT-FINITE": "numbers became infinite or NaN",
    "DIVERGED": "the game has diverged",
    "MODE-COLLAPSE": "mode collapse",
    "MEMORISING": "training data are repeated",
    "D-WINS": "D has won, G learns little from it",
    "D-FOOLED": "D has lost track of what is real",
    "D-OVERFITS": "D has learnt its training data by heart",
    "G-STARVED": "G gets next to no gradient",
    "LOW-DIVERSITY": "too little variety",
    "CLASS-COLLAPSE": "one class has collapsed",
    "OUTPUT-RANGE": "the values of the samples are off",
    "EMA-LAG": "the average lags behind",
    "EMA-FROZEN": "the average does not move",
    "PENALTY": "the gradient penalty has run away",
    "GRADIENT-JUMP": "a gradient has jumped",
    "IGNORES-INPUT": "G does not look at what it is given",
    "COPIES-INPUT": "G hands back what it is given",
    "WORSE-THAN-INPUT": "worse than handing back what was given",
    "OVERFITS": "held-out data become less likely",
    "CODE-UNUSED": "the latents say nothing",
    "FEW-CODES": "few codes are used",
    "CHECKERBOARD": "a checkerboard pattern",
    "AUGMENT-LEAK": "the augmentation shows in the samples",
    "KID-RISING": "the samples are getting worse",
    "PLATEAU": "no progress beyond noise",
    "FEW-IMAGES": "few images",
    "HEALTHY": "healthy",
}
"""Every code there is, the most serious first, with its name in plain words: the order in which verdicts are told."""

HARD = ("NOT-FINITE", "DIVERGED", "MODE-COLLAPSE", "MEMORISING", "D-WINS")
"""The codes that may be of level "hard"."""


@dataclass(frozen=True)
class Verdict:
    """One finding.

    code:   a key of `TITLES`.   level: one of `LEVELS`.   since: images seen when it began.   sure: one of `SURE`.
    seen:   what is seen, with numbers and what is healthy.   means: what it usually means.
    advice: the one thing to try next, as a command or a setting.   unit: what is counted: "image" or "point".

    >>> found = Verdict("PLATEAU", "note", 120_000, "likely", "the score has not moved", "More time is lost.",
    ...                 "stopping here")
    >>> found.sentence()
    'The score has not moved: no progress beyond noise, likely, since image 120k. More time is lost. Try stopping here.'
    """

    code: str
    level: str
    since: int
    sure: str
    seen: str
    means: str
    advice: str = ""
    unit: str = "image"

    @property
    def title(self) -> str:
        return TITLES[self.code]

    def sentence(self) -> str:
        """All of it as one short paragraph."""
        since = f", since {self.unit} {count(self.since)}" if self.level != "fine" and self.since > 0 else ""
        sure = f", {self.sure}" if self.level != "fine" else ""
        said = f"{_capital(self.seen)}: {self.title}{sure}{since}. {self.means}".strip()
        return f"{said} Try {self.advice}." if self.advice else said

    def record(self) -> dict[str, Any]:
        """As plain JSON values, the sentence included."""
        told = asdict(self)
        del told["unit"]  # it is in the sentence
        return {**told, "sentence": self.sentence()}


@dataclass(frozen=True)
class Context:
    """What must be known of a run to judge its numbers.

    recipe, objective, relative: the game.   images, held_out: how many samples of data are trained on, and kept aside.
    kept:     which healthy checkpoint there is, as words: "the checkpoint of 96k is kept"; "" if there is none.
    settings: the settings of the recipe as plain values (`runs.settings.plain`): numbers, words, ramps as mappings.
    classes:  of the data; 0 without labels.   kind: "images" or "points".
    translates: images are made of images that are given: what G makes is decided by them, and it is told the truth, or
              held to a way back, beside what D says.
    solo: one player makes samples of nothing: no D tells it what is wrong.
    coded: images are said in tokens, and made of them again; there are no samples but those.
    planned:  images the run is to see; 0: unknown.
    stop:     "budget" (stopping is advised only) or "auto" (a plateau ends the run).
    alone:    one look is all there is: no signal need persist, and nothing is compared with earlier probes.
    ended:    nothing goes on any more: advice speaks of the next run.
    run, data: what stands in commands for the run's directory and for its data.
    alarms:   what the run has said in its log: (images, code, message).
    """

    recipe: str = ""
    objective: str = ""
    relative: bool = False
    images: int = 0
    held_out: int = 0
    kept: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    kind: str = "images"
    translates: bool = False
    solo: bool = False
    coded: bool = False
    planned: int = 0
    stop: str = "budget"
    alone: bool = False
    ended: bool = False
    run: str = "RUN"
    data: str = "DATA"
    alarms: tuple[tuple[int, str, str], ...] = ()

    @property
    def what(self) -> str:
        """What a sample is called: "images" or "points"."""
        return "points" if self.kind == "points" else "images"


def order(verdict: Verdict) -> tuple[int, int]:
    """A key to sort by: the most serious first."""
    return -LEVELS.index(verdict.level), list(TITLES).index(verdict.code)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
