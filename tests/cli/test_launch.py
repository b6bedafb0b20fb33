"""Several processes: one voice, one run, and the exit code of the command."""

import json
import re
import signal
import subprocess
import sys

SMALL = ["--recipe", "gan", "--set", "width=8", "--set", "batch=16", "--processes", "2"]


def test_two_processes_speak_as_one_and_stop_together(tmp_path):
    out = tmp_path / "run"
    words = ["train", "ring", "--budget", "500M", "--out", str(out), "--json", *SMALL]
    child = subprocess.Popen(
        [sys.executable, "-m", "sparring", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
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


def test_a_mistake_keeps_its_exit_code(tmp_path, forked):
    words = ["train", "ring", "--budget", "500", "--out", tmp_path / "run", "--set", "nonsense=1", *SMALL]
    ended = forked.python("-m", "sparring", *words)
    assert ended.returncode == 2, ended.stderr
    assert "[CONFIG-KEY]" in ended.stderr
