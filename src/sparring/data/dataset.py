"""`open_data`: from what a person typed to a `Dataset` that a stream can read, decoded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, legends, points
from sparring.data.binary import Binarised
from sparring.data.decode import Recipe
from sparring.data.labels import annotate, counts, judge, trimmed
from sparring.data.live import Live
from sparring.data.map_verdicts import Found
from sparring.data.opening import decoders
from sparring.data.options import Binarise, Options
from sparring.data.pairing import AnyRecipe, PairRecipe
from sparring.data.prepare import FORMAT, SURVEYED, Preparation
from sparring.data.report import DataReport
from sparring.data.scan import content_hash
from sparring.data.sides import Given, SideSpec
from sparring.data.sources.items import Annotations, Progress, Source
from sparring.data.sources.pairs import open_pairs
from sparring.data.split import held_out_count
from sparring.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of each image, held-out rows first, then training rows.

    sides: (n, 2) width and height as stored.   mode: (n,) kind of pixels, a number of `modes`.
    hashes: (n, 16) of content.   equal: (n,) the same number for equal pixels.   flat: (n,) one colour only.
    look: (n,) perceptual hash, see `duplicates`.   made: (n,) bit k: whether conversion k of `conversions` was made.
    """

    sides: NDArray[np.int32]
    mode: NDArray[np.uint8]
    modes: tuple[str, ...]
    hashes: NDArray[np.uint8]
    equal: NDArray[np.int64]
    flat: NDArray[np.bool_]
    look: NDArray[np.uint64]
    made: NDArray[np.uint64]
    conversions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sides)

    @classmethod
    def load(cls, entry: Path) -> Survey:
        """From an entry of the cache."""
        arrays = {name: np.load(entry / f"{name}.npy") for name in SURVEYED}
        meta = cache.meta(entry) or {}
        return cls(**arrays, modes=tuple(meta.get("modes", ())), conversions=tuple(meta.get("conversions", ())))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data ready for training, and what is set aside to judge it.

    kind:     "images" or "points".                     shape: (C, H, W) or (D,) of one sample.
    train:    (N, H, W, C) uint8, memory-mapped or decoded on demand, read-only; or points (N, D) float32.
    held_out: (M, …) the same, never trained on; M may be 0.
    report:   what was found, converted, left out.
    fingerprint: changes with content, preparation, split, labels and captions; not with names or the container.
    labels, held_out_labels: (N,), (M,) int64 into `classes`, or None.
    captions, held_out_captions: for each image the texts that describe it (perhaps none), or None.
    index, held_out_index:   positions in `names` (images), so that a row can be traced to its file.
    survey:   what is known of each image; points have none.   entry: name of the cache entry.
    given:    what each image is to be made from (image to image), or None; then `train` is what is to be made.
    side:     what the pictures of `train` are, as far as it says more than `shape`: where they are label maps.
    binarise: how the values became 0 or 255 (`data.binary`), or "none"; then `train` and `held_out` are views of the
              levels, in which each value is drawn once; what a stream draws anew is drawn there.
    scale, modes, spread:    points only; `train · scale` are the coordinates in which `modes` (K, D) are given and
                             each mode has the standard deviation `spread`.
    """

    name: str
    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    train: NDArray[Any] | Live | Binarised
    held_out: NDArray[Any] | Live | Binarised
    report: DataReport
    fingerprint: str
    labels: NDArray[np.int64] | None = None
    held_out_labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    captions: Sequence[tuple[str, ...]] | None = None
    held_out_captions: Sequence[tuple[str, ...]] | None = None
    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    held_out_index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    names: Sequence[str] = ()
    survey: Survey | None = None
    entry: str = ""
    given: Given | None = None
    side: SideSpec | None = None
    scale: float = 1.0
    modes: NDArray[np.float32] | None = None
    spread: float | None = None
    binarise: Binarise = "none"

    def __len__(self) -> int:
        return len(self.train)

    @property
    def live(self) -> bool:
        """Whether images are decoded whenever they are needed."""
        return isinstance(_levels(self.train), Live)

    def plain(self) -> Dataset:
        """The same images before they were made binary."""
        if self.binarise == "none":
            return self
        report = replace(self.report, binarise="none")
        return replace(self, train=_levels(self.train), held_out=_levels(self.held_out), binarise="none",
                       report=report, fingerprint=report.fingerprint)  # fmt: skip

    def row(self, number: int) -> NDArray[np.uint8]:
        """The prepared image (H, W, C) in row `number` of the survey."""
        k = len(self.held_out)
        image: NDArray[np.uint8] = self.held_out[number] if number < k else self.train[number - k]
        return image

    def file(self, number: int) -> str:
        """The name in the source of row `number` of the survey."""
        k = len(self.held_out_index)
        return self.names[int(self.held_out_index[number] if number < k else self.index[number - k])]

    @property
    def legend(self) -> tuple[str, ...]:
        """Where `train` holds label maps, the names of the classes; it has one channel of `side.ids` then, and `shape`
        one for each class."""
        return self.side.legend if self.side is not None else ()

    @property
    def palette(self) -> NDArray[np.uint8] | None:
        """(K, 3) uint8 colours of these classes, or None."""
        return self.side.palette if self.side is not None else None

    def close(self) -> None:
        """End what decodes on demand; nothing else is held open."""
        for images in (_levels(self.train), _levels(self.held_out)):
            if isinstance(images, Live):
                images.close()
        if self.given is not None and self.given.other is not None:
            self.given.other.close()


def open_data(
    source: str | Path,
    options: Options | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    beside: bool = True,
    needs: Collection[str] = (),
    small: bool = False,
    **settings: Any,
) -> Dataset:
    """Open images (a folder, a zip, idx files, shards, "hf:owner/name", "emoji", …) or 2-D points ("ring", "grid", …).

    options, or settings by name: see `Options` (size, channels, crop, held_out, labels, …).
    progress: called with (stage, done, total).
    beside: whether files that say something about the images (metadata.jsonl, dataset.json) are read.
    needs: "pair" or "unpaired" where whoever trains on it needs that (`Game.needs`); settles pairs="auto".
    small: whether single images below 32 pixels keep their size where none is asked for; else they are enlarged to 32.

    Raises `DataError` (nothing usable, all images equal, no such file), `UsageError` (arguments), `MachineError`.

    >>> open_data("ring").shape
    (2,)
    """
    options = replace(options or Options(), **settings)
    options.check_pairs()
    if str(source) in points.NAMES:
        return _open_points(str(source), options)
    root, warning = cache.directory(cache_dir)
    opened = open_pairs(str(source), options, root, progress, needs)
    if not beside:
        for one in opened:
            one.beside = []
            if one.described is not None:
                one.described[0].beside = []
    if len(opened) == 1:
        if small and options.size is None and not opened[0].pairs:
            options = replace(options, size=Preparation(opened[0], root, options, progress).scan().small_size())
        return binarised(prepared(opened[0], options, root, progress, warning), options.binarise)
    return binarised(unpaired(opened, options, root, progress, warning), options.binarise)


def binarised(dataset: Dataset, how: Binarise) -> Dataset:
    """The same images with each value 0 or 255 (`data.binary`). `UsageError` for pairs."""
    if how == "none":
        return dataset
    if dataset.given is not None:
        dataset.close()
        raise UsageError(
            "DATA-BINARISE", "--binarise is about single images, and these data are pairs", where=dataset.report.source,
            fix="leave it out, or name one folder and say --pairs none",
        )  # fmt: skip
    digest = hashlib.blake2b(f"{dataset.report.fingerprint} {how}".encode(), digest_size=16).hexdigest()
    images = [
        Binarised(_levels(one), first, how)
        for one, first in ((dataset.train, len(dataset.held_out)), (dataset.held_out, 0))
    ]
    return replace(dataset, train=images[0], held_out=images[1], fingerprint=digest, binarise=how,
                   report=replace(dataset.report, binarise=how))  # fmt: skip


def _levels(images: NDArray[Any] | Live | Binarised) -> NDArray[Any] | Live:
    return images.images if isinstance(images, Binarised) else images


def prepared(
    source: Source, options: Options, root: Path, progress: Progress | None, warning: str, seen: Found | None = None
) -> Dataset:
    """The data set of an open source, which stays open only if the data set is `live`. root: of the cache.
    seen: what its label maps hold, where that is known."""
    try:
        dataset = _prepared(source, options, root, progress, warning, seen)
    except BaseException:
        source.close()
        raise
    if not dataset.live:
        source.close()
    return dataset


def _prepared(
    source: Source, options: Options, root: Path, progress: Progress | None, warning: str, seen: Found | None
) -> Dataset:
    asked = replace(  # what the pixels depend on, beside the source
        options, labels="auto", columns=(), on_bad="quarantine", into=None, pairs="auto", drop_unpaired=False,
        palette=None, binarise="none",
    )  # fmt: skip
    legend = seen.record() if seen is not None else legends.stamp(source, options)
    known_by = f"{FORMAT} {decoders()} {source.stamp} {asked} {legend}"
    ticket = root / "opened" / hashlib.blake2b(known_by.encode(), digest_size=16).hexdigest()
    meta = cache.meta(ticket)
    if meta is None or cache.meta(root / "images" / meta["key"]) is None:
        meta = Preparation(source, root, options, progress, seen).run(ticket)
    if options.on_bad == "stop" and meta["report"]["excluded"]:
        raise _bad_images(source, meta["report"]["excluded"])
    number = np.load(ticket / "number.npy")
    annotations = annotate(source, options)
    report = DataReport.of(meta["report"])
    report.warnings.extend([*annotations.warnings, *judge(annotations, number, source)])
    annotations = trimmed(annotations, number)  # a folder of notes is no class, here as in a zip or shards
    report.warnings.extend([warning] if warning else [])
    entry = root / "images" / meta["key"]
    survey = Survey.load(entry)
    images: NDArray[np.uint8] | Live | None = stored(entry)
    if images is None:
        images = Live(source, number, np.load(ticket / "frame.npy"), survey.hashes, recipe_of(report, options))
        if not source.direct:
            report.warnings.append(
                "rows of these parquet files can only be read many at a time, which is slow in random order: write "
                "them anew with `sparring pack`, or keep decoded images with --keep on"
            )
    labels = annotations.labels[number] if annotations.labels is not None else None
    captions = [annotations.captions[n] for n in number.tolist()] if annotations.captions is not None else None
    known = replace(annotations, labels=labels, captions=captions)
    return assembled(source.name, report, images, known, number, source.items.names, survey, meta["key"])


def unpaired(
    sources: tuple[Source, ...], options: Options, root: Path, progress: Progress | None, warning: str
) -> Dataset:
    """Two data sets, of what is given and of what is to be made, that have nothing to do with each other. Both are
    brought to one size."""
    if options.maps != "none":
        raise DataError(
            "DATA-MAPS", "label maps are read in pairs only", where=sources[0].place, fix="leave --maps out"
        )
    given, made = sources
    try:
        dataset = prepared(made, options, root, progress, warning)
    except BaseException:
        given.close()
        raise
    _, height, width = dataset.shape
    own = replace(options, size=(height, width), channels=options.given_channels, labels="none", columns=())
    try:
        return together(dataset, prepared(given, own, root, progress, ""), options)
    except BaseException:
        dataset.close()
        raise


def together(made: Dataset, given: Dataset, options: Options) -> Dataset:
    """Two data sets as one: `given` as what is given, independently of each other."""
    specs = [SideSpec(one.shape[0], background=options.background, levels=options.levels) for one in (given, made)]
    digest = hashlib.blake2b(f"{given.fingerprint} {made.fingerprint}".encode(), digest_size=16).hexdigest()
    first, second = (given, made) if options.direction == "AtoB" else (made, given)
    also = second.report.source if second.report.source != first.report.source else ""  # built-in: one name for both
    other = {"given": given.report.record(), "made": made.report.record()}
    report = replace(
        made.report, source=first.report.source, also=also, pairs="unpaired", fingerprint=digest,
        sides={"given": specs[0].record(), "made": specs[1].record()}, other=other,
    )  # fmt: skip
    train, aside = _levels(given.train), _levels(given.held_out)
    beside = Given(train, aside, given.shape, specs[0], paired=False, other=given)
    return replace(made, report=report, fingerprint=digest, given=beside, side=specs[1])


def _bad_images(source: Source, excluded: list[tuple[str, str]]) -> DataError:
    named = [f"{name}: {reason}" for name, reason in excluded[:20]]
    more = [f"… and {len(excluded) - 20:,} more"] if len(excluded) > 20 else []
    return DataError(
        "DATA-BAD", f"{len(excluded):,} file{'s' if len(excluded) > 1 else ''} cannot be used", where=source.place,
        why="\n       ".join([*named, *more]), fix="mend or remove them, or leave them out with --on-bad quarantine",
    )  # fmt: skip


def _open_points(name: str, options: Options) -> Dataset:
    """Built-in points. Mixtures know the mode of each point: their labels, unless ``labels="none"``. (The fingerprint
    is that of the points alone: a point and its label come from the same draw.)"""
    made = points.make(name)
    n = len(made.values)
    aside = points.make(name, count=held_out_count(n, options.held_out), start=n)
    fingerprint = content_hash(made.values.view(np.uint8)).hex()
    labels, apart = (made.labels, aside.labels) if options.labels != "none" else (None, None)
    sizes = np.zeros(0, int) if labels is None or apart is None else np.bincount(np.concatenate([labels, apart]))
    classes = tuple(f"mode {k}" for k in range(len(sizes)))
    report = DataReport(
        source=name, kind="points", found=n + len(aside.values), used=n, held_out=len(aside.values),
        fingerprint=fingerprint, labels="modes" if classes else "", classes=dict(zip(classes, sizes.tolist())),
    )  # fmt: skip
    return Dataset(
        name=name, kind="points", shape=made.values.shape[1:], train=made.values, held_out=aside.values, report=report,
        fingerprint=fingerprint, labels=labels, held_out_labels=apart, classes=classes,
        scale=made.scale, modes=made.modes, spread=made.spread,
    )  # fmt: skip


def _marked(fingerprint: str, known: Annotations) -> str:
    """The fingerprint of the pixels, and of what is known beside them."""
    if known.labels is None and known.captions is None:
        return fingerprint
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=16)
    if known.labels is not None:
        digest.update(json.dumps(known.classes).encode() + known.labels.astype("<i8").tobytes())
    for texts in known.captions or ():
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def recipe_of(report: DataReport, options: Options) -> AnyRecipe:
    """How the images of a report were prepared."""
    assert report.size and report.channels and report.background
    made = Recipe(report.size, report.channels, options.crop, report.background, options.limits, options.levels)
    if not report.sides:
        return made
    return PairRecipe(*(SideSpec.of(report.sides[side]).recipe(made) for side in ("given", "made")))


def stored(entry: Path) -> NDArray[np.uint8] | None:
    """All images by row, from an entry of the cache; None where decoded images are not kept."""
    path = entry / "images.npy"
    images: NDArray[np.uint8] | None = np.load(path, mmap_mode="r") if path.exists() else None
    return images


def assembled(
    name: str, report: DataReport, images: Live | NDArray[np.uint8], known: Annotations, number: NDArray[np.int64],
    names: Sequence[str], survey: Survey | None, entry: str,
) -> Dataset:  # fmt: skip
    """The data set with these rows, of which the first `report.held_out` are held out."""
    k = report.held_out
    held_out, train = _rows(images, 0, k), _rows(images, k, None)
    given, side = None, None
    if report.sides:
        given, side = _given(report, held_out, train), SideSpec.of(report.sides["made"])
        first = given.train.shape[3]
        held_out, train = _channels(held_out, first, None), _channels(train, first, None)
    fingerprint = _marked(report.fingerprint, known)
    captioned = sum(1 for texts in known.captions or () if texts)
    report = replace(
        report,
        fingerprint=fingerprint,
        labels=known.origin if known.classes else "",
        classes=counts(known, np.arange(len(number))),
        captions=captioned,
    )
    labels, captions = known.labels, known.captions
    return Dataset(
        name=name,
        kind="images",
        shape=(side.seen if side is not None else images.shape[3], images.shape[1], images.shape[2]),
        train=train,
        held_out=held_out,
        report=report,
        fingerprint=fingerprint,
        labels=None if labels is None else labels[k:],
        held_out_labels=None if labels is None else labels[:k],
        classes=known.classes,
        captions=None if captions is None else captions[k:],
        held_out_captions=None if captions is None else captions[:k],
        index=number[k:],
        held_out_index=number[:k],
        names=names,
        survey=survey,
        entry=entry,
        given=given,
        side=side,
    )


Images = NDArray[np.uint8] | Live


def _given(report: DataReport, held_out: Images, train: Images) -> Given:
    """The side that is given, out of rows with the channels of both."""
    side = SideSpec.of(report.sides["given"])
    return Given(
        train=_channels(train, 0, side.channels), held_out=_channels(held_out, 0, side.channels),
        shape=(side.seen, *train.shape[1:3]), side=side, whole=train,
    )  # fmt: skip


def _rows(images: Images, start: int, end: int | None) -> Images:
    return images.part(start, end) if isinstance(images, Live) else images[start:end]


def _channels(images: Images, start: int, end: int | None) -> Images:
    if isinstance(images, Live):
        return images.channels(start, images.shape[3] if end is None else end)
    return images[..., start:end]
