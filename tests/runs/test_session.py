"""Runs as a user has them: a directory of images, stopped, resumed, extended; the same run to the last byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import sparring
from sparring import api
from sparring.errors import CheckpointError, DataError, Interrupted, UsageError
from sparring.runs import session
from sparring.train.checkpoint import Store
from sparring.types import Alarm, Done, Event, Turn

NANO = {
    "gan": ["width=8", "z=4"],
    "dcgan": ["width=4", "z=4"],
    "r3gan": ["width=4", "d_width=4", "z=4", "group=4", "blocks=1", "generator=dcgan", "discriminator=dcgan",
              "generator_norm=batch", "augment=0 -> 0.5", "penalty_every=2"],
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 random PNGs of 16 × 16."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def begin(photos: Path, recipe: str, out: Path, images: int = 160) -> session.Session:
    return api.steps(
        photos, recipe=recipe, size=16, out=out, budget=str(images), held_out=0, set=[*NANO[recipe], "batch=8"],
        device="cpu",
    )  # fmt: skip


def left(out: Path) -> dict[str, object]:
    """Everything a run leaves, without what the clock says."""
    newest = Store(out / "checkpoints").newest()
    assert newest is not None
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {
        "tensors": {name: entry[1] for name, entry in newest.manifest.files.items() if name != "state.json"},
        "state": {key: value for key, value in newest.state.items() if key != "log"},
        "log": [{key: value for key, value in record.items() if key != "rate"} for record in records],
        "samples": {path.name: path.read_bytes() for path in sorted((out / "samples").iterdir())},
        "data": (out / "data.json").read_text(),
    }


@pytest.mark.parametrize("recipe", NANO)
def test_stopped_and_resumed_is_never_stopped(recipe: str, photos: Path, tmp_path: Path) -> None:
    """Through the run directory alone, twice: tensors, state, log and pictures are the same bytes."""
    for _ in begin(photos, recipe, tmp_path / "whole", 96):
        pass
    running, out = begin(photos, recipe, tmp_path / "pieces", 96), tmp_path / "pieces"
    for moment in (24, 64):
        for event in running:
            if isinstance(event, Turn) and event.images == moment:
                running.stop()
        assert running.finished == Done(moment, "stopped")
        running = api.resume_steps(out)
    events = list(running)
    assert running.finished == Done(96, "budget")
    assert not [event for event in events if isinstance(event, Alarm)]
    assert left(out) == left(tmp_path / "whole")


def test_a_longer_budget_goes_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    api.finish(begin(photos, "gan", out, 80))
    events: list[Event] = list(api.resume_steps(out, budget="+80"))
    assert isinstance(events[-1], Done) and events[-1].images == 160
    document = yaml.safe_load((out / "recipe.yaml").read_text())
    assert document["run"]["images"] == 160 and document["run"]["horizon"] == 80
    assert [e.images for e in api.resume_steps(out) if isinstance(e, Turn)] == []
    with pytest.raises(UsageError, match="BUDGET-LESS"):
        list(api.resume_steps(out, budget="40"))


def test_other_data_is_refused(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "photos"
    copies.mkdir()
    for path in photos.iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    api.finish(begin(copies, "gan", tmp_path / "run", 40))
    Image.new("RGB", (16, 16)).save(copies / "00.png")
    told = [event.message for event in api.resume_steps(tmp_path / "run", budget="+40") if isinstance(event, Alarm)]
    assert told[0].startswith("1 file was changed in content since the run started: 00.png")
    assert "from their decoded copies" in told[1]
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "another"))
    with pytest.raises(DataError, match="DATA-CHANGED"):
        list(api.resume_steps(tmp_path / "run", budget="+40"))


def test_an_interrupted_train_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    running = begin(photos, "gan", tmp_path / "run")
    running.stop()
    with pytest.raises(Interrupted, match=r"sparring resume .*run"):
        api.finish(running)
    run = api.resume(tmp_path / "run")
    assert run.images == 160


def test_a_run_is_used_by_one_process_at_a_time(photos: Path, tmp_path: Path) -> None:
    running = begin(photos, "gan", tmp_path / "run")
    next(running)
    with pytest.raises(Exception, match="in use|used by|LOCK"):
        next(api.resume_steps(tmp_path / "run"))
    running.close()
    assert isinstance(list(api.resume_steps(tmp_path / "run"))[-1], Done)


def test_a_trained_run_is_opened_without_flags(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = sparring.train(photos, recipe="dcgan", size=16, out=out, budget="80", held_out=0,
                         set=[*NANO["dcgan"], "batch=8"], device="cpu")  # fmt: skip
    few, many = run.sample(3, seed=4), sparring.load(out).sample(9, seed=4)
    assert few.shape == (3, 3, 16, 16) and 0 <= float(many.min()) <= float(many.max()) <= 1
    assert float((few - many[:3]).abs().max()) <= 1 / 255
    assert run.info()["images"] == 80 and "dcgan" in repr(run)
    with pytest.raises(CheckpointError, match="RUN-MISSING"):
        sparring.load(tmp_path / "elsewhere")


def test_the_plan_is_checked_before_anything_is_made(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for wrong in ({"seed": -1}, {"held_out": 1.0}, {"budget": "+10m"}, {"size": 4}, {"set": ["batch=0"]},
                  {"device": "tpu"}, {"recipe": "nothing"}):  # fmt: skip
        with pytest.raises(UsageError):
            api.plan(photos, **({"size": 16, "out": out, "budget": "80"} | wrong))
    assert not out.exists()
    made = api.plan(photos, size=16, out=out, budget="1000", recipe="gan", set=["batch=64", "width=8"], held_out=0)
    assert made.total == 1024 and made.rate > 0 and not out.exists()
    assert any("40" in line for line in made.lines())
    list(api.steps(photos, size=16, out=out, budget="64", recipe="gan", set=["width=8"], held_out=0))
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        list(api.steps(photos, size=16, out=out, budget="64", recipe="gan", set=["width=8"], held_out=0))
