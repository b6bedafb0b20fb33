"""Decoded images on disk, once per content and preparation, shared between runs and processes.

An entry is a directory named by its content: it is written under another name, flushed, and renamed, so it is there
completely or not at all. A lock file per entry (`flock`, released by the system when a process dies) keeps two
processes from decoding the same images; where locks do not work both decode and the first rename wins.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sparring.errors import MachineError

if sys.platform != "win32":
    import fcntl

_META = "meta.json"


def directory(wanted: Path | None = None) -> tuple[Path, str]:
    """(a directory that can be written, a warning or ""). In this order: `wanted`, $SPARRING_CACHE,
    $XDG_CACHE_HOME/sparring, ~/.cache/sparring; if that cannot be written, a temporary one that ends with the process.
    """
    chosen = wanted
    if chosen is None and os.environ.get("SPARRING_CACHE"):
        chosen = Path(os.environ["SPARRING_CACHE"])
    if chosen is None:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        chosen = Path(home) / "sparring"
    try:
        chosen = chosen.expanduser().absolute()
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            return chosen, ""
    except (OSError, RuntimeError) as error:  # RuntimeError: no home directory
        reason = getattr(error, "strerror", None) or str(error)
    spare = Path(tempfile.mkdtemp(prefix="sparring-cache-"))
    atexit.register(shutil.rmtree, spare, ignore_errors=True)
    return spare, f"the cache {chosen} cannot be written ({reason}): decoded into {spare}, for this process only"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """One process at a time; `waiting` is called once if another one is at work. Ends with the process, however."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file, waiting)
        yield  # closing the file releases the lock


def _lock(file: IO[bytes], waiting: Callable[[], None] | None) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting:
            waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks: the rename still keeps entries whole
        return


def meta(entry: Path) -> dict[str, Any] | None:
    """What an entry says about itself, or None if there is none or a file of it is not as long as it should be."""
    try:
        found: dict[str, Any] = json.loads((entry / _META).read_text(encoding="utf-8"))
        whole = all((entry / name).stat().st_size == size for name, size in found["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return found if whole else None


def create(
    entry: Path, build: Callable[[Path], dict[str, Any]], waiting: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The meta of `entry`, which `build` fills unless it exists. `build` writes files into the directory it is given
    and returns what else the meta should say (JSON values)."""
    with locked(entry.parent / f".{entry.name}.lock", waiting):
        found = meta(entry)
        if found is not None:
            return found
        for left in entry.parent.glob(f".{entry.name}.part-*"):  # of a process that was killed: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{entry.name}.part-", dir=entry.parent))
        try:
            said = build(part)
            said["files"] = {path.name: path.stat().st_size for path in sorted(part.iterdir())}
            (part / _META).write_text(json.dumps(said), encoding="utf-8")
            _flush(part)
            part.chmod(0o755)
            _rename(part, entry)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return said


def forget(entry: Path) -> None:
    """The next `create` makes this entry anew; its files stay for those who have them open."""
    (entry / _META).unlink(missing_ok=True)


def _rename(part: Path, entry: Path) -> None:
    with suppress(FileNotFoundError):
        if meta(entry) is None:
            shutil.rmtree(entry)
    try:
        part.rename(entry)
    except OSError:
        if meta(entry) is None:
            raise
        shutil.rmtree(part, ignore_errors=True)  # another process was first, on a file system without locks


def _flush(folder: Path) -> None:
    """To the disk, so that a power cut after the rename does not leave a whole name with empty files."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def free(folder: Path) -> int:
    """Bytes that still fit on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed: int) -> None:
    """Raises `MachineError` where `needed` bytes do not fit."""
    free_bytes = free(folder)
    if free_bytes < needed + 2**26:
        raise MachineError(
            "DISK-FULL",
            f"the decoded images need {needed / 2**20:,.0f} MiB, {free_bytes / 2**20:,.0f} MiB are free",
            where=str(folder),
            fix="free some space, choose a smaller --size, set SPARRING_CACHE to a larger disk, or --keep off",
        )
