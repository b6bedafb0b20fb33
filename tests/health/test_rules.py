"""Each verdict is given to a history that shows it, and not to its healthy twin; worse numbers never take one away."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.health import histories
from tests.health.histories import SIGNS, TURNED, context, healthy_probes, healthy_turns, since

from sparring.health.rules import SUPERSEDED, judge
from sparring.health.thresholds import usual
from sparring.health.verdict import HARD, LEVELS, TITLES, order


def levels(verdicts):
    return {verdict.code: verdict.level for verdict in verdicts}


def test_a_healthy_run_is_called_healthy_with_numbers():
    (verdict,) = judge(healthy_probes(), healthy_turns(), context())
    assert (verdict.code, verdict.level) == ("HEALTHY", "fine")
    assert "84 %" in verdict.seen and "KID" in verdict.seen and "falling" in verdict.seen


@pytest.mark.parametrize("k", range(1, len(histories.MOMENTS) + 1))
def test_a_healthy_run_is_healthy_all_along(k):
    probes = healthy_probes()[:k]
    turns = healthy_turns(probes[-1][0])
    assert levels(judge(probes, turns, context())) == {"HEALTHY": "fine"}


@pytest.mark.parametrize("code", SIGNS)
def test_a_sign_is_told_when_it_persists(code):
    broken, asked, level, more = SIGNS[code]
    found = levels(judge(broken(healthy_probes(), asked), healthy_turns(), context(**more)))
    assert found.get(code) == level, found
    assert "HEALTHY" not in found or level == "note"


@pytest.mark.parametrize("code", SIGNS)
def test_once_is_not_enough(code):
    broken, asked, level, more = SIGNS[code]
    found = levels(judge(broken(healthy_probes(), asked - 1), healthy_turns(), context(**more)))
    assert found.get(code) == ("note" if code in HARD and code != "D-WINS" else None), found
    found = levels(judge(broken(healthy_probes(), 0), healthy_turns(), context(**more)))
    assert code not in found, "the twin"


@pytest.mark.parametrize("code", SIGNS)
def test_since_is_the_first_probe_of_the_streak(code):
    broken, asked, level, more = SIGNS[code]
    for length in (asked, asked + 1):
        verdicts = judge(broken(healthy_probes(), length), healthy_turns(), context(**more))
        (verdict,) = [v for v in verdicts if v.code == code]
        assert verdict.since == histories.MOMENTS[-length]


@pytest.mark.parametrize("code", SIGNS)
def test_what_is_over_is_not_told(code):
    broken, asked, level, more = SIGNS[code]
    probes = broken(healthy_probes()[:-1], asked) + healthy_probes()[-1:]
    found = levels(judge(probes, healthy_turns(), context(**more)))
    assert found.get(code) in (None, "note"), found


@pytest.mark.parametrize("code", TURNED)
def test_signs_of_the_log(code):
    probes, turns = histories.turned(code)
    of = context(planned=150_000) if code == "PLATEAU" else context()
    found = levels(judge(probes, turns, of))
    assert found.get(code) == TURNED[code], found


@pytest.mark.parametrize("name", sorted(histories.healthy_probe(0)))
def test_a_missing_signal_alarms_nobody(name):
    probes = [(images, {n: v for n, v in values.items() if n != name}) for images, values in healthy_probes()]
    assert levels(judge(probes, healthy_turns(), context())) == {"HEALTHY": "fine"}
    last = since(healthy_probes(), 1, **{name: None})
    assert levels(judge(last, healthy_turns(), context())) == {"HEALTHY": "fine"}


def test_nothing_is_said_of_nothing():
    assert judge([], [], context()) == []
    assert judge([], healthy_turns(), context()) == []
    assert judge([(5_000, {})], healthy_turns(), context()) == []
    assert [v.code for v in judge([], [], context(images=500))] == ["FEW-IMAGES"]


def test_few_probes_need_no_turns_and_the_other_way_round():
    assert levels(judge(healthy_probes(), [], context())) == {"HEALTHY": "fine"}
    probes, turns = histories.turned("GRADIENT-JUMP")
    assert "GRADIENT-JUMP" in levels(judge([], turns, context()))


# ── who is spared ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_generator_that_has_just_begun_is_spared():
    begun = {
        "diversity": 0.1, "diversity_raw": 0.1, "coverage": 0.0, "coverage_raw": 0.0, "coverage_self": 0.97, "auc": 1.0,
        "auc_train": 1.0, "contrast": 0.1, "kid": 0.6, "kid_se": 0.01, "duplicates": 0.9,
    }  # fmt: skip
    young = [(images, begun) for images in (500, 1_000, 2_000, 4_000, 8_000)]
    (verdict,) = judge(young, [], context())
    assert verdict.code == "HEALTHY" and "10k" in verdict.means
    later = [(images * 10, values) for images, values in young]
    assert levels(judge(later, [], context()))["MODE-COLLAPSE"] == "hard"


def test_a_generator_on_its_way_up_is_spared():
    probes = healthy_probes()
    slow = [
        (i, {**v, "diversity": 0.08 + 0.04 * k, "diversity_raw": 0.08 + 0.04 * k}) for k, (i, v) in enumerate(probes)
    ]
    assert "MODE-COLLAPSE" not in levels(judge(slow, [], context()))
    still = [(i, {**v, "diversity": 0.2, "diversity_raw": 0.2}) for i, v in probes]
    assert levels(judge(still, [], context()))["MODE-COLLAPSE"] == "hard"


def test_a_short_run_is_not_spared_for_longer_than_a_quarter():
    broken = histories.gone(healthy_probes(), 9)
    short = [(images // 20, values) for images, values in broken]
    assert levels(judge(short, [], context(planned=10_000)))["MODE-COLLAPSE"] == "hard"


def test_a_collapse_needs_both_players():
    averaged = since(healthy_probes(), 4, diversity=0.3, coverage=0.2)
    found = levels(judge(averaged, [], context()))
    assert "MODE-COLLAPSE" not in found and found["LOW-DIVERSITY"] == "warn" and found["EMA-LAG"] == "warn"
    unconfirmed = [(i, {n: x for n, x in v.items() if not n.endswith("_raw")}) for i, v in averaged]
    assert "MODE-COLLAPSE" not in levels(judge(unconfirmed, [], context()))


def test_the_contract_confirms_by_coverage_where_there_is_no_raw_diversity():
    probes = histories.gone(healthy_probes(), 3)
    probes = [(i, {n: x for n, x in v.items() if n != "diversity_raw"}) for i, v in probes]
    assert levels(judge(probes, [], context()))["MODE-COLLAPSE"] == "hard"


def test_a_collapse_to_nearly_nothing_is_told_one_probe_earlier():
    assert levels(judge(histories.gone(healthy_probes(), 2, 0.05), [], context()))["MODE-COLLAPSE"] == "hard"
    assert levels(judge(histories.gone(healthy_probes(), 2, 0.3), [], context()))["MODE-COLLAPSE"] == "note"


def test_points_are_judged_by_the_level_of_coverage():
    """Where healthy runs end is known of points (reliability, 4.5); of images only a fall counts."""
    lacking = {"coverage": 0.3, "coverage_raw": 0.3, "diversity": 0.9, "diversity_raw": 0.9}
    low = [(i, {**v, **lacking, "kid": 0.1 + 0.001 * k}) for k, (i, v) in enumerate(healthy_probes())]
    assert levels(judge(low, [], context("gan-points")))["MODE-COLLAPSE"] == "hard"
    assert levels(judge(low, [], context())) == {"HEALTHY": "fine"}


def test_a_strong_d_is_no_trouble_while_g_gets_better():
    probes = since(healthy_probes(), 6, auc=0.999, auc_train=1.0)
    found = judge(probes, [], context())
    assert levels(found) == {"D-WINS": "warn"} and found[0].sure == "possible"
    probes = since(histories.stuck(healthy_probes(), 6), 6, auc=0.999, auc_train=1.0)
    assert levels(judge(probes, [], context()))["D-WINS"] == "hard"
    unscored = [(i, {n: x for n, x in v.items() if n != "kid"}) for i, v in probes]
    assert levels(judge(unscored, [], context()))["D-WINS"] == "warn", "nobody knows whether G gets better"


def test_r_t_is_asked_of_nobody():
    """D(x) of a relativistic game is anything (reliability, 0.1): means of σ(s) change no verdict."""
    odd = [(i, {**v, "d_real": 0.001, "d_fake": 0.999}) for i, v in healthy_probes()]
    assert levels(judge(odd, healthy_turns(), context())) == {"HEALTHY": "fine"}


def test_a_gradient_alone_has_not_diverged_the_game():
    probes, turns = histories.turned("DIVERGED")
    assert "DIVERGED" in levels(judge(probes, turns, context()))
    found = levels(judge(healthy_probes(), turns, context()))
    assert found == {"GRADIENT-JUMP": "warn"}
    assert "DIVERGED" not in levels(judge(since(healthy_probes(), 1, coverage=0.1), healthy_turns(), context()))


def test_more_variety_than_the_data_has_is_no_best_to_fall_from():
    """On points noise is more various than data: its Vendi score falls while G learns."""
    probes = [(i, {**v, "diversity": max(1.0, 20 - 4 * k)}) for k, (i, v) in enumerate(healthy_probes())]
    probes = [(i, {**v, "diversity_raw": v["diversity"]}) for i, v in probes]
    assert levels(judge(probes, [], context("gan-points"))) == {"HEALTHY": "fine"}


def test_samples_that_cover_more_are_not_worse():
    """A lucky early score is no best beside a generator that has since found most of the data."""
    probes = [(i, {**v, "kid": 0.10 if k == 2 else 0.15}) for k, (i, v) in enumerate(healthy_probes())]
    assert "KID-RISING" not in levels(judge(probes, [], context()))
    flat = [(i, {**v, "coverage": 0.4, "coverage_raw": 0.4}) for i, v in probes]
    assert levels(judge(flat, [], context()))["KID-RISING"] == "warn"


def test_a_jump_long_ago_is_forgotten():
    turns = healthy_turns()
    turns = [(i, {**v, "D/gradient": 900.0} if 20_000 <= i <= 25_000 else v) for i, v in turns]
    assert levels(judge(healthy_probes(), turns, context())) == {"HEALTHY": "fine"}


def test_one_flat_colour_is_dead():
    found = judge(since(healthy_probes(), 2, constant=1.0, contrast=0.0), [], context())
    assert levels(found)["DIVERGED"] == "hard" and "one flat value" in found[0].seen


def test_an_average_that_stands_still_while_nothing_moves_is_no_fault_of_the_average():
    probes = [
        (i, {**v, "kid": 0.4, "auc": 0.9, "coverage_raw": 0.5, "diversity_raw": 0.8}) for i, v in healthy_probes()
    ]
    assert "EMA-FROZEN" not in levels(judge(probes, [], context()))


def test_nothing_leaks_where_nothing_is_augmented():
    probes = since(healthy_probes(), 4, leak=0.4)
    assert "AUGMENT-LEAK" not in levels(judge(probes, [], context(changes=["augment=0"])))
    assert "AUGMENT-LEAK" in levels(judge(probes, [], context(changes=["augment=0.3"])))


# ── trend ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_noise_is_no_trend():
    """A score that moves within its standard errors neither rises nor, over too few probes, stands still."""
    wobble = [(i, {**v, "kid": 0.10 + 0.011 * (k % 2), "kid_se": 0.01}) for k, (i, v) in enumerate(healthy_probes())]
    assert "KID-RISING" not in levels(judge(wobble, [], context()))
    sharp = [(i, {**v, "kid_se": 0.0005}) for i, v in wobble]
    assert "KID-RISING" not in levels(judge(sharp, [], context())), "11 % is within the 20 % that nobody calls rising"


def test_a_plateau_waits_for_the_learning_rate():
    probes, turns = histories.turned("PLATEAU")
    (verdict,) = [v for v in judge(probes, turns, context(planned=400_000)) if v.code == "PLATEAU"]
    assert verdict.sure == "possible" and "400k" in verdict.means
    (verdict,) = [v for v in judge(probes, turns, context(planned=150_000)) if v.code == "PLATEAU"]
    assert verdict.sure == "likely" and "stopping here" in verdict.advice
    falling = [(i, {**v, "kid": 0.5 * 0.9**k}) for k, (i, v) in enumerate(probes)]
    assert "PLATEAU" not in levels(judge(falling, turns, context(planned=150_000)))


def test_points_are_scored_by_the_energy_distance():
    def scored(distance):
        return [(i, {"energy_distance": distance(k), "coverage": 0.9, "coverage_self": 0.97})
                for k, (i, _) in enumerate(histories.turned("PLATEAU")[0])]  # fmt: skip

    of = context("gan-points", planned=150_000)
    assert "PLATEAU" in levels(judge(scored(lambda k: 0.01 if k > 5 else 0.1), [], of))
    assert "KID-RISING" in levels(judge(scored(lambda k: 0.1 if k > 12 else 0.01), [], of))


# ── one look ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_look_can_be_all_there_is():
    alone = context(alone=True, ended=True)
    last = healthy_probes()[-1:]
    assert levels(judge(last, [], alone)) == {"HEALTHY": "fine"}
    assert levels(judge(last, [], context())) == {"HEALTHY": "fine"}
    (first, *_) = found = judge(histories.gone(last, 1, diversity=0.1), [], alone)
    assert levels(found)["MODE-COLLAPSE"] == "hard" and first.sure == "likely"
    assert levels(judge(histories.gone(last, 1), [], alone)) == {"LOW-DIVERSITY": "warn"}, "it may be young"
    doubles = since(histories.gone(last, 1), 1, duplicates=0.6)
    assert levels(judge(doubles, [], alone))["MODE-COLLAPSE"] == "hard", "the young do not repeat themselves"
    (spared,) = judge(histories.gone(last, 1), [], context())  # the first probe of many: it may be on its way up
    assert spared.level == "fine" and "not yet the 36 %" in spared.seen
    found = levels(judge(since(last, 1, auc=0.999, auc_train=1.0), [], alone))
    assert found == {"D-WINS": "warn"}, "whether G still learns cannot be seen at one look"


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_the_rows_does_not_matter():
    for code, _level, probes, turns, of in histories.situations():
        assert judge(probes[::-1], turns[::-1], of) == judge(probes, turns, of), code


def test_the_most_serious_comes_first():
    probes = since(histories.gone(healthy_probes(), 4), 4, leak=0.4, checkerboard=9.0, copies=0.5)
    found = judge(probes, [], context(changes=["augment=0.3"]))
    assert [LEVELS.index(v.level) for v in found] == sorted((LEVELS.index(v.level) for v in found), reverse=True)
    assert found == sorted(found, key=order) and found[0].code == "MODE-COLLAPSE"


def test_a_hard_verdict_says_what_is_kept():
    found = judge(histories.gone(healthy_probes(), 4), [], context())
    assert "The checkpoint of 96k is kept." in found[0].sentence()
    found = judge(histories.gone(healthy_probes(), 4), [], context(kept=""))
    assert "kept" not in found[0].sentence()


def test_classes_that_hardly_ever_come_are_a_collapse_though_each_sample_looks_right():
    """Only an evaluation by a classifier knows of them; a class that is a little rarer is no sign."""
    alone = context(alone=True, planned=0)

    def found(**shares):
        return {
            verdict.code: verdict.level for verdict in judge([(1, {**histories.healthy_probe(9), **shares})], [], alone)
        }

    assert found(share_kl=0.33, share_least=0.18)["MODE-COLLAPSE"] == "hard"
    assert "MODE-COLLAPSE" not in found(share_kl=0.05, share_least=0.18)
    assert "MODE-COLLAPSE" not in found(share_kl=0.33, share_least=0.6)
    assert "MODE-COLLAPSE" not in found(share_kl=0.33)


WORSE = {  # what makes each of them worse, at the last probe
    "DIVERGED": {"coverage": -1, "constant": 1, "kid": 1},
    "MODE-COLLAPSE": {"diversity": -1, "diversity_raw": -1, "coverage": -1, "coverage_raw": -1},
    "MEMORISING": {"copies": 1},
    "D-WINS": {"auc": 1, "kid": 1},
    "D-FOOLED": {"auc": -1},
    "D-OVERFITS": {"auc_train": 1, "kid": 1},
    "LOW-DIVERSITY": {"diversity": -1, "coverage": -1, "duplicates": 1},
    "CLASS-COLLAPSE": {"class_diversity": -1},
    "EMA-LAG": {"coverage": -1},
    "CHECKERBOARD": {"checkerboard": 1},
    "AUGMENT-LEAK": {"leak": 1},
    "KID-RISING": {"kid": 1},
    "PLATEAU": {"kid": 1},
}
RANGES = {
    "kid": (0.0, 1.0), "kid_se": (0.001, 0.05), "auc": (0.0, 1.0), "auc_train": (0.0, 1.0), "diversity": (0.0, 1.1),
    "diversity_raw": (0.0, 1.1), "coverage": (0.0, 1.0), "coverage_raw": (0.0, 1.0), "duplicates": (0.0, 1.0),
    "duplicates_real": (0.0, 0.05), "copies": (0.0, 1.0), "contrast": (0.0, 9.0), "saturated": (0.0, 1.0),
    "constant": (0.0, 1.0), "class_diversity": (0.0, 1.0), "checkerboard": (0.5, 9.0), "leak": (0.0, 1.0),
}  # fmt: skip


@st.composite
def histories_of_anything(draw):
    """Probes of any values, in which signs persist often enough to be found."""
    probes = []
    values = {}
    for images in range(20_000, 20_000 * draw(st.integers(3, 9)), 20_000):
        for name, (low, high) in RANGES.items():
            if not values or draw(st.booleans()):
                values[name] = draw(st.floats(low, high))
        probes.append((images, {**values, "coverage_self": 0.97}))
    return probes


@settings(max_examples=150, deadline=None)
@given(probes=histories_of_anything(), code=st.sampled_from(sorted(WORSE)), by=st.floats(0.0, 1.0))
def test_worse_numbers_never_take_a_verdict_away(probes, code, by):
    of = context(changes=["augment=0.3"], planned=100_000)
    before = levels(judge(probes, [], of))
    if code not in before:
        return
    images, last = probes[-1]
    worse = dict(last)
    for name in WORSE[code].keys() & last.keys():
        sign, (low, high) = WORSE[code][name], RANGES[name]
        worse[name] += by * ((high - worse[name]) if sign > 0 else (low - worse[name]))
    after = levels(judge([*probes[:-1], (images, worse)], [], of))
    replaced = [after[other] for other in SUPERSEDED.get(code, ()) if after.get(other) == "hard"]
    assert code in after or replaced, (before, after)
    if code in after:
        assert LEVELS.index(after[code]) >= LEVELS.index(before[code]), (before, after)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.dictionaries(st.sampled_from(sorted(RANGES)), st.floats())), max_size=8
    )
)
def test_whatever_is_logged_is_answered(rows):
    """NaN, infinities, huge and tiny numbers: a sentence without any of them, never an exception."""
    turns = [(images, {f"D/{name}": value for name, value in values.items()}) for images, values in rows]
    verdicts = judge(rows, turns, context(planned=0))
    for verdict in verdicts:
        assert verdict.code in TITLES and verdict.level in LEVELS
        assert "nan" not in verdict.sentence().split() and "inf" not in verdict.sentence().split()
    broken = any(not math.isfinite(v) for _, values in rows for v in values.values())
    assert not broken or verdicts or rows[-1][0] >= 0


def test_thresholds_may_be_tried():
    probes = since(healthy_probes(), 4, copies=0.15)
    assert "MEMORISING" in levels(judge(probes, [], context()))
    assert "MEMORISING" not in levels(judge(probes, [], context(), replace(usual(), copies=0.2)))
