"""Commands that a page sends off: processes of their own, which outlive whoever began them.

Nothing is remembered but on disk. What was sent off leaves a slip beside its goal, ``.sent/NAME.json`` (what, which
process, when), and what the process says goes to ``.sent/NAME.log``. A process is known by its number and its birth, so
that a number that was given to another one meanwhile is not taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import MachineError
from sparring.runs.directory import write_atomically
from sparring.runs.lock import alive

FOLDER = ".sent"
_LARGEST = 1 << 16  # bytes of a slip, and of what is read of a log's end
_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_sending = threading.Lock()


@dataclass(frozen=True)
class Process:
    """A process of this machine. born: in ticks of its system; 0 where that cannot be known."""

    pid: int
    born: int = 0

    @property
    def lives(self) -> bool:
        """Whether it does something: not if it has ended and waits to be noticed."""
        state, born = _stat(self.pid)
        if state:
            return state not in "ZX" and self.born in (0, born)
        if Path("/proc/self/stat").exists():
            return False
        return sys.platform == "win32" or alive(self.pid)  # there to ask would end it

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, _stat(pid)[1])

    @classmethod
    def said(cls, record: Any) -> Process | None:
        """What a slip says of a process."""
        if not isinstance(record, dict):
            return None
        pid, born = record.get("pid"), record.get("born", 0)
        fine = isinstance(pid, int) and isinstance(born, int) and not isinstance(pid, bool) and 1 < pid < 1 << 31
        return cls(pid, born) if fine else None  # type: ignore[arg-type]

    def record(self) -> dict[str, int]:
        return {"pid": self.pid, "born": self.born}


def _stat(pid: int) -> tuple[str, int]:
    """(state, birth) of a process as Linux has them; ("", 0) elsewhere, or if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        words = text[text.rindex(")") + 2 :].split()
        return words[0], int(words[19])
    except (OSError, ValueError, IndexError):
        return "", 0


class Errand:
    """What was sent off for the directory `goal` (which need not exist yet)."""

    def __init__(self, goal: Path) -> None:
        self.goal = goal
        self.folder = goal.parent / FOLDER
        self.slip, self.log = self.folder / f"{goal.name}.json", self.folder / f"{goal.name}.log"

    def record(self) -> dict[str, Any]:
        """What its slip says; nothing where there is none, or none that can be read."""
        try:
            found = json.loads(_read(self.slip, _LARGEST))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def process(self) -> Process | None:
        """The process, if it still does something."""
        found = Process.said(self.record().get("process"))
        return found if found is not None and found.lives else None

    def send(self, words: Sequence[str], key: str = "") -> bool:
        """Begin ``sparring *words`` in a process of its own; False if one is under way for this goal already, or the
        last one was sent with the same key: then nothing is begun.

        key: made anew by a page for every wish, so that a wish that arrives twice is one.   Raises `MachineError`.
        """
        with _sending:
            said = self.record()
            if self.process is not None or (key and said.get("key") == key):
                return False
            command = [sys.executable, "-P", "-m", "sparring", *words]  # -P: nothing is imported from where we stand
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                child = self._spawn(command)
            except OSError as error:
                raise MachineError(
                    "ERRAND", "the process could not be begun", where=str(self.goal), why=str(error),
                    fix="look whether there is space, and whether the folder may be written",
                ) from None  # fmt: skip
            self._write(
                {
                    "words": list(words), "key": key, "process": Process.of(child.pid).record(),
                    "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                }
            )  # fmt: skip
        # so that it is no zombie once it has ended; if we end first, the system takes care of it
        threading.Thread(target=self._notice, args=(child, key), daemon=True, name="errand").start()
        return True

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK
        log = os.open(self.log, flags, 0o600)
        try:
            os.write(log, f"\n$ sparring {' '.join(command[4:])}\n".encode("utf-8", "backslashreplace"))
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "dumb"},
            )  # fmt: skip
        finally:
            os.close(log)

    def _notice(self, child: subprocess.Popen[bytes], key: str) -> None:
        code = child.wait()
        with contextlib.suppress(OSError), _sending:
            said = self.record()
            process = Process.said(said.get("process"))
            if process is not None and process.pid == child.pid and said.get("key") == key:
                self._write({**said, "exit": code})

    def note(self, **more: Any) -> None:
        """Add to the slip."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write({**self.record(), **more})

    def _write(self, said: dict[str, Any]) -> None:
        write_atomically(self.slip, json.dumps(said) + "\n")

    def said(self, most: int = 200) -> list[str]:
        """The last lines that its process has said, as plain text."""
        try:
            return lines(_read(self.log, _LARGEST, end=True), most)
        except OSError:
            return []

    def forget(self) -> None:
        """Remove the slip and the log of what is over."""
        if self.process is None:
            for path in (self.slip, self.log):
                with contextlib.suppress(OSError):
                    path.unlink()


def _read(path: Path, most: int, *, end: bool = False) -> bytes:
    """At most `most` bytes of a plain file, from its beginning or its end; no link is followed."""
    with open(os.open(path, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if end:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)


def lines(data: bytes, most: int) -> list[str]:
    """The last lines of what a program has written, without colours, control characters and what was overwritten.

    >>> lines(b"\\x1b[31mred\\x1b[0m\\n10 %\\r20 %\\r\\nnext", 2)
    ['20 %', 'next']
    """
    text = data.decode("utf-8", "replace").split("\n")
    found = [plain(line.rstrip("\r").rpartition("\r")[2])[:2000].rstrip() for line in text]
    return [line for line in found if line][-most:]


def plain(text: str) -> str:
    """A text without colours, control characters, and marks that turn the direction of writing around."""
    return _CONTROL.sub("", _ANSI.sub("", text))
