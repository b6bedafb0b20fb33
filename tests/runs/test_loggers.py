"""Loggers hear what a run says, never go back, and never end it."""

import json
import struct
import sys
import types

import pytest
import yaml
from PIL import Image

from sparring import api
from sparring.cli import main
from sparring.errors import UsageError
from sparring.runs import loggers
from sparring.runs.directory import RunDirectory
from sparring.runs.loggers import Loggers, check, names_of
from sparring.types import Alarm, Done, Probed, Sampled, Saved, Turn

DOCUMENT = {"recipe": "dcgan", "run": {"seed": 0, "images": 640}}


@pytest.fixture
def directory(tmp_path):
    found = RunDirectory(tmp_path / "cats")
    found.samples.mkdir(parents=True)
    return found


def turn(images, **values):
    return Turn(images, images // 64, values, 100.0)


def hear(made, *events):
    return [alarm for event in events for alarm in made.hear(event)]


# ── TensorBoard ───────────────────────────────────────────────────────────────────────────────────────────────────


def records(path):
    """The events of one file: length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def seen(directory):
    """(step, tag, value) of the scalars that TensorBoard shows: a restart undoes what came at its step or after."""
    shown = []
    for path in sorted((directory.path / "tensorboard").iterdir()):
        for event in records(path):
            if event.HasField("session_log"):
                shown = [row for row in shown if row[0] < event.step]
            shown += [(event.step, v.tag, v.simple_value) for v in event.summary.value if v.HasField("simple_value")]
    return shown


def test_tensorboard_gets_numbers_pictures_and_alarms_by_images_seen(directory):
    Image.new("RGB", (20, 10), (9, 0, 0)).save(directory.samples / "000000000064.png")
    made = Loggers(["tensorboard"], directory, DOCUMENT, 0)
    events = (
        turn(64, **{"D/real": 0.5, "G/fake": 1.5}), Probed(64, {"kid": 0.25}), Sampled(64, None), Saved(64, "x", 0.1),
        Alarm(64, "PENALTY", "it is large"), Done(64, "budget"),
    )  # fmt: skip
    assert hear(made, *events) == []
    made.close()
    assert seen(directory) == [
        (64, "D/real", 0.5), (64, "G/fake", 1.5), (64, "speed/per second", 100.0), (64, "measured/kid", 0.25),
    ]  # fmt: skip
    (path,) = (directory.path / "tensorboard").iterdir()
    values = [value for event in records(path) for value in event.summary.value]
    (picture,) = [value.image for value in values if value.HasField("image")]
    assert (picture.width, picture.height) == (20, 10) and picture.encoded_image_string[:4] == b"\x89PNG"
    words = {value.tag: value.tensor.string_val[0].decode() for value in values if value.HasField("tensor")}
    assert any("it is large" in text for text in words.values()) and any("dcgan" in text for text in words.values())


def test_tensorboard_shows_each_moment_once_after_a_resume_and_a_rollback(directory):
    made = Loggers(["tensorboard"], directory, DOCUMENT, 0)
    hear(made, *(turn(k, a=float(k)) for k in (64, 128, 192)))
    made.close()
    again = Loggers(["tensorboard"], directory, DOCUMENT, 128)  # the checkpoint knows 128
    hear(again, *(turn(k, a=float(k)) for k in (192, 256)), Alarm(192, "ROLLBACK", "back"), turn(256, a=7.0))
    again.close()
    assert [(step, value) for step, tag, value in seen(directory) if tag == "a"] == [
        (64, 64.0), (128, 128.0), (192, 192.0), (256, 7.0),
    ]  # fmt: skip
    fresh = Loggers(["tensorboard"], directory, DOCUMENT, 0)  # killed before its first checkpoint: it begins again
    hear(fresh, turn(64, a=1.0))
    fresh.close()
    assert [row for row in seen(directory) if row[1] == "a"] == [(64, "a", 1.0)]


def test_nan_is_told_and_members_of_an_ensemble_are_not(directory):
    made = Loggers(["tensorboard"], directory, DOCUMENT, 0)
    assert hear(made, Turn(64, 1, {"a": float("nan"), "b": [1.0, 2.0]}, None)) == []
    made.close()
    ((step, tag, value),) = seen(directory)
    assert (step, tag) == (64, "a") and value != value


# ── Weights & Biases, by a stand-in for its client ────────────────────────────────────────────────────────────────


class StandIn(types.ModuleType):
    """Records what it is asked."""

    def __init__(self):
        super().__init__("wandb")
        self.calls = []
        self.fails = ""

    def init(self, **settings):
        self._call("init", settings)
        return self

    def Settings(self, **settings):
        return settings

    def Image(self, path, caption):
        return ("image", path, caption)

    def define_metric(self, name, step_metric=None):
        self._call("define_metric", name, step_metric)

    def log(self, values):
        self._call("log", values)

    def alert(self, title, text):
        self._call("alert", title, text)

    def finish(self):
        self._call("finish")

    def _call(self, name, *given):
        if self.fails == name:
            raise RuntimeError(f"no {name} today\nand more")
        self.calls.append((name, *given))

    def of(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def wandb(monkeypatch):
    made = StandIn()
    made.__spec__ = types.SimpleNamespace(name="wandb")
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return made


def test_wandb_is_told_by_its_own_client(directory, wandb):
    Image.new("RGB", (8, 8)).save(directory.samples / "000000000064.png")
    made = Loggers(["wandb"], directory, DOCUMENT, 0)
    lost = hear(made, turn(64, a=1.0), Probed(64, {"kid": 0.5}), Sampled(64, None),
                Alarm(64, "PENALTY", "large"), Alarm(64, "DATA-BROKEN", "a.png"))  # fmt: skip
    made.close()
    assert lost == []
    ((settings,),) = wandb.of("init")
    assert settings["project"] == "sparring" and settings["name"] == "cats" and settings["resume"] == "allow"
    assert settings["config"] == DOCUMENT and settings["dir"] == str(directory.path) and "mode" not in settings
    assert ("*", "images") in wandb.of("define_metric")
    assert [values for (values,) in wandb.of("log")][:2] == [
        {"images": 64, "a": 1.0, "speed/per second": 100.0}, {"images": 64, "measured/kid": 0.5},
    ]  # fmt: skip
    assert wandb.of("log")[2][0]["samples"][0] == "image"
    assert wandb.of("alert") == [("PENALTY", "large")] and wandb.of("finish") == [()]


def test_a_resume_goes_on_with_the_same_run_and_repeats_nothing(directory, wandb):
    made = Loggers(["wandb"], directory, DOCUMENT, 0)
    hear(made, turn(64, a=1.0), turn(128, a=2.0))  # then killed
    again = Loggers(["wandb"], directory, DOCUMENT, 64)
    hear(again, turn(128, a=2.0), turn(192, a=3.0), Alarm(128, "ROLLBACK", "b"), turn(192, a=4.0), turn(256, a=5.0))
    again.close()
    ids = [settings["id"] for (settings,) in wandb.of("init")]
    assert len(ids) == 2 and ids[0] == ids[1] == json.loads((directory.path / "wandb.json").read_text())["id"]
    steps = [values["images"] for (values,) in wandb.of("log")]
    assert steps == sorted(steps) and steps.count(128) == 1 and steps[-1] == 256


def test_a_damaged_memory_begins_a_new_run(directory, wandb):
    for text in ("{", "[1]", '{"id": 3, "images": "x"}'):
        (directory.path / "wandb.json").write_text(text)
        assert hear(Loggers(["wandb"], directory, DOCUMENT, 0), turn(64, a=1.0)) == []
    assert len(wandb.of("log")) == 3


# ── failing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_one_that_fails_is_told_of_once_and_the_others_go_on(directory, wandb, call):
    wandb.fails = call
    made = Loggers(["wandb", "tensorboard"], directory, DOCUMENT, 0)
    lost = hear(made, turn(64, a=1.0), turn(128, a=2.0), turn(192, a=3.0))
    made.close()
    expected = [] if call == "finish" else [(64, "LOG-LOST")]
    assert [(alarm.images, alarm.code) for alarm in lost] == expected
    assert all("wandb" in alarm.message and "and more" not in alarm.message for alarm in lost)
    assert [row[0] for row in seen(directory) if row[1] == "a"] == [64, 128, 192]


def test_a_full_disk_costs_the_event_file_and_not_the_run(directory, monkeypatch):
    made = Loggers(["tensorboard"], directory, DOCUMENT, 0)
    assert hear(made, turn(64, a=1.0)) == []

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboardX.record_writer.RecordWriter.flush", full)
    lost = hear(made, turn(128, a=1.0), turn(192, a=1.0))
    assert [alarm.images for alarm in lost] == [128] and "No space left" in lost[0].message
    made.close()


def test_what_is_missing_or_unknown_is_said_with_the_command_that_mends_it(monkeypatch):
    assert names_of("wandb, tensorboard,wandb") == ("wandb", "tensorboard")
    for text in ("tensorbord", "none,wandb"):
        with pytest.raises(UsageError) as error:
            names_of(text)
        assert error.value.code == "LOG-NAME" and "tensorboard" in str(error.value)
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        check(["tensorboard", "wandb"])
    assert "pip install 'sparring[tensorboard]' && pip install wandb" in str(error.value)
    check([])


# ── in a run ──────────────────────────────────────────────────────────────────────────────────────────────────────

NANO = ["width=4", "z=4", "batch=8"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(24):
        Image.new("RGB", (16, 16), (number, 90, 200 - number)).save(folder / f"{number:02d}.png")
    return folder


def logged(out):
    """What the run's own log says was paid: (images, name, value)."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(r["images"], name, value) for r in records if r["event"] == "turn" for name, value in r["values"].items()]


def test_a_run_tells_what_its_log_says_stopped_and_resumed(photos, tmp_path):
    out = tmp_path / "run"
    running = api.steps(photos, recipe="dcgan", size=16, out=out, budget="80", held_out=0, set=NANO, device="cpu",
                        log="tensorboard")  # fmt: skip
    for event in running:
        if event.images >= 40:
            running.stop()
    said = yaml.safe_load((out / "recipe.yaml").read_text())
    assert said["run"]["log"] == ["tensorboard"]
    for event in api.resume_steps(out):  # it keeps what it was told
        assert not (isinstance(event, Alarm) and event.code == "LOG-LOST")
    assert len(list((out / "tensorboard").iterdir())) == 2
    told = [row for row in seen(RunDirectory(out)) if not row[1].startswith("speed/")]
    assert [row[:2] for row in told] == [row[:2] for row in logged(out)]
    assert [row[2] for row in told] == pytest.approx([row[2] for row in logged(out)], rel=1e-6)

    for _ in api.resume_steps(out, budget="+16", log="none"):
        pass
    assert yaml.safe_load((out / "recipe.yaml").read_text())["run"]["log"] == []
    assert max(row[0] for row in seen(RunDirectory(out))) == 80 < max(row[0] for row in logged(out))


def test_what_is_missing_is_said_before_there_is_a_run(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    for name, word in (("wandb", "pip install wandb"), ("tensorbord", "LOG-NAME")):
        code = main(["train", str(photos), "--out", str(tmp_path / "none"), "--budget", "80", "--log", name])
        assert code == 2 and word in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
