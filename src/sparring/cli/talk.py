"""How the command line speaks: data on stdout, talk on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.cli.bar import Bar

PATIENCE, EVERY = 10.0, 15.0
"""Seconds that a stage may take in silence where there is no terminal, and between two lines about it after that."""


class Talk:
    """Where the words go. `terminal` says whether someone watches stderr (then there is a live line)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.terminal = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._open = not quiet
        self._bar: Bar | None = None
        self._due: dict[str, float] = {}  # where nobody watches: when the next line about a stage is due

    def say(self, text: str = "") -> None:
        """Talk: one line or more on stderr. A closed stderr is no reason to stop working."""
        self.clear()
        if not self.quiet:
            try:
                print(text, file=sys.stderr, flush=True)
            except OSError:
                self.quiet = True

    def trouble(self, text: str) -> None:
        """An error: said by every process, and of several each names itself."""
        self.clear()
        who = f"rank {os.environ.get('RANK')}: " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
        with contextlib.suppress(OSError):
            print(who + text, file=sys.stderr, flush=True)

    def remark(self, lines: Iterable[str]) -> None:
        """What a person should know before using what follows."""
        for line in lines:
            self.say(f"! {line}")

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is: a bar with rate and time left where someone watches, gone when it is over; elsewhere a
        line now and then about what takes long. A stage of which there is one is something to wait for, and is said."""
        if total == 1 and done == 0:
            self.say(f"{stage} …")
            return
        if not self.terminal or not total:  # a listing: nobody knows how long it becomes
            self._tell(stage, done, total)
            return
        try:
            if self._bar is not None and self._bar.stage != stage:
                self.clear()
            if total > 1 and done < total:
                if self._bar is None:
                    from sparring.cli.bar import Bar

                    self._bar = Bar(stage, total)
                self._bar.update(done, total)
            else:
                self.clear()
        except OSError:
            self.terminal = False

    def _tell(self, stage: str, done: int, total: int) -> None:
        """A plain line about a stage that lasts, every `EVERY` seconds."""
        now = time.monotonic()
        if stage not in self._due:
            self._due[stage] = now + PATIENCE
        elif now >= self._due[stage]:
            self._due[stage] = now + EVERY
            self.say(f"{stage} {done:,} / {total:,}" if total else f"{stage} {done:,} files")

    def clear(self) -> None:
        """Take the bar off the screen, if there is one."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with contextlib.suppress(OSError):
                bar.close()

    def data(self, text: str) -> None:
        """Data: one line or more on stdout. When its reader has left (``| head``), what follows is dropped silently."""
        self.clear()
        if not self._open:
            return
        try:
            print(text, flush=True)
        except OSError as error:
            self._open = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit does not complain either
            if not isinstance(error, BrokenPipeError):
                raise

    def record(self, values: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own on stdout. What stdout cannot encode (file names may be any bytes) is
        written as \\udcXX, so that a reader gets the very name."""
        text = json.dumps(plain(values), ensure_ascii=False, allow_nan=False)
        try:
            text.encode(sys.stdout.encoding or "utf-8")
        except UnicodeEncodeError:
            text = json.dumps(plain(values), allow_nan=False)
        self.data(text)


def plain(value: Any) -> Any:
    """The value as JSON can say it: numbers that are not finite become null, paths and the like become text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
