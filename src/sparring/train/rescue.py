"""What going back changes: the ladder that a run climbs down when its numbers run away, or a watch says that it failed.

It goes back to its newest healthy checkpoint and on from there with other batches and other noise. If that meets
trouble before it has got past the place of the first, it goes back again, at half the learning rate, and a third time
at a quarter. Then it ends: what fails four times in a row is no accident. (Reliability: docs/start.md.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sparring.errors import Diverged

TRIES = 3
"""How often a run goes back without having got past the trouble."""
SHIFT = 2**40
"""Positions of the stream between two attempts: all chance is a function of the position, so all of it is other, and no
run sees as many images as that."""


class Objection(Diverged):
    """A watch says that the run failed: handled like numbers that ran away."""


@dataclass(frozen=True)
class Ladder:
    """How often a run went back. Plain values; kept in every checkpoint.

    attempt: in all.   tries: since it last got past its trouble.   furthest: images seen when it was in trouble, the
    most since then.   halvings: of the learning rate.   history: (from, to, code) of each.

    >>> ladder = Ladder().back(500, 400, "NOT-FINITE")
    >>> ladder.attempt, ladder.tries, ladder.halvings
    (1, 1, 0)
    >>> again = ladder.past(450).back(480, 400, "NOT-FINITE")  # 450 is not past 500
    >>> again.tries, again.halvings, again.past(500).tries, again.past(500).halvings
    (2, 1, 0, 1)
    """

    attempt: int = 0
    tries: int = 0
    furthest: int = 0
    halvings: int = 0
    history: tuple[tuple[int, int, str], ...] = ()

    def back(self, images: int, to: int, code: str) -> Ladder:
        """One step down. Where all tries are used up the next ones begin anew, at the learning rate of before: whoever
        goes on with the run then has changed something."""
        history = (*self.history, (images, to, code))
        if self.tries == TRIES:
            return Ladder(self.attempt + 1, 0, 0, self.halvings - (TRIES - 1), history)
        furthest, halvings = max(self.furthest, images), self.halvings + (self.tries > 0)
        return Ladder(self.attempt + 1, self.tries + 1, furthest, halvings, history)

    def past(self, images: int) -> Ladder:
        """After a healthy checkpoint: beyond the trouble the tries are counted from 0; the learning rate stays."""
        return replace(self, tries=0, furthest=0) if self.tries and images >= self.furthest else self

    @property
    def slower(self) -> float:
        """What the learning rate is multiplied by."""
        return 0.5**self.halvings

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "attempt": self.attempt, "tries": self.tries, "furthest": self.furthest, "halvings": self.halvings,
            "history": [list(entry) for entry in self.history],
        }  # fmt: skip

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Ladder:
        """From `record`; of a run that never went back there may be none."""
        if not record:
            return cls()
        history = tuple((int(images), int(to), str(code)) for images, to, code in record["history"])
        numbers = {name: int(record[name]) for name in ("attempt", "tries", "furthest", "halvings")}
        return cls(**numbers, history=history)


def told(ladder: Ladder, images: int, to: int, code: str) -> str:
    """What is done about what was said under `code`, for people and for the log."""
    where = f"the run goes back from {images:,} to {to:,} images because of {code}"
    if not ladder.tries:
        return where
    how = "with other batches" + (f" and {ladder.slower:g} of the planned learning rate" if ladder.halvings else "")
    return f"{where}, and on {how} (try {ladder.tries} of {TRIES})"


def given_up(to: int, error: Diverged) -> Diverged:
    """The error of a run that came to trouble again and again."""
    return Diverged(
        "GIVEN-UP",
        f"{TRIES} new tries from {to:,} images with other batches and a lower learning rate came to trouble as well; "
        "the run ends with that checkpoint, which is healthy",
        why=": ".join(filter(None, (f"[{error.code}] {error.what}", error.why))),
        fix=error.fix or "change what the cause names in its recipe.yaml (a lower lr, a higher gamma), then resume it",
    )
