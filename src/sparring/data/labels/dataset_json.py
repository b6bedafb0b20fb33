"""`dataset.json`: labels as StyleGAN's tools write them, ``{"labels": [["00000/img00000000.png", 6], …]}``.

Names are relative to the file's own folder. Labels are class numbers or one-hot vectors; other vectors (camera poses)
are not classes. Everything doubtful stops, with the images named: labels that vanish silently cost days.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.labels.metadata import Names, bytes_of, folder_of
from sparring.data.report import brief, few
from sparring.data.sources.items import Source
from sparring.errors import DataError

_NONE = "or train without classes: --labels none"
_MARGIN = 8  # class numbers may leave this many and as many again as there are classes unused


def read_dataset_json(source: Source, names: Names) -> tuple[NDArray[np.int64] | None, list[str]]:
    """((n,) class number of each item, −1 where it has none; None if no file has classes), warnings.

    Raises `DataError` for labels that are no classes.
    """
    labels: NDArray[np.int64] | None = None
    warnings: list[str] = []
    for name in sorted(name for name in source.beside if name.rsplit("/", 1)[-1] == "dataset.json"):
        where = f"{source.place}/{name}"
        entries, why = _entries(bytes_of(source, name), where)
        if entries is None:
            if why:
                warnings.append(f"{brief(name)} is not used: {why}")
            continue
        numbers = _class_numbers(entries, where)
        if numbers is None:
            warnings.append(f"{brief(name)} is not used: its labels are vectors of measurements, not classes")
            continue
        if labels is None:
            labels = np.full(len(source.items), -1, np.int64)
        _place(source, names, folder_of(name), where, [entry for entry, _ in entries], numbers, labels)
        _refuse_outliers(source, labels, where)
    return labels, warnings


def _entries(data: bytes, where: str) -> tuple[list[tuple[str, Any]] | None, str]:
    """The (name, label) pairs, or None and why there are none (nothing where the file says so itself)."""
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            "DATA-METADATA", "this file cannot be understood", where=where, why=str(error),
            fix="mend it, or remove it, " + _NONE,
        ) from error  # fmt: skip
    if not isinstance(content, dict) or "labels" not in content:
        return None, 'it has no "labels"'
    labels = content["labels"]
    if labels is None:
        return None, ""
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list):
        raise _stop("labels is not a list of [name, label]", where, brief(pairs))
    odd = [k for k, pair in enumerate(pairs)
           if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str))]  # fmt: skip
    if odd:
        raise _stop("entries that are not [name, label]", where, few(f"entry {k}: {brief(pairs[k])}" for k in odd))
    return ([(name, label) for name, label in pairs], "") if pairs else (None, "")


def _class_numbers(entries: list[tuple[str, Any]], where: str) -> list[int] | None:
    """The class number of each entry; None where all labels are vectors of which some is not one-hot."""
    vectors = sum(isinstance(label, list) for _, label in entries)
    if vectors == len(entries):
        return _one_hot(entries, where)
    problems = [f"{brief(name)}: {problem}" for name, label in entries if (problem := _problem(label))]
    if problems:
        raise _stop(f"labels that are no class numbers ({len(problems):,})", where, few(problems))
    return [int(label) for _, label in entries]


def _problem(label: Any) -> str:
    if label is None:
        return "no label"
    if isinstance(label, list):
        return "a vector among numbers"
    if isinstance(label, bool) or not isinstance(label, int | float):
        return f"{brief(json.dumps(label))} is not a number"
    if isinstance(label, float) and not label.is_integer():
        return "NaN" if math.isnan(label) else f"{label} is not a whole number"
    return f"{int(label)} is negative" if label < 0 else "" if label < 2**31 else f"{int(label)} is too large"


def _one_hot(entries: list[tuple[str, Any]], where: str) -> list[int] | None:
    """The place of the one in each vector. Raises `DataError` for vectors of different lengths, and for NaN."""
    length = Counter(len(label) for _, label in entries).most_common(1)[0][0]
    problems = []
    classes = True
    for name, label in entries:
        if len(label) != length:
            problems.append(f"{brief(name)}: {len(label)} numbers where others have {length}")
        elif not all(isinstance(x, int) or (isinstance(x, float) and math.isfinite(x)) for x in label):
            problems.append(f"{brief(name)}: NaN, infinite or not a number")
        else:
            classes = classes and label.count(0) == length - 1 and label.count(1) == 1
    if problems:
        raise _stop(f"labels that do not fit ({len(problems):,})", where, few(problems))
    return [label.index(1) for _, label in entries] if classes else None


def _place(
    source: Source, names: Names, folder: str, where: str, entries: list[str], numbers: list[int],
    labels: NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the class numbers to the items they belong to."""
    listed_out = {name for name, _ in source.listed_out}
    lost, clashes = [], []
    for name, number in zip(entries, numbers):
        item = names.find(folder, name)
        if item < 0:
            if folder + name not in listed_out:
                lost.append(name)
        elif labels[item] >= 0 and labels[item] != number:
            clashes.append(f"{brief(name)}: {labels[item]} and {number}")
        else:
            labels[item] = number
    if clashes:
        raise _stop(f"images with two different labels ({len(clashes):,})", where, few(clashes))
    if lost:
        near = names.nearest(lost[0])
        hint = f" (there is {brief(near)})" if near else ""
        raise _stop(f"labels of images that are not there ({len(lost):,})", where, few(lost) + hint)


def _refuse_outliers(source: Source, labels: NDArray[np.int64], where: str) -> None:
    """Label 999 of 10: class numbers lie together but for a few images far beyond. All far apart is nothing wrong."""
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    dense = classes <= 2 * np.arange(1, len(classes) + 1) + _MARGIN
    together = int(np.argmin(dense)) if not dense.all() else len(classes)
    if together < 2 or together == len(classes) or counts[together:].sum() > 0.1 * counts.sum():
        return
    far = np.flatnonzero(labels >= classes[together])
    told = (f"{brief(source.items.names[k])}: {labels[k]}" for k in far[:10].tolist())
    raise DataError(
        "DATA-LABELS",
        f"labels far beyond the others ({len(far):,}): those are {classes[0]} to {classes[together - 1]}",
        where=where, why=few(told, len(far)),
        fix="correct them; where they are meant, give labels in metadata.jsonl; " + _NONE,
    )  # fmt: skip


def _stop(what: str, where: str, why: str) -> DataError:
    return DataError("DATA-LABELS", what, where=where, why=why, fix=f"correct these, {_NONE}")
