"""From answers to results: what is counted, what is found again, what is said."""

import json
from typing import Any

import pytest
from tests.study.studies import study_of

from sparring.study import analyse, simulate, words
from sparring.study.plan import Study
from sparring.study.trials import trials_of


def answers(study: Study, rater: int, **how: Any) -> list[dict[str, Any]]:
    """A rater who is right everywhere, except in trials of the kinds in `wrong`."""
    wrong, time, seen, stop = (how.get(k, d) for k, d in (("wrong", {}), ("time", 900), ("seen", None), ("stop", 999)))
    looks = how.get("looks", 0)
    found, left = [], dict(wrong)
    for trial in trials_of(study, rater)[:stop]:
        right = trial.truth or study.answers[0]
        if left.get(trial.kind, 0) > 0:
            left[trial.kind] -= 1
            right = study.answers[1 - study.answers.index(right)]
        found.append({
            "rater": rater, "trial": trial.number, "kind": trial.kind, "condition": trial.condition,
            "item": trial.item, "left": trial.images[0], "right": (*trial.images, None)[1], "left_of": trial.of[0],
            "right_of": (*trial.of, None)[1], "truth": trial.truth, "answer": right, "milliseconds": time,
            "seen": seen, "at": 0.0, "looks": looks,
        })  # fmt: skip
    return found


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, ""),
        ({"wrong": {"catch": 1}}, ""),
        ({"wrong": {"catch": 2}}, "2 of 4 catch trials wrong"),
        ({"wrong": {"practice": 4}}, ""),
        ({"time": 199}, "20 of 20 answers too fast"),
        ({"time": 200}, ""),
        ({"stop": 11}, "answered 5 of 16 scored trials"),
        ({"stop": 18}, ""),
        ({"seen": 1251}, "none of the answers counts"),
        ({"seen": 1250}, ""),
        ({"looks": 1}, ""),
        ({"looks": 2}, "none of the answers counts"),
    ],
)
def test_who_is_counted(how: dict[str, Any], why: str) -> None:
    study = study_of()
    kept = analyse.counted(study, answers(study, 0, **how))
    assert kept.excluded == ({0: why} if why else {})
    assert kept.raters == ([] if why else [0])
    assert all(row["kind"] == "scored" for row in kept.rows)


def test_single_answers_that_are_not_counted() -> None:
    study = study_of()
    rows = answers(study, 0)
    scored = [row for row in rows if row["kind"] == "scored"]
    scored[0]["milliseconds"], scored[1]["seen"], scored[2]["milliseconds"] = 5, 3000, 199
    kept = analyse.counted(study, rows)
    assert (kept.fast, kept.late, len(kept.rows)) == (2, 1, 13)
    found = analyse.result(study, rows)
    assert found["answers"] == {"counted": 13, "too_fast": 2, "too_late": 1}
    free = study.model_copy(update={"seconds": None})
    assert analyse.counted(free, rows).late == 0, "pictures that stay cannot be seen too long"


def test_practice_never_counts() -> None:
    study = study_of()
    a = analyse.result(study, answers(study, 0, wrong={"practice": 4}))
    assert a["conditions"] == analyse.result(study, answers(study, 0))["conditions"]


# ── what is found ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_fooled_is_counted() -> None:
    study = study_of()
    rows = [row for rater in range(10) for row in answers(study, rater, wrong={"scored": rater % 5})]
    one = analyse.result(study, rows)["conditions"][0]
    assert (one["raters"], one["answers"], one["yes"]) == (10, 160, 20)
    assert one["fooled"]["value"] == pytest.approx(20 / 160)
    assert one["fooled"]["low"] < 20 / 160 < one["fooled"]["high"]
    assert one["row"].startswith("fooled 12.5 % ± ")


def test_single_pictures_give_d_prime_and_the_leaning() -> None:
    study = study_of("single")
    rows = [row for rater in range(10) for row in answers(study, rater)]
    for row in rows:
        row["answer"] = "fake" if row["kind"] == "catch" else "real"  # whoever always says real is fooled always
    one = analyse.result(study, rows)["conditions"][0]
    assert one["fooled"]["value"] == 1.0 == one["real_called_real"]["value"]
    assert one["d_prime"]["value"] == pytest.approx(0) and one["criterion"]["value"] < -1


def test_preferences_count_for_the_model_not_the_side() -> None:
    study = study_of("preference", models=3, trials=22)
    rows = [row for rater in range(6) for row in answers(study, rater)]
    for row in (row for row in rows if row["kind"] == "scored"):
        row["answer"] = "left" if row["left_of"] < row["right_of"] else "right"  # always the earlier letter
    found = analyse.result(study, rows)
    assert [one["condition"] for one in found["conditions"]] == ["AB", "AC", "BC"]
    assert [one["preferred"]["value"] for one in found["conditions"]] == [1.0, 1.0, 1.0]
    assert found["conditions"][0]["name"] == "model A over model B" and not found["differences"]


@pytest.mark.parametrize("one_each", [False, True])
def test_models_are_told_apart(one_each: bool) -> None:
    study = study_of(models=2, trials=44, one_each=one_each)
    rows = simulate.votes(study, {"A": 0.35, "B": 0.1}, raters=30, seed=2)
    found = analyse.result(study, rows)["differences"][0]
    assert found["low"] > 0.1 and found["p_holm"] < 0.001 and 0.15 < found["value"] < 0.35
    assert ("Welch" in found["test"]) is one_each
    same = analyse.result(study, simulate.votes(study, {"A": 0.2, "B": 0.2}, raters=30, seed=4))["differences"][0]
    assert same["low"] < 0 < same["high"] and same["p"] > 0.05


@pytest.mark.parametrize(("protocol", "rates"), [("paired", {"A": 0.2}), ("single", {"A": 0.4})])
def test_a_whole_study_finds_its_truth(protocol: Any, rates: dict[str, float]) -> None:
    """From the lists of trials to the interval: of 8 simulated studies at most 2 miss (expected is 0.4)."""
    study = study_of(protocol, trials=34)
    missed = 0
    for seed in range(8):
        one = analyse.result(study, simulate.votes(study, rates, raters=24, careless=2, seed=seed))["conditions"][0]
        missed += not one["fooled"]["low"] <= rates["A"] <= one["fooled"]["high"]
    assert missed <= 2


def test_careless_raters_are_found() -> None:
    study = study_of(trials=50, practice=10, catch=6)
    found = analyse.result(study, simulate.votes(study, {"A": 0.2}, raters=40, careless=10))
    excluded = {one["rater"] for one in found["raters"]["excluded"]}
    assert excluded <= set(range(30, 40)) and len(excluded) >= 9
    assert any("10 of 40" in w or "9 of 40" in w for w in found["warnings"])


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "rates"),
    [
        ({"models": 2}, {"A": 0.2, "B": 0.1}),
        ({"models": 2, "one_each": True}, {"A": 0.2, "B": 0.1}),
        ({"protocol": "single"}, {"A": 0.4}),
        ({"protocol": "preference", "models": 2}, {"AB": 0.6}),
        ({"catch": 0, "practice": 0}, {"A": 0.3}),
    ],
)
def test_every_number_of_answers_can_be_told(how: dict[str, Any], rates: dict[str, float]) -> None:
    study = study_of(**how)
    rows = simulate.votes(study, rates, raters=9, careless=1)
    for count in (0, 1, 15, 25, len(rows) // 2, len(rows)):
        found = analyse.result(study, rows[:count])
        json.dumps(found, allow_nan=False)
        said = "\n".join(words.lines(found))
        assert "nan" not in said and "None" not in said
        assert study.title in said
    assert "from 20 raters on" in said and "% ± " in said
    assert ("d′" in said) is (study.protocol != "preference")
