"""Disks that fail, die or kill their process at a chosen operation; for the tests and for the kill proof."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sparring.train.disk import Disk

Result = TypeVar("Result")
NEEDS_SPACE = ("make", "create", "write", "flush", "append")
"""Operations that a full disk refuses; removing, renaming, shortening and reading still work."""


class Watched(Disk):
    """Counts operations. quick: nothing is forced to the medium (a kill of the process loses nothing by that, only a
    power cut would), so that thousands of saves are cheap.
    """

    def __init__(self, *, quick: bool = True, piece: int = 1 << 24) -> None:
        super().__init__(piece)
        self.quick = quick
        self.operations: list[tuple[str, Path]] = []

    def step(self, operation: str, path: Path, act: Callable[[], Result]) -> Result:
        k = len(self.operations)
        self.operations.append((operation, path))
        self.before(k, operation)
        try:
            return act() if not (self.quick and operation in ("flush", "sync")) else None  # type: ignore[return-value]
        finally:
            self.after(k, operation)

    def before(self, k: int, operation: str) -> None:
        """Called before operation number k."""

    def after(self, k: int, operation: str) -> None:
        """Called after operation number k."""


class Failing(Watched):
    """Operation `at` fails with `error`; lasting: every later one that needs space too, until `mended`."""

    def __init__(self, at: int, *, error: int = errno.ENOSPC, lasting: bool = False, piece: int = 1 << 24) -> None:
        super().__init__(piece=piece)
        self.at, self.error, self.lasting, self.mended = at, error, lasting, False

    def before(self, k: int, operation: str) -> None:
        if not self.mended and (k == self.at or (self.lasting and k > self.at and operation in NEEDS_SPACE)):
            raise OSError(self.error, os.strerror(self.error))


class Death(BaseException):
    """What a process that was killed does next: nothing."""


class Dying(Watched):
    """As if the process were killed before operation `at`: that one and all later ones do nothing."""

    def __init__(self, at: int, *, piece: int = 1 << 24) -> None:
        super().__init__(piece=piece)
        self.at = at

    def before(self, k: int, operation: str) -> None:
        if k >= self.at:
            raise Death


class Killing(Watched):
    """Kills this very process with SIGKILL before operation number `before_k`, or after operation number `after_k`."""

    def __init__(
        self, before_k: int | None = None, after_k: int | None = None, *, quick: bool = True, piece: int = 1 << 24
    ) -> None:
        super().__init__(quick=quick, piece=piece)
        self.before_k, self.after_k = before_k, after_k

    def before(self, k: int, operation: str) -> None:
        if k == self.before_k:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, k: int, operation: str) -> None:
        if k == self.after_k:
            os.kill(os.getpid(), signal.SIGKILL)
