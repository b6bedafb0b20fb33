"""Laws of the run's lock: one process at a time, and no lock outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparring.errors import CheckpointError, MachineError
from sparring.runs.lock import RunLock, holder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses signals")

HOLD = r"""
import os, sys, time
from sparring.runs.lock import RunLock
lock = RunLock(sys.argv[1])
if sys.argv[2] == "with a child" and os.fork() == 0:
    os.write(1, b"%d\n" % os.getpid())
    time.sleep(60)
    os._exit(0)
os.write(1, b"held\n")
time.sleep(60)
"""


def hold(run: Path, how: str = "alone") -> tuple[subprocess.Popen[str], list[str]]:
    """Another process that holds the lock; and what it said until it did."""
    source = str(Path(__file__).resolve().parents[2] / "src")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run), how],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(2 if how == "with a child" else 1)]
    return process, said


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_second_process_is_refused_by_name_and_gets_in_after_kill_9(tmp_path: Path) -> None:
    process, _ = hold(tmp_path)
    try:
        with pytest.raises(CheckpointError) as caught:
            RunLock(tmp_path)
        assert caught.value.code == "RUN-LOCKED"
        assert str(process.pid) in str(caught.value) and str(tmp_path) in str(caught.value)
        assert holder(tmp_path)["pid"] == process.pid
    finally:
        finish(process)  # SIGKILL: nothing tidies up
    with RunLock(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()
    assert holder(tmp_path) == {}


def test_a_forked_worker_does_not_keep_the_lock_of_a_killed_run(tmp_path: Path) -> None:
    process, said = hold(tmp_path, "with a child")
    worker = int(next(word for word in said if word != "held"))
    try:
        with pytest.raises(CheckpointError):
            RunLock(tmp_path)
    finally:
        finish(process)
    try:
        os.kill(worker, 0)  # the orphan is still there …
        RunLock(tmp_path).release()  # … and in nobody's way
    finally:
        os.kill(worker, signal.SIGKILL)


def test_the_same_process_cannot_take_it_twice(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        for _ in range(2):
            with pytest.raises(CheckpointError, match=str(os.getpid())):
                RunLock(tmp_path)
    lock = RunLock(tmp_path)
    lock.release()
    lock.release()
    RunLock(tmp_path).release()


def test_a_forgotten_lock_goes_with_its_owner(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    del lock
    RunLock(tmp_path).release()


def test_two_runs_do_not_disturb_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with RunLock(tmp_path / "a"), RunLock(tmp_path / "b"):
        pass


def test_rubbish_in_the_file_is_no_lock(tmp_path: Path) -> None:
    for rubbish in (b"", b"{", b"[1]", b"\xff\x00", b'{"pid": "x"}'):
        (tmp_path / "lock").write_bytes(rubbish)
        RunLock(tmp_path).release()


def test_a_directory_that_cannot_hold_a_lock_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        RunLock(tmp_path / "absent")
    assert caught.value.code == "RUN-LOCK" and "absent" in str(caught.value)


def test_of_many_at_once_exactly_one_gets_in(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), "alone"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")},
        )
        for _ in range(4)
    ]
    try:
        until = time.monotonic() + 60
        while sum(process.poll() is None for process in processes) > 1 and time.monotonic() < until:
            time.sleep(0.02)
        assert sorted(process.poll() is None for process in processes) == [False, False, False, True]
    finally:
        for process in processes:
            finish(process)
