"""Where images come from: a folder, a zip, an idx file, or data that ships with the package."""

from __future__ import annotations

import difflib
import os
import stat
import zipfile
from pathlib import Path

from sparring.data.options import Options
from sparring.data.sources import foreign
from sparring.data.sources.archive import ZipSource
from sparring.data.sources.arrays import ArraySource
from sparring.data.sources.below import below
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import (
    BESIDE,
    CLUTTER,
    MAX_FILE_BYTES,
    Annotations,
    Item,
    Items,
    Pixels,
    Progress,
    Source,
    Two,
    Unreadable,
    stamp_of,
)
from sparring.errors import DataError

__all__ = [
    "BESIDE", "CLUTTER", "MAX_FILE_BYTES", "Annotations", "ArraySource", "FolderSource", "Item", "Items", "Pixels",
    "Progress", "Source", "Two", "Unreadable", "ZipSource", "open_source", "stamp_of",
]  # fmt: skip

_OPTIONS = Options()


def lies_in(place: Path, text: str) -> bool:
    """Whether `place` is in the folder that is the data `text`: what is written there would be data the next time."""
    from sparring.data import builtin, points

    if not text or text in builtin.IMAGES or text in points.NAMES:
        return False
    folder = Path(text).expanduser()
    return os.path.isdir(folder) and place.resolve().is_relative_to(folder.resolve())


def open_source(
    text: str, options: Options = _OPTIONS, cache_root: Path | None = None, progress: Progress | None = None
) -> Source:
    """The source that `text` names: a built-in name, a folder, a zip or a folder in it (``styles.zip/noto``), an idx
    file or a folder that holds one, or a data set of the hub.

    options: what a person said about the data.   cache_root: where what has to be fetched first is kept.
    progress: told of the listing, since nobody knows beforehand how many files there are.
    A path wins over a built-in name only if it is written as one (``./emoji``). Raises `DataError`.
    """
    from sparring.data import builtin
    from sparring.data.sources import idx, remote, shards

    if text in builtin.IMAGES:
        return builtin.source(text)
    if text.startswith("hf:") and not text.startswith("hf://"):
        from sparring.data.sources.hub import open_hub

        return open_hub(text, options, cache_root, progress)
    if remote.is_url(text):
        return remote.open_remote(text, options, cache_root, progress)
    path = Path(text).expanduser()
    try:
        info = os.stat(path)
    except PermissionError as error:
        raise _forbidden(text, error) from error
    except (OSError, ValueError):
        inside = _in_zip(path)
        if inside is None:
            raise _missing(path, text) from None
        return inside
    if shards.is_shards(path):
        return shards.open_shards(path, options.columns)
    if stat.S_ISDIR(info.st_mode):
        if stranger := foreign.of_folder(path, text):
            raise stranger
        images = idx.find_in(path)
        return idx.source(images) if images else FolderSource(path, progress)
    if not stat.S_ISREG(info.st_mode):
        raise DataError("DATA-KIND", "neither a folder nor a file", where=text, fix="give a folder of images or a zip")
    if idx.is_idx(path):
        return idx.source(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise _forbidden(text, error) from error
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or zipfile.is_zipfile(path):
        archive = ZipSource(path)
        if stranger := foreign.of_zip(archive.items.names, text):
            archive.close()
            raise stranger
        return archive
    raise foreign.of_file(path, text, head)


def _in_zip(path: Path) -> Source | None:
    """The folder inside a zip that a path like ``styles.zip/twemoji`` means; None where it goes through no zip."""
    above = next((parent for parent in path.parents if parent.is_file()), None)
    if above is None or not zipfile.is_zipfile(above):
        return None
    return below(ZipSource(above), path.relative_to(above).as_posix())


def _forbidden(text: str, error: OSError) -> DataError:
    return DataError("DATA-UNREADABLE", "this cannot be opened", where=text, why=error.strerror or str(error),
                     fix="make it readable for you, or copy it")  # fmt: skip


def _missing(path: Path, text: str) -> DataError:
    """Names the existing neighbour that looks most like what was typed."""
    from sparring.data import builtin, points

    if text in points.NAMES:
        return DataError("DATA-POINTS", "these are points, and here images are wanted", where=text,
                         fix=f"name images; a folder of that name would be ./{text}")  # fmt: skip
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
