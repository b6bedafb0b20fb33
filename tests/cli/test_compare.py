"""``sparring compare`` as it is typed: what is shown, what is refused, what stands on stdout, the exit codes."""

import json
import signal
import subprocess

import pytest

from sparring.cli import main, parse
from sparring.errors import UsageError

SMALL = ["--set", "width=8", "--set", "batch=16", "--set", "depth=1"]


def test_the_commands_of_the_documentation_are_understood():
    command = parse(["compare", "photos/", "--recipes", "dcgan,r3gan", "--schedules", "D:1,G:1;D:2,G:1;simultaneous"])
    assert (command.recipes, command.schedules) == ("dcgan,r3gan", "D:1,G:1;D:2,G:1;simultaneous")
    assert command.settings()["budget"] is None
    assert parse(["compare", "grid", "--budget", "2m", "--seeds", "10"]).settings()["budget"].seconds == 120
    with pytest.raises(UsageError, match="BUDGET-MORE"):
        parse(["compare", "grid", "--budget", "+2m"]).settings()


def test_a_dry_run_shows_the_cells_and_makes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["compare", "ring", "--losses", "hinge,hinge+smooth", "--seeds", "2", "--dry-run", "--json", *SMALL]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "hinge+smooth  cannot be played" in said.err
    assert "for each cell, all its seeds together" in said.err
    assert [bool(cell["refused"]) for cell in json.loads(said.out)["cells"]] == [False, True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--losses", "hing"], "did you mean hinge"),
        (["--losses", "hinge+gpp"], "did you mean gp"),
        (["--schedules", "D:1;sometimes"], "no schedule"),
        (["--seeds", "0"], "1 to 1000 seeds"),
        (["--losses", "hinge+smooth"], "none of this can be played"),
        (["--set", "widht=8"], "width"),
        (["--recipes", "dcgan"], "for images"),
        (["--lossen", "hinge"], "--losses"),
        (["--jobs", "0"], "jobs"),
        (["--losses", ""], "--losses names nothing"),
        (["--schedules", ";"], "--schedules names nothing"),
        (["--set", "objective=minimax"], "--losses"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(words, said, tmp_path, capsys):
    assert main(["compare", "ring", "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_comparison_ends_with_the_table_the_artefact_and_the_page(tmp_path, capsys, quick_processes):
    out = tmp_path / "out"
    words = ["compare", "ring", "--losses", "hinge,minimax", "--seeds", "2", "--budget", "160", "--out", str(out)]
    assert main([*words, *SMALL]) == 0
    said = capsys.readouterr()
    assert "hint, not a result" in said.out
    assert str(out / "report.html") in said.out
    assert said.err.count("\nplayed ") == 2
    assert main([*words, *SMALL, "--json"]) == 0  # nothing is played again
    again = capsys.readouterr()
    assert "begun" not in again.err
    made = json.loads(again.out)
    assert made == json.loads((out / "compare.json").read_text("utf-8")) | {"page": str(out / "report.html")}
    assert [cell["state"] for cell in made["cells"]] == ["played", "played"]
    assert f"--out {out}" in made["command"]


def test_ctrl_c_keeps_what_there_is_and_names_the_same_command(tmp_path, forked):
    words = ["compare", "ring", "--losses", "hinge,minimax", "--seeds", "2", "--budget", "200k", "--jobs", "1"]
    words += [*SMALL, "--out", str(tmp_path / "out")]
    running = subprocess.Popen(
        forked.words("-m", "sparring", *words),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored, if the tests run in the background
    )
    seen = []
    for line in running.stderr:
        seen.append(line)
        if line.startswith("begun"):
            running.send_signal(signal.SIGINT)
    running.stderr.close()
    assert running.wait() == 75
    assert any("Go on with the same command" in line for line in seen)
    assert "sparring compare ring --losses hinge,minimax" in seen[-1]
    assert (tmp_path / "out" / "report.html").exists()
