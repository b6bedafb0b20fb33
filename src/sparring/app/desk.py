"""What the app may see and who may ask: folders, and the secrets of this launch. Ids stand for places."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sparring.app.trouble import Unknown

_DEEP = 3
"""How many folders below a root a run may lie."""
_MANY = 20_000
"""Folders that are looked at; a root with more shows the runs among the first."""
_ID = re.compile("[0-9a-f]{16}")


def identity(path: Path) -> str:
    """The id of a place: the first 16 hex digits of the SHA-256 of its resolved path.

    >>> len(identity(Path("runs/demo")))
    16
    """
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


class _Kept:
    """What was found last, and when. It is looked for anew at most a tenth of the time."""

    def __init__(self) -> None:
        self.found: dict[str, Path] = {}
        self._next, self._lock = 0.0, threading.Lock()

    def fresh(self, look: Callable[[], Iterable[Path]]) -> dict[str, Path]:
        with self._lock:
            began = time.monotonic()
            if began >= self._next:
                self.found = _index(look())
                self._next = time.monotonic() + 9 * (time.monotonic() - began)
            return dict(self.found)


@dataclass(frozen=True)
class Desk:
    """Everything the app is told at its start.

    roots: folders in which runs are looked for.   data_roots: folders whose data sets may be trained on.
    token: the secret of this launch.   hosts: the exact values of the Host header that are answered, "127.0.0.1:8123".
    password: what people from elsewhere are asked for; None where only this machine is listened to.
    only_study: the study that is served alone, to people who need no token; None for the whole app.
    """

    roots: tuple[Path, ...]
    data_roots: tuple[Path, ...]
    token: str = field(repr=False)
    hosts: frozenset[str]
    password: str | None = field(default=None, repr=False)
    only_study: Path | None = None
    _runs: _Kept = field(default_factory=_Kept, init=False, repr=False, compare=False)
    _studies: _Kept = field(default_factory=_Kept, init=False, repr=False, compare=False)
    _data: _Kept = field(default_factory=_Kept, init=False, repr=False, compare=False)

    @cached_property
    def cookie(self) -> str:
        """What a browser that was let in keeps (HttpOnly)."""
        return self._derived("cookie")

    @cached_property
    def page_token(self) -> str:
        """What our own pages carry, and send with everything that changes something."""
        return self._derived("page")

    @property
    def open_to_all(self) -> bool:
        """Whether pages need no cookie: a study for raters, without a password."""
        return self.only_study is not None and self.password is None

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()

    def runs(self) -> dict[str, Path]:
        """Every run below the roots, id → directory, by name. A run is a folder with a recipe.yaml."""
        return self._runs.fresh(lambda: (place for root in self.roots for place in _below(root, "recipe.yaml")))

    def run(self, id: str) -> Path:
        """The directory of a run; `Unknown` where the roots have no such run (any longer)."""
        return _one(id, self._runs, self.runs, "recipe.yaml", ("RUN", "there is no such run (any longer)"))

    def studies(self) -> dict[str, Path]:
        """Every study that is served, id → directory: below the roots, or the only one. It has a study.yaml."""
        if self.only_study is not None:
            return _index([self.only_study])
        return self._studies.fresh(lambda: (place for root in self.roots for place in _below(root, "study.yaml")))

    def study(self, id: str) -> Path:
        """The directory of a study; `Unknown` where there is none (any longer)."""
        return _one(id, self._studies, self.studies, "study.yaml", ("STUDY", "there is no such study (any longer)"))

    def data(self) -> dict[str, Path]:
        """What may be trained on, id → folder or file: what lies in the data roots, and the roots themselves."""
        roots = [root.resolve() for root in self.data_roots]
        return self._data.fresh(lambda: (place for root in roots for place in (root, *_children(root))))

    def datum(self, id: str) -> Path:
        """A folder or file of `data`; `Unknown` where there is none."""
        return _one(id, self._data, self.data, "", ("DATA", "there is no such data folder (any longer)"))

    def called(self, place: Path, *, data: bool = False) -> str:
        """What people call a run: where it lies below its root, "new/cats". data: what may be trained on, with the name
        of its root before it, "photos/cats"."""
        for root in self.data_roots if data else self.roots:
            home = root.resolve()
            if place.is_relative_to(home) and (data or place != home):
                return place.relative_to(home.parent if data else home).as_posix()
        return place.name


def new_token() -> str:
    """A secret of 256 bits."""
    return secrets.token_urlsafe(32)


def _one(id: str, kept: _Kept, look: Callable[[], dict[str, Path]], mark: str, missing: tuple[str, str]) -> Path:
    """The place of an id, as it was found before or is found now; however old that is, it still stands: it holds a file
    `mark` (if that is said) and has not become a link since."""
    for found in (lambda: kept.found, look):
        place = found().get(id) if _ID.fullmatch(id) else None
        if place is not None and (place / mark).exists() and place.resolve() == place:
            return place
    raise Unknown(*missing, fix="reload the page")


def _index(places: Iterable[Path]) -> dict[str, Path]:
    return {identity(place): place for place in sorted(set(places), key=lambda place: (place.name, str(place)))}


def _children(folder: Path, *, folders: bool = False) -> Iterator[Path]:
    """What lies in a resolved folder, resolved; without hidden things and links that lead out of it."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_symlink()) for entry in entries if not folders or _is_folder(entry)]
    except OSError:
        return
    for name, link in sorted(found):
        place = folder / name
        if name.startswith("."):
            continue
        if link:
            try:
                place = place.resolve(strict=True)
            except (OSError, RuntimeError):  # links to nothing, and in a circle
                continue
            if place == folder or not place.is_relative_to(folder):
                continue
        yield place


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _below(root: Path, mark: str) -> Iterator[Path]:
    """The directories at or below a root that hold a file of this name, resolved; what lies in one is not looked at."""
    left = _MANY
    waiting = [(root.resolve(), 0)]
    while waiting and left:
        folder, depth = waiting.pop()
        left -= 1
        if (folder / mark).is_file():
            yield folder
        elif depth < _DEEP:
            waiting += [(place, depth + 1) for place in _children(folder, folders=True)]


def read(home: Path, *names: str, most: int = 2**26) -> bytes:
    """The bytes of a file below a folder of ours, at most `most` of them. `Unknown` where there is none, where it is no
    plain file, and where a link leads out of the folder (the folder may come from a stranger)."""
    missing = Unknown("FILE", "there is no such file (any longer)", fix="reload the page")
    try:
        place = home.joinpath(*names).resolve(strict=True)
        if not place.is_relative_to(home.resolve()) or not place.is_file() or place.stat().st_size > most:
            raise missing
        return place.read_bytes()
    except (OSError, ValueError, RuntimeError):
        raise missing from None
