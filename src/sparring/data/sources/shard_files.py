"""Which parquet files a path means, and whether they are all there."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from sparring.data.sources.parquet import opened
from sparring.errors import DataError

KEY = b"sparring"  # of the footer of a file that `pack` wrote
MANIFEST = "sparring.json"
_NUMBERED = re.compile(r"(?P<stem>.*?)-?(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


def is_shards(path: Path) -> bool:
    """Whether a path is a parquet file, or a folder of them (at its top or in its folder ``data``) without images."""
    if path.is_file():
        return path.suffix.lower() == ".parquet" or _magic(path)
    return path.is_dir() and bool(_listed(path) or _listed(path / "data")) and not _pictures(path)


def _magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def _listed(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    wanted = [name for name in names if name.lower().endswith(".parquet") and not name.startswith(".")]
    return [folder / name for name in wanted if name != "metadata.parquet"]  # annotates the images of a folder


def _pictures(folder: Path) -> bool:
    """Whether there are images at the top of a folder, or among the first files of its folders."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
        if any(_is_picture(entry.name) for entry in entries):
            return True
        for entry in entries:
            if entry.is_dir():
                with os.scandir(entry.path) as below:
                    if any(_is_picture(other.name) for other in islice(below, 100)):
                        return True
    except OSError:
        pass
    return False


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in _PICTURES


def files_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of one split, and what a person should know. Where there are several splits, ``train`` is meant.

    Raises `DataError` where files of `pack` are missing or unfinished.
    """
    files = _listed(folder) or _listed(folder / "data")
    left = [name for name in os.listdir(folder) if name.endswith(".parquet.part")]
    if left:
        raise DataError(
            "DATA-SHARDS", "`sparring pack` was interrupted here", where=str(folder),
            why=f"{left[0]} is not finished", fix="remove the folder and pack again",
        )  # fmt: skip
    splits: dict[str, list[Path]] = {}
    for path in files:
        matched = _NUMBERED.fullmatch(path.name)
        splits.setdefault(matched["stem"] if matched else path.stem, []).append(path)
    warnings = []
    if len(splits) > 1 and "train" in splits:
        others = sorted(set(splits) - {"train"})
        warnings.append(f"only the split train is read, not {', '.join(others)}; name a file to read another one")
        splits = {"train": splits["train"]}
    for stem, group in splits.items():
        numbers = [matched for path in group if (matched := _NUMBERED.fullmatch(path.name))]
        count = max((int(matched["count"]) for matched in numbers), default=0)
        missing = sorted(set(range(count)) - {int(matched["number"]) for matched in numbers})
        if missing and len(group) == len(numbers):
            said = f"{len(missing)} of {count} shards are missing, the first is number {missing[0]:05d} of {stem!r}"
            if (folder / MANIFEST).exists() or _is_ours(group[0]):
                raise DataError("DATA-SHARDS", said, where=str(folder), fix="copy it again, or pack again")
            warnings.append(said)
    return [path for group in splits.values() for path in group], warnings


def _is_ours(path: Path) -> bool:
    return KEY in (opened(path).metadata.metadata or {})
