"""Class folders: the first folder below a source is the class. Often it is not, and then the right level is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sparring.data.labels.classes import Value
from sparring.data.report import brief, few
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import Source
from sparring.errors import DataError

SPLITS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval")
"""Folders of these names divide data; they are no classes where a source has no others."""

FOLDERS = "folders"  # the origin of labels that are class folders
WITHOUT = "or train without classes: --labels none"
_ROWS, _COLUMNS = 8, 5  # of the tree in a message


def of_folders(source: Source) -> tuple[NDArray[np.int64], list[Value]]:
    """((n,) position of the first folder of each name among the folders, −1 where there is none; the folders)."""
    seen: dict[str, int] = {}
    names = source.items.names
    labels = np.fromiter(
        (seen.setdefault(name[:end], len(seen)) if (end := name.find("/")) > 0 else -1 for name in names),
        np.int64, len(names),
    )  # fmt: skip
    if not seen:
        raise DataError(
            "DATA-LABELS", "there are no class folders: all files lie at the top", where=source.place,
            fix=f"put the images of each class into a folder of its own, {WITHOUT}",
        )  # fmt: skip
    return labels, list(seen)


def empty_folders(source: Source) -> list[str]:
    """Top folders without any file: they are no classes, but somebody made them."""
    full = {name[: name.find("/")] for name in source.items.names if "/" in name}
    empty = [name for name in source.folders if name not in full]
    return [f"empty class folders, which are no classes: {few(empty)}"] if empty else []


def refuse_other_folders(source: Source, used: NDArray[np.int64], size: dict[str, int]) -> None:
    """Stop where the top folders are no classes: one only, splits, or none that holds an image.

    size: how many of the items `used` each class has.
    """
    present = [name for name, n in size.items() if n]
    splits = len(present) > 1 and all(name.casefold() in SPLITS for name in present)
    if len(present) > 1 and not splits:
        return
    names = [source.items.names[k] for k in np.unique(used).tolist()]
    if not present:
        what = "no folder holds an image: all lie at the top"
    elif splits:
        what = f"the top folders divide the data, they are no classes: {few(present)}"
    else:
        what = f"there is one class folder only, {brief(present[0])!r}"
    raise DataError("DATA-LABELS", what, where=source.place, why=_tree(names), fix=_right_path(source, names))


def _right_path(source: Source, names: list[str]) -> str:
    likely = _class_level(names)
    if not likely:
        return f"put the images of each class into a folder of its own at the top, {WITHOUT}"
    if isinstance(source, FolderSource):
        return f"the classes seem to lie in {brief(source.place)}/{brief(likely)}: give that folder, {WITHOUT}"
    return (f"the classes seem to lie in {brief(likely)!r}: unpack this and give that folder, or pack that folder "
            f"alone, {WITHOUT}")  # fmt: skip


def _class_level(names: list[str]) -> str:
    """The folder whose folders look like classes, or nothing: down past lone folders, and into the training split."""
    above = ""
    while True:
        below = Counter(rest[:end] for name in names
                        if name.startswith(above) and (end := (rest := name[len(above) :]).find("/")) > 0)  # fmt: skip
        if not below:
            return ""
        if len(below) > 1 and not all(name.casefold() in SPLITS for name in below):
            return above.rstrip("/")
        above += min(below, key=lambda name: SPLITS.index(key) if (key := name.casefold()) in SPLITS else 99) + "/"


def _tree(names: Iterable[str]) -> str:
    """What is there, in two levels, with numbers of images."""
    top: Counter[str] = Counter()
    second: dict[str, Counter[str]] = {}
    loose = 0
    for name in names:
        parts = name.split("/", 2)
        if len(parts) == 1:
            loose += 1
            continue
        top[parts[0]] += 1
        second.setdefault(parts[0], Counter())[f"{parts[1]}/" if len(parts) == 3 else "images"] += 1
    lines = [f"images at the top: {loose:,}"] if loose else []
    for folder, n in top.most_common(_ROWS):
        inside = ", ".join(f"{brief(name)} {m:,}" for name, m in second[folder].most_common(_COLUMNS))
        more = len(second[folder]) - _COLUMNS
        lines.append(f"{brief(folder)}/ {n:,}: {inside}" + (f" and {more:,} more folders" if more > 0 else ""))
    if len(top) > _ROWS:
        lines.append(f"and {len(top) - _ROWS:,} more folders")
    return "\n       ".join(["this is what is there, with numbers of images:", *lines])
