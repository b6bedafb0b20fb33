"""What is said: numbers in every sentence, words that people know, and settings that the recipe at hand really has."""

import dataclasses
import re

import pytest
from tests.health import histories

from sparring.budget import parse_budget
from sparring.health import advice
from sparring.health.coded import more_codes_used as advised_for_codes
from sparring.health.rules import judge
from sparring.health.table import table
from sparring.health.verdict import HARD, LEVELS, TITLES, Context, Verdict
from sparring.health.words import count, number, percent, plus_minus
from sparring.recipes import RECIPES
from sparring.runs import recipe as recipes

EVERY = [name for name in (*RECIPES, *recipes.presets()) if name not in ("classifier", "dualencoder", "fcn8s")]
SOLO = [name for name in EVERY if histories.context(name).solo]
"""What has no D."""
CODED = [name for name in EVERY if histories.context(name).coded]
"""What says images in tokens."""
PLAYED = [name for name in EVERY if name not in SOLO and name not in CODED]
ALONE = [name for name in PLAYED if not recipes.load(name).game.needs & {"pair", "unpaired"}]
"""What makes its images of nothing but noise, and can collapse."""
JARGON = (
    "EMA", "AUC", "Vendi", "PRDC", "logit", "manifold", "hyperparameter", "regulari", "equilibrium", "embedding",
    "stochastic", "backprop", "epoch", "checkpointing", "FID", "overfit", "underfit", "σ", "percentile",
)  # fmt: skip
SET = re.compile(r"--set (?:'([^']+)'|(\S+?))(?=[`\s])")


def said(name):
    """Every verdict that can be given to a run of this recipe, with its context."""
    for code, _level, probes, turns, of in histories.situations(name):
        for verdict in judge(probes, turns, of):
            if verdict.code == code:
                yield verdict, of


def names_of_settings(text):
    return [quoted or bare for quoted, bare in SET.findall(text)]


def alone(name):
    """Every verdict that can be given to a run of a recipe without a D."""
    for code, _level, probes, turns, of in histories.situations_of_one(name):
        found = judge(probes, turns, of)
        assert code in [verdict.code for verdict in found], (code, found)
        yield from ((verdict, of) for verdict in found)


def coded(name):
    """Every verdict that can be given to a run of a recipe with tokens."""
    for code, level, probes, turns, of in histories.situations_of_tokens(name):
        found = judge(probes, turns, of)
        assert (code, level) in [(verdict.code, verdict.level) for verdict in found], (code, found)
        yield from ((verdict, of) for verdict in found)


def test_what_stands_after_plus_minus_is_half_of_the_95_percent_interval():
    """As the page and the charts draw it: of KID 0.0947 with a standard error of 0.027."""
    of = histories.context("r3gan-minutes")
    found = dict((what, now) for what, now, _ in table({"kid": 0.0947, "kid_se": 0.027}, of))
    assert list(found.values()) == ["0.0947 ± 0.0529 (95 %)"] == [plus_minus(0.0947, 0.027)]
    healthy = [v for v in judge([(50_000, {"kid": 0.0947, "kid_se": 0.027})], [], of) if v.code == "HEALTHY"]
    assert "± 0.0529 (95 %)" in healthy[0].seen


def test_of_points_no_image_is_counted():
    of = dataclasses.replace(histories.context("gan-points"), kind="points")
    told = 0
    for _code, _level, probes, turns, _ in histories.situations("gan-points"):
        for verdict in judge(probes, turns, of):
            told += 1
            assert not re.search(r"\bimage \d", verdict.sentence()), verdict.sentence()
    assert told


def test_every_verdict_can_be_said():
    codes = {verdict.code for name in ("r3gan-minutes", "cgan", "pix2pix") for verdict, _ in said(name)}
    codes |= {verdict.code for verdict, _ in alone("vae")}
    codes |= {verdict.code for verdict, _ in coded("vqgan")}
    assert codes | {"HEALTHY"} == set(TITLES)
    assert set(HARD) < codes


@pytest.mark.parametrize("name", PLAYED)
def test_every_sentence_names_numbers_and_what_to_try(name):
    for verdict, _of in said(name):
        sentence = verdict.sentence()
        assert re.search(r"\d", verdict.seen), sentence
        assert "healthy" in verdict.seen or "no concern" in verdict.seen, sentence
        assert verdict.means.endswith(".") and verdict.advice and not verdict.advice.endswith("."), sentence
        assert (
            ".." not in re.sub(r"[\d.]+\.\.[\d.]+", "", sentence) and "  " not in sentence and "None" not in sentence
        ), sentence
        assert verdict.title in sentence and len(sentence) < 700, sentence
        assert sentence[0].isupper() or sentence[0].isdigit(), sentence


@pytest.mark.parametrize("name", SOLO)
def test_nobody_speaks_of_a_generator_where_there_is_none(name):
    """Nor of a discriminator; what is advised is a setting that the recipe has."""
    for verdict, of in alone(name):
        sentence = verdict.sentence()
        assert not re.search(r"\b[DG]\b", sentence.replace(of.run, "")), sentence
        assert re.search(r"\d", verdict.seen) and "  " not in sentence and "None" not in sentence, sentence
        assert sentence[0].isupper() or sentence[0].isdigit(), sentence
        for word in JARGON:
            assert word not in sentence, (word, sentence)
        if changes := names_of_settings(verdict.advice):
            assert recipes.load(name, changes).config != recipes.load(name).config, verdict.advice
    for _code, _level, probes, turns, of in histories.situations(name):
        hard = {verdict.code for verdict in judge(probes, turns, of) if verdict.level == "hard"}
        assert hard <= {"NOT-FINITE", "MEMORISING"}, "a young or blurred model is not set back"


@pytest.mark.parametrize("name", CODED)
def test_of_tokens_nobody_speaks_of_samples(name):
    """What is advised is a setting that the recipe has, however many of them were tried."""
    assert CODED
    for verdict, of in coded(name):
        sentence = verdict.sentence()
        said = f"{verdict.seen} {verdict.means} {verdict.advice}"
        assert not re.search(r"\bG\b|\bsample", said.replace(of.run, "")), sentence
        assert re.search(r"\d", verdict.seen) and "  " not in sentence and "None" not in sentence, sentence
        for word in JARGON:
            assert word not in sentence, (word, sentence)
        if changes := names_of_settings(verdict.advice):
            assert recipes.load(name, changes).config != recipes.load(name).config, verdict.advice
    tried, settings = [], dict(histories.context("vqgan").settings) | {"revive": 0}
    while not tried or not tried[-1].startswith("codes="):
        of = dataclasses.replace(histories.context("vqgan"), settings=settings)
        (change,) = names_of_settings(advised_for_codes(of, 0.1) + " ")
        tried.append(change)
        settings |= {change.partition("=")[0]: getattr(recipes.load("vqgan", tried).config, change.partition("=")[0])}
    assert tried == ["revive=100", "codebook=ema", "normalised=true", "dimensions=8", "codes=128"]


@pytest.mark.parametrize("name", PLAYED)
def test_what_to_try_is_a_setting_of_the_recipe(name):
    """As a person would give it to `train`: the changed recipe is a valid one, and not the same as before."""
    tried = 0
    for verdict, of in said(name):
        changes = names_of_settings(verdict.advice)
        assert "--set" not in verdict.advice or changes, verdict.advice
        if not changes:
            continue
        base = "r3gan-minutes" if "--recipe r3gan-minutes" in verdict.advice else name
        present = {key: value for key, value in of.settings.items() if key in ("augment",)}
        start = recipes.load(base, [f"augment={present['augment']}"] if verdict.code == "AUGMENT-LEAK" else [])
        after = recipes.load(base, changes)
        assert after.config != start.config, verdict.advice
        tried += 1
    assert tried >= 8


@pytest.mark.parametrize("name", ALONE)
def test_a_collapse_is_answered_by_holding_d_back(name):
    """A penalty where there is none, the paired game where it is not played, else a stronger penalty."""
    of = histories.context(name)
    changes = names_of_settings(advice.spread_out(of))
    config, after = recipes.load(name).config, recipes.load(name, changes).config
    assert after.penalised
    if config.penalised and str(config.objective).startswith("relativistic"):
        assert after.gamma.start == pytest.approx(4 * config.gamma.start)
    elif config.penalised:
        assert after.objective == "relativistic"


@pytest.mark.parametrize(
    "name, changes",
    [("dcgan", []), ("dcgan", ["d_norm=none", "penalty=gp"]), ("gan", ["penalty=dragan"]), ("gan", ["penalty=none"]),
     ("gan-points", []), ("r3gan", ["augment=0.7"]), ("cgan", ["gamma=0"]), ("gan", ["objective=hinge", "gamma=1"]),
     ("dcgan", ["smoothing=0.9", "gamma=1", "d_norm=none"]), ("r3gan", ["lr=1"]), ("r3gan", ["precision=bf16"])],
)  # fmt: skip
def test_what_to_try_follows_from_the_present_settings(name, changes):
    of = histories.context(name, changes)
    for code, _level, probes, turns, usual in histories.situations(name):
        here = dataclasses.replace(usual, settings={**of.settings}, objective=of.objective, relative=of.relative)
        for verdict in judge(probes, turns, here):
            if (
                verdict.code == code
                and (tries := names_of_settings(verdict.advice))
                and "--recipe" not in verdict.advice
            ):
                recipes.load(name, [*changes, *tries])


@pytest.mark.parametrize("name", PLAYED)
def test_no_jargon(name):
    for verdict, _of in said(name):
        text = f"{verdict.seen} {verdict.means} {verdict.title}"
        for word in JARGON:
            assert word not in text, (word, text)


def test_a_game_of_ones_own_is_given_no_setting_that_it_lacks():
    own = Context(recipe="duel.py:Duel", images=500, settings={"lr": 1e-3, "batch": 8}, planned=150_000)
    for code, _level, probes, turns, _of in histories.situations():
        for verdict in judge(probes, turns, own):
            for change in names_of_settings(verdict.advice):
                assert change.split("=")[0] in ("lr", "augment") or "--recipe" in verdict.advice, (code, verdict.advice)
    bare = Context(recipe="duel.py:Duel", images=9000, planned=150_000)
    for _code, _level, probes, turns, _of in histories.situations():
        for verdict in judge(probes, turns, bare):
            assert verdict.advice or verdict.code == "HEALTHY"


def test_commands_in_advice_are_ours():
    of = histories.context()
    assert advice.more_time(of) == "`sparring resume RUN --budget +100k`"
    assert parse_budget(advice.more_time(of).rstrip("`").split()[-1]).images == 100_000
    assert advice.best(of) == "`sparring sample RUN --which best`"


def test_the_table_explains_what_it_shows():
    rows = table(histories.healthy_probe(9), histories.context())
    assert len(rows) >= 10
    for what, now, fine in rows:
        assert re.search(r"\d", now) and fine
        assert not any(word in what for word in JARGON), what
    assert table({}, histories.context()) == []
    assert [row[0] for row in table({"modes": 25.0, "high_quality": 0.9}, histories.context())] == [
        "modes that are found", "samples near a mode",
    ]  # fmt: skip


def test_a_verdict_as_a_record():
    verdict = Verdict("D-WINS", "warn", 96_000, "likely", "D is right in 99 %", "It is far ahead.", "less of it")
    record = verdict.record()
    assert set(record) == {"code", "level", "since", "sure", "seen", "means", "advice", "sentence"}
    assert record["sentence"] == (
        "D is right in 99 %: D has won, G learns little from it, likely, since image 96k. It is far ahead. "
        "Try less of it."
    )
    assert set(LEVELS) == {"fine", "note", "warn", "hard"}


def test_numbers_are_said_as_people_do():
    assert [count(n) for n in (0, 999, 1000, 96_000, 153_773, 1_500_000)] == ["0", "999", "1k", "96k", "154k", "1.5M"]
    assert [percent(x) for x in (0.0, 0.41, 0.985, 1.0, 0.0004)] == ["0 %", "41 %", "98.5 %", "100 %", "0 %"]
    assert [number(x) for x in (0.333, 1.0, 15_250.0, -0.002)] == ["0.333", "1", "15,200", "-0.002"]


def test_a_gradient_that_is_nothing_is_no_fraction_of_thirty_digits():
    turns = histories.healthy_turns()
    starved = [
        (n, {**v, "G/gradient": 0.0 if k >= len(turns) // 2 else v["G/gradient"]}) for k, (n, v) in enumerate(turns)
    ]
    (verdict,) = [v for v in judge([], starved, histories.context()) if v.code == "G-STARVED"]
    assert "less than 1/1,000,000" in verdict.seen


def test_a_generator_short_of_a_grown_one_is_not_told_that_all_is_well():
    """Points, one probe: 5 % covered is no failure of a young G, and nothing to be content with."""
    (probe,) = [{**values, "coverage": 0.05} for _, values in histories.healthy_probes()[-1:]]
    of = histories.context("gan-points", planned=50_000, ended=True)
    (verdict,) = judge([(50_000, {k: probe[k] for k in ("auc", "diversity", "coverage", "coverage_self")})], [], of)
    assert "not yet the 50 % of a grown one" in verdict.seen and "not grown yet" in verdict.means
    (verdict,) = judge(histories.healthy_probes(), histories.healthy_turns(), histories.context())
    assert verdict.means == "Nothing here wants mending."
