"""The ladder: what is asked of the loop, verdict after verdict; and what is told, once."""

import json
from dataclasses import replace

import pytest
from tests.health import histories

from sparring.health.response import alarms, decide
from sparring.health.rules import judge
from sparring.health.thresholds import usual
from sparring.health.verdict import HARD, TITLES, Context, Verdict
from sparring.types import Decision

HOLD, NOTE, BACK, STOP = Decision.HOLD, Decision.NOTE, Decision.ROLLBACK, Decision.STOP


def verdict(code, level="hard", sure="certain"):
    return Verdict(code, level, 1000, sure, "seen 1 (healthy: 0)", "It means something.", "something")


def climb(steps, **context):
    """The decisions for a list of lists of verdicts, the state going through JSON in between."""
    state, found = {}, []
    for verdicts in steps:
        decision, state = decide(verdicts, state, Context(**context))
        state = json.loads(json.dumps(state))
        found.append(decision)
    return found


@pytest.mark.parametrize("code", ["DIVERGED", "MODE-COLLAPSE"])
def test_a_hard_verdict_is_held_and_then_taken_back(code):
    assert climb([[], [verdict(code)], [verdict(code)], []]) == [NOTE, HOLD, BACK, NOTE]


def test_a_sign_holds_and_no_more():
    """What nobody is sure of yet must not overwrite the last healthy checkpoint."""
    sign = verdict("MODE-COLLAPSE", "note", "possible")
    assert climb([[sign]] * 9) == [HOLD] * 9


def test_a_hard_verdict_that_goes_away_begins_again():
    one = [verdict("DIVERGED")]
    assert climb([one, [], one, [], one, one]) == [HOLD, NOTE, HOLD, NOTE, HOLD, BACK]


def test_after_going_back_the_ladder_begins_again():
    one = [verdict("DIVERGED")]
    assert climb([one] * 6) == [HOLD, BACK] * 3


def test_numbers_that_are_none_go_back_at_once():
    assert climb([[verdict("NOT-FINITE")]]) == [BACK]


def test_what_is_learnt_by_heart_is_learnt_again():
    assert climb([[verdict("MEMORISING")]] * 9) == [HOLD] * 9


def test_a_d_that_has_won_is_worth_going_back_only_with_a_collapse():
    won, poor = verdict("D-WINS"), verdict("LOW-DIVERSITY", "warn", "likely")
    assert climb([[won]] * 4) == [HOLD] * 4
    assert climb([[won, poor]] * 2) == [HOLD, BACK]


@pytest.mark.parametrize("code", [code for code in TITLES if code not in HARD])
def test_soft_verdicts_only_warn(code):
    for level in ("note", "warn"):
        assert climb([[verdict(code, level, "likely")]] * 5) == [NOTE] * 5


def test_a_plateau_stops_only_who_asked_for_it():
    flat, soon = verdict("PLATEAU", "note", "likely"), verdict("PLATEAU", "note", "possible")
    assert climb([[flat]] * 3) == [NOTE] * 3
    assert climb([[flat]], stop="auto") == [STOP]
    assert climb([[soon]], stop="auto") == [NOTE], "the learning rate still falls"
    assert climb([[verdict("FEW-IMAGES", "note")]], stop="auto") == [NOTE]


def test_how_often_is_a_threshold():
    state, t = {}, replace(usual(), rollback_after=4)
    found = []
    for _ in range(5):
        decision, state = decide([verdict("DIVERGED")], state, Context(), t)
        found.append(decision)
    assert found == [HOLD, HOLD, HOLD, BACK, HOLD]


def test_a_healthy_run_is_never_held():
    state, of = {}, histories.context()
    probes = histories.healthy_probes()
    for k in range(1, len(probes) + 1):
        decision, state = decide(judge(probes[:k], [], of), state, of)
        assert decision is NOTE
    assert state == {"hard": {}}


def test_a_collapse_is_taken_back_within_five_probes_and_held_from_the_first():
    state, of, found = {}, histories.context(), []
    probes = histories.gone(histories.healthy_probes(), 5)
    for k in range(1, len(probes) + 1):
        decision, state = decide(judge(probes[:k], [], of), state, of)
        found.append(decision)
    assert found[:5] == [NOTE] * 5 and found[5:9] == [HOLD, HOLD, HOLD, BACK]


def test_nothing_is_told_twice():
    soft, hard = verdict("D-WINS", "warn", "likely"), verdict("D-WINS")
    told, said = {}, []
    for verdicts in ([soft], [soft], [hard], [hard], [], [soft]):
        found, told = alarms(verdicts, told)
        told = json.loads(json.dumps(told))
        said.append([code for code, _ in found])
    assert said == [["D-WINS"], [], ["D-WINS"], [], [], ["D-WINS"]]


def test_only_what_matters_is_told():
    found, _ = alarms([verdict("CHECKERBOARD", "note"), verdict("HEALTHY", "fine"), verdict("FEW-IMAGES", "note")], {})
    assert found == []
    found, _ = alarms([verdict("PLATEAU", "note", "likely")], {})
    assert [code for code, _ in found] == ["PLATEAU"], "the advice to stop is told once"
