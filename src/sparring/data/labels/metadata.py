"""`metadata.jsonl` and `metadata.csv`: labels and captions of images, in the imagefolder convention.

Each row says something about one image: ``file_name``, relative to the metadata file's own folder, ``label`` (text, a
whole number, true or false) and ``text`` (a caption, or a list of captions). Several such files in different folders
are merged; several rows about one image give it several captions.
"""

from __future__ import annotations

import difflib
import posixpath
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.labels.classes import Value, composed
from sparring.data.labels.tables import OR_REMOVE, csv_rows, jsonl_rows, unclear
from sparring.data.options import Options
from sparring.data.report import brief, few
from sparring.data.sources.columns import TEXT_NAMES
from sparring.data.sources.items import Source
from sparring.errors import DataError

LIKELY_LABELS = (
    "class", "category", "target", "labels", "breed", "kind", "style", "species", "group", "type", "class_name",
    "label_name", "fine_label",
)  # fmt: skip
COLUMNS = {"image": "file_name", "label": "label", "text": "text"}

_MOST = 10  # problems named in one message
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,17}))(?:\.0*)?")


class Names:
    """Finds the item that a metadata file means, whatever the separator or the Unicode form it is spelt in."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._exact: dict[str, int] = {}
        self._composed: dict[str, int] = {}

    def _index(self) -> None:
        """Only when the first is looked for: a source without metadata pays nothing."""
        self._exact = {name: number for number, name in enumerate(self.names)}
        self._composed = {form: number for number, name in enumerate(self.names)
                          if not name.isascii() and (form := composed(name)) != name}  # fmt: skip

    def find(self, folder: str, name: str) -> int:
        """The number of the item `name`, relative to `folder` ("" or ending in "/"); −1 if there is none."""
        if not self._exact:
            self._index()
        number = self._exact.get(folder + name, -1)
        if number >= 0:
            return number
        path = composed(posixpath.normpath(folder + name.replace("\\", "/")))
        return self._exact.get(path, self._composed.get(path, -1))

    def nearest(self, name: str) -> str:
        """An item whose last part is that of `name` but for case: the usual mistake is another folder. Or nothing."""
        last = composed(name.replace("\\", "/").rsplit("/", 1)[-1]).casefold()
        return next((other for other in self.names if other.rsplit("/", 1)[-1].casefold() == last), "")


@dataclass(eq=False)
class Metadata:
    """What the metadata files of a source say. n items, in the order of the source.

    labels: (n,) int64 numbers of `values`, −1 where there is none; None if no file has a label.
    values: all different ones.
    captions: of each item; None if no file has one.   origin: names of the files used.
    columns: all that occur.   unused: files without a column of file names.
    """

    labels: NDArray[np.int64] | None = None
    values: list[Value] = field(default_factory=list)
    captions: list[tuple[str, ...]] | None = None
    origin: str = ""
    columns: dict[str, None] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_metadata(source: Source, options: Options, names: Names, *, labels: bool) -> Metadata:
    """Read and merge every `metadata.jsonl` and `metadata.csv` of `source`. labels: whether they are wanted.

    Raises `DataError` for what cannot be understood, with file and line.
    """
    files = [name for name in sorted(source.beside) if name.endswith(("metadata.jsonl", "metadata.csv"))]
    columns = {**COLUMNS, **dict(options.columns)}
    found, merged = Metadata(), _Merged(len(source.items))
    used: dict[str, None] = {}
    for name in files:
        rows = _File(name, f"{source.place}/{name}", columns, names, labels)
        rows.read(bytes_of(source, name))
        found.columns.update(rows.seen)
        if not rows.named:
            found.unused.append(name)
            found.warnings.append(rows.useless(columns["image"]))
            continue
        used[name.rsplit("/", 1)[-1]] = None
        found.warnings += rows.warnings()
        merged.add(rows)
    _check_named_columns(source, options, files, found)
    if (
        labels
        and used
        and merged.labels is None
        and merged.captions is None
        and (said := _idle(used, found.columns, columns))
    ):
        found.warnings.append(said)
    found.labels, found.values, found.captions = merged.labels, list(merged.values), merged.captions
    found.origin = " and ".join(used)
    return found


def _idle(files: Iterable[str], seen: Iterable[str], columns: dict[str, str]) -> str:
    """A word about files that name images and say nothing of them that is used; "" if they say nothing more."""
    more = [name for name in seen if name != columns["image"]]
    if not more:
        return ""
    by_case = {name.casefold(): name for name in more}
    hints = [(what, next((by_case[usual] for usual in usuals if usual in by_case), ""))
             for what, usuals in (("label", LIKELY_LABELS), ("text", TEXT_NAMES))]  # fmt: skip
    flags = " ".join(f"--columns {what}={brief(name)}" for what, name in hints if name and name != columns[what])
    flags = flags or "--columns label=… or text=… names one"
    names = " and ".join(files)
    return (f"{names}: nothing in it is used: it has no column {columns['label']!r} or {columns['text']!r} "
            f"with something in it (columns: {few(seen, most=12)}); {flags}")  # fmt: skip


def bytes_of(source: Source, name: str) -> bytes:
    """The content of a file beside the images. Raises `DataError`."""
    try:
        return source.read_beside(name)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError(
            "DATA-METADATA", "this file cannot be read", where=f"{source.place}/{name}", why=str(error),
            fix=f"make it readable, {OR_REMOVE}",
        ) from error  # fmt: skip


def folder_of(name: str) -> str:
    """The folder of a file inside a source, as a prefix: "" or ending in "/"."""
    return name[: name.rfind("/") + 1]


def _check_named_columns(source: Source, options: Options, files: list[str], found: Metadata) -> None:
    """A column the user named must occur somewhere."""
    if not files:
        if options.columns and source.own.origin in ("", "idx", "built-in"):
            raise DataError(
                "DATA-COLUMNS", f"column {brief(options.columns[0][1])!r} was named, but nothing here has columns",
                where=source.place, fix="add a metadata.jsonl or metadata.csv, or do not name columns",
            )  # fmt: skip
        return
    for what, column in options.columns:
        if column not in found.columns:
            near = difflib.get_close_matches(column, list(found.columns), n=1)
            raise DataError(
                "DATA-COLUMNS", f"no column {brief(column)!r} (named as {what})",
                where=", ".join(f"{source.place}/{name}" for name in files[:3]),
                why=f"its columns are {few(found.columns, most=20)}",
                fix=f"did you mean {what}={brief(near[0])}?" if near else f"name one of them: {what}=…",
            )  # fmt: skip


# ── one file ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _File:
    """The rows of one metadata file, as numbers: a million of them are ordinary."""

    def __init__(self, name: str, where: str, columns: dict[str, str], names: Names, labels: bool) -> None:
        self.name, self.where, self._folder = name, where, folder_of(name)
        self._image, self._label, self._text = (columns[what] for what in ("image", "label", "text"))
        self.names, self._wanted = names, labels
        self.items, self.lines, self.codes = array("q"), array("q"), array("q")
        self.captions: list[tuple[str, ...]] = []
        self.values: list[Value] = []
        self._raw: dict[tuple[type, Any], int] = {}  # each different label, in order
        self._first: list[tuple[int, str]] = []  # line and image where it occurs first
        self.seen: dict[str, None] = {}
        self.named = 0
        self._unnamed = 0  # the first line without a file name
        self._lost: list[str] = []
        self._lost_count = 0
        self._problems: list[str] = []

    def read(self, data: bytes) -> None:
        is_csv = self.name.endswith(".csv")
        rows = csv_rows(data, self.where, self._image) if is_csv else jsonl_rows(data, self.where)
        for line, row in rows:
            self._add(line, row)
        if self.named and self._unnamed:
            raise unclear(self.where, f"line {self._unnamed}: no {self._image!r}", "name the image in every row")
        self.values = self._cells() if is_csv else [value for _, value in self._raw]
        if self._problems:
            raise DataError(
                "DATA-LABELS", "labels that are no classes", where=self.where, why=few(self._problems, most=_MOST),
                fix="correct these rows (null, or an empty cell, where an image has no class); "
                "--labels none trains without classes",
            )  # fmt: skip

    def _add(self, line: int, row: dict[str, Any]) -> None:
        if not row.keys() <= self.seen.keys():
            self.seen.update(dict.fromkeys(row))
        name = row.get(self._image)
        if name is None or name == "":
            self._unnamed = self._unnamed or line
            return
        if not isinstance(name, str):
            raise unclear(self.where, f"line {line}: {self._image!r} is {brief(name)}, not a name", "name one file")
        self.named += 1
        code = self._code(line, name, row.get(self._label)) if self._wanted else -1
        caption = self._caption(line, row.get(self._text))
        number = self.names.find(self._folder, name)
        if number < 0:
            self._lost_count += 1
            if len(self._lost) < _MOST:
                self._lost.append(name)
            return
        self.items.append(number)
        self.lines.append(line)
        self.codes.append(code)
        self.captions.append(caption)

    def _code(self, line: int, name: str, label: Any) -> int:
        """The number of this label among those of the file; −1 for none, and for one that is a problem."""
        if label is None or (label == "" and self.name.endswith(".csv")):
            return -1
        if isinstance(label, str):
            label = label.strip()
        elif isinstance(label, float) and label.is_integer():
            label = int(label)
        if problem := _problem(label):
            self._problems.append(f"line {line} ({brief(name)}): {problem}")
            return -1
        key = (type(label), label)
        code = self._raw.get(key)
        if code is None:
            code = self._raw[key] = len(self._raw)
            self._first.append((line, name))
        return code

    def _cells(self) -> list[Value]:
        """Cells of a table have no type: all whole numbers are numbers, everything else is text."""
        cells = [text for _, text in self._raw]
        whole = [_WHOLE.fullmatch(cell) for cell in cells]
        if all(whole):
            numbers = [int(match[1]) for match in whole if match]
            self._complain((k, _problem(number)) for k, number in enumerate(numbers))
            return list(numbers)
        if all(_is_number(cell) for cell in cells) and not all(cell.isascii() and cell.isdigit() for cell in cells):
            self._complain((k, _problem(float(cells[k]))) for k, match in enumerate(whole) if not match)
        return list(cells)

    def _complain(self, problems: Iterable[tuple[int, str]]) -> None:
        for k, problem in problems:
            if problem:
                line, name = self._first[k]
                self._problems.append(f"line {line} ({brief(name)}): {problem}")

    def _caption(self, line: int, text: Any) -> tuple[str, ...]:
        texts = text if isinstance(text, list) else [] if text is None else [text]
        for one in texts:
            if not isinstance(one, str):
                raise unclear(
                    self.where, f"line {line}: {self._text!r} is {brief(one)}, not text", "text or a list of texts"
                )
            if not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise unclear(self.where, f"line {line}: {self._text!r} holds half a character", "write it again")
        return tuple(stripped for one in texts if (stripped := one.strip()))

    def useless(self, column: str) -> str:
        columns = few(self.seen, most=12) or "none"
        near = next((name for name in self.seen if name.casefold().startswith(("file", "image", "path"))), "")
        if {"file_A", "file_B"} <= set(self.seen):
            return (f"{brief(self.name)} is not used: it names two files in each row, which are pairs; "
                    "--pairs columns trains on them")  # fmt: skip
        return (f"{brief(self.name)} is not used: it has no column {column!r} that names images (columns: {columns}); "
                + (f"name one with --columns image={brief(near)}" if near else "add one"))  # fmt: skip

    def warnings(self) -> Iterator[str]:
        if self._lost_count:
            near = self.names.nearest(self._lost[0])
            hint = f" (there is {brief(near)}: names are relative to the metadata file's folder)" if near else ""
            yield (f"{brief(self.name)}: {self._lost_count:,} of {self.named:,} rows are about files not there: "
                   f"{few(self._lost, self._lost_count)}{hint}")  # fmt: skip


def _problem(label: Any) -> str:
    """Why this cannot be a class, or nothing."""
    if isinstance(label, str):
        return "" if label else "an empty label"
    if isinstance(label, float):
        return f"{label} is not a whole number" if label == label else "NaN is not a class"
    if isinstance(label, int):  # also true and false
        return "" if label >= 0 else f"{label} is negative"
    return "several labels on one image" if isinstance(label, list) else "neither text nor a number"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# ── all files ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Merged:
    """What all files say together about n items."""

    def __init__(self, n: int) -> None:
        self.labels: NDArray[np.int64] | None = None
        self.captions: list[tuple[str, ...]] | None = None
        self.values: list[Value] = []
        self._numbers: dict[tuple[type, Value], int] = {}
        self._n = n
        self._line = np.zeros(n, np.int64)  # where an item got its label

    def add(self, rows: _File) -> None:
        """Raises `DataError` where two rows give one image different labels."""
        if rows.values:
            self._add_labels(rows)
        if any(rows.captions):
            if self.captions is None:
                self.captions = [()] * self._n
            for number, texts in zip(rows.items, rows.captions):
                if texts:
                    self.captions[number] = tuple(dict.fromkeys(self.captions[number] + texts))

    def _add_labels(self, rows: _File) -> None:
        numbers = []
        for value in rows.values:
            number = self._numbers.setdefault((type(value), value), len(self.values))
            if number == len(self.values):
                self.values.append(value)
            numbers.append(number)
        if self.labels is None:
            self.labels = np.full(self._n, -1, np.int64)
        labels, lines = self.labels, self._line
        clashes: list[tuple[int, int, int]] = []
        for item, code, line in zip(rows.items, rows.codes, rows.lines):
            if code < 0:
                continue
            if labels[item] >= 0 and labels[item] != numbers[code]:
                clashes.append((item, numbers[code], line))
                continue
            labels[item], lines[item] = numbers[code], line
        if clashes:
            raise self._clash(rows, clashes)

    def _clash(self, rows: _File, clashes: list[tuple[int, int, int]]) -> DataError:
        assert self.labels is not None
        told = [
            f"{brief(rows.names.names[item])} is {brief(self.values[int(self.labels[item])])!r} "
            f"(line {self._line[item]}) and {brief(self.values[other])!r} (line {line})"
            for item, other, line in clashes[:_MOST]
        ]
        return DataError(
            "DATA-LABELS", f"rows that give an image a second, different label ({len(clashes):,})", where=rows.where,
            why=few(told, len(clashes)), fix="keep one label for each image",
        )  # fmt: skip
