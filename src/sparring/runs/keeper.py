"""Who trains a run right now, how it stands, and how to ask for a polite end: from its directory alone."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sparring.errors import MachineError, UsageError
from sparring.runs.errands import Errand, Process
from sparring.runs.lock import holder
from sparring.runs.tail import Tail

KINDS = ("training", "starting", "stopped", "finished", "failed")
_TROUBLE = re.compile(r"\[[A-Z][A-Z0-9-]+\] ")
_POLITE = (0, 75, 130)  # exit codes of who did what was asked, or was stopped
_ASLEEP = 600.0  # seconds without a line after which a run elsewhere is taken for ended
_stopping = threading.Lock()


@dataclass(frozen=True)
class State:
    """How a run stands. kind: one of `KINDS`.   why: in words; "" where there is nothing to add.   pid: of the process
    that trains it, 0 if none of this machine does.   stopping: it was asked to end, and has not yet."""

    kind: str
    why: str = ""
    pid: int = 0
    stopping: bool = False


def keeper(run: Path) -> Process | None:
    """The process of this machine that holds the lock of a run, if one does.

    Its number stands in the lock, and after a ``kill -9`` still does; so where the system tells (Linux), the process
    must have this very file open.
    """
    said = holder(run)
    found = Process.said({"pid": said.get("pid")})
    if found is None or said.get("host") != socket.gethostname():
        return None
    process = Process.of(found.pid)
    return process if process.lives and _holds(process, run / "lock") is not False else None


def _holds(process: Process, lock: Path) -> bool | None:
    """Whether a process has a file open; None where nobody says."""
    folder = Path(f"/proc/{process.pid}/fd")
    try:
        ours = lock.stat()
        names = os.listdir(folder)
    except OSError:
        return None
    for name in names:
        with suppress(OSError):  # it closes some meanwhile
            theirs = os.stat(folder / name)
            if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
                return True
    return False


def stop(run: Path) -> State:
    """Ask the process that trains a run to save and end; how it stands then. Asked again, it is left to do so: a second
    signal would end it at once. A run that nobody trains is left as it is.

    Raises `UsageError` if the process is somebody else's, `MachineError` if it does not take the signal.
    """
    with _stopping:
        errand = Errand(run)
        process = keeper(run) or errand.process
        if process is None:
            if _elsewhere(run):
                raise UsageError("STOP-ELSEWHERE", "the run is trained on another machine", where=str(run),
                                 fix=f"stop it there: {holder(run).get('host')}")  # fmt: skip
            return State("stopped")
        if Process.said(errand.record().get("stop")) == process:
            return State("training", "it was asked to end", process.pid, True)
        if _of_another(process):
            raise UsageError("STOP-OTHERS", "the process that trains this run belongs to another user",
                             where=f"process {process.pid}", fix="ask them to stop it")  # fmt: skip
        try:
            os.kill(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            return State("stopped")
        except OSError as error:
            raise MachineError("STOP", "the process could not be asked to end", where=f"process {process.pid}",
                               why=str(error)) from None  # fmt: skip
        errand.note(stop=process.record())
        return State("training", "it was asked to end", process.pid, True)


def _of_another(process: Process) -> bool:
    with suppress(OSError, AttributeError):  # AttributeError: Windows
        return os.stat(f"/proc/{process.pid}").st_uid not in (os.getuid(), os.geteuid())
    return False


def _elsewhere(run: Path) -> str:
    """The name of the other machine that trains a run, as it seems; "" if none does."""
    said = holder(run)
    host = said.get("host")
    if not isinstance(host, str) or host == socket.gethostname():
        return ""
    with suppress(OSError):
        if time.time() - (run / "log.jsonl").stat().st_mtime < _ASLEEP:
            return host
    return ""


def kept(run: Path) -> bool:
    """Whether there is a checkpoint to go on from, by its name alone."""
    with suppress(OSError), os.scandir(run / "checkpoints") as entries:
        return any(entry.name.isdecimal() and entry.is_dir() for entry in entries)
    return False


def state(run: Path, tail: Tail, planned: int) -> State:
    """How a run stands, after `tail` has caught up. planned: images that it is to see; 0: unknown."""
    errand = Errand(run)
    slip, process = errand.record(), keeper(run)
    asked = Process.said(slip.get("stop"))
    if process is not None:
        stopping = process == asked
        return State("training", "saving, then it ends" if stopping else "", process.pid, stopping)
    if (sent := errand.process) is not None:
        stopping = sent == asked
        if (run / "recipe.yaml").exists() and _newer(run / "log.jsonl", errand.slip):
            return State("training", "writing its page", sent.pid, stopping)
        return State("starting", "reading the data, timing the machine", sent.pid, stopping)
    if host := _elsewhere(run):
        return State("training", f"on {host}, as it seems")
    trouble = trouble_in(errand.said())
    late = not _newer(run / "log.jsonl", errand.slip)  # it was sent off, and nothing came of that
    if not (run / "recipe.yaml").exists():
        return State("failed", trouble) if trouble else State("stopped", "before it began")
    if trouble and late and slip.get("exit") not in _POLITE:
        return State("failed", trouble)
    return _ended(run, tail, planned, trouble)


def _ended(run: Path, tail: Tail, planned: int, trouble: str) -> State:
    """How a run stands that nobody trains."""
    if tail.latest is not None and tail.latest.code == "GIVEN-UP" and tail.latest.images >= tail.seen:
        return State("failed", f"given up: {tail.latest.message}")
    if tail.done == "data":
        return State("failed", trouble or "too much of the data could no longer be read")
    if planned and tail.seen >= planned:
        return State("finished")
    if tail.done in ("budget", "watch"):
        return State("finished", "ended early: no more progress was to be expected" * (tail.done == "watch"))
    if tail.done:
        return State("stopped")
    if holder(run):
        return State("stopped", "its process was killed; what was saved last is safe")
    return State("failed", trouble) if trouble else State("stopped")


def _newer(path: Path, other: Path) -> bool:
    """Whether a file was written after another one; also where there is no other one."""
    try:
        now = path.stat().st_mtime
    except OSError:
        return False
    with suppress(OSError):
        return now >= other.stat().st_mtime
    return True


def trouble_in(said: list[str]) -> str:
    """The error at the end of what a command has said, with why and fix, in one paragraph; "" where it named none.

    >>> trouble_in(["$ sparring train x", "[DATA-MISSING] there is no such folder: x", "  fix: check the spelling"])
    'there is no such folder: x · fix: check the spelling'
    """
    begins = max((k for k, line in enumerate(said) if line.startswith("$ sparring ")), default=0)
    found = [k for k in range(begins, len(said)) if _TROUBLE.match(said[k])]
    if not found:
        bug = [line for line in said[begins:] if line.startswith("This is a bug in sparring")]
        return bug[-1] if bug else ""
    first = found[-1]
    more = []
    for line in said[first + 1 :]:
        if not line.startswith("  "):
            break
        more.append(line.strip())
    return " · ".join([_TROUBLE.sub("", said[first], count=1), *more])
