"""Who sees what: counterbalanced exactly, the same for ever, nothing told that must not be."""

from collections import Counter
from typing import Any

import pytest
from tests.study.studies import study_of

from sparring.study.trials import Trial, trials_of

EVERY = [
    {"protocol": "paired"},
    {"protocol": "paired", "models": 2},
    {"protocol": "paired", "models": 3, "trials": 23},
    {"protocol": "paired", "models": 2, "one_each": True},
    {"protocol": "paired", "matched": True},
    {"protocol": "single"},
    {"protocol": "single", "models": 2},
    {"protocol": "preference", "models": 2},
    {"protocol": "preference", "models": 3, "trials": 22},
    {"protocol": "preference", "models": 3, "one_each": True},
    {"protocol": "paired", "practice": 0, "catch": 0},
    {"protocol": "paired", "trials": 5, "practice": 4, "catch": 9},
    {"protocol": "paired", "pool": 40, "models": 2},
]


def scored(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.kind == "scored"]


@pytest.mark.parametrize("how", EVERY)
def test_a_list_has_what_the_study_promises(how: dict[str, Any]) -> None:
    study = study_of(**how)
    names = {picture.name: picture for picture in study.pictures}
    for rater in range(7):
        trials = trials_of(study, rater)
        assert [trial.number for trial in trials] == list(range(study.trials + study.catch))
        kinds = [trial.kind for trial in trials]
        assert kinds[: study.practice] == ["practice"] * study.practice, "practice comes first"
        assert Counter(kinds[study.practice :]) == Counter({"scored": study.scored, "catch": study.catch})
        for trial in trials:
            assert len(trial.images) == (1 if study.protocol == "single" else 2) == len(trial.of)
            assert [names[name].of for name in trial.images] == list(trial.of)
            assert all(names[name].use == trial.kind for name in trial.images)
            assert trial.truth in ("", *study.answers)
            assert ("noise" in trial.of) == (trial.kind == "catch")
            assert trial.condition in (*study.conditions, "")
        counts = Counter(image for trial in trials for image in trial.images)
        assert max(counts.values()) == 1, "no rater sees a picture twice"


@pytest.mark.parametrize("how", EVERY)
def test_the_list_is_a_function_of_study_and_rater(how: dict[str, Any]) -> None:
    study = study_of(**how)
    assert trials_of(study, 3) == trials_of(study_of(**how), 3)
    if study.scored > 1:
        assert trials_of(study, 0) != trials_of(study, 2)
        assert trials_of(study, 0) != trials_of(study.model_copy(update={"seed": 1}), 0)


def test_the_list_is_the_same_in_every_version() -> None:
    """What was drawn for the first rater of a study that somebody may still be running."""
    found = [(t.of[0], t.item) for t in trials_of(study_of(trials=8, practice=2, catch=1), 0)]
    assert found == [
        ("A", 0),
        ("real", 1),
        ("A", 5),
        ("real", 1),
        ("A", 4),
        ("noise", 0),
        ("real", 2),
        ("A", 0),
        ("real", 3),
    ]


@pytest.mark.parametrize("how", [h for h in EVERY if h["protocol"] != "single"])
def test_twins_balance_sides_and_order(how: dict[str, Any]) -> None:
    study = study_of(**how)
    step = len(study.conditions) if study.one_each else 1
    for rater in range(0, 6 * step, 2 * step):
        one = scored(trials_of(study, rater))
        twin = next(
            scored(trials_of(study, r)) for r in range(rater + step, rater + 2 * step)
            if {t.condition for t in trials_of(study, r)} == {t.condition for t in trials_of(study, rater)}
        )  # fmt: skip
        assert [t.images[::-1] for t in reversed(one)] == [t.images for t in twin]
        for name in study.conditions:
            left = sum(t.of[0] == name[0] for t in one if t.condition == name)
            total = sum(t.condition == name for t in one)
            assert abs(2 * left - total) <= 1, "as often left as right"


def test_models_are_seen_equally_often_and_every_item_of_each() -> None:
    study = study_of(models=3, trials=25, practice=4)
    seen = [scored(trials_of(study, rater)) for rater in range(12)]
    for trials in seen:
        assert Counter(t.condition for t in trials) == Counter("AAAAAAABBBBBBBCCCCCCC")
    asked = Counter((t.condition, t.item) for trials in seen for t in trials)
    assert len(asked) == 63 and set(asked.values()) == {4}


def test_one_model_each_in_blocks() -> None:
    study = study_of(models=3, one_each=True)
    for block in range(5):
        mine = [{t.condition for t in scored(trials_of(study, 3 * block + k))} for k in range(3)]
        assert all(len(one) == 1 for one in mine) and len(set().union(*mine)) == 3


def test_matched_pictures_belong_to_one_input_and_others_never_do() -> None:
    for matched in (True, False):
        study = study_of(models=2, matched=matched)
        items = {p.name: p.item for p in study.pictures}
        for rater in range(6):
            for trial in trials_of(study, rater):
                if trial.kind != "catch":
                    assert (items[trial.images[0]] == items[trial.images[1]]) is matched


def test_half_of_single_pictures_are_real() -> None:
    study = study_of("single")
    for rater in range(4):
        trials = scored(trials_of(study, rater))
        assert sum(t.truth == "real" for t in trials) == len(trials) // 2
        assert all((t.condition == "") == (t.truth == "real") for t in trials)


def test_catch_trials_are_spread_and_never_first() -> None:
    study = study_of(trials=44, practice=4, catch=4)
    for rater in range(8):
        places = [t.number - 4 for t in trials_of(study, rater) if t.kind == "catch"]
        assert places[0] > 0 and all(10 * k <= p - k <= 10 * (k + 1) for k, p in enumerate(places))


def test_the_page_is_told_nothing_that_is_true() -> None:
    study = study_of(models=2)
    for trial in trials_of(study, 0):
        assert trial.public() == {
            "number": trial.number, "practice": trial.kind == "practice", "images": list(trial.images)
        }  # fmt: skip
