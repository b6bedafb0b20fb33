"""One run directory is never used by two processes at once.

The lock belongs to the open file, so the system drops it when its process ends, however that ends: there is no stale
lock to clean up after a ``kill -9`` or a power cut. The file itself stays; it only says who was here last.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sparring.errors import CheckpointError, MachineError

_UNKNOWN_HERE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_FAR = 1 << 30  # Windows forbids reading what is locked: so lock a byte far behind the text


class RunLock:
    """Holds ``RUN/lock`` from construction until `release`, the end of a ``with`` block, or the end of the process.

    Raises CheckpointError, naming the process, if another one (or another lock of this one) holds it. Children that
    are forked meanwhile (data workers) do not hold it. On a file system without locks, a process of this machine that
    is still alive is respected; one on another machine cannot be seen there.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with RunLock(folder):
    ...     try:
    ...         RunLock(folder)
    ...     except CheckpointError as error:
    ...         error.code
    'RUN-LOCKED'
    >>> RunLock(folder).release()
    """

    def __init__(self, run: Path | str) -> None:
        self.path = Path(run) / "lock"
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            why = error.strerror or str(error)
            raise MachineError("RUN-LOCK", "the lock cannot be opened", where=str(self.path), why=why) from None
        try:
            if not _take(file) or self._owner_lives_where_locks_are_unknown(file):
                raise self._refusal()
            self._sign(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self._close = weakref.finalize(self, os.close, file)  # a lock that was forgotten goes with its owner
        _let_go_in_children(self)

    def release(self) -> None:
        """Lets go; harmless when done twice."""
        if self._close.alive:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)  # left in order: nobody is here
            self._close()

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _sign(self, file: int) -> None:
        """Who is here; a full disk costs the message, not the lock."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}) + "\n"
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, text.encode())

    def _owner_lives_where_locks_are_unknown(self, file: int) -> bool:
        if _supported(file):
            return False
        owner = holder(self.path.parent)
        pid = owner.get("pid")
        return isinstance(pid, int) and pid != os.getpid() and owner.get("host") == socket.gethostname() and alive(pid)

    def _refusal(self) -> CheckpointError:
        owner = holder(self.path.parent)
        who = f"process {owner['pid']} on {owner.get('host')} since {owner.get('since')}" if "pid" in owner else ""
        return CheckpointError(
            "RUN-LOCKED",
            "another process is using this run",
            where=str(self.path.parent),
            why=who or "it has not said which one",
            fix=f"wait for it, or end it with: kill {owner['pid']}" if who else "wait for it",
        )


def holder(run: Path | str) -> dict[str, Any]:
    """``{"pid": …, "host": …, "since": …}`` of the process that took the lock last and did not release it; or {}.
    After a ``kill -9`` it names a process that is gone.
    """
    try:
        found = json.loads((Path(run) / "lock").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> bool:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _supported(file: int) -> bool:
        return True

    def _let_go_in_children(lock: RunLock) -> None:
        """Nothing is forked there."""

else:
    import fcntl

    def _take(file: int) -> bool:
        """Whether the lock is ours now (or the file system knows no locks)."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _UNKNOWN_HERE:
                raise
        return True

    def _supported(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _let_go_in_children(lock: RunLock) -> None:
        """A forked child shares the open file, and would keep the lock after its parent was killed: close it there."""
        mine = weakref.ref(lock)

        def close() -> None:
            held = mine()
            if held is not None:
                held._close()

        os.register_at_fork(after_in_child=close)


def alive(pid: int) -> bool:
    """Whether a process of this machine lives. Not for Windows, where asking would end it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
