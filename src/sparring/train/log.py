"""What happened, one JSON object per line, each step exactly once even after kills and resumes.

A checkpoint remembers `position()`, and a resume cuts the log there, so what was done after the checkpoint, and is now
done again, does not stand in the log twice. A full disk never stops a run for the sake of its log.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparring.train.disk import Disk


class Log:
    """An append-only file of JSON lines; each line is one write, so that a kill leaves at most one half line, the last.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> with Log(path) as log:
    ...     log.append({"images": 64})
    ...     here = log.position()
    ...     log.append({"images": 128})
    ...     log.truncate(here)
    >>> list(read(path))
    [{'images': 64}]
    """

    def __init__(self, path: Path | str, disk: Disk | None = None) -> None:
        self.path, self.disk = Path(path), Disk() if disk is None else disk
        self.lost = 0
        """Records that could not be written, in all."""
        self._failing = False
        self._file = self.disk.open(self.path)
        self._size = os.fstat(self._file).st_size
        self._torn = self._size > 0 and self.disk.read(self.path)[-1:] != b"\n"

    def append(self, record: Mapping[str, Any]) -> str | None:
        """Writes one line. On a full or failing disk the record is lost and counted, and the *first* time a sentence
        that says so is returned (again only after a write has succeeded in between); otherwise None.
        """
        line = json.dumps(_plain(record), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        line = b"\n" + line if self._torn else line  # a half line that could not be cut off stands alone
        taken = 0
        try:
            taken = self.disk.append(self._file, self.path, line)
            if taken != len(line):
                raise OSError(f"only {taken} of {len(line)} bytes were taken")
        except OSError as error:
            self.lost += 1
            try:
                self.disk.cut(self._file, self.path, self._size)  # making a file shorter needs no space
            except OSError:
                self._size, self._torn = self._size + taken, self._torn or taken > 0
            first, self._failing = not self._failing, True
            return f"{self.path} cannot be written ({error.strerror or error}); the run goes on" if first else None
        self._size += len(line)
        self._torn = self._failing = False
        return None

    def position(self) -> int:
        """Bytes written so far, after forcing them to the medium: what a checkpoint remembers and `truncate` takes."""
        self.sync()
        return self._size

    def truncate(self, position: int) -> None:
        """Forgets every line after `position`. A file that is shorter (it was not forced to the medium before the
        power went) keeps its whole lines. Raises OSError.
        """
        data = self.disk.read(self.path)[:position]
        end = position if len(data) == position else data.rfind(b"\n") + 1
        self.disk.cut(self._file, self.path, end)
        self._size = end
        self._torn = end > 0 and data[end - 1 : end] != b"\n"

    def sync(self) -> str | None:
        """Forces the lines to the medium; a sentence if the disk refuses, else None."""
        try:
            self.disk.flush(self._file, self.path)
        except OSError as error:
            first, self._failing = not self._failing, True
            return f"{self.path} cannot be written ({error.strerror or error}); the run goes on" if first else None
        return None

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path | str, *, undone: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a log, oldest first. Half a line (of a run that was killed, or is writing now) is passed over.

    A run that went back (`train.rescue`) has written "ROLLBACK" where it did, and goes on below it: what it had said of
    later images is left out, so that each moment stands here once and images never decrease. Alarms stay: they
    happened. undone: every line.
    """
    back = [] if undone else _turning_points(path)  # (line, images) of each, the last first
    for number, record in _records(path):
        while back and back[-1][0] <= number:
            back.pop()
        if back and record.get("event") != "alarm":
            images = record.get("images")
            if isinstance(images, (int, float)) and images > min(to for _, to in back):
                continue
        yield record


def _turning_points(path: Path | str) -> list[tuple[int, float]]:
    """(number of the line, images to which the run went back) of each time that it did, the last first."""
    found = []
    for number, record in _records(path, only=b"ROLLBACK"):
        images = record.get("images")
        if record.get("code") == "ROLLBACK" and record.get("event") == "alarm" and isinstance(images, (int, float)):
            found.append((number, float(images)))
    return found[::-1]


def _records(path: Path | str, only: bytes = b"") -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the line, record) of every whole line that holds a record. only: and these bytes."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                return
            if only not in line:
                continue
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield number, record


def _plain(value: Any) -> Any:
    """`value` without NaN and infinities, which JSON does not have: they become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
