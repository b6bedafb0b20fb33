"""What a person should know about a data set before anything is trained on it.

`inspect` reads nothing twice: it uses what preparation noted of each image (`Dataset.survey`) and looks at pixels only
where they have to be compared. What that finds is kept in the cache beside the images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, duplicates
from sparring.data.dataset import Dataset, Survey
from sparring.data.report import shown
from sparring.data.scan import Progress

VERSION = 2  # of what is kept in the cache
Level = Literal["error", "warning", "note"]

FEW = 1_000
"""Below so many images a generator learns them by heart unless they are augmented."""
_MOST_PAIRS = 5_000
_MOST_PAIRS_LIVE = 1_000  # where every look at pixels is a decoding
_LISTED = 200  # names kept of each kind; everything is counted
_BLANK = 3.0  # standard deviation in levels below which there is nothing to be seen
_ODD = 0.02  # share of images of another kind up to which each is named
_LOOKED_AT = 20_000  # images whose pixels are read to find blank ones


@dataclass(frozen=True)
class Finding:
    """Something a person should know. files: (name, reason), at most 200 of `count`.   fix: what to do; "" if nothing.

    level: "error" where training would be refused, "warning" where something is probably not as it was meant, "note".
    """

    level: Level
    code: str
    what: str
    fix: str = ""
    count: int = 0
    files: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, most: int = 3) -> Iterator[str]:
        """For a person: what, up to `most` of the files with their reasons, the fix. A single file is named at once."""
        alone = self.count == 1 and len(self.files) == 1 and self.code == "DATA-LEFT-OUT"
        what = f"left out: {': '.join(part for part in self.files[0] if part)}" if alone else self.what
        yield f"{shown(what)}  [{self.code}]"
        for name, reason in () if alone else self.files[:most]:
            yield f"    {shown(name)}" + (f": {shown(reason)}" if reason else "")
        if self.count > most and self.files:
            yield f"    … and {self.count - most:,} more"
        if self.fix:
            yield f"    fix: {self.fix}"


@dataclass(frozen=True)
class Pair:
    """Two images that show the same. files: their names.   rows: of the survey.   apart: in different classes."""

    files: tuple[str, str]
    rows: tuple[int, int]
    mirrored: bool
    apart: bool = False

    @property
    def remark(self) -> str:
        """What is special about them."""
        return ", ".join(["mirrored"] * self.mirrored + ["in different classes"] * self.apart)


@dataclass(frozen=True)
class Group:
    """Images that have something in common. files: their names.   rows: of the survey."""

    files: list[str]
    rows: list[int]


@dataclass(frozen=True)
class Inspection:
    """found = usable + number of `excluded`; usable = used + held_out. Sizes: (width, height) as stored in the files.

    sides, aspects: histograms of the shorter side and of width ÷ height, (label, images).
    lost:      mean share of an image's area that the crop cuts away; `much`: images that lose more than a fifth.
    even:      width ÷ height if it is the same of all images (within 2 %), else None.
    modes:     images by kind of pixels and bit depth.
    folders:   names of the folders at the top of the data, at most 200, if all images lie in one.
    equal:     groups of exact duplicates; `repeated` images are duplicates of others.
    near:      pairs that are almost the same; `near_count` of them.
    empty:     images in which there is nothing to see, such as those of one colour; `blank` of them.
    findings:  what a person should know, the most important first.
    """

    name: str
    place: str
    kind: str
    shape: tuple[int, ...]
    fingerprint: str
    found: int
    usable: int
    used: int
    held_out: int
    excluded: list[tuple[str, str]] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    crop: str = ""
    background: tuple[int, int, int] | None = None
    smallest: tuple[int, int] | None = None
    median: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    sides: list[tuple[str, int]] = field(default_factory=list)
    aspects: list[tuple[str, int]] = field(default_factory=list)
    even: float | None = None
    lost: float = 0.0
    much: int = 0
    modes: dict[str, int] = field(default_factory=dict)
    conversions: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    labels: str = ""
    captions: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    repeated: int = 0
    equal: list[Group] = field(default_factory=list)
    near_count: int = 0
    near: list[Pair] = field(default_factory=list)
    blank: int = 0
    empty: Group = field(default_factory=lambda: Group([], []))
    findings: list[Finding] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @property
    def captioned(self) -> float:
        """Share of the images that have a caption."""
        return self.captions / max(1, self.usable)

    @property
    def imbalance(self) -> float:
        """Images of the largest class for each one of the smallest that has any; 1 without classes."""
        counts = [count for count in self.classes.values() if count]
        return max(counts) / min(counts) if counts else 1.0

    def lines(self) -> list[str]:
        """A page for a person: problems first, each with files, reason and fix, then what the data are."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.kind == "points":
            yield f"{self.name}: {self.used:,} points of {self.shape[0]} numbers, {self.held_out:,} held out"
            return
        yield (
            f"{shown(self.place)}: {self.found:,} files, {self.usable:,} usable "
            f"({self.used:,} for training, {self.held_out:,} held out), {len(self.excluded):,} left out"
        )
        for level in ("error", "warning", "note"):
            for finding in self.findings:
                if finding.level == level:
                    first, *rest = finding.lines()
                    yield f"{level:<8}{first}"
                    yield from rest
        yield from self._facts()

    def _facts(self) -> Iterator[str]:
        assert self.smallest and self.median and self.largest
        small, middle, large = ("x".join(map(str, size)) for size in (self.smallest, self.median, self.largest))
        same = small == large
        yield f"sizes   {'all ' + small if same else f'{small} to {large}, in the middle {middle}'}" + (
            "" if same or not self.even else f", all {_ratio(self.even)}"
        )
        yield "colours " + _counts(self.modes)
        if self.classes:
            yield f"classes {len(self.classes):,} ({self.labels}): {_counts(self.classes)}"
        if self.captions:
            example = f', such as "{shown(self.examples[0][1])[:60]}"' if self.examples else ""
            yield f"texts   {self.captions:,} images have a caption{example}"
        if self.conversions:
            yield "made    " + _counts(self.conversions)
        if self.ignored:
            yield "ignored " + _counts(self.ignored)


def _counts(counts: dict[str, int], most: int = 6) -> str:
    named = ", ".join(f"{shown(name)} ({count:,})" for name, count in list(counts.items())[:most])
    return named + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _ratio(value: float) -> str:
    """Width to height in small numbers.

    >>> _ratio(1.5), _ratio(0.5), _ratio(1.7778)
    ('3:2', '1:2', '16:9')
    """
    tries = ((abs(width / height / value - 1), width, height) for height in range(1, 17) for width in range(1, 17))
    error, width, height = min(tries)
    return f"{width}:{height}" if error < 0.01 else f"{value:.2f}:1"


# ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect(dataset: Dataset, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Inspection:
    """What is in a data set. The comparison of images is done once and kept in the cache (`cache_dir`)."""
    report, survey = dataset.report, dataset.survey
    base: dict[str, Any] = {
        "name": dataset.name, "place": report.source, "kind": dataset.kind, "shape": dataset.shape,
        "fingerprint": dataset.fingerprint, "found": report.found, "usable": report.used + report.held_out,
        "used": report.used, "held_out": report.held_out,
    }  # fmt: skip
    if survey is None:
        return Inspection(**base)
    pairs, empty, blank = _compared(dataset, survey, cache_dir, progress)
    made = Inspection(
        **base,
        excluded=report.excluded,
        ignored=report.ignored,
        crop=report.crop or "",
        background=report.background,
        **_sizes(survey, (dataset.shape[1], dataset.shape[2]), report.crop or ""),
        sizes=report.sizes,
        modes=_modes(survey),
        conversions=report.conversions,
        classes=report.classes,
        labels=report.labels,
        captions=report.captions,
        examples=_examples(dataset),
        folders=_folders(dataset),
        repeated=len(survey) - len(np.unique(survey.equal)),
        equal=_groups(dataset, survey),
        near_count=len(pairs),
        near=_named(dataset, pairs[:_LISTED]),
        blank=blank,
        empty=Group([dataset.file(row) for row in empty], empty),
    )
    made.findings.extend(findings(made, report.warnings, _odd_ones(dataset, survey)))
    return made


def _compared(
    dataset: Dataset, survey: Survey, cache_dir: Path | None, progress: Progress | None
) -> tuple[NDArray[np.int64], list[int], int]:
    """Pairs that are almost the same (m, 3): row, row, mirrored; rows of blank images, and how many those are."""

    def write(folder: Path) -> dict[str, Any]:
        np.save(folder / "near.npy", _near(dataset, survey, progress))
        rows, count = _blank(dataset, survey)
        return {"empty": rows, "blank": count}

    root, _ = cache.directory(cache_dir)
    entry = root / "inspections" / f"{dataset.entry}-{VERSION}"
    entry.parent.mkdir(parents=True, exist_ok=True)
    meta = cache.create(entry, write)
    pairs: NDArray[np.int64] = np.load(entry / "near.npy")
    return pairs, [int(row) for row in meta["empty"]], int(meta["blank"])


def _pixels(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(m, H, W, C) of rows of the survey."""
    k = len(dataset.held_out)
    pixels = np.empty((len(rows), dataset.shape[1], dataset.shape[2], dataset.shape[0]), np.uint8)
    aside = rows < k
    if aside.any():
        pixels[aside] = dataset.held_out[rows[aside]]
    if not aside.all():
        pixels[~aside] = dataset.train[rows[~aside] - k]
    return pixels


def _near(dataset: Dataset, survey: Survey, progress: Progress | None) -> NDArray[np.int64]:
    """One image of each group of equal ones is compared; images of one colour look like nothing."""
    _, first = np.unique(survey.equal, return_index=True)
    rows = np.sort(first[~survey.flat[first]])
    if progress:
        progress("comparing", 0, len(rows))
    most = _MOST_PAIRS_LIVE if dataset.live else _MOST_PAIRS
    found = duplicates.alike(survey.look[rows], lambda chosen: _pixels(dataset, rows[chosen]), most=most)
    if progress:
        progress("comparing", len(rows), len(rows))
    pairs = np.array(found, np.int64).reshape(-1, 3)
    pairs[:, :2] = rows[pairs[:, :2]]
    return pairs


def _named(dataset: Dataset, pairs: NDArray[np.int64]) -> list[Pair]:
    """Pairs (m, 3) with the names of their files."""
    aside, labels = dataset.held_out_labels, dataset.labels
    known = np.concatenate([aside, labels]) if labels is not None and aside is not None else None
    return [
        Pair(
            (dataset.file(a), dataset.file(b)), (a, b), bool(mirrored), known is not None and bool(known[a] != known[b])
        )
        for a, b, mirrored in pairs.tolist()
    ]


def _blank(dataset: Dataset, survey: Survey) -> tuple[list[int], int]:
    """Rows of images in which there is nothing to see, at most 200, and how many there are: of 20,000 looked at, and as
    many of the rest in proportion."""
    n, flat = len(survey), np.flatnonzero(survey.flat)
    if dataset.live:
        return flat[:_LISTED].tolist(), len(flat)
    rows = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(np.int64))
    down, across = (max(1, side // 16) for side in dataset.shape[1:])
    pale = []
    for start in range(0, len(rows), 512):
        some = _pixels(dataset, rows[start : start + 512])[:, ::down, ::across].astype(np.float32)
        nothing = some.reshape(len(some), -1, some.shape[3]).std(axis=1).max(axis=1) < _BLANK
        pale += rows[start : start + 512][nothing].tolist()
    every = np.union1d(flat, np.array(pale, np.int64))
    return every[:_LISTED].tolist(), max(len(every), round(len(pale) * n / len(rows)))


def _groups(dataset: Dataset, survey: Survey) -> list[Group]:
    """Exact duplicates, the largest groups first; of each at most 20 names."""
    values, counts = np.unique(survey.equal, return_counts=True)
    many = np.flatnonzero(counts > 1)
    many = many[np.argsort(-counts[many], kind="stable")][:_LISTED]
    order = np.argsort(survey.equal, kind="stable")
    starts = np.searchsorted(survey.equal[order], values[many])
    groups = []
    for start, count in zip(starts.tolist(), counts[many].tolist(), strict=True):
        rows = order[start : start + min(count, 20)].tolist()
        groups.append(Group([dataset.file(row) for row in rows], rows))
    return groups


def _modes(survey: Survey) -> dict[str, int]:
    counts = np.bincount(survey.mode, minlength=len(survey.modes)).tolist()
    named = zip(survey.modes, counts, strict=False)
    return dict(sorted(((name, count) for name, count in named if count), key=lambda pair: -pair[1]))


_OTHERWISE = {
    "transparency on background": "--background changes what lies under them",
    "first frame of an animation": "--frames all uses every picture",
    "first of several pages": "--frames all uses every picture",
    "cropped": "--crop pad keeps everything",
    "enlarged": "a smaller --size enlarges nothing",
    "grey to colour": "--channels 1 makes all images grey",
    "colour to grey": "--channels 3 keeps colours",
}
"""What to do where a conversion was not meant."""


def _odd_ones(dataset: Dataset, survey: Survey) -> Iterator[Finding]:
    """Kinds of pixels that hardly any image has, and conversions that hardly any needed: perhaps they went another way
    than the rest."""
    n, named = len(survey), np.zeros(len(survey), np.bool_)
    for mode, name in enumerate(survey.modes):
        rows = np.flatnonzero(survey.mode == mode)
        if 0 < len(rows) <= _ODD * n:
            files = [(dataset.file(row), name) for row in rows[:_LISTED].tolist()]
            what = f"{len(rows):,} of {n:,} images {'are' if len(rows) > 1 else 'is'} {name}, unlike the rest"
            yield Finding("note", "DATA-ODD", what, "nothing, if they look right on the page", len(rows), files)
            named[rows] = True
    for bit, name in enumerate(survey.conversions):
        rows = np.flatnonzero(survey.made >> np.uint64(bit) & np.uint64(1))
        if 0 < len(rows) <= _ODD * n and not named[rows].all():
            files = [(dataset.file(row), name) for row in rows[:_LISTED].tolist()]
            what = f"{len(rows):,} of {n:,} images {'were' if len(rows) > 1 else 'was'} changed: {name}"
            fix = _OTHERWISE.get(name, "nothing, if they look right on the page")
            yield Finding("note", "DATA-CONVERTED", what, fix, len(rows), files)


_SIDES = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_ASPECTS = ((0.0, "below 1:2"), (0.5, "1:2 to 2:3"), (2 / 3, "2:3 to 4:5"), (0.8, "4:5 to 1:1"), (0.98, "1:1"),
            (1.02, "1:1 to 5:4"), (1.25, "5:4 to 3:2"), (1.5, "3:2 to 2:1"), (2.001, "above 2:1"))  # fmt: skip


def _sizes(survey: Survey, target: tuple[int, int], crop: str) -> dict[str, Any]:
    """Histograms of sizes and aspects, and what the crop to `target` (H, W) cuts away."""
    sides = survey.sides.astype(np.float64)
    shorter, area, aspect = sides.min(axis=1), sides.prod(axis=1), sides[:, 0] / sides[:, 1]
    order = np.lexsort((area, shorter))
    smallest, median, largest = (survey.sides[order[k]].tolist() for k in (0, len(order) // 2, -1))
    counts = np.bincount(np.searchsorted(_SIDES, shorter, side="right") - 1, minlength=len(_SIDES)).tolist()
    names = [f"{low} to {high - 1}" for low, high in pairwise(_SIDES)] + [f"{_SIDES[-1]} and more"]
    edges = [edge for edge, _ in _ASPECTS]
    shapes = np.bincount(np.searchsorted(edges, aspect, side="right") - 1, minlength=len(edges)).tolist()
    ratio = aspect / (target[1] / target[0])
    lost = 1.0 - np.minimum(ratio, 1.0 / ratio) if crop == "center" else np.zeros(len(ratio))
    middle = float(np.median(aspect))
    return {
        "smallest": tuple(smallest),
        "median": tuple(median),
        "largest": tuple(largest),
        "sides": [(name, count) for name, count in zip(names, counts, strict=True) if count],
        "aspects": [(name, count) for (_, name), count in zip(_ASPECTS, shapes, strict=True) if count],
        "even": middle if bool((np.abs(aspect / middle - 1.0) <= 0.02).all()) else None,
        "lost": float(lost.mean()),
        "much": int((lost > 0.2).sum()),
    }


def _folders(dataset: Dataset) -> list[str]:
    """The folders at the top in which the images lie; none if some lie beside them."""
    seen: dict[str, None] = {}
    for row in range(len(dataset.index)):
        folder, slash, _ = dataset.names[int(dataset.index[row])].partition("/")
        if not slash:
            return []
        seen[folder] = None
        if len(seen) > _LISTED:
            return []
    return sorted(seen)


def _examples(dataset: Dataset, most: int = 8) -> list[tuple[str, str]]:
    """(file, caption) of a few images, evenly chosen."""
    texts = dataset.captions or ()
    with_text = [row for row in range(min(len(texts), 5_000)) if texts[row]]
    k = len(dataset.held_out)
    chosen = with_text[:: max(1, len(with_text) // most)][:most]
    return [(dataset.file(k + row), texts[row][0]) for row in chosen]


# ── what a person should know ─────────────────────────────────────────────────────────────────────────────────────

_KINDS: tuple[tuple[str, str, str], ...] = (
    (r"too small", "too small", "leave them out, or say --min-side 4 (or what you need)"),
    (r"too long", "too long", "cut them into shape, or say --max-aspect 8 (or what you need)"),
    (r"megapixels", "too large", "make them smaller, or say --max-megapixels 500 (or what you need)"),
    (r"^(empty|only zero bytes)", "empty", "copy or download them again"),
    (r"web page", "web pages that were saved in place of images", "download them again"),
    (r"^damaged|^cannot be read: Input", "damaged", "copy, export or download them again"),
    (r"[Pp]ermission", "not allowed to be read", "chmod u+r them"),
    (r"^cannot be read|no answer|changed while", "not readable", "look at the disk or the network, and check again"),
    (r"link", "links that lead nowhere", "remove them, or put the files where they point"),
    (r"not a regular file", "no regular files", "remove them"),
    (r"occurs twice", "names that occur twice", "rename one of them"),
    (r"encrypted", "encrypted", "unpack the zip with its password, and give the folder"),
    (r"leads out of the zip", "paths that lead out of the zip", "pack the zip again"),
    (r"cloud|placeholder", "not on this machine", "make them available offline"),
    (r"video|sound", "videos or sounds", "extract their frames: ffmpeg -i VIDEO -vf fps=2 frame-%05d.png"),
    (r"^text|not an image|no image format|document|database", "no images", "nothing to do, if you know them"),
    (r"not finite", "not numbers", "export them without NaN and infinity"),
)


def kind_of(reason: str) -> tuple[str, str]:
    """(what such files are called together, what to do about them), from the reason that one was left out for.

    >>> kind_of("damaged: image file is truncated (3 bytes not processed)")
    ('damaged', 'copy, export or download them again')
    """
    for pattern, what, fix in _KINDS:
        if re.search(pattern, reason):
            return what, fix
    what, colon, advice = reason.partition(": ")
    return (what, advice) if colon else (reason, "")


def findings(made: Inspection, warnings: Sequence[str], others: Iterable[Finding] = ()) -> list[Finding]:
    """What a person should know of an inspection, worst first. warnings: what was noticed during preparation."""
    found = [*_left_out(made), *_copies(made), *_nothing_to_see(made), *_shapes(made), *others]
    known = re.compile(r"exact duplicates|one flat colour|only [\d,]+ image")
    for text in warnings:
        if not known.search(text):
            found.append(Finding("warning", "DATA-NOTED", text))
    if made.usable < FEW:
        level: Level = "warning" if made.usable < 100 else "note"
        images = f"{made.usable:,} image{'s' if made.usable > 1 else ''}"
        what = f"only {images}: without augmentation a generator learns them by heart"
        found.append(
            Finding(
                level,
                "DATA-FEW",
                what,
                "more images help most; so few are augmented in training, unless you say otherwise",
            )
        )
    mixed = made.conversions.get("grey to colour", 0) + made.conversions.get("colour to grey", 0)
    if mixed > _ODD * made.usable:  # fewer are named one by one
        other = "grey" if made.conversions.get("grey to colour") else "colour"
        what = f"{mixed:,} of {made.usable:,} images are {other} among others"
        found.append(Finding("note", "DATA-MIXED", what, f"fine if meant; --channels {1 if made.shape[0] == 3 else 3}"
                             " decides otherwise"))  # fmt: skip
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _left_out(made: Inspection) -> Iterator[Finding]:
    kinds: dict[str, list[tuple[str, str]]] = {}
    advice: dict[str, str] = {}
    for name, reason in made.excluded:
        what, fix = kind_of(reason)
        kinds.setdefault(what, []).append((name, reason))
        advice[what] = fix
    for what, files in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        text = f"{len(files):,} file{'s' if len(files) > 1 else ''} left out: {what}"
        yield Finding("warning", "DATA-LEFT-OUT", text, advice[what], len(files), files[:_LISTED])


def _copies(made: Inspection) -> Iterator[Finding]:
    if made.repeated:
        share = made.repeated / max(1, made.usable)
        files = [(" = ".join(group.files[:3]) + (" = …" if len(group.files) > 3 else ""), "") for group in made.equal]
        yield Finding(
            "warning" if share >= 0.01 else "note",
            "DATA-DUPLICATES",
            f"{made.repeated:,} of {made.usable:,} images are exact duplicates of others",
            "harmless if few; what is there often is learnt by heart, so remove them if they are many",
            len(made.equal),
            files,
        )
    if made.near_count:
        mirrored = sum(pair.mirrored for pair in made.near)
        apart = sum(pair.apart for pair in made.near)
        capped = " (the closest ones)" if made.near_count >= _MOST_PAIRS_LIVE else ""
        yield Finding(
            "warning" if apart or made.near_count >= 0.01 * made.usable else "note",
            "DATA-NEAR",
            f"{made.near_count:,} pair{'s' if made.near_count > 1 else ''} of almost the same images{capped}"
            + (f", {mirrored:,} of them mirrored" if mirrored else "")
            + (f", {apart:,} in different classes" if apart else ""),
            "look at them on the page; what is there several times is learnt several times",
            made.near_count,
            [(f"{pair.files[0]} ~ {pair.files[1]}", pair.remark) for pair in made.near],
        )


def _nothing_to_see(made: Inspection) -> Iterator[Finding]:
    if made.blank:
        share = made.blank / max(1, made.usable)
        what = f"{made.blank:,} image{'s are' if made.blank > 1 else ' is'} blank ({share:.1%})"
        fix = "remove them: a generator learns to make them too" if share > 0.005 else "remove them"
        files = [(name, "") for name in made.empty.files]
        yield Finding("warning", "DATA-BLANK", what, fix, made.blank, files)


_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "images", "data"})


def _class_folders(made: Inspection) -> list[str]:
    """Folders at the top that are no splits and no numbered parts: probably classes."""
    if len(made.folders) < 2 or _SPLITS.intersection(map(str.lower, made.folders)):
        return []
    return [] if 4 * len(made.folders) > made.usable else made.folders


def _shapes(made: Inspection) -> Iterator[Finding]:
    if made.even and (1.95 < made.even < 2.05) and made.usable > 1:
        yield Finding(
            "warning", "DATA-SIDE-BY-SIDE",
            "all images are twice as wide as high: are these two pictures side by side?",
            "if so, cut them apart first, or they are learnt as one picture",
        )  # fmt: skip
    if not made.classes and (found := _class_folders(made)):
        named = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        yield Finding(
            "note", "DATA-FOLDERS", f"{len(found):,} folders could be classes ({named}), and are not used as such",
            "--labels folders, if they are; fine for a recipe that needs no classes",
        )  # fmt: skip
    if made.lost >= 0.1:
        yield Finding(
            "warning" if made.lost >= 0.2 else "note",
            "DATA-CROP",
            f"cropping cuts away {made.lost:.0%} of an image on average"
            + (f" (more than a fifth of {made.much:,} images)" if made.much and not made.even else ""),
            "all have the same shape: keep it with --size WxH"
            if made.even
            else "look at the page; --crop pad keeps everything, with borders; --size WxH fits another shape",
        )
