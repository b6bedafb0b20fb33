"""Names and numbers of classes: which values are classes, what they are called, which numbers they get."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparring.data.report import brief
from sparring.errors import DataError

Value = int | bool | str


def composed(text: str) -> str:
    """The NFC form, in which an accented letter is one character wherever it can be.

    >>> len(composed("e\\u0301"))
    1
    """
    return unicodedata.normalize("NFC", text)


def number_classes(values: Sequence[Value], where: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """(names of the classes by number, number of the class of each value), of values that are all different.

    Numbers are in numerical order and called by their decimals; false comes before true; text is in the order of code
    points after NFC. So the numbering depends on the set of classes alone. Raises `DataError` where values are of
    different kinds, or names are empty or look alike (equal after NFC, or but for case or blanks).

    >>> number_classes([10, 2], "x")[0], number_classes(["dog", "cat"], "x")[1].tolist()
    (('2', '10'), [1, 0])
    """
    kinds = {type(value): value for value in reversed(values)}
    if len(kinds) > 1:
        raise DataError(
            "DATA-CLASSES", f"labels are of different kinds: {' and '.join(map(_kind, kinds.values()))}", where=where,
            fix="make all labels text, or all whole numbers",
        )  # fmt: skip
    names = [str(value).lower() if isinstance(value, bool) else composed(str(value)).strip() for value in values]
    _refuse_alike(values, names, where)
    order = sorted(range(len(values)), key=lambda k: names[k] if isinstance(values[k], str) else int(values[k]))
    number = np.empty(len(values), np.int64)
    number[order] = np.arange(len(values))
    return tuple(names[k] for k in order), number


def _kind(value: Value) -> str:
    if isinstance(value, str):
        return f"text ({brief(value)!r})"
    return f"true or false ({str(value).lower()})" if isinstance(value, bool) else f"numbers ({value})"


def _refuse_alike(values: Sequence[Value], names: Sequence[str], where: str) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        key = " ".join(name.split()).casefold()
        if not key:
            raise DataError(
                "DATA-CLASSES", f"a class whose name is empty or blank: {values[number]!r}", where=where,
                fix="give it a name, or take its images away",
            )  # fmt: skip
        other = seen.setdefault(key, number)
        if other == number:
            continue
        both = sorted((str(values[other]), str(values[number])))
        if composed(both[0]) == composed(both[1]):
            raise DataError(
                "DATA-CLASSES", f"two classes have the same name, spelt in different code points: {brief(both[0])} "
                f"({both[0]!a} and {both[1]!a})", where=where,
                why="one holds accented letters as one character, the other as letter and accent (NFC and NFD)",
                fix="make them one class, or rename one",
            )  # fmt: skip
        raise DataError(
            "DATA-CLASSES", f"two classes differ only by case or blanks: {brief(both[0])!r} and {brief(both[1])!r}",
            where=where, why="on other file systems and for a person they are the same",
            fix="make them one class, or rename one",
        )  # fmt: skip
