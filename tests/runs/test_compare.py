"""Comparisons: what is asked is what is played, equals stay equal, and nothing that failed or finished is lost."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from sparring import api
from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES
from sparring.runs.compare import cell as cells
from sparring.runs.compare import director, measures, probe, statistics, verdict
from sparring.runs.compare import table as rows
from sparring.runs.compare.entries import FAMOUS, WORDS, Entry, parse_losses, parse_schedules
from sparring.runs.directory import written
from sparring.runs.document import parse
from sparring.runs.recipe import Recipe, load, of_document, plain

SMALL = ["width=8", "batch=16", "depth=1"]


@pytest.fixture(autouse=True)
def few_probes(monkeypatch):
    monkeypatch.setattr(probe, "PROBES", {"points": 5, "images": 1})


def asked(tmp_path, losses="minimax,hinge", **settings):
    given = {"seeds": 2, "budget": "640", "set": SMALL, "out": tmp_path / "out", "jobs": 1} | settings
    return api.comparison("ring", losses=losses, **given)


def task(made, number=0, seeds=(0, 1), folder=None):
    document = made.playable[number].document
    name, config = of_document(parse(written(document), "recipe.yaml"))
    folder = folder or director.folder_of(made, made.playable[number])
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu")
    return cells.Task(folder, Recipe(name, config), made.dataset, tuple(seeds), device, images=made.budget.images)


def play(made, **where):
    """In this process: one task, its result."""
    one = task(made, **where)
    assert cells.play(one, measures.judge_of(made.dataset))
    return json.loads(one.result.read_text())


# ── how a loss is written ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("minimax", {"objective": "minimax", "penalty": "none"}),
        ("relativistic+r1+r2", {"objective": "relativistic", "penalty": "r1+r2"}),
        ("wasserstein+gp", {"penalty": "gp", "slope": 0.1}),
        ("nonsaturating + dragan", {"penalty": "dragan", "slope": 0.1}),
        ("nonsaturating+pac4", {"packing": 4}),
        ("hinge+sn", {"spectral": True}),
        ("wasserstein+clip", {"clip": 0.1}),
        ("minimax+smooth", {"smoothing": 0.9}),
        ("nonsaturating+r1+lazy", {"penalty": "r1", "penalty_every": 4}),
        ("nonsaturating+joined", {"joined": True}),
    ],
)
def test_an_entry_becomes_settings_of_the_recipe(text, settings):
    (entry,) = parse_losses(text)
    config = plain(load("gan-points", entry.changes("points", plain(load("gan-points").config))).config)
    assert {name: config[name] for name in settings} == settings


def test_penalties_keep_the_weight_of_the_recipe_and_get_one_where_it_has_none():
    entry = Entry.parse("nonsaturating+r1")
    assert not any(change.startswith("gamma") for change in entry.changes("points", {"gamma": 0.3}))
    assert "gamma=5 -> 0.5 cosine 0..0.8" in entry.changes("images", {"gamma": 0})
    noisy = load("gan-points", Entry.parse("minimax+noise").changes("points", {})).config.noise
    assert (noisy.start, noisy.end) == (0.1, 0.0)


def test_the_default_list_names_every_well_known_objective_and_can_be_played():
    assert {entry.objective for entry in parse_losses("")} >= set(OBJECTIVES) - {"total_variation"}
    for entry in parse_losses(""):
        load("gan-points", entry.changes("points", plain(load("gan-points").config)))
    assert len(parse_losses("")) == len(FAMOUS)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("hing", "hinge"), ("wgan-gp", "wasserstein+gp"), ("lsgan", "least_squares"), ("hinge+r3", "r1"),
        ("hinge+pac5", "pac"), ("r3gan", "relativistic+r1+r2"), ("hinge+spectral", ", ".join(WORDS)),
    ],
)  # fmt: skip
def test_a_word_that_is_not_known_is_answered_with_the_nearest(text, near):
    with pytest.raises(UsageError) as refused:
        parse_losses(text)
    assert refused.value.code == "COMPARE-LOSS"
    assert near in refused.value.fix


def test_schedules_are_separated_by_semicolons_and_checked():
    assert parse_schedules("D:1,G:1;D:2,G:1; simultaneous;simultaneous") == ("D:1,G:1", "D:2,G:1", "simultaneous")
    with pytest.raises(UsageError, match="no schedule"):
        parse_schedules("D:1,G:1;sometimes")


# ── what is played ────────────────────────────────────────────────────────────────────────────────────────────────


def test_cells_are_the_product_and_what_cannot_be_played_is_said(tmp_path):
    made = asked(tmp_path, "hinge,hinge+smooth", schedules="D:1,G:1;simultaneous", recipes="gan,gan-points")
    assert len(made.cells) == 8
    assert len({cell.label(made.cells) for cell in made.cells}) == 8
    assert len({cell.key for cell in made.playable}) == 4
    assert all("smooth" in cell.refused for cell in made.cells if cell.loss == "hinge+smooth")
    assert any("cannot be played" in line for line in made.lines())


def test_only_what_differs_is_in_the_label(tmp_path):
    made = asked(tmp_path, "hinge,minimax")
    assert [cell.label(made.cells) for cell in made.cells] == ["hinge", "minimax"]


def test_nothing_playable_is_an_error_and_so_is_a_setting_that_nobody_has(tmp_path):
    with pytest.raises(UsageError) as refused:
        asked(tmp_path, "hinge+smooth,wasserstein+smooth")
    assert refused.value.code == "COMPARE-NOTHING"
    with pytest.raises(UsageError) as refused:
        asked(tmp_path, set=["widht=8"])
    assert refused.value.code == "CONFIG-KEY"


def test_batch_normalisation_and_penalties_do_not_go_together_and_the_rest_goes_on(tmp_path):
    made = api.comparison(
        "emoji", losses="nonsaturating,nonsaturating+r1", recipes="dcgan", size=16, set=["width=4"], out=tmp_path / "o"
    )
    assert [bool(cell.refused) for cell in made.cells] == [False, True]
    assert "batch" in made.cells[1].refused


def test_schedules_in_which_each_seed_decides_are_played_one_seed_at_a_time(tmp_path):
    made = asked(tmp_path, "minimax", schedules="gated(D<0.8);simultaneous")
    assert [cell.together for cell in made.cells] == [False, True]
    assert [len(cells.groups_of(made.ask.seeds, cell.together)) for cell in made.cells] == [2, 1]


def test_a_time_is_shared_by_the_seeds_of_a_cell_of_points(tmp_path):
    made = asked(tmp_path, budget="20s", seeds=4)
    assert (made.seconds_of(4), made.seconds_of(1)) == (20.0, 5.0)
    assert "all its seeds together" in made.per
    assert "for each seed" in asked(tmp_path, budget="20k").per


@pytest.mark.parametrize("change", ["objective=minimax", "penalty=r1", "play=D:1,G:1"])
def test_what_the_rows_are_named_after_cannot_be_set_for_all_of_them(tmp_path, change):
    with pytest.raises(UsageError) as refused:
        asked(tmp_path, set=[*SMALL, change])
    assert refused.value.code == "COMPARE-SET"
    assert "--losses" in refused.value.fix or "--schedules" in refused.value.fix


def test_a_setting_against_a_word_of_an_entry_takes_that_entry_out(tmp_path):
    made = asked(tmp_path, "hinge,hinge+sn,wasserstein+clip", set=[*SMALL, "spectral=false", "clip=0.05"])
    assert [bool(cell.refused) for cell in made.cells] == [False, True, False]
    assert "spectral" in made.cells[1].refused
    assert made.cells[2].document["config"]["clip"] == 0.05  # a strength may be changed


def test_the_same_game_under_two_names_is_played_once(tmp_path):
    made = asked(tmp_path, "hinge+r1+r2,hinge+r2+r1,hinge,hinge+joined")  # gan-points joins by itself
    assert [cell.loss for cell in made.playable] == ["hinge+r1+r2", "hinge"]
    assert "the same game as hinge" in made.cells[3].refused


def test_a_budget_may_be_a_number_of_images(tmp_path):
    assert asked(tmp_path, budget=640).budget.images == 640


# ── playing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_seed_is_the_same_alone_and_in_the_batch(tmp_path):
    made = asked(tmp_path, "nonsaturating", seeds=3, recipes="gan")  # without frequencies, which make rounding grow
    together, alone = play(made, seeds=(0, 1, 2)), play(made, seeds=(1,))
    assert together["initial"][1] == alone["initial"][0]
    assert together["images"] == alone["images"] == 640
    for which in ("averaged", "raw"):  # sums of samples within 3σ: one of 2,500 may fall on the other side
        for name in ("overlap", "high_quality"):
            assert together[which][1][name] == pytest.approx(alone[which][0][name], abs=0.002), name
    for name, value in alone["final"][0].items():
        assert together["final"][1][name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    assert together["final"][0] != together["final"][1]


def test_all_cells_of_a_recipe_begin_with_the_same_weights(tmp_path):
    made = asked(tmp_path, "minimax,relativistic+r1+r2,minimax+pac2", budget="32")
    a, b, packed = (play(made, number=k)["initial"] for k in range(3))
    assert a == b
    assert a[0] != a[1]
    assert [seed["D"] for seed in a] != [seed["D"] for seed in packed]  # it sees two samples at once
    assert verdict.equal_beginnings(verdict.record(made))["D"] == ["minimax+pac2"]


def test_a_cell_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    made = asked(tmp_path, "nonsaturating")
    whole = play(made, folder=tmp_path / "whole")
    one, judge = task(made), measures.judge_of(made.dataset)
    loops = []

    def halfway(images, total):
        if images >= total / 2:
            loops[-1].stop()

    assert not cells.play(one, judge, say=halfway, begun=loops.append)
    assert not one.result.exists()
    assert cells.play(one, judge)
    resumed = json.loads(one.result.read_text())
    for name in ("images", "averaged", "raw", "final", "curve", "initial", "failures"):
        assert resumed[name] == whole[name], name
    assert not (one.folder / one.name).exists()  # its checkpoints are gone


def test_the_curve_ends_with_what_is_in_the_table(tmp_path):
    result = play(asked(tmp_path, "hinge"))
    assert len(result["curve"]) == probe.PROBES["points"] + 1
    assert result["curve"][0]["images"] == 0
    assert result["curve"][-1]["images"] == result["images"]
    assert result["curve"][-1]["values"] == [seed["overlap"] for seed in result["averaged"]]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_game_that_diverges_is_counted_with_what_it_reached(tmp_path, seeds):
    made = asked(tmp_path, "kl", seeds=len(seeds), set=[*SMALL, "lr=1"], budget="16k")
    result = play(made, seeds=seeds)
    assert set(result["failures"]) == {str(seed) for seed in seeds}
    assert all(failure["why"] in ("diverged", "no mode found") for failure in result["failures"].values())
    assert any(failure["why"] == "diverged" for failure in result["failures"].values())
    assert all(values["overlap"] is not None for values in result["averaged"])
    record = verdict.record(made)
    (row,) = record["cells"]
    assert row["state"] == "played"
    assert sum(row["failures"].values()) == len(seeds)
    assert len(row["seeds"]) == len(seeds)
    assert any("failed" in line for line in record["verdict"]["words"])


def test_a_seed_that_had_left_while_others_went_on_has_no_last_losses():
    group = {
        "seeds": [0, 1], "images": 64, "averaged": [{}, {}], "raw": [{}, {}], "curve": [], "initial": [],
        "final": [{"D/real": 0.5, "D/fake": 0.25, "D/D(x)": 0.6}, {"D/real": None, "D/fake": None, "D/D(x)": None}],
        "failures": {"1": {"why": "diverged", "said": "round 3", "images": 48}},
    }  # fmt: skip
    first, second = verdict._seeds(group, None)
    assert (first["final"], second["final"]) == ({"D loss": 0.75, "D(x)": 0.6}, {})
    assert (first["failure"], second["failure"]["why"]) == (None, "diverged")


def test_points_without_modes_are_judged_by_the_energy_distance(tmp_path):
    made = api.comparison(
        "swissroll", losses="nonsaturating", seeds=2, budget="160", set=SMALL, out=tmp_path / "out", jobs=1
    )
    result = play(made)
    assert set(result["averaged"][0]) == {"energy"}
    assert result["averaged"][0]["energy"] > measures.judge_of(made.dataset).reference()["energy"]


def test_images_are_judged_by_kid_one_seed_after_another(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "IMAGES", 12)
    monkeypatch.setattr(cells, "GLIMPSE", 4)
    monkeypatch.setattr(probe, "GLIMPSE", 4)
    made = api.comparison(
        "emoji", losses="nonsaturating", recipes="dcgan", size=16, held_out=0.01, set=["width=4", "batch=8"],
        seeds=2, budget="16", out=tmp_path / "out",
    )  # fmt: skip
    assert not made.cells[0].together
    result = play(made, seeds=(1,))
    assert 0 < result["averaged"][0]["kid"] < 10
    assert (director.folder_of(made, made.cells[0]) / "seed-1.png").exists()


def test_too_few_held_out_images_are_refused(tmp_path):
    with pytest.raises(Exception, match="held out"):
        api.comparison("emoji", losses="nonsaturating", size=16, held_out=0.0, out=tmp_path / "out")


# ── processes and the directory ───────────────────────────────────────────────────────────────────────────────────


def test_a_finished_cell_is_not_played_again_and_another_question_is_refused(tmp_path):
    made = asked(tmp_path, "hinge,minimax", budget="64")
    director.claim(made)
    play(made), play(made, number=1)
    files = sorted(made.out.rglob("seeds-*.json"))
    before = [file.stat().st_mtime_ns for file in files]
    assert [step.state for step in api.play(made)] == []
    assert [file.stat().st_mtime_ns for file in files] == before
    for other in ({"seeds": 3}, {"budget": "128"}, {"set": ["width=16"]}):
        with pytest.raises(UsageError) as refused:
            next(api.play(asked(tmp_path, "hinge,minimax", **({"budget": "64"} | other))))
        assert refused.value.code == "COMPARE-QUESTION"
        assert next(iter(other)) in refused.value.why
    more = asked(tmp_path, "hinge,least_squares", budget="64")  # other losses are no other question
    assert [cell["state"] for cell in verdict.record(more)["cells"]] == ["played", "waiting"]


@pytest.mark.parametrize("damage", ['{"x"', "[]", '{"seeds": [0, 1], "averaged": []}'])
def test_a_result_that_cannot_be_read_is_played_again(tmp_path, damage):
    made = asked(tmp_path, "hinge", budget="64")
    whole = play(made)
    task(made).result.write_text(damage)
    assert not director.finished(made, made.cells[0])
    again = play(made)
    assert {**again, "seconds": 0, "rate": 0} == {**whole, "seconds": 0, "rate": 0}


def test_what_was_played_here_and_is_not_asked_for_is_named(tmp_path):
    first = asked(tmp_path, "hinge", budget="32")
    director.claim(first)
    play(first)
    words = verdict.record(asked(tmp_path, "minimax", budget="32"))["verdict"]["words"]
    assert any("not asked for now: hinge (gan-points, simultaneous)" in line for line in words)
    assert not any("not asked" in line for line in verdict.record(first)["verdict"]["words"])


def test_a_directory_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError) as refused:
        next(api.play(asked(tmp_path)))
    assert refused.value.code == "COMPARE-OUT"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_killed_cell_is_counted_and_played_again(tmp_path, quick_processes):
    made = asked(tmp_path, "hinge,minimax", budget="320")
    playing = api.play(made)
    states = {}
    for step in playing:
        if step.state == "begun" and step.cell.loss == "hinge":
            os.kill(playing._running[step.cell.key].process.pid, signal.SIGKILL)
        states[step.cell.loss] = step.state
    assert states == {"hinge": "killed", "minimax": "played"}
    record, page = api.save_comparison(made)
    assert [cell["state"] for cell in record["cells"]] == ["killed", "played"]
    assert any("hinge killed" in line for line in record["verdict"]["words"])
    assert "SIGKILL" in page.read_text("utf-8")
    again = {step.cell.loss: step.state for step in api.play(made)}
    assert again == {"hinge": "played"}
    assert all(cell["state"] == "played" for cell in verdict.record(made)["cells"])


def test_a_comparison_that_was_killed_goes_on_and_loses_nothing_that_was_finished(tmp_path, quick_processes):
    words = ["compare", "ring", "--losses", "hinge,minimax", "--seeds", "2", "--budget", "480", "--jobs", "1"]
    words += [word for change in SMALL for word in ("--set", change)] + ["--out", str(tmp_path / "out")]
    first = subprocess.Popen([sys.executable, "-m", "sparring", *words], stderr=subprocess.PIPE, text=True)
    for line in first.stderr:
        if line.startswith("begun") and "minimax" in line:
            first.kill()
            break
    first.wait()
    first.stderr.close()
    (finished,) = (tmp_path / "out").rglob("cells/hinge*/seeds-0-1.json")
    stamp = finished.stat().st_mtime_ns
    # the cell under way notices that nobody listens, saves and ends; the next call waits for it
    made = asked(tmp_path, "hinge,minimax", budget="480")
    for _ in api.play(made):
        pass
    assert finished.stat().st_mtime_ns == stamp
    assert [cell["state"] for cell in verdict.record(made)["cells"]] == ["played", "played"]


def test_stopping_keeps_what_is_finished(tmp_path, quick_processes):
    made = asked(tmp_path, "hinge,minimax", budget="200k")
    playing = api.play(made)
    for step in playing:
        if step.state == "playing":
            playing.stop()
    assert playing.stopped
    assert {cell["state"] for cell in verdict.record(made)["cells"]} == {"waiting"}
    assert len({path.parents[3] for path in made.out.rglob("checkpoints/*/state.json")}) == 1  # the one that had begun


# ── what the numbers say ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1.0, 1.0, (100, 10))
    found = [statistics.mean(row.tolist()) for row in draws]
    covered = sum(one.low <= 1.0 <= one.high for one in found)
    assert 82 <= covered <= 99
    assert {one.method for one in found} == {"BCa"}


def test_missing_values_are_counted_and_degenerate_ones_handled():
    assert statistics.mean([1.0, None, float("nan"), 3.0]).missing == 2
    assert statistics.mean([None, None]).mean is None
    equal = statistics.mean([25.0] * 10)
    assert (equal.low, equal.high, equal.method) == (25.0, 25.0, "equal")
    nearly = statistics.mean([1.0] * 9 + [0.0])
    assert nearly.low is not None and nearly.low < 0.9 < nearly.high


def test_a_difference_needs_six_seeds_and_an_interval_without_zero():
    better, worse = [2.0, 2.1, 2.2, 2.3, 2.4, 2.5], [1.0, 1.1, 1.1, 1.2, 1.1, 1.0]
    six = statistics.pair(better, worse, name="b", up=True, pairs=3)
    assert (six.clear, six.better, six.worse) == (True, 6, 0)
    assert not statistics.pair(better[:5], worse[:5], name="b", up=True, pairs=3).clear
    assert not statistics.pair(better, better[::-1], name="b", up=True, pairs=3).clear
    assert statistics.pair(worse, better, name="b", up=False, pairs=3).clear  # less is better
    many = statistics.pair(better, [2.0, 2.0, 2.1, 2.2, 2.2, 2.6], name="b", up=True, pairs=17)
    one = statistics.pair(better, [2.0, 2.0, 2.1, 2.2, 2.2, 2.6], name="b", up=True, pairs=1)
    assert many.high - many.low > one.high - one.low


@pytest.mark.parametrize(("seeds", "rows"), [(6, 2), (6, 5), (10, 18)])
def test_equals_are_seldom_set_apart_though_the_first_is_chosen_after_looking(seeds, rows):
    draws, called, games = np.random.default_rng(0), 0, 150
    for _ in range(games):
        made = sorted(draws.normal(size=(rows, seeds)).tolist(), key=np.mean, reverse=True)
        pairs = rows * (rows - 1) // 2
        called += any(statistics.pair(made[0], row, name="b", up=True, pairs=pairs).clear for row in made[1:])
    assert called / games <= 0.1  # 5 % are meant


def test_a_seed_without_a_value_is_worse_than_one_that_has_one():
    values = [3.0, 3.1, 3.2, 3.0, 3.1, 3.3, 3.0]
    found = statistics.pair(values, [1.0, 1.1, 1.0, 1.1, 1.0, 1.2, None], name="b", up=True, pairs=1)
    assert (found.better, found.worse, found.seeds, found.clear) == (7, 0, 7, True)
    found = statistics.pair([*values, None], [1.0, 1.1, 1.0, 1.1, 1.0, 1.2, 1.0, 1.0], name="b", up=True, pairs=1)
    assert (found.better, found.worse, found.clear) == (7, 1, False)


def test_the_share_in_the_right_place_is_one_minus_total_variation():
    truth = np.array([0.25, 0.25, 0.25, 0.25, 0.0])  # four modes, and elsewhere
    for counts in ([25, 25, 25, 25], [100, 0, 0, 0], [10, 20, 30, 20], [0, 0, 0, 0]):
        q = np.array([*counts, 100 - sum(counts)]) / 100
        assert measures.overlap(np.array(counts), 100) == pytest.approx(1 - 0.5 * np.abs(q - truth).sum())


def test_the_verdict_names_the_first_and_says_how_sure_it_is(tmp_path):
    made = asked(tmp_path, "hinge,minimax", budget="64", seeds=2)
    play(made), play(made, number=1)
    record = verdict.record(made)
    assert record["verdict"]["ranking"][0] in {cell["key"] for cell in record["cells"]}
    assert "is ahead" in record["verdict"]["words"][0]
    assert "hint, not a result" in record["verdict"]["words"][1]
    table = rows.lines(record)
    assert any(line.startswith("hinge") for line in table)
    assert any("the data themselves" in line for line in table)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
