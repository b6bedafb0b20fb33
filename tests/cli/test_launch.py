"""Several processes: one voice, one run, and the exit code of the command."""

import json
import os
import re
import signal
import subprocess
import sys

SMALL = ["--recipe", "gan", "--set", "width=8", "--set", "batch=16", "--processes", "2"]


def sparring(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sparring", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_two_processes_speak_as_one_and_stop_together(tmp_path):
    out = tmp_path / "run"
    child = sparring("train", "ring", "--budget", "500M", "--out", out, "--json", *SMALL)
    try:
        events = []
        for line in child.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "sampled":
                break
        child.send_signal(signal.SIGTERM)
        rest, said = child.communicate(timeout=300)
    finally:
        child.kill()
    events += [json.loads(line) for line in rest.splitlines()]
    assert child.returncode == 75, said
    assert [event["event"] for event in events].count("plan") == 1
    assert events[0]["run"]["processes"] == 2
    assert events[-1]["reason"] == "stopped"
    assert len(re.findall(r"sparring resume", said)) == 1


def test_a_mistake_keeps_its_exit_code(tmp_path):
    child = sparring("train", "ring", "--budget", "500", "--out", tmp_path / "run", "--set", "nonsense=1", *SMALL)
    try:
        _, said = child.communicate(timeout=300)
    finally:
        child.kill()
    assert child.returncode == 2, said
    assert "[CONFIG-KEY]" in said
