"""Models that say how likely data are: what one look can tell, and what nobody may find in the table unsaid."""

from dataclasses import replace

import pytest
from tests.health import histories

from sparring.health.rules import judge
from sparring.health.table import table
from sparring.health.thresholds import usual

AT = 30_000
CATS = {"nll": -633.0, "nll_se": 30.0, "nll_train": -1213.0, "nll_train_se": 25.0, "nll_gap": 1.9}
"""A VAE after 95 passes over 1,140 cat faces at 32 px."""
FINE = {"diversity": 0.9, "coverage": 0.6, "coverage_self": 0.9, "contrast": 0.9, "kid": 0.1, "kid_se": 0.01}


def looked(name="vae", *, images=1140, **values):
    """The verdicts on a run that was only looked at once, by code."""
    of = replace(histories.context(name), alone=True, ended=True, images=images, planned=AT)
    return {verdict.code: verdict for verdict in judge([(AT, values)], [], of)}


def test_one_look_sees_that_training_data_are_known_by_heart():
    found = looked(**FINE, **CATS)
    assert "HEALTHY" not in found
    sentence = found["OVERFITS"].sentence()
    for part in ("-633 ± 58.8 (95 %)", "-1,210 ± 49 (95 %)", "1.9 standard deviations", "1,140", "more images",
                 "--budget 15000", "--set width=16", "healthy: at most 0.5"):  # fmt: skip
        assert part in sentence, part


@pytest.mark.parametrize(
    "less",
    [{"nll_gap": 0.4}, {"nll_se": 300.0}, {"nll_train_se": 300.0}, {"nll_train": None, "nll_gap": None}],
    ids=["a small gap", "chance", "chance of the other", "not measured"],
)
def test_a_gap_within_chance_or_a_small_one_is_none(less):
    values = {name: value for name, value in {**FINE, **CATS, **less}.items() if value is not None}
    assert "OVERFITS" not in looked(**values) and "HEALTHY" in looked(**values)


def test_a_probe_of_the_run_itself_is_enough_too():
    of = replace(histories.context("vae"), ended=True, images=1140, planned=AT)
    assert "OVERFITS" in {verdict.code for verdict in judge([(AT, {**FINE, **CATS})], [], of)}


def test_a_smaller_perceptron_has_smaller_layers():
    assert "`--set hidden=[128,64]`" in looked("vae-mnist", **FINE, **CATS)["OVERFITS"].advice


@pytest.mark.parametrize("name", ["vae", "pixelcnn"])
@pytest.mark.parametrize(
    ("odd", "code"),
    [({"duplicates": 0.35, "duplicates_real": 0.01}, "LOW-DIVERSITY"), ({"coverage": 0.0}, "LOW-DIVERSITY"),
     ({"diversity": 0.1}, "LOW-DIVERSITY"), ({"contrast": 0.2}, "OUTPUT-RANGE"), ({"saturated": 0.6}, "OUTPUT-RANGE"),
     ({"constant": 0.2}, "OUTPUT-RANGE"), ({"checkerboard": 5.0}, "CHECKERBOARD"), ({"copies": 0.3}, "MEMORISING")],
)  # fmt: skip
def test_what_is_out_of_its_range_has_a_verdict(name, odd, code):
    found = looked(name, **{**FINE, **odd})
    assert code in found
    if "HEALTHY" in found:
        assert "Nothing here wants mending" not in found["HEALTHY"].means
    latents = "latent" in found[code].means
    assert latents <= (name == "vae"), "a model without latents shows no means of them"


@pytest.mark.parametrize("name", [*histories.BOTH])
def test_nothing_in_the_table_breaks_its_limit_unsaid(name):
    """Each signal far out of its range at one probe of a run that goes on: told, or named by HEALTHY."""
    wild = {"duplicates": 0.9, "contrast": 9.0, "saturated": 0.9, "constant": 0.2, "checkerboard": 9.0, "copies": 0.9,
            "class_diversity": 0.01, "auc_train": 1.0, "nll_gap": 4.0}  # fmt: skip
    of = histories.context(name)
    for signal, value in wild.items():
        values = {**histories.healthy_probe(9), signal: value}
        odd = [row[0] for row in table(values, of) if row[2].endswith(": outside")]
        assert len(odd) == 1, (signal, odd)
        found = judge([*histories.healthy_probes()[:-1], (histories.MOMENTS[-1], values)], [], of)
        for verdict in found:
            assert verdict.code != "HEALTHY" or odd[0] in verdict.seen, (signal, verdict.seen)


def test_nothing_leaks_and_nothing_is_shown_where_nothing_is_augmented():
    for name, shown in (("vae", False), ("r3gan-minutes", False)):
        rows = [row[0] for row in table({"leak": 1.0}, histories.context(name))]
        assert bool(rows) == shown
    assert table({"leak": 1.0}, histories.context("r3gan-minutes", ["augment=0.5"]))[0][2].endswith(": outside")


def test_many_times_the_variety_is_no_percentage():
    ((_, now, fine),) = table({"diversity": 25.93}, histories.context("vae"))
    assert now == "26 times: scattered" and f"{100 * usual().low_diversity:.0f} %" in fine
