"""A folder as a source of images: every regular file below it, whatever its name."""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sparring.data.formats import HEAD, sniff
from sparring.data.sources.items import BESIDE, CLUTTER, MAX_FILE_BYTES, Item, Progress, Source, Unreadable, stamp_of

ANSWER_WITHIN = 60.0  # seconds that a file on a network may take
_SILENT = 3  # after so many files in a row without an answer, the next ones get one second each

_RETRIED = frozenset({errno.EIO, errno.ESTALE})  # a network file system that stumbles
_REMOTE = frozenset({
    "9p", "afs", "ceph", "cifs", "davfs", "fuse", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
    "virtiofs", "webdav",
})  # fmt: skip
_CLOUD = 0x1000 | 0x40000 | 0x400000  # Windows: offline, recall on open, recall on data access (OneDrive, …)
_DATALESS = 0x40000000  # macOS: SF_DATALESS

_LISTED = 1000  # files between two words about progress

T = TypeVar("T")


class FolderSource(Source):
    """Every regular file below a folder, whatever its name; links are followed, each real folder visited once.

    progress: told ("listing", files so far, 0) on the way.
    """

    def __init__(self, root: Path, progress: Progress | None = None) -> None:
        super().__init__(name=root.name or str(root), place=str(root.resolve()))
        self._root = root
        self._stamps: list[str] = []  # of the files beside the images
        self._progress = progress
        self._remote = file_system(root).partition(".")[0] in _REMOTE
        self._watch = _Watch()
        self._walk()

    @property
    def stamp(self) -> str:
        return hashlib.blake2b("\x1f".join([super().stamp, *self._stamps]).encode("utf-8", "surrogatepass"),
                               digest_size=16).hexdigest()  # fmt: skip

    def _walk(self) -> None:
        """One folder at a time, in the order of names; of each only the names are held."""
        seen: set[tuple[int, int] | str] = set()
        pending = [""]
        while pending:  # no recursion: folders may be nested 200 deep
            below = pending.pop()
            try:
                names = self._open(os.path.join(self._root, below), seen)
            except OSError as error:
                self.listed_out.append((below or ".", f"folder cannot be read: {error.strerror}"))
                continue
            folders = [name for name in names if self._note(name, below)]
            pending.extend(f"{below}/{name}" if below else name for name in reversed(folders))

    def _open(self, place: str, seen: set[tuple[int, int] | str]) -> list[str]:
        """The names in a folder, in order; none if it was visited before."""
        info = _patiently(lambda: os.stat(place))
        # Some network drives number no files; then the path says which folder this is.
        key = (info.st_dev, info.st_ino) if info.st_ino else os.path.realpath(place)
        if key in seen:
            self.ignored["folder reached twice (link)"] += 1
            return []
        seen.add(key)
        return sorted(_patiently(lambda: os.listdir(place)))

    def _note(self, entry: str, below: str) -> bool:
        """Register a file; True for a folder still to be visited."""
        if entry in CLUTTER or entry.startswith("._"):
            self.ignored[entry if entry in CLUTTER else "._*"] += 1
            return False
        name = f"{below}/{entry}" if below else entry
        path = os.path.join(self._root, name)
        try:
            info = _patiently(lambda: os.stat(path))
        except OSError as error:
            self.listed_out.append((name, _broken(error, path)))
            return False
        if stat.S_ISDIR(info.st_mode):
            if not below:
                self.folders.append(name)
            return True
        if not stat.S_ISREG(info.st_mode):
            self.listed_out.append((name, "not a regular file (pipe, socket or device): never opened"))
        elif in_the_cloud(entry, info):
            self.listed_out.append((name, "only a placeholder: its content is in the cloud; make it available offline"))
        elif entry in BESIDE:
            self.beside.append(name)
            self._stamps.append(f"{name}\0{stamp_of(info)}")
        else:
            self.items.append(Item(name, stamp_of(info)))
            if self._progress and len(self.items) % _LISTED == 0:
                self._progress("listing", len(self.items), 0)
        return False

    def read_beside(self, name: str) -> bytes:
        return _patiently((self._root / name).read_bytes)

    def read(self, number: int) -> bytes:
        path = self._root / self.items.names[number]
        try:
            if self._remote:
                return self._watch.within(ANSWER_WITHIN, lambda: _patiently(lambda: _read_regular(path)))
            return _patiently(lambda: _read_regular(path))
        except OSError as error:
            passing = not isinstance(error, PermissionError)
            raise Unreadable(f"cannot be read: {error.strerror or error}", passing) from error


def _patiently(function: Callable[[], T]) -> T:
    """`function`, tried three times where a network file system stumbles."""
    for attempt in range(2):
        try:
            return function()
        except OSError as error:
            if error.errno not in _RETRIED:
                raise
            time.sleep(0.05 * (attempt + 1))
    return function()


def _broken(error: OSError, path: str) -> str:
    if error.errno == errno.ELOOP:
        return "link that leads to itself"
    return f"broken link: {error.strerror}" if os.path.islink(path) else f"cannot be read: {error.strerror}"


def in_the_cloud(name: str, info: Any) -> bool:
    """Whether a file (its `os.stat_result`) is a placeholder that a cloud drive left here. Files without blocks are
    none: file systems keep small files in the directory itself."""
    windows = getattr(info, "st_file_attributes", 0) & _CLOUD
    return bool(windows or getattr(info, "st_flags", 0) & _DATALESS or (name[0] == "." and name.endswith(".icloud")))


def file_system(path: Path) -> str:
    """The type of the file system that holds `path` ("ext4", "nfs4", "fuse.sshfs"); "" where nobody says."""
    try:
        place = os.path.realpath(path)
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4])
        if (place + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, rest.split(" ")[0]
    return kind


class _Watch:
    """Reads for which nobody waits for ever. Each calling thread has a daemon that reads for it, and gets another one
    when that does not come back; daemons keep no program alive."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._silent = 0

    def within(self, seconds: float, function: Callable[[], bytes]) -> bytes:
        reader: _Reader | None = getattr(self._mine, "reader", None)
        if reader is None:
            reader = self._mine.reader = _Reader()
        answer: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        reader.jobs.put((function, answer))
        seconds = seconds if self._silent < _SILENT else min(seconds, 1.0)
        try:
            found = answer.get(timeout=seconds)
        except queue.Empty:
            self._silent += 1
            self._mine.reader = None
            raise Unreadable(f"no answer within {seconds:g} s", passing=True) from None
        self._silent = 0
        if isinstance(found, BaseException):
            raise found
        return found


class _Reader:
    """A daemon thread and what it is to do; it ends when nobody has this object any more."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(self.jobs,), name="reader", daemon=True).start()

    def __del__(self) -> None:
        self.jobs.put(None)


def _serve(jobs: queue.SimpleQueue[Any]) -> None:
    while (job := jobs.get()) is not None:
        function, answer = job
        try:
            answer.put(function())
        except BaseException as error:
            answer.put(error)
        del job, function, answer


def _read_regular(path: Path) -> bytes:
    """The content of an image file; only its head if it is no image. A pipe put there meanwhile does not block."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise Unreadable("not a regular file (pipe, socket or device): never read")
        head = file.read(HEAD)
        kind, reason = sniff(head)
        if not kind:
            raise Unreadable(reason)
        if info.st_size > MAX_FILE_BYTES:
            raise Unreadable(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return head + file.read(MAX_FILE_BYTES)
