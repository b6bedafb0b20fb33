"""The main road, end to end: train, stop, resume, sample, walk, look."""

import json
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
from PIL import Image
from tests.train.arena import EVERY, match_of

from sparring.cli import main
from sparring.cli.follow import following
from sparring.health.verdict import Verdict

SMALL = ["--set", "width=8", "--set", "batch=16"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "ring", "--recipe", "gan", "--budget", "640", "--out", str(folder / "ring"), *SMALL]) == 0
    return folder / "ring"


def test_a_run_explains_itself(run):
    for name in ("recipe.yaml", "data.json", "log.jsonl", "report.html", "samples", "checkpoints"):
        assert (run / name).exists(), name
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    turn, probed = ([line for line in lines if line["event"] == kind][-1] for kind in ("turn", "probed"))
    assert turn["images"] == probed["images"] == 640
    assert {"D/real", "D/fake", "G/fake", "D/D(x)", "D/D(G(z))", "D/true_positive", "D/true_negative"} <= set(
        turn["values"]
    )
    assert set(probed["values"]) == {"modes", "high_quality", "reverse_kl", "smallest_share"}


def test_the_end_says_where_everything_is_and_what_to_type_next(tmp_path, capsys):
    out = tmp_path / "a run"
    assert main(["train", "ring", "--recipe", "gan", "--budget", "320", "--out", str(out), *SMALL]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "done at 320 images" in said.err
    assert str(out / "report.html") in said.err
    assert f"sparring sample '{out}' -n 64 --grid" in said.err
    assert "\x1b" not in said.err  # plain when not a terminal


@pytest.mark.parametrize(("name", "offered"), [
    ("vae", {"interpolate", "reconstruct", "evaluate"}), ("pixelcnn", {"evaluate"}), ("gan", {"interpolate"}),
    ("vae-points", {"interpolate", "evaluate"}),
])  # fmt: skip
def test_what_to_type_next_fits_the_game(name, offered, tmp_path):
    recipe, shape, _ = EVERY[name]
    game = match_of(name).game
    said = following(tmp_path, False, game, "images" if len(shape) == 3 else "points")
    found = {line.split()[1] for line in said if line.startswith("  sparring")}
    assert found == offered | {"sample", "resume"}
    assert (f"  sparring evaluate {tmp_path} --metrics nll" in said) == ("evaluate" in offered)


def test_json_gives_the_plan_and_the_events_on_stdout(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "ring", "--recipe", "gan", "--budget", "320", "--out", str(out), "--json", *SMALL]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "plan"
    assert kinds[-1] == "done"
    assert {"turn", "sampled", "saved"} <= set(kinds)
    assert events[0]["images"] == 320
    assert events[-1]["images"] == 320


def test_a_dry_run_shows_the_plan_and_makes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ring", "--dry-run", "--budget", "1000"]) == 0
    said = capsys.readouterr().err
    for word in ("ring", "recipe", "training", "time", "runs/ring"):
        assert word in said
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_a_run_is_never_trained_into(run, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(["train", "ring", "--recipe", "gan", "--budget", "320", "--out", str(run), *SMALL]) == 2
    assert "sparring resume" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_samples_and_a_walk(run, tmp_path, capsys):
    assert main(["sample", str(run), "-n", "30", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "points.csv")]
    assert main(["sample", str(run), "-n", "30", "--grid", "--seed", "3"]) == 0
    with Image.open(capsys.readouterr().out.strip()) as cloud:
        assert cloud.size == (480, 480)
    assert main(["interpolate", str(run), "--frames", "5"]) == 0
    with Image.open(run / "walk.gif") as walk:
        assert walk.n_frames == 5
    assert "A walk" in (run / "report.html").read_text()
    assert main(["interpolate", str(run), "--frames", "5", "--out", str(tmp_path / "walk.mp4")]) == 2
    assert main(["sample", str(run), "-n", "0"]) == 2
    assert main(["sample", str(run), "--truncation", "nan"]) == 2


def test_info_says_what_a_run_is(run, capsys):
    assert main(["info", str(run)]) == 0
    said = capsys.readouterr().out
    for word in ("gan", "ring", "640"):
        assert word in said


def test_recipes_are_listed_with_every_setting(capsys):
    assert main(["recipes"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"gan", "dcgan", "r3gan"} <= set(names)
    for name in names:
        assert main(["recipes", name]) == 0
        text = capsys.readouterr().out
        assert "batch = " in text
        assert "lr = " in text
        settings = [line for line in text.splitlines() if not line.startswith(" ")]
        assert len(settings) == len(set(settings))


def test_resume_goes_on_and_adds(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "ring", "--recipe", "gan", "--budget", "320", "--out", str(out), *SMALL]) == 0
    assert main(["resume", str(out), "--budget", "+160"]) == 0
    assert "done at 480 images" in capsys.readouterr().err
    assert main(["resume", str(out)]) == 0  # nothing is left to do
    assert main(["resume", str(out), "--budget", "160"]) == 2  # less than it has seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_and_names_the_command_that_resumes(tmp_path, number, forked):
    out = tmp_path / "run"
    words = ["-m", "sparring", "train", "ring", "--recipe", "gan", "--budget", "500M", "--out", out, "--json", *SMALL]
    child = subprocess.Popen(
        forked.words(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored, if the tests run in the background
    )  # fmt: skip
    try:
        for line in child.stdout:  # until it trains: events come once the run directory is there
            if json.loads(line)["event"] == "sampled":
                break
        time.sleep(0.3)
        child.send_signal(number)
        out_rest, said = child.communicate(timeout=300)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 75, said
    assert f"sparring resume {out}" in said
    last = json.loads(out_rest.splitlines()[-1])
    assert last["event"] == "done"
    assert last["reason"] == "stopped"
    checkpoints = sorted(path.name for path in (out / "checkpoints").iterdir() if path.name.isdecimal())
    assert int(checkpoints[-1]) == last["images"] > 0


def test_demo_replaces_an_earlier_demo_and_nothing_else(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert main(["demo", "--out", str(tmp_path / "mine"), "--budget", "100"]) == 2
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_what_is_wrong_is_said_before_what_to_type_next(tmp_path, capsys, monkeypatch):
    """Even of a run that was too short to be looked at; a run that is well says nothing."""
    words = ["train", "ring", "--recipe", "gan", "--budget", "320", *SMALL]
    assert main([*words, "--out", str(tmp_path / "fine")]) == 0
    assert "\n! " not in capsys.readouterr().err
    found = Verdict("GRADIENT-JUMP", "warn", 320, "likely", "a norm was 50 times its usual size", "A step too far.")
    monkeypatch.setattr("sparring.api.doctor", lambda path, look=True: SimpleNamespace(verdicts=[found]))
    assert main([*words, "--out", str(tmp_path / "ill")]) == 0
    said = capsys.readouterr().err
    assert said.index("! A norm was 50 times its usual size") < said.index("next:")
