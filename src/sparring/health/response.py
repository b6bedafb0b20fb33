"""What is done about verdicts: the ladder from a note to going back, as a pure function with a small state.

nothing hard                      go on; this checkpoint is healthy
a hard sign, not confirmed yet    go on, and let the last healthy checkpoint stand (HOLD)
a hard verdict                    say so (an alarm), and HOLD
the same, `rollback_after` times  go back to the last healthy checkpoint (ROLLBACK), if that can help: the game has
                                  diverged or collapsed. What is learnt by heart is learnt again: there HOLD is all
numbers that are none             go back at once
no progress beyond noise          the note advises to stop; with ``--stop auto`` the run ends (STOP)

How often a run may go back, and what changes when it does, is the loop's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparring.health.thresholds import Thresholds, usual
from sparring.health.verdict import HARD, Context, Verdict
from sparring.types import Decision

AT_ONCE = ("NOT-FINITE",)
BACK = ("DIVERGED", "MODE-COLLAPSE")
"""What going back can mend: the same way need not be taken twice."""
FALLEN = ("MODE-COLLAPSE", "LOW-DIVERSITY", "DIVERGED")
"""What must come with a D that has won before going back is worth it."""

State = dict[str, Any]


def decide(
    verdicts: Sequence[Verdict], state: Mapping[str, Any], context: Context, thresholds: Thresholds | None = None
) -> tuple[Decision, State]:
    """What the verdicts of this probe ask for, and the state for the next one (plain JSON; {} to begin with).

    >>> found = Verdict("MODE-COLLAPSE", "hard", 1000, "likely", "", "")
    >>> first, state = decide([found], {}, Context())
    >>> second, state = decide([found], state, Context())
    >>> first, second
    (<Decision.HOLD: 'hold'>, <Decision.ROLLBACK: 'rollback'>)
    """
    t = thresholds or usual()
    hard = [verdict.code for verdict in verdicts if verdict.level == "hard"]
    before = state.get("hard", {})
    counts = {code: int(before.get(code, 0)) + 1 for code in hard}
    codes = {verdict.code for verdict in verdicts}
    helps = [code for code in hard if code in BACK or (code == "D-WINS" and codes & set(FALLEN))]
    if any(code in AT_ONCE for code in hard) or any(counts[code] >= t.rollback_after for code in helps):
        return Decision.ROLLBACK, {"hard": {}}
    if context.stop == "auto" and _ended(verdicts):
        return Decision.STOP, {"hard": counts}
    signs = any(verdict.code in HARD and verdict.level in ("note", "hard") for verdict in verdicts)
    return (Decision.HOLD if signs else Decision.NOTE), {"hard": counts}


def _ended(verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing more is to be expected."""
    return any(verdict.code == "PLATEAU" and verdict.sure != "possible" for verdict in verdicts)


def alarms(verdicts: Sequence[Verdict], state: Mapping[str, Any]) -> tuple[list[tuple[str, str]], State]:
    """(code, sentence) of the warnings that are new or more serious than when they were last told, the most serious
    first, and what has been told by now: what is known already is not repeated at every probe.

    >>> found = Verdict("PENALTY", "warn", 1000, "likely", "much of it", "It is large.")
    >>> said, told = alarms([found], {})
    >>> said, alarms([found], told)[0]
    ([('PENALTY', 'Much of it: the gradient penalty has run away, likely, since image 1k. It is large.')], [])
    """
    told = dict(state)
    worth = {"warn": 1, "hard": 2}
    serious = {verdict.code: worth[verdict.level] for verdict in verdicts if verdict.level in worth}
    advised = {v.code: 1 for v in verdicts if v.code == "PLATEAU" and v.sure != "possible"}
    now = serious | advised
    said = [
        (verdict.code, verdict.sentence())
        for verdict in verdicts
        if verdict.code in now and now[verdict.code] > int(told.get(verdict.code, 0))
    ]
    return said, now
