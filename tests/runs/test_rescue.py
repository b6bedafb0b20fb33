"""What a run does when something goes wrong, as people meet it: flags, recipe.yaml, exit codes, which checkpoint."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring import api, cli
from sparring.data.stream import PointStream
from sparring.errors import CheckpointError, Diverged, UsageError
from sparring.runs import board, session
from sparring.runs.directory import RunDirectory
from sparring.runs.run import Run
from sparring.train.checkpoint import Store
from sparring.train.log import read
from sparring.train.match import Match
from sparring.train.rescue import SHIFT
from sparring.types import Alarm, Batch, Decision, Done, Opinion, Turn

NANO = {"width": 8, "batch": 16, "z": 2}
PACE = {"saves": (160, 320, 480), "log": 32}


def planned(out: Path, images: int = 640, **settings: Any) -> Any:
    return api.plan("ring", recipe="gan", set=NANO, budget=str(images), out=out, threads=1, device="cpu", **settings)


def poison(monkeypatch: pytest.MonkeyPatch, out: Path, at: int, attempts: int) -> None:
    """One sample of the first attempts of the run in `out` is not a number."""
    take = PointStream.take

    def poisoned(self: PointStream, start: int, count: int) -> Batch:
        attempt, position = divmod(start, SHIFT)
        batch = take(self, start, count)
        if position <= at < position + count and attempt < attempts and (out / "recipe.yaml").exists():
            batch.x[at - position] = math.nan
        return batch

    monkeypatch.setattr(PointStream, "take", poisoned)


class Scoring:
    """A watch to which the middle of a run is best, and that ends it or not."""

    def __init__(self, stop: int = 0) -> None:
        self.looked, self.stop = 0, stop

    def due(self, images: int) -> bool:
        return images // 80 > self.looked // 80

    def hear(self, turn: Turn) -> None:
        pass

    def look(self, view: Match) -> Opinion:
        self.looked = view.images
        value = abs(view.images - 240) / 1000 + 0.01
        decision = Decision.STOP if 0 < self.stop <= view.images else Decision.NOTE
        return Opinion({"kid": value}, decision, (), value, "KID", ("PLATEAU", "no progress beyond noise"))

    def state_dict(self) -> dict[str, Any]:
        return {"looked": self.looked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.looked = state["looked"]


@pytest.fixture(scope="module", autouse=True)
def plain_pictures() -> Iterator[None]:
    """None from above (tests/runs/test_points.py), which cost more than the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board, "SHORTEST", math.inf)
        yield


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 640 images whose best checkpoint is the one at 240."""
    out = tmp_path_factory.mktemp("scored") / "run"
    for _ in session.start(planned(out), watch=Scoring(), pace=PACE):
        pass
    return out


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of 640 that was stopped at 160: to copy."""
    out = tmp_path_factory.mktemp("begun") / "run"
    running = session.start(planned(out), pace=PACE)
    for event in running:
        if event.images >= 160:
            running.stop()
    return out


# ── which checkpoint ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_best_one_is_used_and_said(scored: Path) -> None:
    run = api.load(scored)
    assert run.images == 240
    assert run.remarks == ["in use: the best by KID 0.01 at 240 images; --which last for the newest"]
    assert run.info()["checkpoint"] == "000000000240: the best by KID 0.01 at 240 images"
    assert run.info()["checkpoints"][-1] == 640 and 240 in run.info()["checkpoints"]
    last = api.load(scored, which="last")
    assert last.images == 640 and last.remarks == []
    assert not torch.equal(run.sample(4), last.sample(4))
    assert torch.equal(api.load(scored, which=240).sample(4), run.sample(4))
    assert torch.equal(Run(scored, which="240").sample(4), run.sample(4))


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(scored: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at 241 images(.|\n)*240, .*640"):
        api.load(scored, which=241)
    with pytest.raises(UsageError, match="best, last or the images seen"):
        api.load(scored, which="newest")


def test_without_a_mark_or_with_a_damaged_best_it_is_the_newest(scored: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(scored, tmp_path / "run"))
    weights = out / "checkpoints" / "000000000240" / "G-ema.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    run = api.load(out)
    assert run.images == 640 and len(run.remarks) == 1
    assert "the best checkpoint, at 240 images, cannot be used" in run.remarks[0] and "G-ema" in run.remarks[0]
    (out / "checkpoints" / "best.json").unlink()
    assert api.load(out).images == 640 and api.load(out).remarks == []


def test_the_commands_say_which(scored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert cli.main(["sample", str(scored), "-n", "4", "--grid", "--out", str(out)]) == 0
    said = capfd.readouterr()
    assert "the best by KID 0.01 at 240 images; --which last for the newest" in said.err
    assert said.out == f"{out / 'grid.png'}\n"
    assert cli.main(["sample", str(scored), "--which", "last", "--grid", "--out", str(tmp_path / "last")]) == 0
    assert "best" not in capfd.readouterr().err
    assert (out / "grid.png").read_bytes() != (tmp_path / "last" / "grid.png").read_bytes()
    assert cli.main(["info", str(scored), "--which", "240"]) == 0
    assert "the one at 240 images" in capfd.readouterr().out
    assert cli.main(["interpolate", str(scored), "--which", "7"]) == 4
    assert "no checkpoint at 7 images" in capfd.readouterr().err


# ── what is written, and what an older run does ───────────────────────────────────────────────────────────────────


def test_the_plan_says_what_will_be_done(tmp_path: Path) -> None:
    run = planned(tmp_path / "a").document()["run"]
    assert run["rescue"] is True and run["stop"] == "budget"
    run = planned(tmp_path / "a", rescue=False, stop="auto").document()["run"]
    assert run["rescue"] is False and run["stop"] == "auto"
    with pytest.raises(UsageError, match="stop is budget or auto"):
        planned(tmp_path / "a", stop="never")


def test_resume_changes_it_from_then_on(begun: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(begun, tmp_path / "run"))
    for said, expected in (({"rescue": False, "stop": "auto"}, (False, "auto")), ({}, (False, "auto"))):
        again = session.resume(out, pace=PACE, **said)
        next(again)
        again.close()
        assert session.responses(RunDirectory(out).document()) == expected


def test_a_run_from_before_is_as_it_was(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No word about rescue: numbers that run away end it, as when it began. A word that is none is refused."""
    out = Path(shutil.copytree(begun, tmp_path / "run"))
    directory = RunDirectory(out)
    document = directory.document()
    older = {key: value for key, value in document["run"].items() if key not in ("rescue", "stop")}
    directory.write_recipe({**document, "run": older})
    assert session.responses(directory.document()) == (False, "budget")
    poison(monkeypatch, out, 400, 1)
    with pytest.raises(Diverged, match="NOT-FINITE"):
        api.finish(session.resume(out, pace=PACE))
    directory.write_recipe({**document, "run": {**older, "rescue": "sometimes"}})
    with pytest.raises(CheckpointError, match="rescue is true or false"):
        list(session.resume(out, pace=PACE))


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_was_rescued_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    poison(monkeypatch, out, 400, 1)
    begun = session.start(planned(out), pace=PACE)
    events = list(begun)
    assert events[-1] == Done(640, "budget") and begun.trouble is None
    assert [e.images for e in events if isinstance(e, Alarm) and e.code == "ROLLBACK"] == [320]
    turns = [record["images"] for record in read(out / "log.jsonl") if record["event"] == "turn"]
    assert turns == list(range(32, 641, 32))
    assert len(list((out / "samples").glob("*.png"))) == len({int(p.stem) for p in (out / "samples").glob("*.png")})
    again = session.resume(out, pace=PACE)
    said = [event.message for event in again if isinstance(event, Alarm) and event.code == "RESUME"]
    assert any("went back once, the last time from 416 to 320 images because of NOT-FINITE" in text for text in said)


def test_permanent_trouble_exits_with_6_and_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    poison(monkeypatch, out, 400, 99)
    words = ["ring", "--recipe", "gan", "--budget", "640", "--out", str(out), "--device", "cpu", "--json"]
    words += [word for key, value in NANO.items() for word in ("--set", f"{key}={value}")]
    assert cli.main(["train", *words]) == 6
    said = capfd.readouterr()
    assert "GIVEN-UP" in said.err and "the gradient of D is not finite" in said.err and "sparring doctor" in said.err
    assert "given up; the run is as it was at 320 images" in said.err
    last = json.loads(said.out.splitlines()[-1])
    assert last["event"] == "error" and last["error"]["code"] == "GIVEN-UP"
    newest = Store(out / "checkpoints").newest()
    assert newest is not None and newest.images == 320 and newest.manifest.healthy
    assert api.load(out).images == 320  # and it can be used
    with pytest.raises(Diverged, match="GIVEN-UP"):
        api.resume(out)  # three new tries later
    assert Store(out / "checkpoints").moments[-1] == 320


def test_without_rescue_the_command_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    poison(monkeypatch, out, 400, 1)
    words = ["ring", "--recipe", "gan", "--budget", "640", "--out", str(out), "--device", "cpu"]
    words += [word for key, value in NANO.items() for word in ("--set", f"{key}={value}")]
    assert cli.main(["train", *words, "--rescue", "off"]) == 6
    said = capfd.readouterr().err
    assert "[NOT-FINITE]" in said and "ROLLBACK" not in said


def test_a_run_that_ends_early_is_no_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from sparring.cli.follow import follow
    from sparring.cli.talk import Talk

    begun = session.start(planned(tmp_path / "run", stop="auto"), watch=Scoring(stop=400), pace=PACE)
    assert follow(begun, Talk(), as_json=False) == 0
    assert begun.finished == Done(400, "watch") and begun.trouble is None
    said = capfd.readouterr().err
    assert "ended early (--stop auto): no progress beyond noise" in said and "done at 400 images" in said
