"""Data behind an address: ``s3://``, ``gs://``, ``hf://datasets/…``, ``https://`` and whatever else fsspec reads.

Shards (a folder or one file) or a zip are copied into the cache first, once; training reads the copy. What the other
side says of its files (sizes, ETags, times) decides whether the copy is still right. A copy that was interrupted goes
on with the files that are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sparring.data import cache
from sparring.data.options import Options
from sparring.data.sources.items import Progress, Source
from sparring.data.sources.shard_files import MANIFEST
from sparring.errors import DataError, MachineError

_META = "meta.json"
_MARKS = (
    "ETag", "etag", "blob_id", "md5Hash", "Content-MD5", "checksum", "LastModified", "last_modified", "updated",
    "mtime", "created",
)  # fmt: skip
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "http": "aiohttp requests",
    "https": "aiohttp requests", "az": "adlfs", "abfs": "adlfs", "sftp": "paramiko", "ssh": "paramiko",
}  # fmt: skip


@dataclass(frozen=True)
class _Remote:
    """One file over there. name: of the copy.   size: in bytes, −1 where nobody says.   mark: changes with it."""

    path: str
    name: str
    size: int
    mark: str


def is_url(text: str) -> bool:
    """Whether a text is an address rather than a path.

    >>> is_url("s3://bucket/faces"), is_url("photos/"), is_url("C://photos")
    (True, False, False)
    """
    protocol, found, _ = text.partition("://")
    return bool(found) and len(protocol) > 1 and protocol.replace("+", "").isalnum()


def open_remote(url: str, options: Options, cache_root: Path | None = None, progress: Progress | None = None) -> Source:
    """The source behind an address, copied into the cache first. Raises as `fetch` does."""
    from sparring.data.sources import open_source

    path, warning = fetch(url, cache_root if cache_root is not None else cache.directory()[0], progress)
    source = open_source(str(path), options, cache_root, progress)
    source.name = PurePosixPath(url.split("://", 1)[1].rstrip("/").split("?")[0]).stem or url
    source.place = url
    if warning:
        source.own = replace(source.own, warnings=(*source.own.warnings, warning))
    return source


def fetch(url: str, cache_root: Path, progress: Progress | None = None) -> tuple[Path, str]:
    """(the copy of what is behind `url`: a folder of shards, or one file; a warning or "").

    Where the other side cannot be reached, an earlier copy is used and the warning says so. Raises `DataError`
    (nothing there, no way to reach it and no copy, nothing that can be read) and `MachineError` (a package is missing,
    the disk is full).
    """
    root = cache_root / "remote"
    ticket = hashlib.blake2b(url.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    try:
        system, files, single = _look(url)
    except (DataError, MachineError) as error:
        copies = [entry for entry in root.glob(f"{ticket}-*") if _whole(entry)]
        if not copies or error.code == "EXTRA":
            raise
        newest = max(copies, key=lambda entry: (entry / _META).stat().st_mtime_ns)
        return _opened(newest), f"{url}: {error.what} ({error.why}); the copy in the cache is used"
    marks = json.dumps(sorted((file.name, file.size, file.mark) for file in files))
    entry = root / f"{ticket}-{hashlib.blake2b(marks.encode(), digest_size=12).hexdigest()}"
    with cache.locked(root / f".{entry.name}.lock", _waiting(progress)):
        if not _whole(entry):
            _copy(system, url, files, single, entry, progress)
    return _opened(entry), ""


def _waiting(progress: Progress | None) -> Callable[[], None] | None:
    return None if progress is None else lambda: progress("waiting for another process that fetches the same", 0, 1)


def _whole(entry: Path) -> bool:
    """Whether a copy is complete: every file is there and as long as it should be."""
    try:
        told = json.loads((entry / _META).read_text(encoding="utf-8"))
        return all((entry / "files" / name).stat().st_size == size for name, size in told["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _opened(entry: Path) -> Path:
    single = json.loads((entry / _META).read_text(encoding="utf-8"))["single"]
    return entry / "files" / single if single else entry / "files"


# ── the other side ────────────────────────────────────────────────────────────────────────────────────────────────


def _look(url: str) -> tuple[Any, list[_Remote], bool]:
    """(file system, files to copy, whether that is one file rather than a folder)."""
    protocol = url.split("://", 1)[0]
    system, path = _system(url, protocol)
    try:
        system.invalidate_cache()  # what a listing said before
        info = system.info(path)
        listing: Mapping[str, Any] = {} if info["type"] == "file" else system.find(path, detail=True)
    except FileNotFoundError as error:
        if broken := _connection(error):
            raise DataError(
                "DATA-REMOTE", "the address cannot be reached", where=url, why=_plain(broken),
                fix="check the name of the host, the port and the connection, or give a local copy",
            ) from error  # fmt: skip
        raise DataError(
            "DATA-MISSING", "there is nothing at this address", where=url, why=_plain(error), fix="check the spelling"
        ) from error
    except PermissionError as error:
        raise DataError(
            "DATA-REMOTE", "access is refused", where=url, why=_plain(error),
            fix=f"log in, or set FSSPEC_{protocol.upper()}_ANON=true for public data",
        ) from error  # fmt: skip
    except Exception as error:  # each of these libraries has its own family of errors
        raise DataError(
            "DATA-REMOTE", "the address cannot be reached", where=url, why=_plain(error),
            fix="check the connection and the credentials, or give a local copy",
        ) from error  # fmt: skip
    if info["type"] == "file":
        name = PurePosixPath(str(path).split("?")[0]).name or "file"
        return system, [_remote(str(info.get("name", path)), name, info)], True
    files = _shards(str(path), listing)
    if not files:
        raise DataError(
            "DATA-REMOTE", "there are no parquet files in this folder", where=url, why=f"{len(listing)} other files",
            fix="pack the images with `sparring pack` and upload that, or give the address of a zip",
        )  # fmt: skip
    return system, files, False


def _system(url: str, protocol: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise MachineError(
            "EXTRA", "addresses need fsspec, which is not installed", where=url, fix='pip install "sparring[shards]"'
        ) from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "")
        raise MachineError(
            "EXTRA", f"{protocol}:// needs {package or 'another package'}, which is not installed", where=url,
            why=_plain(error), fix=f"pip install {package}" if package else _plain(error),
        ) from error  # fmt: skip
    except ValueError as error:
        known = sorted({"file", *(name for name in known_implementations if name in _PACKAGES)})
        raise DataError(
            "DATA-URL", "this address cannot be used", where=url, why=_plain(error), fix=f"known are {', '.join(known)}"
        ) from error
    except Exception as error:  # the file system wants credentials, a host, …
        raise DataError(
            "DATA-REMOTE", "the address cannot be reached", where=url, why=_plain(error),
            fix="check the connection and the credentials, or give a local copy",
        ) from error  # fmt: skip
    return system, str(path)


def _shards(root: str, listing: Mapping[str, Any]) -> list[_Remote]:
    """The parquet files at the top of a folder, or in its folder ``data``, and what `pack` says of them."""
    found: dict[str, list[_Remote]] = {"": [], "data": []}
    base = PurePosixPath("/" + root.strip("/"))
    for path, info in sorted(listing.items()):
        place = PurePosixPath("/" + str(path).strip("/"))
        try:
            below = place.relative_to(base).parent.as_posix().removeprefix(".")
        except ValueError:
            continue
        wanted = place.suffix.lower() == ".parquet" or place.name == MANIFEST
        if below in found and wanted and not place.name.startswith("."):
            found[below].append(_remote(str(path), place.name, info))
    return next((files for files in found.values() if any(file.name != MANIFEST for file in files)), [])


def _remote(path: str, name: str, info: Mapping[str, Any]) -> _Remote:
    size = info.get("size")
    mark = " ".join(f"{key}={info[key]}" for key in _MARKS if info.get(key) is not None)
    return _Remote(path, name, -1 if size is None else int(size), mark)


def _connection(error: BaseException) -> OSError | None:
    """Why there was no connection, where that is behind an error: over http "not found" may mean "not reached"."""
    behind = error.__cause__ or error.__context__
    while behind is not None:
        if isinstance(behind, OSError) and not isinstance(behind, FileNotFoundError):
            return behind
        behind = behind.__cause__ or behind.__context__
    return None


def _plain(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


# ── the copy ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _copy(system: Any, url: str, files: list[_Remote], single: bool, entry: Path, progress: Progress | None) -> None:
    """Fill `entry`: file by file under another name, then everything at once under its own."""
    part = entry.with_name(f".{entry.name}.part")
    total = sum(max(file.size, 0) for file in files)
    done = 0
    try:
        (part / "files").mkdir(parents=True, exist_ok=True)
        there = {path.name: path.stat().st_size for path in (part / "files").iterdir()}
        needed = sum(file.size for file in files if file.size > there.get(file.name, 0))
        if cache.free(part) < needed + 2**26:
            raise MachineError(
                "DISK-FULL", f"the copy needs {needed / 2**20:,.0f} MiB", where=str(part),
                fix="free some space, or set SPARRING_CACHE to a larger disk",
            )  # fmt: skip
        for file in files:
            goal = part / "files" / file.name
            if not (file.size >= 0 and there.get(file.name) == file.size):
                _fetch_one(system, url, file, goal, _counting(progress, done, total))
            done += max(file.size, 0)
        meta = {
            "url": url,
            "single": files[0].name if single else "",
            "files": {file.name: (part / "files" / file.name).stat().st_size for file in files},
        }
        (part / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)  # a copy that is not whole
        part.rename(entry)
    except OSError as error:
        raise MachineError(
            "DISK", "the copy cannot be written", where=str(part), why=error.strerror or str(error),
            fix="free some space, or set SPARRING_CACHE to another disk",
        ) from error  # fmt: skip


def _counting(progress: Progress | None, before: int, total: int) -> Callable[..., None]:
    """A hook for fsspec that passes on how many MiB have come."""

    def hook(size: int | None, value: int, **_: Any) -> None:
        if progress is not None and total:
            progress("fetching MiB", (before + value) >> 20, max(1, total >> 20))

    return hook


def _fetch_one(system: Any, url: str, file: _Remote, goal: Path, hook: Callable[..., None]) -> None:
    from fsspec.callbacks import Callback

    partial = goal.with_name(f".{goal.name}")
    try:
        system.get_file(file.path, str(partial), callback=Callback(hooks={"count": hook}))
    except Exception as error:
        if isinstance(error, OSError) and error.filename in (str(partial), os.fsencode(partial)):
            raise
        raise DataError(
            "DATA-REMOTE", "the transfer broke off", where=url, why=f"{file.name}: {_plain(error)}",
            fix="try again: the files that are complete are kept",
        ) from error  # fmt: skip
    size = partial.stat().st_size
    if file.size >= 0 and size != file.size:
        partial.unlink()
        raise DataError(
            "DATA-REMOTE", "the transfer broke off", where=url,
            why=f"{file.name}: {size:,} of {file.size:,} bytes came", fix="try again",
        )  # fmt: skip
    with partial.open("rb+") as written:
        os.fsync(written.fileno())
    partial.rename(goal)
