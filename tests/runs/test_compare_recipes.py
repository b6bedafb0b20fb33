"""Recipes as they are against each other: each a run of its own, that goes on where it was, measured by one measure."""

import json
import os
import time

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.errors import UsageError
from sparring.report import lineup_page
from sparring.runs.compare import director, entrant, question, standing
from sparring.runs.compare.worker import Brake, data_of

TINY = {
    "gan": "recipe: gan\nconfig: {width: 8, depth: 1, z: 2, batch: 16}\n",
    "vae": "recipe: vae\nconfig: {network: mlp, hidden: [8], z: 2, batch: 16, decoder: logistic}\n",
}

SAMPLING = entrant.sampling

pytestmark = pytest.mark.usefixtures("cache_of_module")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """160 images of 8 × 8, of which `asked` sets 40 aside."""
    folder, random = tmp_path_factory.mktemp("beside") / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number in range(160):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch, photos):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # a cell takes what threads there are, and here keeps them
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(entrant, "JUDGE", "pixels")
    monkeypatch.setattr(entrant, "SAMPLES", 40)
    quick = tuple(name for name in entrant.MEASURED if name != "fd")  # of thousands of pixels it takes long
    monkeypatch.setattr(entrant, "MEASURED", quick)
    monkeypatch.setattr(entrant, "IMPORTANCE", 3)
    monkeypatch.setattr(entrant, "sampling", lambda run: {"seconds": 0.001, "batch": 64, "threads": 1, "device": "cpu"})


def asked(tmp_path, *names, **settings):
    for name, text in TINY.items():
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    recipes = [str(tmp_path / f"{name}.yaml") if name in TINY else name for name in names]
    given = {"size": 8, "held_out": 0.25, "budget": 64, "out": tmp_path / "out", "jobs": 1, "device": "cpu"} | settings
    return api.comparison("photos", recipes=recipes, **given)


def play(made, number=0, brake=None, say=lambda n, of: None):
    """A cell in this process; whether it was finished, and its folder."""
    director.claim(made)
    cell = made.playable[number]
    director.prepare(made, cell)
    folder = director.folder_of(made, cell)
    spec = json.loads((folder / "cell.json").read_text("utf-8"))
    return entrant.play(folder, spec, data_of(spec), brake or Brake(), say), folder


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_recipes_without_losses_are_compared_as_they_are_once_each(tmp_path):
    made = asked(tmp_path, "gan", "dcgan")
    assert made.whole and made.seeds == 1
    assert [cell.label(made.cells) for cell in made.cells] == ["gan", "dcgan"]
    assert made.cells[1].document["config"]["objective"] == "nonsaturating"  # its own
    assert "--losses" not in made.command()
    assert asked(tmp_path, "gan", budget="10s").per == "for each recipe"


def test_losses_schedules_and_points_ask_what_they_always_did(tmp_path):
    assert not asked(tmp_path, "dcgan", losses="hinge").whole
    assert not asked(tmp_path, "dcgan", schedules="D:1,G:1;simultaneous").whole
    points = api.comparison("ring", recipes="gan,gan-points", budget=64)
    assert not points.whole and points.seeds == 3 and len(points.ask.losses) > 10


def test_what_cannot_take_the_data_is_refused_with_the_reason_and_the_others_go_on(tmp_path):
    made = asked(tmp_path, "gan", "classifier", "pix2pix", "cgan", "dcgan", labels="none")
    said = {cell.recipe.rpartition("/")[2]: cell.refused for cell in made.cells}
    assert said["gan.yaml"] == "" and "no images" in said["classifier"]
    assert "pairs" in said["pix2pix"] or "no images" in said["pix2pix"]
    assert "label" in said["cgan"]
    (tmp_path / "twin.yaml").write_text(TINY["gan"], "utf-8")
    assert "same game" in asked(tmp_path, "gan", str(tmp_path / "twin.yaml"), "dcgan").cells[1].refused
    with pytest.raises(UsageError, match="COMPARE-NOTHING"):
        asked(tmp_path, "classifier", "fcn8s")


def test_one_that_is_left_alone_is_not_compared(tmp_path):
    """Unless it is all that was asked for: a run like any other, measured as others are."""
    with pytest.raises(UsageError, match="COMPARE-ALONE") as refused:
        asked(tmp_path, "gan", "classifier")
    assert "only gan is left" in str(refused.value) and "no images" in refused.value.why
    assert "--recipe" in refused.value.fix
    assert len(asked(tmp_path, "gan").playable) == 1
    assert len(asked(tmp_path, "gan", "dcgan", "classifier").playable) == 2


def test_the_time_that_is_announced_is_that_of_measuring_too(tmp_path, monkeypatch):
    monkeypatch.setattr(question, "busy", lambda: 1.0)
    quick, slow = (asked(tmp_path, *names, budget="25s") for names in (("gan", "dcgan"), ("gan", "pixelcnn")))
    said = [line for line in quick.lines() if line.startswith("time")]
    assert said == ["time      about 1m15s of training and 1m15s of measuring"], said
    (said,) = [line for line in slow.lines() if line.startswith("time")]
    assert "pixel by pixel" in said
    monkeypatch.setattr(question, "busy", lambda: 3.5)
    assert any("this machine is busy: expect 3.5 times as long" in line for line in quick.lines())


def test_a_slip_of_the_keyboard_is_found_before_anything_is_played(tmp_path):
    with pytest.raises(UsageError, match="RECIPE-UNKNOWN"):
        asked(tmp_path, "gan", "dcgen")


def test_a_comparison_of_losses_does_not_go_on_in_one_of_recipes_nor_the_other_way_round(tmp_path):
    made = asked(tmp_path, "gan")
    director.claim(made)
    director.refuse(asked(tmp_path, "gan", "dcgan"))  # more recipes are no other question
    with pytest.raises(UsageError, match="rows was recipes"):
        director.refuse(asked(tmp_path, "dcgan", losses="hinge", seeds=1))


# ── what is played ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recipe_is_a_run_of_its_own_measured_and_finished_once(tmp_path):
    made = asked(tmp_path, "gan", "dcgan", "classifier")
    finished, folder = play(made)
    assert finished and director.finished(made, made.playable[0])
    run = api.load(folder / "seed-0", which="last")
    assert run.images == 64 and run.sample(2).shape == (2, 3, 8, 8)
    result = json.loads((folder / "seed-0.json").read_text("utf-8"))
    assert set(entrant.MEASURED) <= set(result["figures"]) and result["figures"]["kid"]["interval"]
    assert result["figures"]["background_texture"]["value"] > 0 and result["likelihood"] is None
    assert 0 < result["parameters"]["sampling"] < result["parameters"]["trained"]
    before = (folder / "seed-0.json").stat().st_mtime_ns
    assert play(made)[0] and (folder / "seed-0.json").stat().st_mtime_ns == before
    record, page = api.save_comparison(made)
    assert [cell["state"] for cell in record["cells"]] == ["played", "waiting", "refused"]
    assert record["reference"]["kid"]["value"] is not None and json.loads(json.dumps(record, allow_nan=False)) == record
    text = "\n".join(api.comparison_lines(record))
    assert "gan alone was measured" in text and "classifier cannot be played" in text and "none" in text
    shown = page.read_text("utf-8")
    assert shown.count("<img") == 4 and (folder / "seed-0" / "report.html").exists()
    assert f"cells/{folder.name}/seed-0/report.html" in shown


def test_what_was_stopped_and_then_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    whole = json.loads((play(asked(tmp_path, "gan", budget=160))[1] / "seed-0.json").read_text("utf-8"))
    made, brake = asked(tmp_path, "gan", budget=160, out=tmp_path / "again"), Brake()

    def stop(images, total):
        if images >= 64:
            brake.pull()

    def kill(images, total):
        if images >= 112:
            raise InterruptedError("nothing is saved any more")

    assert play(made, brake=brake, say=stop)[0] is False
    with pytest.raises(InterruptedError):
        play(made, say=kill)
    assert not director.finished(made, made.playable[0])
    finished, folder = play(made)
    result = json.loads((folder / "seed-0.json").read_text("utf-8"))
    assert finished and result["images"] == 160
    assert result["averaged"] == whole["averaged"] and result["seconds"] > 0
    assert standing.record(made)["cells"][0]["state"] == "played"


def test_a_time_becomes_images_once_by_the_processor_and_not_by_the_clock(tmp_path, monkeypatch):
    spent = iter(range(1, 10_000))
    monkeypatch.setattr(entrant, "clock", lambda device: lambda: float(next(spent)))  # each look at it is a second
    made = asked(tmp_path, "gan", budget="10s")
    director.claim(made)
    director.prepare(made, made.playable[0])
    folder = director.folder_of(made, made.playable[0])
    spec = json.loads((folder / "cell.json").read_text("utf-8"))
    recipe = entrant.load(str(folder / "recipe.yaml"))
    planned = entrant._planned(folder / "plan.json", recipe, made.dataset, spec)
    assert planned["rate"] == pytest.approx(8 * 16 / 2)  # eight rounds of a batch of 16, two looks later
    assert planned["images"] == round(10 * planned["rate"] / 16) * 16
    monkeypatch.setattr(entrant, "_rate", lambda *a: 1e9)
    assert entrant._planned(folder / "plan.json", recipe, made.dataset, spec) == planned
    monkeypatch.undo()
    now = entrant.clock("cpu")
    before = now()
    time.sleep(0.05)
    assert now() - before < 0.04  # what is waited for is not counted


def test_a_model_that_says_how_probable_images_are_is_asked(tmp_path):
    made = asked(tmp_path, "vae")
    assert play(made)[0]
    record = standing.record(made)
    (vae,) = record["cells"]
    assert vae["likelihood"]["outcome"] == "levels" and standing.likelihood(vae).startswith("≤ ")
    assert standing.likelihood(vae).endswith(" bits/dim")
    assert vae["parameters"]["sampling"] < vae["parameters"]["trained"]  # the encoder is lopped off
    assert "256 levels" in lineup_page.render(record, made.out)


def test_a_game_that_breaks_before_its_first_checkpoint_is_said_to_and_the_table_is_there(tmp_path):
    made = asked(tmp_path, "gan")
    director.claim(made)
    director.prepare(made, made.playable[0])
    folder = director.folder_of(made, made.playable[0])
    empty = {
        "seeds": [0], "images": 16, "seconds": 1.0, "rate": 0.0, "averaged": [{}], "raw": [{}], "final": [{}],
        "curve": [], "initial": [{}], "failures": {"0": {"why": "diverged", "said": "not finite", "images": 16}},
        "samples": 40, "figures": {}, "sampling": None, "likelihood": None, "planned": {"images": 64},
        "parameters": {"trained": 10, "sampling": 5},
    }  # fmt: skip
    (folder / "seed-0.json").write_text(json.dumps(empty), "utf-8")
    record = standing.record(made)
    assert any("gan, seed 0: diverged after 16 images" in line for line in record["words"])
    assert "gan" in "\n".join(standing.lines(record)) and "<table" in lineup_page.render(record, made.out)


def test_sampling_is_timed_by_one_thread_in_whole_batches_and_threads_are_given_back(tmp_path):
    made = asked(tmp_path, "gan")
    recipe = entrant.load(str(tmp_path / "gan.yaml"))
    built = entrant.plans.build(recipe, entrant.plans.space_of(made.dataset), 0)

    class Opened:
        device = torch.device("cpu")
        game = built.eval()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found = SAMPLING(Opened(), batch=8, seconds=0.01)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert found["threads"] == 1 and found["timed"] % 8 == 0 and 0 < found["seconds"] < 1


def test_each_recipe_has_a_process_and_what_is_finished_is_not_played_again(tmp_path, quick_processes):
    made = asked(tmp_path, "gan")
    assert [step.state for step in api.play(made) if step.state != "playing"] == ["begun", "played"]
    assert list(api.play(made)) == []
    (row,) = standing.record(made)["cells"]
    assert row["state"] == "played" and row["images"] == 64 and row["sampling"]["timed"] >= 64


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


def row(label, kid, cost, likelihood=None, background=1.0, wall=None):
    interval = None if kid is None else {"mean": kid, "low": kid - 0.1, "high": kid + 0.1}
    return {
        "label": label, "state": "played", "why": "", "failures": {}, "likelihood": likelihood,
        "sampling": {"seconds": cost, "batch": 64}, "parameters": {"trained": 10, "sampling": 5}, "images": 100,
        "seconds": 61.0, "wall": wall, "summary": {"kid": interval or {"mean": None, "low": None, "high": None},
                                     "background_texture": {"mean": background, "low": None, "high": None}},
    }  # fmt: skip


def test_the_words_say_who_is_nearest_what_is_averaged_what_a_sample_costs_and_who_has_a_likelihood():
    exact = {"exact": True, "of": "levels"}
    slow = row("pixel", 2.0, 1.0, exact)
    slow["summary"]["bits_per_dim"] = {"mean": 3.25, "low": 3.2, "high": 3.3}
    made = {
        "cells": [row("vae", 1.5, 0.001, None, 0.1), row("g", 0.5, 0.002), slow, row("lost", None, 0.002)],
        "question": {"budget": {"images": None, "seconds": 600.0}, "seeds": 1},
    }  # fmt: skip
    words = standing.words(made)
    assert words[0] == (
        "None is near the data: the least far is g (KID 0.500), then vae (1.500), then pixel (2.000), after 10m00s of "
        "computing each."
    )
    assert "One seed of each" in words[1]
    assert "vae 1m01s" in words[2] and "Asked for were 10m00s of computing" in words[2]
    assert "vae 0.10" in words[3]
    assert "pixel 1 s, 1,000 times as much" in words[4]
    assert words[5] == (
        "What held-out images cost, −log p(x), lower is better: pixel 3.25 bits/dim (of the probability of 256 "
        "levels of each value)."
    )
    assert words[6] == "No likelihood: g, vae, lost."
    assert [cell["label"] for cell in standing.played(made)] == ["g", "vae", "pixel", "lost"]


def compared(*rows, images=None, seeds=6, **more):
    budget = {"images": images, "seconds": None if images else 25.0}
    return {"cells": list(rows), "question": {"budget": budget, "seeds": seeds}, **more}


def test_nobody_is_nearest_alone_or_among_noise():
    real = {"reference": {"kid": {"value": 0.003, "interval": [-0.002, 0.008]}}}
    words = standing.words(compared(row("only", 0.1, 0.001), row("lost", None, 0.001), **real))
    assert words[0] == "only alone was measured (KID 0.100): there is nothing to compare it with."
    words = standing.words(compared(row("a", 0.2, 0.001), row("b", 1.5, 0.001), images=500, **real))
    assert words[0] == "a is nearest to the data (KID 0.200), then b (1.500), after 500 images each."
    words = standing.words(compared(row("a", 1.2, 0.001), row("b", 1.5, 0.001), images=500, **real))
    assert words[0].startswith("None is near the data (real images beside real ones: 0.003): the least far is a (KID 1")


def test_a_density_and_a_probability_are_not_ranked():
    density, levels = {"exact": False, "outcome": "continuous"}, {"exact": True, "outcome": "levels"}
    vae, pixel = row("vae", 0.2, 0.1, density), row("pixel", 0.1, 0.1, levels)
    vae["summary"]["nll"] = {"mean": -241.0, "low": -250.0, "high": -230.0}
    pixel["summary"]["bits_per_dim"] = {"mean": 5.19, "low": 5.1, "high": 5.2}
    words = " ".join(standing.words(compared(vae, pixel, images=500)))
    assert "−log p(x), lower is better: pixel 5.19 bits/dim (of the probability of 256 levels of each value); " in words
    assert "vae ≤ -241.0 nats, density (of the density of values in [-1, 1])" in words
    assert "cannot be ranked against each other" in words


def test_what_was_asked_for_is_told_apart_from_what_was_spent():
    words = standing.words(compared(row("a", 0.1, 0.1, wall=95.0), row("b", 0.2, 0.1)))
    (said,) = [line for line in words if line.startswith("Asked for were 25s of computing")]
    assert "a 1m01s, 1m35s by the clock; b 1m01s" in said
    assert not any("Asked for" in line for line in standing.words(compared(row("a", 0.1, 0.1), images=500)))


def test_several_seeds_have_a_mean_and_an_interval_over_seeds():
    figures = [{"value": v, "interval": [0, 9]} for v in (1.0, 2.0, 3.0)]
    found = standing._summary(figures)
    assert found["mean"] == 2.0 and 1.0 <= found["low"] < 2.0 < found["high"] <= 3.0 and found["over"] == "seeds"
    assert standing._summary(figures[:1])["over"] == "images"
