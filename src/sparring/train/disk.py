"""Every file operation of a save, one by one, behind one small class.

What makes a save safe is the *order* of its operations and which of them were forced to the medium before the next
began (Pillai et al. 2014, "All file systems are not created equal"). So the operations stand here and nowhere else,
and each passes through `Disk.step`: a test, or the kill proof, hands in a `Disk` whose `step` fails, kills the process
or writes a protocol at the k-th operation. Nothing is global and no environment variable is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_END = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Disk:
    """File operations that are durable when they return. Errors are the system's own `OSError`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> disk = Disk()
    >>> disk.write(folder / "a", b"safe")
    >>> disk.rename(folder / "a", folder / "b")
    >>> disk.sync(folder)
    >>> disk.read(folder / "b")
    b'safe'
    """

    def __init__(self, piece: int = 1 << 24) -> None:
        """`piece`: bytes handed to the system at once; one `step` each, so that a test can stop within a file."""
        self.piece = piece

    def step(self, operation: str, path: Path, act: Callable[[], Result]) -> Result:
        """Does one operation: "make", "create", "write", "flush", "sync", "rename", "unlink", "rmdir", "read",
        "open", "append" or "cut". The seam for tests: a subclass may act before, after, or instead of `act()`.
        """
        return act()

    # ── changing things ───────────────────────────────────────────────────────────────────────────────────────────

    def make(self, folder: Path) -> None:
        """Makes `folder` and what is missing above it, each entry durable; nothing if it is there."""
        if folder.is_dir():
            return
        self.make(folder.parent)
        self.step("make", folder, lambda: folder.mkdir(exist_ok=True))
        self.sync(folder.parent)

    def write(self, path: Path, data: bytes) -> None:
        """A new file (never an existing one) holding `data`, forced to the medium; its *name* needs `sync(parent)`."""
        file = self.step("create", path, lambda: os.open(path, _NEW, 0o666))
        try:
            rest = memoryview(data)
            while len(rest):
                taken = self.step("write", path, partial(os.write, file, rest[: self.piece]))
                rest = rest[taken:]
            self.step("flush", path, lambda: _force(file))
        finally:
            os.close(file)

    def sync(self, folder: Path) -> None:
        """Forces the names in `folder` (made, renamed, removed) to the medium."""
        self.step("sync", folder, lambda: _sync_folder(folder))

    def rename(self, old: Path, new: Path) -> None:
        """One name becomes the other, at once or not at all; durable after `sync(parent)`."""
        self.step("rename", old, lambda: _patiently(lambda: os.rename(old, new)))

    def replace(self, old: Path, new: Path) -> None:
        """As `rename`, for files, where `new` may exist and is then replaced."""
        self.step("rename", old, lambda: _patiently(lambda: os.replace(old, new)))

    def remove(self, path: Path) -> None:
        """Removes a file, or a folder with all in it (links are removed, never followed); nothing if it is absent."""
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            self.step("unlink", path, lambda: path.unlink(missing_ok=True))
            return
        for name in sorted(os.listdir(path)):
            self.remove(path / name)
        self.step("rmdir", path, path.rmdir)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""
        return self.step("read", path, path.read_bytes)

    def digest(self, path: Path) -> tuple[int, str]:
        """Size in bytes and SHA-256 (hex) of a file, read in pieces."""
        return self.step("read", path, lambda: _digest(path))

    # ── a file that only grows ────────────────────────────────────────────────────────────────────────────────────

    def open(self, path: Path) -> int:
        """A file descriptor on which `append` writes at the end, whatever else happens to the file."""
        return self.step("open", path, lambda: os.open(path, _END, 0o666))

    def append(self, file: int, path: Path, data: bytes) -> int:
        """Hands `data` to the system in one write; returns how many bytes it took (fewer when the disk is full)."""
        return self.step("append", path, lambda: os.write(file, data))

    def cut(self, file: int, path: Path, size: int) -> None:
        """Shortens an open file to `size` bytes."""
        self.step("cut", path, lambda: os.ftruncate(file, size))

    def flush(self, file: int, path: Path) -> None:
        """Forces what was appended to the medium."""
        self.step("flush", path, lambda: _force(file))


def _force(file: int) -> None:
    """The data of an open file to the medium itself."""
    if sys.platform == "darwin":  # there, fsync stops at the drive's own cache
        import fcntl

        try:
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            return
        except OSError as error:  # network file systems do not know it
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
                raise
    os.fsync(file)
    if sys.platform == "linux":  # so that reading back asks the medium, not the memory we have just filled
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows has no such operation: NTFS journals names by itself
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems: nothing better exists there
            raise
    finally:
        os.close(file)


def _patiently(act: Callable[[], None]) -> None:
    """On Windows a virus scanner or an indexer may hold a fresh file for a moment: try again for about 2 s."""
    for pause in (0.01, 0.03, 0.1, 0.3, 0.5, 1.0) if os.name == "nt" else ():
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    act()


def _digest(path: Path) -> tuple[int, str]:
    size, sha = 0, hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            size += len(piece)
            sha.update(piece)
    return size, sha.hexdigest()
