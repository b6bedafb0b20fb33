"""Labels and captions of a source, and whether they can be trained on.

Three steps: `annotate` reads what is known, whatever can be decoded; `judge` looks at it among the images that can be
used; `trimmed` leaves the classes that have images, so that a folder, its zip and its shards have the same classes.
A run stores them, and `numbered_as` gives a later look at the data the numbers of the run, or stops with a diff.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sparring.data.labels.class_folders import FOLDERS, WITHOUT, empty_folders, of_folders, refuse_other_folders
from sparring.data.labels.classes import Value, composed, number_classes
from sparring.data.labels.dataset_json import read_dataset_json
from sparring.data.labels.metadata import LIKELY_LABELS, Metadata, Names, read_metadata
from sparring.data.options import Options
from sparring.data.report import brief, few
from sparring.data.sources.items import Annotations, Source
from sparring.errors import DataError

Numbers = NDArray[np.int64]

_UNEVEN, _HOPELESS = 100, 10_000  # images of the largest class for one of the smallest


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def annotate(source: Source, options: Options) -> Annotations:
    """The labels and captions of every item, used or not. Raises `DataError` for what is wrong with them themselves.

    Labels come from where `options.labels` says: "auto": metadata files that have them, else `dataset.json`, else
    what the source itself knows (idx, parquet, built-in data); never class folders by themselves. "metadata": the
    same, and there must be some. "folders": the first folder below the source. "none": nowhere. Captions come from
    metadata files, else from the source, always.
    """
    if source.described is not None:
        described, rows, column = source.described
        columns = [(what, name) for what, name in options.columns if what in ("label", "text")]
        columns += [("image", column)] if column else []
        return of_rows(annotate(described, replace(options, columns=tuple(columns))), rows)
    names = Names(source.items.names)
    wanted = options.labels in ("auto", "metadata")
    found = read_metadata(source, options, names, labels=wanted)
    own = source.own
    captions = own.captions if found.captions is None else found.captions
    warnings = [*own.warnings, *found.warnings]
    if options.labels == "folders":
        labels, classes = _numbered(*of_folders(source), source.place)
        return Annotations(labels, classes, captions, FOLDERS, (*warnings, *empty_folders(source)))
    if wanted and found.labels is not None:
        labels, classes = _numbered(found.labels, found.values, source.place)
        return Annotations(labels, classes, captions, found.origin, tuple(warnings))
    more: list[str] = []
    if wanted:
        numbers, more = read_dataset_json(source, names)
        if numbers is not None:
            labels, classes = _of_numbers(numbers, source.place)
            return Annotations(labels, classes, captions, "dataset.json", (*warnings, *more))
        if own.labels is not None:
            return Annotations(own.labels, own.classes, captions, own.origin, (*warnings, *more))
    if options.labels == "metadata":
        raise _no_labels(source, found, [*found.warnings, *more])
    origin = "" if captions is None else found.origin if found.captions is not None else own.origin
    return Annotations(None, (), captions, origin, (*warnings, *more))


def of_rows(known: Annotations, rows: Numbers) -> Annotations:
    """What is known of the items `rows`."""
    labels = known.labels[rows] if known.labels is not None else None
    captions = [known.captions[row] for row in rows.tolist()] if known.captions is not None else None
    return replace(known, labels=labels, captions=captions)


def _numbered(labels: Numbers, values: list[Value], where: str) -> tuple[Numbers, tuple[str, ...]]:
    """Labels that are positions in `values` become class numbers."""
    classes, number = number_classes(values, where)
    return _mapped(labels, number), classes


def _of_numbers(labels: Numbers, where: str) -> tuple[Numbers, tuple[str, ...]]:
    """Any whole numbers become class numbers without gaps, named by their decimals."""
    values, position = np.unique(labels[labels >= 0], return_inverse=True)
    dense = np.full(len(labels), -1, np.int64)
    dense[labels >= 0] = position
    return _numbered(dense, values.tolist(), where)


def _no_labels(source: Source, found: Metadata, reasons: list[str]) -> DataError:
    """Labels from metadata were asked for."""
    if not source.beside:
        return DataError(
            "DATA-LABELS", "labels from metadata were asked for, but there is no metadata", where=source.place,
            fix="add a metadata.jsonl or metadata.csv with file_name and label; class folders need --labels folders",
        )  # fmt: skip
    likely = [name for name in found.columns if name.casefold() in LIKELY_LABELS]
    return DataError(
        "DATA-LABELS", "labels from metadata were asked for, but there are none",
        where=", ".join(f"{source.place}/{name}" for name in sorted(source.beside)[:3]),
        why="; ".join(reasons) or f"no label in any row (columns: {few(found.columns, most=20)})",
        fix=f"name the column: --columns label={brief(likely[0]) if likely else '…'}, {WITHOUT}",
    )  # fmt: skip


# ── judging ───────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(annotations: Annotations, used: Numbers, source: Source) -> list[str]:
    """What a person should know about labels and captions of the items `used` (numbers, perhaps several times).

    Raises `DataError` where an image has no label although others do, and where folders were asked for that are no
    classes. `annotations.warnings` are not repeated.
    """
    warnings: list[str] = []
    if annotations.labels is not None and len(used):
        if annotations.origin == FOLDERS:
            refuse_other_folders(source, used, counts(annotations, used))
        _refuse_unlabelled(annotations, used, source)
        warnings += _judge_sizes(annotations, used)
    if annotations.captions is not None and len(used):
        captions = annotations.captions
        bare = [k for k in np.unique(used).tolist() if not captions[k]]
        if bare:
            told = few((source.items.names[k] for k in bare[:10]), len(bare))
            warnings.append(f"no caption for {len(bare):,} of {len(np.unique(used)):,} images: {told}")
    return warnings


def _refuse_unlabelled(annotations: Annotations, used: Numbers, source: Source) -> None:
    assert annotations.labels is not None
    bare = np.unique(used[annotations.labels[used] < 0]).tolist()
    if not bare:
        return
    names = source.items.names
    told = few((names[k] for k in bare[:10]), len(bare))
    if annotations.origin == FOLDERS:
        raise DataError(
            "DATA-LABELS", f"images at the top, beside the class folders ({len(bare):,})", where=source.place,
            why=told, fix=f"move them into a class folder, or away, {WITHOUT}",
        )  # fmt: skip
    raise DataError(
        "DATA-LABELS", f"no label for {len(bare):,} of {len(np.unique(used)):,} images in {annotations.origin}",
        where=source.place, why="; ".join([told, *annotations.warnings]),
        fix=f"give them a label there, or take them away, {WITHOUT}",
    )  # fmt: skip


def _judge_sizes(annotations: Annotations, used: Numbers) -> list[str]:
    """Classes without images, with one, of very different sizes, or almost as many as there are images."""
    size = counts(annotations, used)
    present = {name: n for name, n in size.items() if n}
    empty = [name for name, n in size.items() if not n]
    single = [name for name, n in present.items() if n == 1]
    warnings = [f"classes without a single image that can be used: {few(empty)}"] if empty else []
    if len(present) == 1:
        return [*warnings, f"all images are of one class, {brief(next(iter(present)))!r}: labels say nothing"]
    if len(present) > max(20, len(used) // 2):
        return [*warnings, f"{len(present):,} classes for {len(used):,} images: are these labels really classes?"]
    if single:
        warnings.append(f"classes with one image only, which will be memorised: {few(single)}")
    largest, smallest = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    ratio = present[largest] / present[smallest]
    if ratio > _UNEVEN:
        told = (f"{brief(largest)!r} has {present[largest]:,} images, "
                f"{brief(smallest)!r} {present[smallest]:,}")  # fmt: skip
        warnings.append(
            f"classes differ {ratio:,.0f} to 1 in size ({told}): "
            + ("the small ones will practically never be seen; merge them, leave them out, or collect more"
               if ratio >= _HOPELESS else "the small ones will be learnt late or not at all")
        )  # fmt: skip
    return warnings


# ── classes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def counts(annotations: Annotations, used: Numbers) -> dict[str, int]:
    """How many of the items `used` each class has, zeros included; empty without labels."""
    if annotations.labels is None:
        return {}
    labels = annotations.labels[used]
    number = np.bincount(labels[labels >= 0], minlength=len(annotations.classes))
    return dict(zip(annotations.classes, number.tolist()))


def trimmed(annotations: Annotations, used: Numbers) -> Annotations:
    """Without the classes that none of the items `used` belongs to; the others keep their order.

    >>> trimmed(Annotations(np.array([2, 0, 1, 2]), ("a", "b", "c")), np.array([0, 1])).classes
    ('a', 'c')
    """
    if annotations.labels is None:
        return annotations
    size = np.array(list(counts(annotations, used).values()), np.int64)
    number = np.where(size > 0, np.cumsum(size > 0) - 1, -1)
    classes = tuple(name for name, n in zip(annotations.classes, size) if n)
    return replace(annotations, labels=_mapped(annotations.labels, number), classes=classes)


def numbered_as(
    annotations: Annotations, classes: tuple[str, ...], where: str = "", renamed: Mapping[str, str] | None = None
) -> Annotations:
    """The same annotations, with the numbers that `classes` (those of a run) gives them.

    renamed: old names of classes and their new ones, as far as that is known.
    Raises `DataError` DATA-CLASSES with a diff if they are not the same classes.
    """
    if annotations.classes == classes:
        return annotations
    if told := difference(classes, annotations.classes, renamed or {}):
        raise DataError(
            "DATA-CLASSES", "the classes are not those that the run was started with", where=where, why=told,
            fix="bring the classes back, or start a new run: the generator knows the old ones by number",
        )  # fmt: skip
    assert annotations.labels is not None
    place = {name: k for k, name in enumerate(classes)}
    number = np.array([place[name] for name in annotations.classes], np.int64)
    return replace(annotations, labels=_mapped(annotations.labels, number), classes=classes)


def _mapped(labels: Numbers, number: Numbers) -> Numbers:
    return np.where(labels >= 0, number[labels], -1) if len(number) else np.full_like(labels, -1)


def difference(before: tuple[str, ...], after: tuple[str, ...], known: Mapping[str, str] = MappingProxyType({})) -> str:
    """How two sets of classes differ, in words; nothing if they do not, whatever their order.

    known: old names that are known to be called otherwise now.

    >>> difference(("bird", "cat"), ("Cat", "dog"))
    'added: dog; removed: bird; renamed? cat → Cat'
    >>> difference(("cat",), ())
    'removed: cat (there are no labels now)'
    """
    added, removed = sorted({*after} - {*before}), sorted({*before} - {*after})
    sure = {old: new for old, new in known.items() if old in removed and new in added}
    added, removed = [name for name in added if name not in sure.values()], [n for n in removed if n not in sure]
    renamed = _renamed(removed, added)
    added = [name for name in added if name not in renamed.values()]
    removed = [name for name in removed if name not in renamed]
    note = " (there are no labels now)" if before and not after else ""
    note = " (the run had no labels)" if after and not before else note
    parts = [f"added: {few(added)}"] * bool(added) + [f"removed: {few(removed)}"] * bool(removed)
    parts += [f"renamed: {few(f'{old} → {new}' for old, new in sure.items())}"] * bool(sure)
    parts += [f"renamed? {few(f'{old} → {new}' for old, new in renamed.items())}"] * bool(renamed)
    return "; ".join(parts) + note


def _renamed(removed: list[str], added: list[str]) -> dict[str, str]:
    """Likely new names of removed classes: equal but for case, blanks or Unicode form, else the nearest in spelling."""

    def key(name: str) -> str:
        return " ".join(composed(name).casefold().replace("_", " ").replace("-", " ").split())

    if len(removed) * len(added) > 10_000:
        return {}
    free = {key(name): name for name in added}
    renamed = {}
    for cutoff in (1.0, 0.6):
        for name in removed:
            near = difflib.get_close_matches(key(name), free, n=1, cutoff=cutoff) if name not in renamed else []
            if near:
                renamed[name] = free.pop(near[0])
    return renamed
