"""Ctrl-C and SIGTERM in every phase: exit code 75, everything saved, and the run goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.forking import Forks

from sparring.train.checkpoint import Store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

# The command with one function made to send a signal to its own process, once or twice, when it is first called in
# the phase in question: at that very instant, so that nothing depends on how fast the machine is.
PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits that it is ignored,
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup this
import sparring.{module} as module
owner = module{owner}
inner = owner.{name}
calls = []
def wrapped(*arguments, **settings):
    calls.append(1)
    if len(calls) == {call}:
        for _ in range({times}):
            os.kill(os.getpid(), signal.{number})
    return inner(*arguments, **settings)
owner.{name} = wrapped
from sparring.cli import main
sys.exit(main(sys.argv[1:]))
"""

PHASES = {
    "scan": ("runs.plan", "", "open_data", 1),
    "plan": ("train.match", ".Match", "step", 2),
    "start": ("runs.directory", ".RunDirectory", "create", 1),
    "train": ("train.loop", ".Loop", "_add", 40),  # not `step`: the plan is timed with it
    "sample": ("train.loop", "", "sample_averaged", 2),
    "save": ("train.checkpoint", ".Store", "_publish", 1),
}
SMALL = ["--recipe", "gan", "--set", "width=8", "--set", "batch=16", "--set", "z=2"]


def run(
    forked: Forks, phase: str, number: str, out: Path, *, times: int = 1, budget: str = "1600"
) -> subprocess.CompletedProcess[str]:
    module, owner, name, call = PHASES[phase]
    code = PROGRAM.format(module=module, owner=owner, name=name, call=call, times=times, number=number)
    return forked.python("-c", code, "train", "ring", *SMALL, "--budget", budget, "--out", out, "--json")


def weights(out: Path) -> dict[str, str]:
    """Name → hash of each file of tensors in the newest checkpoint."""
    found = Store(out / "checkpoints").newest()
    assert found is not None
    return {name: entry[1] for name, entry in found.manifest.files.items() if name.endswith(".safetensors")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done = forked.python("-m", "sparring", "train", "ring", *SMALL, "--budget", "1600", "--out", out)
    assert done.returncode == 0, done.stderr
    return weights(out)


@pytest.mark.parametrize(("phase", "number"), [("scan", "SIGINT"), ("scan", "SIGTERM"), ("plan", "SIGTERM")])
def test_before_training_nothing_is_made(phase: str, number: str, tmp_path: Path, forked: Forks) -> None:
    """No run exists yet: the same command goes on, and is named."""
    out = tmp_path / "run"
    done = run(forked, phase, number, out)
    assert done.returncode == 75, done.stderr
    assert "Traceback" not in done.stderr and not out.exists()
    assert f"sparring train ring --recipe gan --out {out} --budget 1600" in done.stderr


@pytest.mark.parametrize(
    ("phase", "number"), [("start", "SIGTERM"), ("train", "SIGINT"), ("sample", "SIGHUP"), ("save", "SIGTERM")]
)
def test_a_signal_saves(phase: str, number: str, tmp_path: Path, undisturbed: dict[str, str], forked: Forks) -> None:
    out = tmp_path / "run"
    done = run(forked, phase, number, out)
    assert done.returncode == 75, done.stderr
    assert "Traceback" not in done.stderr and f"sparring resume {out}" in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["reason"] == "stopped"
    newest = Store(out / "checkpoints").newest()
    assert newest is not None and newest.images == events[-1]["images"] < 1600
    again = forked.python("-m", "sparring", "resume", out)
    assert again.returncode == 0, again.stderr
    assert weights(out) == undisturbed


@pytest.mark.parametrize(("phase", "number"), [("train", "SIGINT"), ("save", "SIGTERM")])
def test_a_second_signal_leaves_at_once(
    phase: str, number: str, tmp_path: Path, undisturbed: dict[str, str], forked: Forks
) -> None:
    """Even in the middle of a save: what was saved last is safe, and the run goes on from there (or from its start)."""
    out = tmp_path / "run"
    done = run(forked, phase, number, out, times=2)
    assert done.returncode == 75, done.stderr
    assert "Traceback" not in done.stderr and f"sparring resume {out}" in done.stderr
    assert not any('"event": "done"' in line for line in done.stdout.splitlines())
    again = forked.python("-m", "sparring", "resume", out)
    assert again.returncode == 0, again.stderr
    assert weights(out) == undisturbed
    names = {path.name for path in (out / "checkpoints").iterdir()}
    assert not any(name.startswith(".tmp") for name in names)


def test_handlers_are_given_back() -> None:
    """A session leaves the signal handlers of its program as they were."""
    from sparring.cli.stopping import interruptible
    from sparring.runs.session import polite

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    heard: list[int] = []
    with interruptible(), polite(lambda: heard.append(1)):
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [1]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
