"""What is said of runs in any state: finished, running, killed, old, damaged; and that nothing of them is touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.health import histories

import sparring
from sparring import api
from sparring.errors import CheckpointError, UsageError
from sparring.runs.doctor import Diagnosis, diagnose, heard
from sparring.runs.lock import RunLock

NANO = {"width": 8, "batch": 64, "z": 2}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on points."""
    out = tmp_path_factory.mktemp("runs") / "ring"
    api.train("ring", recipe="gan", set=NANO, budget="6400", out=out, threads=1, device="cpu")
    looked_at(out, samples=64, moments=[6400])
    return out


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished conditional run on a few images, of two classes, with probes planned small."""
    root = tmp_path_factory.mktemp("faces")
    chance = np.random.default_rng(0)
    for k in range(60):
        folder = root / "photos" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (4, 4, 3), np.uint8)).resize((24, 24)).save(folder / f"{k}.png")
    settings = {"width": 4, "d_width": 4, "batch": 8, "z": 4}
    api.train(
        root / "photos", recipe="cgan", set=settings, size=16, budget="320", out=root / "run", threads=1, device="cpu",
        held_out=0.4, labels="folders",
    )  # fmt: skip
    looked_at(root / "run", samples=16, moments=[160, 320])
    return root / "run"


def looked_at(run: Path, **probes: Any) -> None:
    """The plan of probes in a run's recipe.yaml."""
    change(run, lambda said: said["run"].update(probes={"reference": 0, **probes}))


def change(run: Path, edit: Any) -> None:
    said = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    edit(said)
    (run / "recipe.yaml").write_text(yaml.safe_dump(said), "utf-8")


@pytest.fixture
def copy(ring: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ring, tmp_path / "ring"))


def write(run: Path, probes: Any = (), turns: Any = (), alarms: Any = (), done: str = "") -> None:
    """Another log for a run, in the order of images."""
    rows = [(images, {"event": "turn", "images": images, "round": 1, "values": values}) for images, values in turns]
    rows += [(images, {"event": "probed", "images": images, "values": values}) for images, values in probes]
    rows += [(a[0], {"event": "alarm", "images": a[0], "code": a[1], "message": a[2]}) for a in alarms]
    rows.sort(key=lambda row: row[0])
    lines = [json.dumps(record) for _, record in rows]
    lines += [json.dumps({"event": "done", "images": rows[-1][0], "reason": done})] if done else []
    (run / "log.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def codes(found: Diagnosis) -> list[str]:
    return [verdict.code for verdict in found.verdicts]


def contents(run: Path) -> dict[str, str]:
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


# ── states ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_run_is_looked_at_and_left_alone(ring: Path) -> None:
    before = contents(ring)
    found = diagnose(ring)
    assert contents(ring) == before
    assert found.state == "finished, 6,400 points seen"
    assert found.verdicts and found.troubles == ()
    assert {"auc", "coverage", "diversity", "modes", "energy_distance"} <= set(found.signals)
    assert "looked at now" in found.looked and "6,400" in found.checkpoint
    json.dumps(found.record(), allow_nan=False)


def test_the_log_alone_needs_no_data(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.runs.doctor._look", lambda *_: pytest.fail("it was told not to look"))
    found = diagnose(ring, look=False)
    assert found.verdicts == () and set(found.signals) == {"modes", "high_quality", "reverse_kl", "smallest_share"}
    assert "no probes" in found.stop


def test_a_running_run_is_not_disturbed(copy: Path) -> None:
    with RunLock(copy):
        before = contents(copy)
        found = diagnose(copy)
        assert contents(copy) == before
    assert found.state.startswith(f"running (process {os.getpid()})")
    assert "sparring resume" not in found.stop


def test_a_killed_run_says_so(copy: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (copy / "lock").write_text(json.dumps({"pid": gone.pid, "host": socket.gethostname(), "since": "then"}))
    write(copy, turns=histories.healthy_turns(3_000))
    found = diagnose(copy, look=False)
    assert found.state == "stopped at 3,000 of 6,400 points (its process was killed)"


def test_a_run_without_a_checkpoint_is_judged_by_its_log(copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    found = diagnose(copy)
    assert codes(found)[0] == "MODE-COLLAPSE"
    assert any("no checkpoint" in line for line in found.troubles) and "none yet" in found.checkpoint


def test_a_run_that_has_only_begun(copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    (copy / "log.jsonl").unlink()
    found = diagnose(copy)
    assert found.verdicts == () and found.images == 0
    assert any("nothing has been logged" in line for line in found.troubles)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refused:
        diagnose(tmp_path)
    assert refused.value.code == "RUN-MISSING"


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_log_may_end_anywhere(copy: Path) -> None:
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    whole = (copy / "log.jsonl").read_bytes()
    for size in [*range(0, 400, 7), *range(400, len(whole), 5_003), len(whole)]:
        (copy / "log.jsonl").write_bytes(whole[:size])
        told = heard(copy / "log.jsonl")
        assert not told.troubles and len(told.turns) <= len(histories.healthy_turns())
    assert codes(diagnose(copy, look=False))[0] == "MODE-COLLAPSE"


def test_strange_lines_are_counted_not_believed(copy: Path) -> None:
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    strange = [
        b"\xff\xfe\n", b"[1, 2]\n", b'"event"\n', b'{"event": "turn"}\n', b"\n",
        b'{"event": "turn", "images": "x", "values": {}}\n', b'{"event": "later", "images": 5}\n',
        b'{"event": "probed", "images": 1, "values": {"auc": "high"}}\n', b'{"event": "alarm", "images": 3}\n', b"{}\n",
        b'{"event": "turn", "images": 10, "values": {"D/real": [1.0, null]}}\n',
    ]  # fmt: skip
    with (copy / "log.jsonl").open("ab") as log:
        log.writelines(strange)
    found = diagnose(copy, look=False)
    assert codes(found)[0] == "MODE-COLLAPSE"
    assert found.troubles == ("5 of the lines in log.jsonl could not be read",)


def test_numbers_that_are_none_were_written_as_null(copy: Path) -> None:
    write(copy, turns=[*histories.healthy_turns(), (200_000, {"D/gradient": None, "G/gradient": 1.0})])
    found = diagnose(copy, look=False)
    assert codes(found) == ["NOT-FINITE"] and "D/gradient" in found.verdicts[0].seen


def test_a_checkpoint_is_no_comfort_where_nothing_was_measured(copy: Path) -> None:
    """That nothing was seen says nothing of its health."""
    turns = [*histories.healthy_turns(), (200_000, {"D/gradient": None, "G/gradient": 1.0})]
    write(copy, turns=turns)
    assert "is kept" not in diagnose(copy, look=False).verdicts[0].means
    write(copy, histories.healthy_probes(), turns)
    assert "is kept" in diagnose(copy, look=False).verdicts[0].means


def test_a_damaged_checkpoint_gives_way_to_the_one_before(copy: Path) -> None:
    newest = sorted((copy / "checkpoints").glob("0*"))[-1]
    data = bytearray((newest / "G.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "G.safetensors").write_bytes(bytes(data))
    found = diagnose(copy)
    assert found.signals and newest.name.lstrip("0") not in found.looked.replace(",", "")


def test_a_recipe_that_cannot_be_read_leaves_the_log(copy: Path) -> None:
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    (copy / "recipe.yaml").write_text("recipe: [", "utf-8")
    found = diagnose(copy)
    assert codes(found)[0] == "MODE-COLLAPSE" and "cannot be read" in found.about
    assert any("recipe.yaml could not be read" in line for line in found.troubles)


def test_data_that_are_gone_leave_the_log(copy: Path) -> None:
    change(copy, lambda said: said["data"].update(source="/nowhere/at/all"))
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    found = diagnose(copy)
    assert codes(found)[0] == "MODE-COLLAPSE"
    assert any(line.startswith("no fresh look") for line in found.troubles)


def test_an_old_run_lacks_settings_and_plans(copy: Path) -> None:
    def age(said: dict[str, Any]) -> None:
        for name in ("penalty", "slope", "packing", "noise", "joined"):
            said["config"].pop(name, None)
        for name in ("preset", "rate", "why", "probes", "stop"):
            said["run"].pop(name, None)

    change(copy, age)
    (copy / "data.json").unlink()
    found = diagnose(copy)
    assert found.signals and found.verdicts and found.troubles == ()


def test_a_game_of_ones_own_is_judged_without_being_run(copy: Path) -> None:
    change(copy, lambda said: said.update(recipe="/somewhere/duel.py:Duel"))
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    found = diagnose(copy)
    assert codes(found)[0] == "MODE-COLLAPSE" and any("recipe" in line for line in found.troubles)


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_counted_for_pictures_is_no_probe(copy: Path) -> None:
    """On points, modes are counted at every picture; only looks are judged, and the log ends with a count."""
    looks = [
        (images, {**values, "spent": 0.1, "share": 0.01})
        for images, values in histories.gone(histories.healthy_probes(), 4)
    ]
    write(copy, [*looks, (160_000, {"modes": 8.0, "high_quality": 0.9})], histories.healthy_turns())
    found = diagnose(copy, look=False)
    assert codes(found)[0] == "MODE-COLLAPSE" and found.probes == len(looks)


def test_what_was_counted_for_pictures_is_not_denied(copy: Path) -> None:
    """A run too short for probes has measured something, though nothing that chooses a checkpoint."""
    (copy / "checkpoints" / "best.json").unlink(missing_ok=True)
    write(copy, [(6400, {"modes": 8.0, "high_quality": 0.9})])
    said = diagnose(copy, look=False).checkpoint
    assert "counted for its pictures" in said and "nothing was measured" not in said
    write(copy)
    assert "nothing was measured while it trained" in diagnose(copy, look=False).checkpoint


def test_a_run_that_went_back_tells_its_story(copy: Path) -> None:
    alarms = [
        (90_000, "NOT-FINITE", "the gradient of D is not finite"),
        (80_000, "ROLLBACK", "the run goes back to 80,000"),
    ]
    write(copy, histories.healthy_probes(), histories.healthy_turns(), alarms)
    found = diagnose(copy, look=False)
    assert "NOT-FINITE" not in codes(found) and len(found.story) == 2 and "goes back" in found.story[0]
    write(
        copy,
        histories.healthy_probes(),
        histories.healthy_turns(),
        [(160_000, "NOT-FINITE", "the gradient of D is not finite")],
    )
    found = diagnose(copy, look=False)
    assert codes(found)[0] == "NOT-FINITE" and "gradient of D" in found.verdicts[0].seen


def test_a_run_that_gave_up_says_why(copy: Path) -> None:
    back = [(80_000, "ROLLBACK", "the run goes back")] * 3
    end = (154_000, "GIVEN-UP", "3 new tries came to trouble as well ([MODE-COLLAPSE] few kinds are left)")
    write(copy, histories.healthy_probes(), histories.healthy_turns(), [*back, end])
    change(copy, lambda said: said["run"].update(images=200_000))
    found = diagnose(copy, look=False)
    assert codes(found) == ["MODE-COLLAPSE"] and found.verdicts[0].level == "hard"
    assert "3 times" in found.verdicts[0].seen and found.state.startswith("given up at")


def test_the_commands_name_this_run(copy: Path) -> None:
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    found = diagnose(copy, look=False)
    assert str(copy / "recipe.yaml") in found.settings and "sparring train ring" in found.settings
    write(copy, histories.healthy_probes(), histories.healthy_turns())
    change(copy, lambda said: said["run"].update(images=153_773))
    found = diagnose(copy, look=False)
    assert codes(found) == ["HEALTHY"]
    assert f"sparring resume {copy} --budget +77k" in found.stop or "too few" in found.stop


@pytest.mark.parametrize("which", ["best", "6400"])
def test_which_checkpoint(ring: Path, which: str) -> None:
    found = diagnose(ring, which=which)
    assert "6,400" in found.looked


def test_an_earlier_checkpoint_is_judged_as_things_stood_then(copy: Path) -> None:
    earlier = sorted(int(path.name) for path in (copy / "checkpoints").glob("0*"))[0]
    write(copy, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    found = diagnose(copy, which=str(earlier))
    assert f"{earlier:,}" in found.looked and found.probes == 1


@pytest.mark.parametrize("which", ["newest", "12345", "-1", ""])
def test_a_checkpoint_that_there_is_none_of(ring: Path, which: str) -> None:
    with pytest.raises(UsageError) as refused:
        diagnose(ring, which=which)
    assert refused.value.code == "RUN-WHICH" and "last" in refused.value.fix


# ── kinds of games ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_conditional_run_on_few_images(faces: Path) -> None:
    found = sparring.doctor(faces)
    assert not found.troubles, found.troubles
    assert "2 classes" in found.about and "FEW-IMAGES" in codes(found)
    few = next(verdict for verdict in found.verdicts if verdict.code == "FEW-IMAGES")
    assert "36 training images" in few.seen and "augment" in few.advice and "--freeze-d" in few.advice
    assert {"kid", "auc", "contrast", "coverage"} <= set(found.signals)


def test_a_classifier_is_told_in_its_own_words(faces: Path, tmp_path: Path) -> None:
    api.train(
        faces.parent / "photos", recipe="classifier", set={"width": 4, "batch": 8}, size=16, budget="320",
        out=tmp_path / "run", threads=1, device="cpu", held_out=0.4, labels="folders",
    )  # fmt: skip
    looked_at(tmp_path / "run", samples=16, moments=[320])
    found = diagnose(tmp_path / "run")
    assert not found.troubles, found.troubles
    assert "accuracy" in found.signals and codes(found) == ["HEALTHY"]
    assert "wrong class" in found.verdicts[0].seen and " G" not in found.verdicts[0].seen
