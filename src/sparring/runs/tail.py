"""A log as it grows: read on from where one was, averaged down so that any length fits into memory.

Lines that are none of ours are counted, not believed. A log that was cut back (by a resume) or exchanged is read anew.
"""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_POINTS = 150
"""Points of a curve: at twice as many, neighbours are averaged, which also calms the noise of small batches."""
MOST_ALARMS = 100
MOST_BACK = 20
"""Stretches that the run went back over, that are kept."""
_BLOCK = 1 << 22  # bytes that are read at once; a longer line is none of ours
_SEAM = 64  # bytes before the place where one goes on, by which a log that was exchanged is known
_TURN = b'"event":"turn"'

Row = tuple[int, dict[str, tuple[float, int]]]
"""Images seen; by name, the sum and the count of what was said up to there."""


@dataclass(frozen=True)
class Curves:
    """Lines over images: by name, one value (or None) for each entry of `images`."""

    images: list[int] = field(default_factory=list)
    lines: dict[str, list[float | None]] = field(default_factory=dict)

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        """The same as (images, values), what is missing left out."""
        return [
            (images, {name: value for name, line in self.lines.items() if (value := line[k]) is not None})
            for k, images in enumerate(self.images)
        ]


@dataclass(frozen=True)
class Told:
    """An alarm of the log."""

    images: int
    code: str
    message: str


@dataclass(frozen=True)
class Back:
    """The run went back from image `since` to image `to`."""

    since: int
    to: int
    message: str


class Averaged:
    """Rows as they come. When there are twice too many, neighbours are averaged."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._group, self._waiting = 1, 0

    def add(self, images: int, values: Mapping[str, float]) -> None:
        if self._waiting == 0:
            self.rows.append((images, {}))
        sums = self.rows[-1][1]
        for name, value in values.items():
            if math.isfinite(value):
                total, count = sums.get(name, (0.0, 0))
                sums[name] = (total + value, count + 1)
        self.rows[-1] = (images, sums)
        self._waiting = (self._waiting + 1) % self._group
        if len(self.rows) >= 2 * MOST_POINTS and self._waiting == 0:
            self.rows = [_joined(self.rows[i], self.rows[i + 1]) for i in range(0, len(self.rows) - 1, 2)]
            self._group *= 2

    def back(self, images: int) -> list[Row]:
        """Forget what came after `images`; that."""
        undone = [row for row in self.rows if row[0] > images]
        self.rows = [row for row in self.rows if row[0] <= images]
        self._waiting = 0
        return undone

    def curves(self) -> Curves:
        return _curves(self.rows)


def _joined(a: Row, b: Row) -> Row:
    sums = dict(a[1])
    for name, (total, count) in b[1].items():
        before = sums.get(name, (0.0, 0))
        sums[name] = (before[0] + total, before[1] + count)
    return b[0], sums


def _curves(rows: list[Row]) -> Curves:
    names = dict.fromkeys(name for _, sums in rows for name in sums)
    lines: dict[str, list[float | None]] = {
        name: [sums[name][0] / sums[name][1] if name in sums else None for _, sums in rows] for name in names
    }
    return Curves([images for images, _ in rows], lines)


class Tail:
    """What a log says so far; `catch_up` reads what is new.

    most: bytes of turns that are read at a time, about; of more every second, third … turn is. 0: all of them.

    >>> import tempfile
    >>> log = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> said = log.write_text('{"event":"turn","images":64,"values":{"D/real":0.5}}\\n{"event":"tu')
    >>> tail = Tail(log)
    >>> tail.catch_up(), tail.seen, tail.turns.curves().lines
    (True, 64, {'D/real': [0.5]})
    """

    def __init__(self, path: Path, most: int = 0) -> None:
        self.path, self.most = path, most
        self._begin()

    def _begin(self) -> None:
        self.turns, self.probes = Averaged(), Averaged()
        self.undone: list[tuple[Curves, Curves]] = []
        """Turns and probes of stretches that the run went back over."""
        self.backs: list[Back] = []
        self.alarms: list[Told] = []
        """The first hundred."""
        self.latest: Told | None = None
        """The last alarm."""
        self.turn: dict[str, float] = {}
        """What the last turn said."""
        self.rates: list[float] = []
        self.recent: deque[float] = deque(maxlen=32)
        """Images per second, of the last turns."""
        self.done = ""
        """Why the run ended, if nothing came after that."""
        self.strange = 0
        """Lines that could not be read."""
        self.missing = ""
        """Why there is no log, in words."""
        self.seen = 0
        self._last = self._reached = 0  # images of the last line, and of the last alarm, which may be further
        self._place, self._file, self._seam = 0, 0, b""
        self._skipping = False  # in a line that is too long

    @property
    def rate(self) -> float | None:
        """Images per second, the median over the log."""
        return sorted(self.rates)[len(self.rates) // 2] if self.rates else None

    @property
    def troubles(self) -> list[str]:
        """What could not be read, in words."""
        strange = [f"{self.strange} of the lines in {self.path.name} could not be read"] * bool(self.strange)
        return [self.missing] * bool(self.missing) + strange

    def catch_up(self) -> bool:
        """Read on; whether there was anything new."""
        try:
            with self.path.open("rb") as file:
                info = os.fstat(file.fileno())
                if self._place and not self._goes_on(file, info):
                    self._begin()
                before = self._place
                self._file = info.st_ino
                stride = 1 + (info.st_size - before) // self.most if self.most else 1
                for record, images in self._records(file, stride):
                    self._hear(record, images)
                self.missing = ""
        except FileNotFoundError:
            new = bool(self._place)
            self._begin()
            self.missing = f"{self.path.name} is missing: nothing has been logged yet"
            return new
        except OSError as error:
            self.missing = f"{self.path.name} could not be read: {error}"
            return False
        return self._place != before

    def _goes_on(self, file: Any, info: os.stat_result) -> bool:
        """Whether this is the log that was read, with nothing of it taken back."""
        if info.st_ino != self._file or info.st_size < self._place:
            return False
        file.seek(self._place - len(self._seam))
        return file.read(len(self._seam)) == self._seam

    def _records(self, file: Any, stride: int) -> Iterator[tuple[dict[str, Any], int]]:
        """(record, images) of every new whole line that is one of ours."""
        for line in self._lines(file, stride):
            try:
                record = json.loads(line.decode("utf-8", "replace"))
                kind = record.get("event")
                if kind == "alarm":
                    record["message"] = str(record["message"])
                elif kind in ("turn", "probed"):
                    record["values"] = {str(k): float(v) for k, v in record["values"].items() if v is not None}
                    record["rate"] = float(record["rate"]) if record.get("rate") is not None else None
                elif kind != "done":
                    continue
                images = int(record["images"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                self.strange += not line.isspace()
                continue
            yield record, images

    def _lines(self, file: Any, stride: int) -> Iterator[bytes]:
        """The whole lines from where we were; half a line is being written, or was torn: it waits. Of turns one in
        `stride`, and all of the last block."""
        turns = 0
        file.seek(self._place)
        while block := file.read(_BLOCK):
            end = block.rfind(b"\n") + 1
            if not end:
                if len(block) < _BLOCK:
                    break
                self.strange += not self._skipping
                self._skipping, end = True, len(block)
            lines = block[:end].split(b"\n")
            if self._skipping:
                self._skipping = len(lines) == 1
                lines = lines[1:]
            for line in lines:
                if stride > 1 and len(block) == _BLOCK and _TURN in line:
                    turns += 1
                    if turns % stride:
                        continue
                if line:
                    yield line
            self._place += end
            self._seam = block[max(0, end - _SEAM) : end]
            file.seek(self._place)

    def _hear(self, record: dict[str, Any], images: int) -> None:
        """Take a line in. Where the run went back, what it had said of later images is undone."""
        kind = record["event"]
        if kind == "done":
            self.done = str(record.get("reason", ""))
            return
        alarm = kind == "alarm"
        if record.get("code") == "ROLLBACK" if alarm else images < self._last:
            self._undo(Back(max(self._last, self._reached, images), images, record.get("message", "")))
            self._last = self._reached = images
        if alarm:
            self._reached = images
            self.latest = Told(images, str(record.get("code", "")), record["message"])
            if len(self.alarms) < MOST_ALARMS:
                self.alarms.append(self.latest)
            return
        self._last = self.seen = images
        (self.turns if kind == "turn" else self.probes).add(images, record["values"])
        if kind == "turn":
            self.turn, self.done = record["values"], ""  # it goes on
        if record["rate"] is not None:
            self.recent.append(record["rate"])
            if len(self.rates) < 10_000:
                self.rates.append(record["rate"])

    def _undo(self, back: Back) -> None:
        pieces = _curves(self.turns.back(back.to)), _curves(self.probes.back(back.to))
        self.backs = [*self.backs, back][-MOST_BACK:]
        self.undone = [*self.undone, pieces][-MOST_BACK:]
