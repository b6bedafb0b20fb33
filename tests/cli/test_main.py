"""What the command line says when something is wrong, and the exit codes."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sparring import cli
from sparring.budget import duration
from sparring.cli.command import Command
from sparring.cli.talk import Talk, plain
from sparring.errors import CheckpointError, DataError, Diverged, Interrupted, MachineError, UsageError


class Failing(Command):
    def __init__(self, error):
        self.error = error

    def run(self, talk):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("A-CODE", "what", fix="how"), 2),
        (DataError("A-CODE", "what", fix="how"), 3),
        (CheckpointError("A-CODE", "what", fix="how"), 4),
        (MachineError("A-CODE", "what", fix="how"), 5),
        (Diverged("A-CODE", "what", fix="how"), 6),
        (Interrupted("A-CODE", "what", fix="how"), 75),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(error, code, monkeypatch, capsys):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(error))
    assert cli.main(["anything"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "[A-CODE] what\n  fix: how\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "DISK"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), "DISK"),
        (MemoryError(), "MEMORY"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 4 PB"),
            "MEMORY",
        ),
    ],
)
def test_what_the_machine_refuses_is_explained(error, code, monkeypatch, capsys):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(error))
    assert cli.main(["anything"]) == 5
    assert f"[{code}]" in capsys.readouterr().err


def test_a_bug_is_one_sentence_and_a_file_with_the_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(ZeroDivisionError("division by zero")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["train", "a b"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    path = Path(re.search(r"the details are in (\S+)", said)[1])
    text = path.read_text()
    assert "ZeroDivisionError: division by zero" in text
    assert "Traceback" in text
    assert "sparring train 'a b'" in text


def test_ctrl_c_outside_of_training_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(KeyboardInterrupt()))
    assert cli.main(["sample"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "photos", "--recpie", "dcgan"], "--recipe"),
        (["train", "photos", "--buget=3m"], "--budget"),
        (["sample", "runs/x", "--trunc", "1"], "--truncation"),
    ],
)
def test_an_unknown_flag_names_the_nearest_one(arguments, word, capsys):
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and re.search(rf"^\[FLAG\].*\n  fix: did you mean {word}", said.err, re.M)


def test_an_unknown_command_names_the_nearest_one(capsys):
    assert cli.main(["trian", "photos"]) == 2
    assert "`sparring train`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "no/such/place"], 3),
        (["train", "ring", "--budget", "20q"], 2),
        (["train", "ring", "--size", "64y"], 2),
        (["train", "ring", "--set", "no_such_setting=1", "--budget", "100"], 2),
        (["train", "ring", "--set", "batch=16.5", "--budget", "100"], 2),
        (["train", "ring", "--set", "batch=0", "--budget", "100"], 2),
        (["train", "ring", "--set", "lr=nan", "--budget", "100"], 2),
        (["train", "ring", "--recipe", "dcgn", "--budget", "100"], 2),
        (["train", "ring", "--seed", "-1", "--budget", "100"], 2),
        (["train", "ring", "--seed", str(2**63), "--budget", "100"], 2),
        (["train", "ring", "--held-out", "1.5", "--budget", "100"], 2),
        (["train", "ring", "--device", "abacus", "--budget", "100"], 2),
        (["train", "ring", "--budget", "+100"], 2),
        (["train", "ring", "--processes", "0"], 2),
        (["recipes", "r3gam"], 2),
        (["resume", "no/such/run"], 4),
        (["sample", "no/such/run"], 4),
        (["interpolate", "no/such/run"], 4),
        (["info", "no/such/run"], 4),
    ],
)
def test_a_users_mistake_is_explained_and_changes_nothing(arguments, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == code
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith(("  fix", "  why", "["))
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_talk_survives_a_reader_that_leaves():
    code = (
        "from sparring.cli.talk import Talk\nt = Talk()\nfor k in range(100000): t.data('x' * 100)\nt.say('still here')"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.stdout.readline()
    started.stdout.close()
    with started.stderr:
        assert started.stderr.read() == b"still here\n"
    assert started.wait() == 0


def test_a_terminal_that_knows_no_symbols_is_no_error():
    ended = subprocess.run(
        [sys.executable, "-m", "sparring", "train", "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert ended.returncode == 0, ended.stderr
    said = subprocess.run(
        [sys.executable, "-m", "sparring", "train", "ring", "--budget", "γ"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert said.returncode == 2, said.stderr
    assert b"[BUDGET-FORM]" in said.stderr


def test_records_are_json_whatever_is_in_them(capsys):
    Talk().record({"a": float("nan"), "b": [float("inf"), 1], "path": Path("x"), "c": {"d": None}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1], "path": "x", "c": {"d": None}}
    assert plain(True) is True


def test_of_several_processes_only_rank_0_talks_but_each_names_its_error(monkeypatch, capsys):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(DataError("A-CODE", "what")))
    monkeypatch.setitem(os.environ, "RANK", "1")
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    assert cli.main(["train", "x"]) == 3
    assert capsys.readouterr().err == "rank 1: [A-CODE] what\n"


def test_durations():
    assert [duration(s) for s in (0, 59.6, 3599, 86399)] == ["0s", "1m00s", "59m59s", "23h59m"]


def test_json_keeps_the_very_names_of_files(capsys):
    names = ["é\u202e😀.png", os.fsdecode(b"bytes\xff\xfe.png"), "line\nbreak"]
    Talk().record({"names": names})
    assert json.loads(capsys.readouterr().out) == {"names": names}


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("train no/such/place --json", 3, "DATA-MISSING"),
        ("train ring --budget 20q --json", 2, "BUDGET-FORM"),
        ("train ring --json --bugdet 20m", 2, "FLAG"),
        ("resume no/such/run --json", 4, "RUN-MISSING"),
        ("pack no/such/place out --json", 3, "DATA-MISSING"),
        ("check no/such/place --json", 3, "DATA-MISSING"),
    ],
)
def test_with_json_an_error_is_the_last_line_of_stdout(line, code, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == code
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 1
    error = json.loads(lines[-1])["error"]
    assert error["code"] == word and set(error) == {"code", "what", "where", "why", "fix"}
    assert f"[{word}]" in said.err


def test_a_bug_is_an_error_in_json_too(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "parse", lambda arguments: Failing(ZeroDivisionError("division by zero")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["train", "x", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "BUG"
