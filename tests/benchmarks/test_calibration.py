"""The calibration: faults do what they say, labels follow what was measured, the score counts rightly."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.calibration import cases, faults, labels, rescue, runs, score, thresholds, truth, watched
from benchmarks.calibration.cases import GROUNDS, Case
from benchmarks.calibration.faults import FAULTS, Injected
from sparring.data import open_data, stream_of
from sparring.errors import Diverged
from sparring.health.thresholds import PATH, usual
from sparring.runs.plan import build, make_engine, space_of
from sparring.runs.recipe import load
from sparring.train.loop import sample_averaged
from sparring.train.match import Match

NANO = {
    "gan": ("gan-points", ["width=8", "depth=2", "batch=8", "g_fourier=null", "d_fourier=null", "g_jumps=0"]),
    "cgan": ("cgan-points", ["width=8", "d_width=8", "depth=2", "batch=8", "g_fourier=null", "d_fourier=null"]),
}
ROUNDS = 20


def match_of(fault: str, kind: str = "gan", rounds: int = ROUNDS, **changes: Any) -> Injected:
    preset, settings = NANO[kind]
    found = replace(FAULTS[fault], **changes)
    plain = load(preset, settings).config
    recipe = load(preset, [*settings, *faults.settings(found, plain)])
    data = faults.cut(found, open_data("ring"))
    game = build(recipe, space_of(data), 0)
    total = rounds * 8
    return Injected(found, game, stream_of(data, 0), make_engine(recipe, torch.device("cpu")), recipe.config,
                    seed=0, horizon=total, total=total)  # fmt: skip


def played(match: Match, rounds: int = ROUNDS) -> Match:
    for _ in range(rounds):
        match.step()
    return match


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_fault_the_match_is_the_library_s_own() -> None:
    ours = played(match_of("none"))
    recipe = load(*NANO["gan"])
    data = open_data("ring")
    game, engine = build(recipe, space_of(data), 0), make_engine(recipe, torch.device("cpu"))
    theirs = played(Match(game, stream_of(data, 0), engine, recipe.config, seed=0, horizon=ROUNDS * 8))
    for mine, other in zip(ours.game.parameters(), theirs.game.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("fault", ["nan-gradient-d", "nan-gradient-g", "nan-batch", "nan-logit", "once-nan"])
def test_what_is_not_a_number_ends_a_run_when_its_time_comes(fault: str) -> None:
    match = match_of(fault)
    early = math.ceil(faults.AT * ROUNDS)
    played(match, early - 1)
    with pytest.raises(Diverged) as caught:
        played(match)
    assert caught.value.code == "NOT-FINITE" and match.round in (
        early - 1,
        early,
    )  # a gradient is of the batch just dealt


def test_a_transient_fault_happens_once() -> None:
    match = match_of("once-nan")
    with pytest.raises(Diverged):
        played(match)
    played(match, 3)
    assert match.left == 0


@pytest.mark.parametrize("fault", ["z-constant", "z-constant-later"])
def test_samples_of_a_constant_latent_are_one_sample(fault: str) -> None:
    match = match_of(fault)
    played(match)
    assert float(sample_averaged(match, 16).std(0).max()) < 1e-5
    assert float(sample_averaged(played(match_of("none")), 16).std(0).min()) > 1e-2


def test_a_zeroed_generator_is_dead_and_its_average_follows() -> None:
    match = played(match_of("zeroed"))
    last = match.game.G.net.last
    assert float(last.weight.detach().abs().max()) < 0.1  # 0, and one step
    match.arm()
    assert float(last.weight.detach().abs().max()) == 0.0


def test_a_frozen_average_stays_as_it_was_initialised() -> None:
    match = match_of("ema-frozen")
    before = {name: tensor.clone() for name, tensor in match.averages.tensors("G").items()}
    played(match)
    assert all(torch.equal(before[name], tensor) for name, tensor in match.averages.tensors("G").items())


def test_one_class_alone_loses_its_noise() -> None:
    game: Any = match_of("class-without-noise", "cgan")
    game.arm()
    z, label = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 8
    with torch.no_grad():
        made = game.game.decode(z, label)
    assert float(made[label == 0].std(0).max()) < 1e-6 < 1e-3 < float(made[label == 1].std(0).min())


def test_settings_are_changed_where_the_recipe_has_them() -> None:
    config = load("gan-points").config
    assert faults.settings(FAULTS["lr-50"], config) == ["lr=0.1 -> 0.0005 cosine 0.1..1.0"]
    assert faults.settings(FAULTS["augment-1"], config) == []
    wide = faults.settings(FAULTS["twenty"], load("r3gan-minutes", ["width=8", "d_width=8"]).config)
    assert wide[:2] == ["width=24", "d_width=24"]
    assert not any(change.startswith("width") for change in faults.settings(FAULTS["twenty"], config))


def test_a_cut_data_set_is_the_first_samples_and_says_so() -> None:
    whole = open_data("ring")
    cut = faults.cut(FAULTS["twenty"], whole)
    assert len(cut) == 20 and cut.fingerprint != whole.fingerprint and len(cut.held_out) == len(whole.held_out)
    assert (cut.train == whole.train[:20]).all() and len(cut.labels) == 20  # type: ignore[arg-type]


def test_a_flipped_bit_is_undone_by_flipping_it_again() -> None:
    layer = torch.nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    faults.flip(layer)
    changed = layer.weight.detach() != before
    assert int(changed.sum()) == 1 and float(layer.weight.detach()[changed].abs()) > 1e30


# ── playing and looking again ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_put_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STATE", tmp_path)
    monkeypatch.setattr(runs, "PROBES", 3)
    monkeypatch.setattr(watched, "SAMPLES", {"points": 64})
    ground = replace(GROUNDS["ring-hinge"], rounds=24, changes=(*GROUNDS["ring-hinge"].changes, "width=8", "batch=16"))
    monkeypatch.setattr(cases, "GROUNDS", {**GROUNDS, "ring-hinge": ground})
    monkeypatch.setattr(runs, "GROUNDS", {**GROUNDS, "ring-hinge": ground})
    case = Case("ring-hinge", "none", 0)
    record = runs.play(case)
    assert record["ended"] == "budget" and len(record["probes"]) == runs.PROBES
    match = runs.prepare(case).match
    seen = list(runs.revisit(case))
    assert [number for _, _, number in seen] == list(range(runs.PROBES))
    played(match, 24)
    assert torch.equal(sample_averaged(match, 8), sample_averaged(runs.at(case).match, 8))
    assert torch.equal(match.game.D.net.last.weight, runs.at(case).match.game.D.net.last.weight)

    found = watched.watch(case)
    assert [images for images, _ in found["probes"]] == list(runs.prepare(case).moments)
    assert {"auc", "coverage", "diversity", "energy_distance"} <= set(found["probes"][-1][1])
    assert set(found["truth"][-1]) == {"ema", "d"} and found["turns"]
    json.dumps(found, allow_nan=False)


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────────────

FINE = {"finite": 1.0, "modes": 1.0, "near": 0.9, "spread": 1.0}
COLLAPSED = {**FINE, "modes": 0.25}
AWAY = {**FINE, "near": 0.0, "modes": 0.0, "spread": 40.0}


def truths(*states: dict[str, float], apart: float = 0.6) -> list[dict[str, dict[str, float]]]:
    return [{"ema": state, "raw": state, "d": {"apart": apart}} for state in states]


def test_labels_follow_the_end_of_a_run() -> None:
    young = [AWAY, COLLAPSED]
    assert labels.label(truths(*young, *[FINE] * 6), "budget", 2).healthy
    assert labels.label(truths(*young, *[FINE] * 3, *[COLLAPSED] * 3), "budget", 2).outcomes == {"collapsed": 5}
    assert labels.label(truths(*[AWAY] * 8), "budget", 2).outcomes == {"diverged": 2}
    assert labels.label(truths(*[FINE] * 3), "NOT-FINITE", 2).outcomes == {"not-finite": 3}
    between = {**FINE, "modes": 0.7}
    assert not labels.label(truths(*[FINE] * 5, between), "budget", 0).kept
    saturated = labels.label(truths(*[FINE] * 6, apart=0.999), "budget", 1)
    assert saturated.outcomes == {"d-saturated": 1}
    copies = [{"ema": {**FINE, "copies": c}, "raw": FINE, "d": {}} for c in (0.0, 0.3, 0.4, 0.5)]
    assert labels.label(copies, "budget", 0).outcomes == {"memorising": 1}


def test_the_warm_up_is_that_of_healthy_runs_alone() -> None:
    assert labels.warm([truths(AWAY, FINE, FINE), truths(AWAY, COLLAPSED, FINE), truths(*[AWAY] * 3)]) == 2


def test_states_of_images() -> None:
    fine = {"finite": 1.0, "fd": 0.2, "spread": 1.0, "varied": 0.9, "twins": 0.01, "classes": 1.0}
    assert labels.state(fine) == "fine" and labels.state(fine, usual=0.05) == "between"
    assert labels.state({**fine, "twins": 0.5}) == "collapsed" and labels.state({**fine, "classes": 0.2}) == "collapsed"
    assert labels.state({**fine, "fd": 1.2}) == "diverged" and labels.state({**fine, "varied": 0.0}) == "constant"
    assert labels.state({"finite": 0.0}) == "not-finite"


def test_truth_sees_modes_and_repeats() -> None:
    data = open_data("ring")
    measure = truth.Truth(data, data)
    real = torch.from_numpy(data.train[: truth.POINTS].copy())
    good = measure._points(real)
    assert good["modes"] == 1.0 and good["near"] > 0.99 and abs(good["twins"] - 0.01) < 0.01
    assert good["spread"] == pytest.approx(1.0, abs=0.02)
    one = measure._points(real[:1].expand(500, 2) + 1e-4 * torch.randn(500, 2))
    assert one["modes"] == 0.125 and one["twins"] == 1.0


# ── the score ─────────────────────────────────────────────────────────────────────────────────────────────────────


def record(name: str, values: list[dict[str, float]], state: list[dict[str, float]], ended: str = "budget") -> Any:
    return {
        "run": name, "ended": ended, "images": 12_000, "planned": 12_000, "kind": "points", "classes": 8,
        "objective": "hinge", "relative": False, "train": 100_000, "held_out": 5000, "truth": truths(*state),
        "probes": [[1000 * (k + 1), v] for k, v in enumerate(values)], "turns": [],
    }  # fmt: skip


def series(coverage: list[float]) -> list[dict[str, float]]:
    return [
        {"auc": 0.6, "auc_train": 0.6, "coverage": c, "coverage_raw": c, "coverage_self": 0.96, "diversity": c,
         "diversity_raw": c, "energy_distance": 1 - c, "contrast": 1.0}
        for c in coverage
    ]  # fmt: skip


def three() -> list[score.Run]:
    healthy = series([0.5, 0.7, 0.8, *[0.9] * 9])
    fallen = series([0.5, 0.7, 0.8, 0.9, 0.9, 0.9, *[0.05] * 6])
    return score.labelled([
        record("ring-hinge.none.0", healthy, [FINE] * 12), record("ring-hinge.none.1", healthy, [FINE] * 12),
        record("ring-hinge.z-constant-later.0", fallen, [*[FINE] * 6, *[COLLAPSED] * 6]),
        record("ring-hinge.nan-batch.0", healthy[:5], [FINE] * 5, "NOT-FINITE"),
    ])  # fmt: skip


def test_the_score_counts_delays_from_the_onset() -> None:
    every = three()
    assert [dict(run.label.outcomes) for run in every] == [{}, {}, {"collapsed": 6}, {"not-finite": 5}]
    t = usual()
    said = every[2].said(t)
    found_after = score.delay(every[2], said, "collapsed")
    assert found_after is not None and 1 <= found_after <= round(t.probes) - 1  # one moment alone is no verdict
    assert score.delay(every[3], every[3].said(t), "hard") == 0
    assert score.cost(every, t) == (0, 0, 0)
    found = score.scored(every, t)
    assert found["healthy"] == 2 and found["failed"] == 2
    assert found["found"]["collapsed"]["found"] == found["found"]["hard"]["found"] == 1
    assert found["healthy_with_hard_alarm"]["found"] == 0
    assert found["confusion"]["not-finite"]["NOT-FINITE"] == 1
    json.dumps(found)


def test_a_deaf_doctor_misses_and_a_nervous_one_cries_wolf() -> None:
    every = three()
    deaf = replace(usual(), collapse_diversity=1e-3, collapse_coverage=1e-3, fallen=1e-3, low_diversity=1e-3,
                   low_coverage=1e-3, lost_coverage=1e-3)  # fmt: skip
    assert score.cost(every, deaf)[1] == 1
    nervous = replace(usual(), collapse_coverage=0.99, raw_coverage=0.99, collapse_diversity=0.99, raw_diversity=0.99)
    assert score.cost(every, nervous)[0] == 2


def test_the_fit_takes_the_middle_of_what_does_best(monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: score.FITTED[name] for name in ("collapse_coverage", "fallen")}
    monkeypatch.setattr(score, "FITTED", some)
    every = three()
    start = replace(usual(), collapse_diversity=1e-3, collapse_coverage=1e-3, fallen=1e-3, low_diversity=1e-3,
                    low_coverage=1e-3, lost_coverage=1e-3)  # fmt: skip
    fitted, steps = score.fit(every, start)
    assert score.cost(every, fitted) == (0, 0, 0)
    assert all(step["taken"] in step["values"] for step in steps)


def test_separation_orders_what_failed_below_what_is_healthy() -> None:
    found = score.separation(three())
    assert found["coverage"]["collapsed"]["ordered"] == 1.0


def test_halves_depend_on_names_alone() -> None:
    planned = cases.planned()
    names = [case.name for case in planned]
    assert len(set(names)) == len(names)
    for case in planned:
        assert case.held_out == (hashlib.blake2b(case.name.encode(), digest_size=1).digest()[0] % 2 == 1)
    assert 0.35 < sum(case.held_out for case in planned) / len(planned) < 0.65
    assert sum(case.fault == "none" for case in planned) >= 55
    for case in rescue.planned():
        assert FAULTS[case.fault].once and case.ground in GROUNDS


def test_wilson() -> None:
    assert score.wilson(0, 60) == [0.0, 0.06] and score.wilson(5, 10) == [0.237, 0.763]


def test_thresholds_are_written_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(PATH.read_text())
    thresholds.write(usual(), path)
    assert path.read_text() == PATH.read_text()
    thresholds.write(replace(usual(), d_wins=0.9731), path)
    old, new = PATH.read_text().splitlines(), path.read_text().splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert len(changed) == 1 and changed[0][1].startswith("d_wins: 0.9731")
    assert changed[0][0].partition("#")[2] == changed[0][1].partition("#")[2]


def test_rescued_is_what_ends_like_its_healthy_twins() -> None:
    row = {"run": "ring-hinge.once-nan.1", "ended": "budget", "went_back": [[600, 500, "NOT-FINITE"]], "truth": FINE}
    healthy = {"ring-hinge": [0.010, 0.012, 0.014]}
    found = rescue.judged([{**row, "score": 0.0155}, {**row, "score": 0.02}, {**row, "score": 0.01, "ended": "watch"}],
                          healthy)  # fmt: skip
    assert [each["rescued"] for each in found["runs"]] == [True, False, False]
    assert found["of_those_that_went_back"]["of"] == 3
