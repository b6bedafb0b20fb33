"""What a run was started on, image by image, so that it can go on although the files have changed meanwhile.

A run keeps its manifest (``data.npz``): the name, content hash, label and captions of every image, in the order of the
split. When the data are no longer the same, the run goes on with the images it was started on: from the cache of
decoded images, or by decoding the files that are still what they were.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache
from sparring.data.dataset import Dataset, Survey, assembled, binarised, prepared, recipe_of, stored, together
from sparring.data.labels import annotate, numbered_as, trimmed
from sparring.data.live import MOST_LOST, Live
from sparring.data.map_verdicts import Found as MapsFound
from sparring.data.options import Options
from sparring.data.prepare import Preparation, matched
from sparring.data.report import DataReport, shown
from sparring.data.scan import Scan
from sparring.data.sources import open_source
from sparring.data.sources.items import Annotations, Progress, Source
from sparring.data.sources.pairs import open_pairs
from sparring.data.sources.partners import NO_PARTNER
from sparring.errors import DataError

_VERSION = 1
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Manifest:
    """names (n) and content hashes (n, 16) of all images, or pairs, held-out ones
    first.   known: their labels, classes and captions.   report: as it was.   entry: of the cache.
    given: that of the other data set, of what is given, where the data are unpaired."""

    names: Sequence[str]
    hashes: NDArray[np.uint8]
    known: Annotations
    report: DataReport
    entry: str
    given: Manifest | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Manifest | None:
        """The manifest of a data set of images; None for points."""
        if dataset.survey is None:
            return None
        n = len(dataset.survey)
        labels = None
        if dataset.labels is not None and dataset.held_out_labels is not None:
            labels = np.concatenate([dataset.held_out_labels, dataset.labels])
        captions = None
        if dataset.captions is not None and dataset.held_out_captions is not None:
            captions = [*dataset.held_out_captions, *dataset.captions]
        known = Annotations(labels, dataset.classes, captions, dataset.report.labels)
        names = [dataset.file(row) for row in range(n)]
        other = dataset.given.other if dataset.given is not None else None
        given = cls.of(other) if other is not None else None
        return cls(names, dataset.survey.hashes, known, dataset.report, dataset.entry, given)

    def encode(self) -> bytes:
        """A compressed npz without pickles."""
        said = {
            "version": _VERSION, "entry": self.entry, "classes": self.known.classes, "origin": self.known.origin,
            "report": self.report.record(),
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "said": _bytes(said),
            "names": _bytes(list(self.names)),
            "hashes": self.hashes,
        }
        if self.known.labels is not None:
            arrays["labels"] = self.known.labels
        if self.known.captions is not None:
            arrays["captions"] = _bytes([list(texts) for texts in self.known.captions])
        if self.given is not None:
            arrays["given"] = np.frombuffer(self.given.encode(), np.uint8)
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def load(cls, path: Path) -> Manifest | None:
        """None if there is none, or it cannot be read: then only unchanged data will do."""
        try:
            return cls.decode(path.read_bytes())
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile):
            return None

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """What `encode` made."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            said = _value(found["said"])
            captions = [tuple(texts) for texts in _value(found["captions"])] if "captions" in found else None
            known = Annotations(found.get("labels", None), tuple(said["classes"]), captions, said["origin"])
            given = cls.decode(found["given"].tobytes()) if "given" in found else None
            report = DataReport.of(said["report"])
            return cls(_value(found["names"]), found["hashes"], known, report, said["entry"], given)


def _bytes(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)  # ASCII: names that are no text survive as \\udcXX


def _value(array: NDArray[np.uint8]) -> Any:
    return json.loads(array.tobytes().decode())


# ── going on ──────────────────────────────────────────────────────────────────────────────────────────────────────


def reopen(
    manifest: Manifest,
    source: str,
    options: Options,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Dataset, list[str]]:
    """The data set that `manifest` describes, although files may have been added, removed or changed since; and the
    differences, in plain words. Raises `DataError`: the classes are no longer the same, or more
    than 1 % of the images are lost and were not kept decoded.
    """
    root, warning = cache.directory(cache_dir)
    if manifest.given is None:
        own = replace(options, drop_unpaired=True)  # a partner that is gone is one of the differences
        again = _Reopening(manifest, own, root, warning, progress)
        dataset, changes = again.run(lambda: open_pairs(source, own, root, progress)[0])
        return binarised(dataset, options.binarise), changes
    assert options.into is not None
    texts = (source, options.into) if options.direction == "AtoB" else (options.into, source)
    single = replace(options, pairs="none", into=None, maps="none", palette=None)
    beside = replace(single, channels=options.given_channels, labels="none", columns=())
    given, changes = _Reopening(manifest.given, beside, root, warning, progress).run(
        lambda: open_source(texts[0], beside, root, progress)
    )
    alone = replace(manifest, given=None, report=DataReport.of(manifest.report.other["made"]))
    made, more = _Reopening(alone, single, root, warning, progress).run(
        lambda: open_source(texts[1], single, root, progress)
    )
    return together(made, given, options), [*changes, *more]


@dataclass(frozen=True)
class _Reopening:
    """One data set that is opened as it was when a run began."""

    manifest: Manifest
    options: Options
    root: Path
    warning: str
    progress: Progress | None

    def run(self, open_again: Callable[[], Source]) -> tuple[Dataset, list[str]]:
        """The data set, and what has changed since."""
        manifest, options, root = self.manifest, self.options, self.root
        entry = root / "images" / manifest.entry
        kept = stored(entry) if cache.meta(entry) is not None else None
        maps = MapsFound.of(manifest.report.maps) if manifest.report.maps else None
        try:
            opened = open_again()
            try:
                found = Preparation(opened, root, options, self.progress).scan()
            except BaseException:
                opened.close()
                raise
        except DataError as error:
            if kept is None:
                raise
            said = f"the data cannot be opened ({error.what}: {error.where}); the run goes on with its decoded images"
            return _restored(manifest, kept, entry), [said]
        try:
            left_out, names = {name for name, _ in manifest.report.excluded}, opened.items.names
            usable = [n for n in found.number.tolist() if names[n] not in left_out]
            annotations = trimmed(annotate(opened, options), np.array(usable, np.int64))
            rows, spare = matched(found.hashes, manifest.hashes)
            renamed = _renamed(manifest, annotations, found, rows)
            annotations = numbered_as(annotations, manifest.known.classes, opened.place, renamed)
            changes = _differences(manifest, found, rows, spare, opened)
            changes += _relabelled(manifest, annotations, found, rows)
            if not changes:
                return prepared(opened, options, root, self.progress, self.warning, maps), []
            goes_on = "the run goes on with the images it was started on, from"
            if kept is not None:
                opened.close()
                return _restored(manifest, kept, entry), [*changes, f"{goes_on} their decoded copies"]
            if int((rows < 0).sum()) > MOST_LOST * len(rows):
                raise _too_much(manifest, rows, opened.place)
            live = Live(
                opened, np.where(rows >= 0, found.number[rows], -1), np.where(rows >= 0, found.frame[rows], 0),
                manifest.hashes, recipe_of(manifest.report, options), manifest.names,
            )  # fmt: skip
            return _restored(manifest, live, entry), [*changes, f"{goes_on} the files that are still the same"]
        except BaseException:
            opened.close()
            raise


def _restored(manifest: Manifest, images: Live | NDArray[np.uint8], entry: Path) -> Dataset:
    """The data set as it was."""
    report = manifest.report
    survey = Survey.load(entry) if cache.meta(entry) is not None else None
    rows = np.arange(len(manifest.names))  # `names` are in the order of the rows here
    made = assembled(
        Path(report.source).stem or report.source, report, images, manifest.known, rows, manifest.names, survey,
        manifest.entry,
    )  # fmt: skip
    return replace(made, fingerprint=report.fingerprint, report=report)


def _differences(
    manifest: Manifest, found: Scan, rows: NDArray[np.int64], spare: NDArray[np.int64], source: Source
) -> list[str]:
    """What changed since the run was started, in plain words, naming files. spare: rows of the scan that are new."""
    lost = _lost(manifest, rows)
    listed_out = [name for name, why in source.listed_out if not why.startswith(NO_PARTNER)]
    there = {*source.items.names, *listed_out} if lost else set()
    known = {*manifest.names, *(name for name, _ in manifest.report.excluded)} if len(spare) else set()
    new = (source.items[int(found.number[row])].name for row in spare.tolist())
    what = {
        "removed": [name for name in lost if name not in there],
        "changed in content": [name for name in lost if name in there],
        "added": sorted(name for name in new if name not in known),
    }
    what_changed = "pair" if source.pairs else "file"
    return [
        f"{len(names):,} {what_changed}{'s were' if len(names) > 1 else ' was'} {how} since the run started: "
        + _some(names)
        for how, names in what.items() if names
    ]  # fmt: skip


def _relabelled(manifest: Manifest, now: Annotations, found: Scan, rows: NDArray[np.int64]) -> list[str]:
    """Whether images have another class by now."""
    if now.labels is None or manifest.known.labels is None:
        return []
    there = rows >= 0
    moved = int((now.labels[found.number[rows[there]]] != manifest.known.labels[there]).sum())
    many = "images have" if moved > 1 else "image has"
    return [f"{moved:,} {many} another class than when the run started; the run keeps the old one"] * bool(moved)


def _renamed(manifest: Manifest, now: Annotations, found: Scan, rows: NDArray[np.int64]) -> dict[str, str]:
    """Classes of the run all of whose images that are still there are in one other class now."""
    then = manifest.known
    if now.labels is None or then.labels is None:
        return {}
    there = rows >= 0
    pairs = np.unique(np.stack([then.labels[there], now.labels[found.number[rows[there]]]]), axis=1).T.tolist()
    new: dict[int, list[int]] = {}
    for old, label in pairs:
        new.setdefault(old, []).append(label)
    return {
        then.classes[old]: now.classes[labels[0]]
        for old, labels in new.items() if len(labels) == 1 and labels[0] >= 0
    }  # fmt: skip


def _lost(manifest: Manifest, rows: NDArray[np.int64]) -> list[str]:
    """The names of the rows that were not found."""
    return sorted(manifest.names[row] for row in np.flatnonzero(rows < 0).tolist())


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _too_much(manifest: Manifest, rows: NDArray[np.int64], place: str) -> DataError:
    lost = _lost(manifest, rows)
    return DataError(
        "DATA-CHANGED", f"{len(lost):,} of {len(rows):,} images of the run are no longer there", where=place,
        why=f"gone or changed: {_some(lost)}; and there are no decoded copies of them",
        fix="bring the files back (data.npz names them all), or start a new run",
    )  # fmt: skip
