"""A folder as a source of images: every regular file below it, whatever its name."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from pathlib import Path

from sparring.data.formats import HEAD, sniff
from sparring.data.items import BESIDE, CLUTTER, MAX_FILE_BYTES, Item, Source, Unreadable, stamp_of

_RETRIED = frozenset({errno.EIO, errno.ESTALE})  # a network file system that stumbles


class FolderSource(Source):
    """Every regular file below a folder, whatever its name; links are followed, each real folder visited once."""

    def __init__(self, root: Path) -> None:
        super().__init__(name=root.name or str(root), place=str(root.resolve()))
        self._root = root
        self._stamps: list[str] = []  # of the files beside the images
        self._walk()

    @property
    def stamp(self) -> str:
        return hashlib.blake2b("\x1f".join([super().stamp, *self._stamps]).encode("utf-8", "surrogateescape"),
                               digest_size=16).hexdigest()  # fmt: skip

    def _walk(self) -> None:
        seen: set[tuple[int, int]] = set()
        pending = [""]
        while pending:  # no recursion: folders may be nested 200 deep
            below = pending.pop()
            try:
                info = os.stat(self._root / below)
                if (info.st_dev, info.st_ino) in seen:
                    self.ignored["folder reached twice (link)"] += 1
                    continue
                seen.add((info.st_dev, info.st_ino))
                with os.scandir(self._root / below) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                self.listed_out.append((below or ".", f"folder cannot be read: {error.strerror}"))
                continue
            folders = [name for entry in entries if (name := self._note(entry, below))]
            pending.extend(reversed(folders))

    def _note(self, entry: os.DirEntry[str], below: str) -> str | None:
        """Register a file; return the path of a folder still to be visited."""
        if entry.name in CLUTTER or entry.name.startswith("._"):
            self.ignored[entry.name if entry.name in CLUTTER else "._*"] += 1
            return None
        name = f"{below}/{entry.name}" if below else entry.name
        try:
            info = entry.stat()
        except OSError as error:
            loop = error.errno == errno.ELOOP
            self.listed_out.append((name, "link that leads to itself" if loop else f"broken link: {error.strerror}"))
            return None
        if stat.S_ISDIR(info.st_mode):
            if not below:
                self.folders.append(name)
            return name
        if not stat.S_ISREG(info.st_mode):
            self.listed_out.append((name, "not a regular file (pipe, socket or device): never opened"))
        elif entry.name in BESIDE:
            self.beside.append(name)
            self._stamps.append(f"{name}\0{stamp_of(info)}")
        else:
            self.items.append(Item(name, stamp_of(info)))
        return None

    def read_beside(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def read(self, number: int) -> bytes:
        path = self._root / self.items[number].name
        for attempt in range(3):
            try:
                return _read_regular(path)
            except OSError as error:
                if error.errno not in _RETRIED or attempt == 2:
                    passing = not isinstance(error, PermissionError)
                    raise Unreadable(f"cannot be read: {error.strerror or error}", passing) from error
                time.sleep(0.05 * (attempt + 1))
        raise AssertionError("unreachable")


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
        return head + file.read()
