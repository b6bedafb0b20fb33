"""Looking at a run: it changes nothing, survives a resume to the last number, and costs what it may."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparring import api
from sparring.data import Dataset, open_data, stream_of
from sparring.metrics.extractors import PixelFeatures
from sparring.runs import plan as plans
from sparring.runs import probes, session
from sparring.runs.observe import Observer
from sparring.runs.probes import SIZES, Cost, Probes, extended, moments, planned
from sparring.runs.recipe import load
from sparring.runs.watch import RunWatch, context_of, finite, score, thinned, watch_of
from sparring.train.checkpoint import Store
from sparring.train.engine import Engine
from sparring.train.match import Match
from sparring.types import Criticises, Done, Probed, Turn

SMALL = ["width=8", "z=2", "batch=16", "d_fourier=null", "g_fourier=null"]
NANO = {
    "dcgan": ["width=4", "z=4", "batch=8"],
    "cgan": ["width=4", "z=4", "batch=8"],
    "r3gan": ["width=4", "d_width=4", "z=4", "group=4", "blocks=1", "generator=dcgan", "discriminator=dcgan",
              "generator_norm=batch", "augment=0.5", "batch=8"],
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 lively PNGs of 16 × 16 in two folders, one for each class."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(80):
        place = folder / ("even", "odd")[number % 2]
        place.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC).save(place / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="module")
def images(photos: Path) -> Dataset:
    return open_data(photos, size=(16, 16), held_out=0.25, labels="folders")


def match_of(dataset: Dataset, recipe: str, sets: list[str]) -> Match:
    chosen = load(recipe, sets)
    game = plans.build(chosen, plans.space_of(dataset), 0)
    return Match(game, stream_of(dataset), Engine(torch.device("cpu")), chosen.config, seed=0, horizon=10_000)


def observer(dataset: Dataset, samples: int = 24) -> Observer:
    """Eyes that cost nothing: pixels."""
    judge = PixelFeatures() if dataset.kind == "images" else None
    return Observer(dataset, samples=samples, reference=len(dataset.train), mirrored=True, judge=judge)


# ── a look changes nothing ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("recipe", [*NANO, "gan-points"])
def test_a_look_changes_no_number(recipe: str, images: Dataset) -> None:
    """Weights, averages, optimisers, batch statistics, modes, and the global random state: the same bits."""
    dataset = images if recipe in NANO else open_data("ring")
    plain, seen = (match_of(dataset, recipe, NANO.get(recipe, SMALL)) for _ in range(2))
    eyes = observer(dataset)
    for _ in range(4):
        plain.step()
        seen.step()
        before, python = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
        modes = [module.training for module in seen.game.modules()]
        eyes.signals(seen)
        assert torch.equal(torch.get_rng_state(), before)
        assert np.random.get_state()[1].tolist() == python  # type: ignore[union-attr]
        assert [module.training for module in seen.game.modules()] == modes
    for (stem, theirs), ours in zip(plain.tensors().items(), seen.tensors().values(), strict=True):
        for name, tensor in theirs.items():
            assert torch.equal(tensor, ours[name]), f"{stem}/{name}"


@pytest.mark.parametrize("recipe", NANO)
def test_what_is_seen_of_images(recipe: str, images: Dataset) -> None:
    match, eyes = match_of(images, recipe, NANO[recipe]), observer(images)
    match.step()
    first = eyes.signals(match)
    common = {"kid", "kid_se", "auc", "auc_train", "diversity", "coverage", "coverage_self", "coverage_raw",
              "precision", "duplicates", "duplicates_real", "copies", "contrast", "saturated", "constant",
              "checkerboard", "leak",
              "class_kl", "class_least"}  # fmt: skip
    assert common <= set(first) and all(math.isfinite(value) for value in first.values())
    assert isinstance(match.game, Criticises)
    assert ("d_real" in first) == (not match.game.relative) == (recipe == "dcgan"), "a relativistic D has no zero"
    assert ("class_match" in first) == (recipe == "cgan")
    assert first == eyes.signals(match) == observer(images).signals(match), "looking again is seeing the same"
    assert eyes.known is eyes.baseline is not None


def test_without_held_out_data_training_data_stand_in(photos: Path) -> None:
    dataset = open_data(photos, size=(16, 16), held_out=0, labels="none")
    eyes, match = observer(dataset), match_of(dataset, "dcgan", NANO["dcgan"])
    values = eyes.signals(match)
    assert "auc" not in values and "auc_train" in values and "kid" in values
    assert eyes.baseline is not None and not eyes.baseline.apart
    assert not set(eyes._aside) & set(eyes.rows), "what stands in is no reference"
    few = dataclasses.replace(dataset, train=dataset.train[:12])
    assert set(observer(few).signals(match)) == {"auc_train", "d_real", "d_fake"}, "too few to compare with"


# ── moments and what they cost ────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 10**7), st.integers(1, 40), st.integers(0, 10**7))
@settings(max_examples=100, deadline=None)
def test_moments_are_in_order_end_with_the_run_and_go_on(total: int, count: int, more: int) -> None:
    found = moments(total, count)
    assert list(found) == sorted(set(found)) and found[0] > 0 and found[-1] == total and len(found) <= count
    longer = extended(found, total + more)
    assert longer[: len(found)] == found and longer[-1] == total + more and list(longer) == sorted(set(longer))
    gaps = np.diff([0, *longer])
    assert len(longer) <= len(found) + 200
    step = max(found[-1] - found[-2], more / 200) if len(found) > 1 else math.inf
    assert max(gaps[len(found) :], default=0) <= 2 * step + 1
    assert len(found) < 9 or max(gaps[: len(found)]) <= 0.4 * total + 1


seconds = st.floats(1e-4, 0.05)


@given(seconds, seconds, st.floats(0, 3), st.floats(0.1, 5000), st.integers(1000, 10**8), st.integers(100, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_plan_costs_what_it_says_and_at_most_its_share(
    real: float, fake: float, fixed: float, rate: float, total: int, train: int
) -> None:
    cost = Cost(fixed=fixed, real=real, fake=fake, thumbnail=real / 10, algebra=0.1, each=0.01)
    found = planned(cost, total=total, rate=rate, train=train, held_out=train // 20)
    least = cost.baseline(128, 0, 0) + cost.probe(128, 0)
    if found is None:
        assert least + 400 * real + 3e-8 * 128 * 20_000 > 0.7 * 0.03 * total / rate, (
            "one probe would have been affordable"
        )
        return
    assert 0 < found.seconds <= 0.03 * total / rate and found.moments[-1] == total and found.samples in SIZES
    assert found.reference <= min(train, probes.REFERENCE)
    assert found.reference == 0 or found.reference >= 0.2 * train
    assert len(found.moments) >= probes.WANTED or found.samples == min(SIZES) or found.samples < max(SIZES)


def test_more_time_is_more_samples_then_more_probes_and_a_short_run_has_none() -> None:
    cost = Cost(fixed=0.3, real=0.006, fake=0.016, thumbnail=4e-5, algebra=0.1)
    found = [planned(cost, total=150 * s, rate=150, train=9000, held_out=450) for s in (30, 400, 1500, 7200, 10**6)]
    assert found[0] is None and [p.samples for p in found if p] == [128, 192, 512, 512]
    counts = [len(p.moments) for p in found if p]
    assert counts == sorted(counts) and counts[0] < 8 <= counts[1] and counts[-1] == probes.MOST
    assert found[1] is not None
    again = Probes.of(yaml.safe_load(yaml.safe_dump({"run": {"probes": found[1].record()}})))
    assert again is not None and dataclasses.replace(again, seconds=0) == dataclasses.replace(found[1], seconds=0)
    assert Probes.of({"run": {}}) is None is Probes.of({"run": {"probes": {"samples": 128, "moments": []}}})


def test_the_plan_says_when_it_will_look(tmp_path: Path) -> None:
    made = api.plan("ring", recipe="gan-points", set=SMALL, budget="2M", out=tmp_path / "run", device="cpu")
    assert made.probes is not None and made.document()["run"]["probes"] == made.probes.record()
    assert made.probes.moments[-1] == made.total and made.probes.seconds <= 0.03 * made.seconds
    assert any(line.startswith("probes    ") and "of the time" in line for line in made.lines())
    short = api.plan("ring", recipe="gan-points", set=SMALL, budget="320", out=tmp_path / "run", device="cpu")
    assert short.probes is None and "probes" not in short.document()["run"]


# ── a watched run ─────────────────────────────────────────────────────────────────────────────────────────────────


def begin(out: Path, data: str | Path, recipe: str, sets: list[str], looks: Probes | None, images: int = 320,
          **settings: Any) -> session.Session:  # fmt: skip
    made = api.plan(data, recipe=recipe, set=sets, budget=str(images), out=out, device="cpu", **settings)
    return session.start(dataclasses.replace(made, probes=looks))


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """Without what the clock says."""
    values = {k: v for k, v in record.get("values", {}).items() if k not in ("spent", "share")}
    return {**{k: v for k, v in record.items() if k != "rate"}, "values": values}


def left(out: Path) -> tuple[Any, ...]:
    newest = Store(out / "checkpoints").newest()
    assert newest is not None
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    state = {key: value for key, value in newest.state.items() if key not in ("log",)}
    return {n: e[1] for n, e in newest.manifest.files.items() if n != "state.json"}, state, list(map(timeless, records))


def test_a_watched_run_resumes_to_the_last_number_and_trains_as_one_that_is_not(tmp_path: Path) -> None:
    looks = Probes(64, 1000, (48, 80, 160))
    events = list(begin(tmp_path / "whole", "ring", "gan-points", SMALL, looks, 160))
    probed = [event for event in events if isinstance(event, Probed) and "kid" in event.values]
    assert [event.images for event in probed] == [48, 80, 160]
    assert {"auc", "energy_distance", "modes"} <= set(probed[-1].values)
    assert probed[-1].values["spent"] > 0 and 0 < probed[-1].values["share"] < 1
    running, out = begin(tmp_path / "pieces", "ring", "gan-points", SMALL, looks, 160), tmp_path / "pieces"
    for event in running:
        if isinstance(event, Turn) and event.images == 112:
            running.stop()
    assert running.finished == Done(112, "stopped")
    assert list(api.resume_steps(out))[-1] == Done(160, "budget")
    assert left(out) == left(tmp_path / "whole")
    list(begin(tmp_path / "unseen", "ring", "gan-points", SMALL, None, 160))
    assert left(tmp_path / "unseen")[0] == left(out)[0], "the same weights"
    longer = api.resume_steps(out, budget="+80")
    assert next(e.images for e in longer if isinstance(e, Probed) and "kid" in e.values) == 240, "the series goes on"
    longer.close()


def test_a_run_on_images_leaves_its_nearest_neighbours(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    looks = Probes(24, 1000, (80,))
    events = list(begin(out, photos, "dcgan", NANO["dcgan"], looks, 80, size=16, held_out=0.25))
    (probed,) = (event for event in events if isinstance(event, Probed))
    assert probed.images == 80 and {"kid", "auc", "copies"} <= set(probed.values)
    named = json.loads((out / "neighbours.json").read_text())
    assert [pair["fake"] for pair in named] == list(range(10)) and all(pair["distance"] > 0 for pair in named)
    assert all(any(path.name == Path(pair["real"]).name for path in photos.rglob("*.png")) for pair in named)
    with Image.open(out / "neighbours.png") as picture:
        assert picture.size == (2 + 10 * 66, 2 + 2 * 66)
    newest = Store(out / "checkpoints").newest()
    assert newest is not None and [images for images, _ in newest.state["watch"]["history"]] == [80]


def test_the_state_is_small_plain_and_all_there_is(images: Dataset) -> None:
    match = match_of(images, "dcgan", NANO["dcgan"])
    watch, other = (RunWatch(observer(images), (8, 16, 40)) for _ in range(2))
    match.step()
    watch.hear(Turn(8, 1, {"D/real": 0.7, "G/fake": math.nan}, 100.0))
    assert watch.due(8) and not watch.due(7)
    opinion = watch.look(match)
    assert opinion.score == opinion.values["kid"] and opinion.measure == "KID" and not watch.due(15)
    other.load_state_dict(json.loads(json.dumps(watch.state_dict())))
    assert other.state_dict() == watch.state_dict() and other.turns == [(8, {"D/real": 0.7})]
    assert not {"spent", "share"} & set(watch.history[0][1])
    match.step()
    again, anew = watch.look(match), other.look(match)
    clock = {"spent", "share"}
    assert {k: v for k, v in again.values.items() if k not in clock} == {
        k: v for k, v in anew.values.items() if k not in clock
    }
    other.load_state_dict({})
    assert other.due(8), "a run from before there was a watch"


@given(st.integers(0, 3000))
@settings(max_examples=20, deadline=None)
def test_what_is_remembered_does_not_grow(count: int) -> None:
    rows: list[tuple[int, dict[str, float]]] = []
    for k in range(count):
        rows = thinned([*rows, (k, {})], 64)
    assert len(rows) <= 64 and [k for k, _ in rows] == sorted({k for k, _ in rows})
    assert not count or (rows[0][0] == 0 and rows[-1][0] == count - 1)
    assert [k for k, _ in rows[-8:]] == list(range(count))[-8:], "the newest are all there"


def test_scores_contexts_and_runs_that_are_not_watched(images: Dataset, tmp_path: Path) -> None:
    assert score({"kid": 0.5, "energy_distance": 0.1}) == (0.1, "energy distance")
    assert score({"kid": 0.5}) == (0.5, "KID") and score({"auc": 0.5})[0] is None
    assert score({"accuracy": 0.75}) == (0.25, "errors")
    assert finite({"a": 1.0, "b": math.inf, "c": math.nan}) == {"a": 1.0}
    match = match_of(images, "r3gan", NANO["r3gan"])
    assert watch_of(images, match.game, (1, 2)) is None
    document = {"run": {"stop": "auto"}, "data": {"source": "photos"}}
    context = context_of(load("r3gan", NANO["r3gan"]), images, document, 1000, tmp_path)
    assert (context.relative, context.images, context.held_out, context.classes) == (True, 60, 20, 2)
    assert (context.stop, context.planned, context.kind, context.data) == ("auto", 1000, "images", "photos")
    assert context.settings["batch"] == 8
