"""Which two files belong together: by the stems of their names, or as metadata say; what to say where they do not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Limits, header
from sparring.data.formats import HEAD, sniff
from sparring.data.labels.metadata import Names, bytes_of, folder_of
from sparring.data.labels.tables import csv_rows, jsonl_rows
from sparring.data.opening import Unusable
from sparring.data.options import Options
from sparring.data.report import brief, few
from sparring.data.sources.items import Source, Two, Unreadable
from sparring.errors import DataError

Rows = NDArray[np.int64]
"""(n, 2) numbers of items: what is given, what is to be made."""
Left = list[tuple[str, str]]
"""(name, reason) of what has no partner."""

NO_PARTNER = "no partner"
"""How the reason begins why a file without a partner is left out."""
_SUFFIXES = frozenset({
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif",
    "jxl",
})  # fmt: skip
_LOOKED_AT = 16  # pictures of one source whose shape is looked at


def stem(name: str) -> str:
    """What two files of a pair have in common: the path below their folder, without the ending of an image.

    >>> stem("day/a.b.PNG"), stem("notes.txt")
    ('day/a.b', 'notes.txt')
    """
    head, dot, end = name.rpartition(".")
    return unicodedata.normalize("NFC", head if dot and end.lower() in _SUFFIXES else name)


def by_stem(given: Source, made: Source, *, drop: bool = False) -> tuple[Rows, Left]:
    """The items of both sources with the same stem, in the order of the first, and what is left out.

    drop: leave out what has no partner. Raises `DataError` where something has none (unless `drop`), where nothing has
    one, and where two files of one source have the same stem.
    """
    a, b = _stems(given), _stems(made)
    rows = np.array([(number, b[name]) for name, number in a.items() if name in b], np.int64).reshape(-1, 2)
    alone = [[names[number] for name, number in mine.items() if name not in other]
             for mine, other, names in ((a, b, given.items.names), (b, a, made.items.names))]  # fmt: skip
    strangers = [{name: why for name in names if (why := _no_image(source, name))}
                 for source, names in zip((given, made), alone, strict=True)]  # fmt: skip
    missing = [[name for name in names if name not in odd] for names, odd in zip(alone, strangers, strict=True)]
    if not len(rows) or (any(missing) and not drop):
        raise _unmatched(given, made, len(rows), missing)
    left = [(name, why) for odd in strangers for name, why in odd.items()]
    for names, other in zip(missing, (made, given), strict=True):
        left += [(name, f"{NO_PARTNER} of the same stem in {other.place}") for name in names]
    return rows, left


def _stems(source: Source) -> dict[str, int]:
    """The number of the item of each stem."""
    found: dict[str, int] = {}
    twice: dict[str, list[str]] = {}
    for number, name in enumerate(source.items.names):
        key = stem(name)
        if key in found:
            twice.setdefault(key, [source.items.names[found[key]]]).append(name)
        found[key] = number
    if twice:
        raise DataError(
            "DATA-STEMS", f"{len(twice):,} stem{'s are' if len(twice) > 1 else ' is'} those of several files",
            where=source.place, why=few([" and ".join(map(brief, names)) for names in twice.values()]),
            fix="keep one file of each stem: the other side has one partner for it",
        )  # fmt: skip
    return found


def _no_image(source: Source, name: str) -> str:
    """Why a file with an unusual ending is no image; "" for images. Of those without a partner only."""
    if name.rpartition(".")[2].lower() in _SUFFIXES:
        return ""
    try:
        data = source.read(source.items.names.index(name))
    except Unreadable as error:
        return str(error)
    return sniff(data[:HEAD])[1] if isinstance(data, bytes) else ""


def _unmatched(given: Source, made: Source, pairs: int, missing: Sequence[Sequence[str]]) -> DataError:
    counts = [f"{len(names):,} only in {source.place}: {few(names, most=5)}"
              for source, names in zip((given, made), missing, strict=True) if names]  # fmt: skip
    folded = [{stem(name).casefold() for name in names} for names in missing]
    if alike := len(folded[0] & folded[1]):
        counts.append(f"{alike:,} of these would match if upper and lower case were the same")
    total = pairs + sum(map(len, missing))
    without = "--recipe cyclegan, which needs no pairs"
    return DataError(
        "DATA-UNPAIRED",
        f"{total - pairs:,} of {total:,} stems are on one side only" if pairs else "no stem is on both sides",
        where=f"{given.place} and {made.place}", why="\n       ".join([f"{pairs:,} pairs", *counts]),
        fix=f"rename or remove them; or leave them out: --drop-unpaired; or {without}" if pairs
        else f"give partners the same stem (cat.png and cat.jpg); or {without}",
    )  # fmt: skip


# ── metadata ──────────────────────────────────────────────────────────────────────────────────────────────────────


def has_columns(source: Source, options: Options) -> bool:
    """Whether metadata name two files in each row: file_A and file_B, or as the user says."""
    named = {"given": "file_A", "image": "file_B", **dict(options.columns)}
    for name in _files(source):
        first = next(_rows(source, name, named["given"]), None)
        if first is not None and {named["given"], named["image"]} <= set(first[1]):
            return True
    return False


def by_columns(source: Source, given: str, made: str) -> tuple[Rows, Left]:
    """The two items that each row of the metadata names, and what is not there. Raises `DataError`."""
    names = Names(source.items.names)
    pairs: dict[tuple[int, int], None] = {}
    lost: dict[str, str] = {}
    seen: dict[str, None] = {}
    for file in _files(source):
        folder = folder_of(file)
        for line, row in _rows(source, file, given):
            seen.update(dict.fromkeys(row))
            files = [row.get(column) for column in (given, made)]
            if not all(isinstance(name, str) and name for name in files):
                continue
            numbers = [names.find(folder, str(name)) for name in files]
            if min(numbers) >= 0:
                pairs[numbers[0], numbers[1]] = None
                continue
            for name, number in zip(files, numbers, strict=True):
                if number < 0:
                    lost[str(name)] = f"not there, but named in line {line} of {file}"
    if not pairs:
        raise DataError(
            "DATA-COLUMNS", f"no metadata name two files that are there, in columns {given!r} and {made!r}",
            where=source.place, why=f"its columns: {few(seen, most=20) or 'none: there is no metadata.jsonl or .csv'}",
            fix="a row for each pair: file_A and file_B, or name others: --columns given=… --columns image=…",
        )  # fmt: skip
    return np.array(list(pairs), np.int64), list(lost.items())


def _files(source: Source) -> list[str]:
    return [name for name in sorted(source.beside) if name.endswith(("metadata.jsonl", "metadata.csv"))]


def _rows(source: Source, name: str, column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    data, where = bytes_of(source, name), f"{source.place}/{name}"
    return csv_rows(data, where, column) if name.endswith(".csv") else jsonl_rows(data, where)


# ── nothing ───────────────────────────────────────────────────────────────────────────────────────────────────────


_WAYS = (
    "two folders with equal stems (sparring train A/ B/), folders A/ and B/ in one, metadata.jsonl with file_A and "
    "file_B, or two columns of parquet files (--columns given=… --columns image=…)"
)


def no_pairs(source: Source) -> DataError:
    """Nothing in a source says what belongs together."""
    if side_by_side(source):
        return DataError(
            "DATA-UNPAIRED", "the recipe needs pairs, and nothing here says what belongs together", where=source.place,
            why="all pictures are twice as wide as high: two pictures side by side?",
            fix=f"if so: --pairs side-by-side (and --direction BtoA where the right half is given); else {_WAYS}",
        )  # fmt: skip
    return DataError(
        "DATA-UNPAIRED", "the recipe needs pairs, and nothing here says what belongs together", where=source.place,
        fix=f"{_WAYS}; or without pairs: --recipe cyclegan, with two folders",
    )  # fmt: skip


def side_by_side(source: Source) -> bool:
    """Whether all of a few pictures are twice as wide as high."""
    chosen = sorted({*np.linspace(0, max(len(source.items) - 1, 0), _LOOKED_AT).astype(int).tolist()})
    shapes = []
    for number in chosen[: len(source.items)]:
        try:
            data = source.read(number)
            found = header(data, Limits()) if not isinstance(data, Two) else None
        except (Unreadable, Unusable):
            continue
        shapes += [(found.width, found.height)] if found else []
    return len(shapes) > 1 and all(width == 2 * height for width, height in shapes)
