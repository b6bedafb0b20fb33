"""Where images come from: a folder, a zip, an idx file, or data that ships with the package.

A `Source` lists items and reads one at a time; nothing is extracted, nothing outside the source is touched, and only
regular files are opened. What the listing leaves out is named with a reason.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import stat
import threading
import time
import zipfile
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sparring.data.formats import HEAD, sniff
from sparring.errors import DataError

Pixels = NDArray[np.uint8]

CLUTTER = frozenset({".ipynb_checkpoints", "__MACOSX", ".DS_Store", "Thumbs.db", "@eaDir", "desktop.ini", ".git"})
BESIDE = frozenset({"metadata.jsonl", "metadata.csv", "dataset.json"})
"""Files that annotate images, at the top of a source or at the top of one of its folders."""
MAX_FILE_BYTES = 2**29  # 512 MiB: larger than any image within the pixel limit

_RETRIED = frozenset({errno.EIO, errno.ESTALE})  # a network file system that stumbles


class Unreadable(Exception):
    """This item cannot be read; the message is the reason a person reads. passing: it may be readable next time
    although nothing that `Item.stamp` sees has changed, so nobody should remember this."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Item:
    """One candidate. name: unique inside its source.   stamp: changes when the content may have changed."""

    name: str
    stamp: str


class Items(Sequence[Item]):
    """A list of `Item` in a fifth of the memory: a million of them are ordinary."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._names: list[str] = []
        self._stamps = array("Q")
        self.extend(items)

    def append(self, item: Item) -> None:
        self._names.append(item.name)
        digest = hashlib.blake2b(item.stamp.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        self._stamps.append(int.from_bytes(digest, "little"))

    def extend(self, items: Iterable[Item]) -> None:
        for item in items:
            self.append(item)

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return self._names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, number: int) -> Item: ...

    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...

    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        return Item(self._names[number], f"{self._stamps[number]:016x}")


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is known about the items of a source beside their pixels, in the order of its items.

    labels:   (n,) int64, −1 where an item has none; None where nothing is labelled.   classes: names by number.
    captions: of each item the texts that describe it (perhaps none); None where nothing is described.
    origin:   where this was found: "folders", "metadata.jsonl", "dataset.json", "idx", "parquet", "built-in".
    warnings: what a person should know, in plain words.
    """

    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    captions: Sequence[tuple[str, ...]] | None = None
    origin: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(eq=False)
class Source(ABC):
    """A listing of candidates and a way to read one. `listed_out`: (name, reason) that never became candidates.

    beside: names of files in the source that say something about its images (metadata.jsonl, metadata.csv,
    dataset.json); `read_beside` gives their bytes.   own: what the source itself knows (idx labels, parquet columns).
    """

    name: str
    place: str
    items: Items = field(default_factory=Items)
    listed_out: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    beside: list[str] = field(default_factory=list)
    own: Annotations = field(default_factory=Annotations)

    def read_beside(self, name: str) -> bytes:
        """The content of one of the files in `beside`."""
        raise KeyError(name)

    @abstractmethod
    def read(self, number: int) -> bytes | Pixels:
        """The bytes of item `number`, or its pixels (H, W, C) uint8; `Unreadable` with a reason. Thread-safe."""

    @property
    def stamp(self) -> str:
        """A fast fingerprint: equal as long as names, sizes and times of change are equal. Reads no content."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.place, *(f"{item.name}\0{item.stamp}" for item in self.items), *map(str, self.listed_out)):
            digest.update(part.encode("utf-8", "surrogateescape") + b"\x1f")
        return digest.hexdigest()

    def close(self) -> None:
        """Give back what the source holds open."""
        return None


def stamp_of(info: os.stat_result) -> str:
    """Size, modification and change time, inode: what a changed file cannot keep all of."""
    return f"{info.st_size}.{info.st_mtime_ns}.{info.st_ctime_ns}.{info.st_ino}"


# ── a folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── a zip ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class ZipSource(Source):
    """The files in a zip, read entry by entry; nothing is ever extracted, so a name cannot lead anywhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=path.stem, place=str(path.resolve()))
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise DataError(
                "DATA-ZIP", "this zip cannot be read", where=str(path), why=str(error), fix="copy or download it again"
            ) from error
        of_file = stamp_of(path.stat())
        last = {info.filename: number for number, info in enumerate(self._zip.infolist())}
        self._entries: list[zipfile.ZipInfo] = []
        for number, info in enumerate(self._zip.infolist()):
            if info.is_dir() or self._is_clutter(info.filename):
                continue
            reason = _bad_entry(info)
            if not reason and last[info.filename] != number:
                reason = "this name occurs twice in the zip; the last one counts"
            if reason:
                self.listed_out.append((info.filename, reason))
            elif info.filename.rsplit("/", 1)[-1] in BESIDE:
                self.beside.append(info.filename)
            else:
                self._entries.append(info)
                self.items.append(Item(info.filename, f"{info.CRC:08x}.{info.file_size}.{of_file}"))

    def _is_clutter(self, name: str) -> bool:
        parts = name.split("/")
        found = [part for part in parts if part in CLUTTER] or (["._*"] if parts[-1].startswith("._") else [])
        self.ignored.update(found[:1])
        return bool(found)

    def read_beside(self, name: str) -> bytes:
        return self._zip.read(name)

    def read(self, number: int) -> bytes:
        info = self._entries[number]
        try:
            with self._zip.open(info) as entry:
                head = entry.read(HEAD)
                kind, reason = sniff(head)
                if not kind:
                    raise Unreadable(reason)
                return head + entry.read(info.file_size)
        except Unreadable:
            raise
        except Exception as error:  # zipfile and zlib raise a dozen kinds of error on damaged entries
            passing = isinstance(error, (OSError, MemoryError))
            raise Unreadable(f"damaged zip entry: {error}", passing) from error

    def close(self) -> None:
        self._zip.close()


def _bad_entry(info: zipfile.ZipInfo) -> str:
    """Why an entry is not even tried, or nothing."""
    mode = info.external_attr >> 16
    if info.flag_bits & 0x1:
        return "encrypted"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link or a device, not a file"
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or info.filename.startswith(("/", "\\")) or parts[0].endswith(":"):
        return "a path that leads out of the zip"
    if info.file_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES >> 20} MiB"
    return ""


# ── arrays in memory: idx files, built-in data ────────────────────────────────────────────────────────────────────


class ArraySource(Source):
    """Images that are already pixels. `load` gives all `count` as (N, H, W, C) uint8, and is called when the first is
    read. stamp: fingerprint of what they come from."""

    def __init__(
        self,
        name: str,
        place: str,
        count: int,
        load: Callable[[], Pixels],
        stamp: str,
        own: Annotations = Annotations(),
    ) -> None:
        super().__init__(name=name, place=place, own=own)
        self._load, self._stamp, self._lock = load, stamp, threading.Lock()
        self._images: Pixels | None = None
        width = len(str(max(count - 1, 0)))
        self.items = Items(Item(f"{number:0{width}d}", "") for number in range(count))

    @property
    def stamp(self) -> str:
        return hashlib.blake2b(f"{self.place}\x1f{self._stamp}".encode(), digest_size=16).hexdigest()

    def read(self, number: int) -> Pixels:
        with self._lock:
            if self._images is None:
                self._images = self._load()
        image: Pixels = self._images[number]
        return image


# ── finding out which it is ───────────────────────────────────────────────────────────────────────────────────────


def open_source(text: str) -> Source:
    """The source that `text` names: a built-in name, a folder, a zip, an idx file or a folder that holds one.

    A path wins over a built-in name only if it is written as one (``./emoji``). Raises `DataError`.
    """
    from sparring.data import builtin, idx

    if text in builtin.IMAGES:
        return builtin.source(text)
    path = Path(text).expanduser()
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        raise _missing(path, text) from None
    if stat.S_ISDIR(info.st_mode):
        images = idx.find_in(path)
        return idx.source(images) if images else FolderSource(path)
    if not stat.S_ISREG(info.st_mode):
        raise DataError("DATA-KIND", "neither a folder nor a file", where=text, fix="give a folder of images or a zip")
    if idx.is_idx(path):
        return idx.source(path)
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or zipfile.is_zipfile(path):
        return ZipSource(path)
    raise _not_a_source(text, head)


def _missing(path: Path, text: str) -> DataError:
    """Names the existing neighbour that looks most like what was typed."""
    from sparring.data import builtin, points

    parent, wanted = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, wanted = parent.parent, parent.name
    try:
        names = sorted(os.listdir(parent)) if parent.is_dir() else []
    except OSError:
        names = []
    near = [str(parent / name) for name in difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)]
    near += difflib.get_close_matches(text, [*builtin.IMAGES, *points.NAMES], n=1, cutoff=0.6)
    fix = f"did you mean {' or '.join(near)}?" if near else "give a folder, a zip, an idx file or a built-in name: "
    fix += "" if near else ", ".join([*builtin.IMAGES, *points.NAMES])
    return DataError("DATA-MISSING", "there is no such folder or file", where=text, fix=fix)


def _not_a_source(text: str, head: bytes) -> DataError:
    kind, reason = sniff(head)
    if kind:
        return DataError(
            "DATA-KIND", f"this is one single image ({kind})", where=text, fix="give the folder that holds the images"
        )
    if head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b":
        return DataError("DATA-KIND", "tar archives are not read", where=text, fix="unpack it and give the folder")
    if head[16:20] == b"\xde\xc0\xef\xbe":
        return DataError("DATA-KIND", "LMDB is not read", where=text, fix="export its images to a folder or a zip")
    return DataError("DATA-KIND", "not a source of images", where=text, why=reason, fix="give a folder or a zip")
