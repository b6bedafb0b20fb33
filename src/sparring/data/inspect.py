"""What a person should know about a data set before anything is trained on it.

`inspect` reads nothing twice: it uses what preparation noted of each image (`Dataset.survey`) and looks at pixels only
where they have to be compared. What that finds is kept in the cache beside the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, duplicates
from sparring.data.dataset import Dataset, Survey
from sparring.data.findings import findings
from sparring.data.inspection import LISTED, MOST_LIVE, ODD, Finding, Group, Inspection, Pair
from sparring.data.options import Options
from sparring.data.pair_findings import pair_findings
from sparring.data.pair_sheet import visible
from sparring.data.scan import Progress

VERSION = 3  # of what is kept in the cache
_MOST_PAIRS = 5_000
_BLANK = 3.0  # standard deviation in levels below which there is nothing to be seen
_LOOKED_AT = 20_000  # images whose pixels are read to find blank ones


def inspect(
    dataset: Dataset,
    *,
    options: Options | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """What is in a data set, opened with `options`. The comparison of images is done once and kept in the cache
    (`cache_dir`)."""
    binarise, fingerprint, dataset = dataset.binarise, dataset.fingerprint, dataset.plain()
    report, survey = dataset.report, dataset.survey
    base: dict[str, Any] = {
        "name": dataset.name, "place": report.source, "kind": dataset.kind, "shape": dataset.shape,
        "fingerprint": fingerprint, "found": report.found, "usable": report.used + report.held_out,
        "used": report.used, "held_out": report.held_out, "pairs": report.pairs, "also": report.also,
        "pixels": report.pixels if dataset.kind == "images" else "", "binarise": binarise,
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
        near=_named(dataset, pairs[:LISTED]),
        blank=blank,
        empty=Group([dataset.file(row) for row in empty], empty),
        maps=report.maps,
    )
    others = [*pair_findings(dataset, options or Options()), *_odd_ones(dataset, survey)]
    made.findings.extend(findings(made, report.warnings, others))
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
    """(m, H, W, C) of rows of the survey, as a person sees them; of pairs what is to be made."""
    k = len(dataset.held_out)
    pixels = np.empty((len(rows), *dataset.train.shape[1:]), np.uint8)
    aside = rows < k
    if aside.any():
        pixels[aside] = dataset.held_out[rows[aside]]
    if not aside.all():
        pixels[~aside] = dataset.train[rows[~aside] - k]
    return visible(pixels, dataset.side)


def _near(dataset: Dataset, survey: Survey, progress: Progress | None) -> NDArray[np.int64]:
    """One image of each group of equal ones is compared; images of one colour look like nothing."""
    _, first = np.unique(survey.equal, return_index=True)
    rows = np.sort(first[~survey.flat[first]])
    if progress:
        progress("comparing", 0, len(rows))
    most = MOST_LIVE if dataset.live else _MOST_PAIRS
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
    n = len(survey)
    flat = np.flatnonzero(survey.flat & (dataset.given is None))  # of pairs perhaps the other side: `pair_findings`
    if dataset.live:
        return flat[:LISTED].tolist(), len(flat)
    rows = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(np.int64))
    down, across = (max(1, side // 16) for side in dataset.shape[1:])
    pale = []
    for start in range(0, len(rows), 512):
        some = _pixels(dataset, rows[start : start + 512])[:, ::down, ::across].astype(np.float32)
        nothing = some.reshape(len(some), -1, some.shape[3]).std(axis=1).max(axis=1) < _BLANK
        pale += rows[start : start + 512][nothing].tolist()
    every = np.union1d(flat, np.array(pale, np.int64))
    return every[:LISTED].tolist(), max(len(every), round(len(pale) * n / len(rows)))


def _groups(dataset: Dataset, survey: Survey) -> list[Group]:
    """Exact duplicates, the largest groups first; of each at most 20 names."""
    values, counts = np.unique(survey.equal, return_counts=True)
    many = np.flatnonzero(counts > 1)
    many = many[np.argsort(-counts[many], kind="stable")][:LISTED]
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
        if 0 < len(rows) <= ODD * n:
            files = [(dataset.file(row), name) for row in rows[:LISTED].tolist()]
            what = f"{len(rows):,} of {n:,} images {'are' if len(rows) > 1 else 'is'} {name}, unlike the rest"
            fix = "nothing, if they look right on the page"
            if name.endswith("16-bit") and _dark(dataset, rows):
                fix = f"nearly black, perhaps of 12 bits: {_BRIGHTER}"
            yield Finding("note", "DATA-ODD", what, fix, len(rows), files, rows=rows[:_SHOWN].tolist())
            named[rows] = True
    for bit, name in enumerate(survey.conversions):
        rows = np.flatnonzero(survey.made >> np.uint64(bit) & np.uint64(1))
        if 0 < len(rows) <= ODD * n and not named[rows].all():
            files = [(dataset.file(row), name) for row in rows[:LISTED].tolist()]
            what = f"{len(rows):,} of {n:,} images {'were' if len(rows) > 1 else 'was'} changed: {name}"
            fix = _OTHERWISE.get(name, "nothing, if they look right on the page")
            yield Finding("note", "DATA-CONVERTED", what, fix, len(rows), files, rows=rows[:_SHOWN].tolist())
    deep = np.array([name.endswith("16-bit") for name in survey.modes], np.bool_)
    rows = np.flatnonzero(deep[survey.mode]) if len(survey.modes) else np.array([], np.int64)
    if len(rows) > ODD * n and _dark(dataset, rows):
        what = f"{len(rows):,} of {n:,} images {'are' if len(rows) > 1 else 'is'} of 16 bits and nearly black"
        why = "of 12 bits, perhaps: their brightest level is far below 65,535"
        files = [(dataset.file(row), "") for row in rows[:LISTED].tolist()]
        yield Finding("warning", "DATA-DARK", what, _BRIGHTER, len(rows), files, why, rows[:_SHOWN].tolist())


_BRIGHTER = "--range 0,4095 makes the level 4,095 white"
_SHOWN = 12  # images of a finding on the page


def _dark(dataset: Dataset, rows: NDArray[np.int64]) -> bool:
    """Whether hardly a level of these images, of 64 of them at most, lies above a tenth of the range."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), 64)).astype(np.int64)]
    return bool(np.quantile(_pixels(dataset, some)[..., :3], 0.999) < 26)


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
        if len(seen) > LISTED:
            return []
    return sorted(seen)


def _examples(dataset: Dataset, most: int = 8) -> list[tuple[str, str]]:
    """(file, caption) of a few images, evenly chosen."""
    texts = dataset.captions or ()
    with_text = [row for row in range(min(len(texts), 5_000)) if texts[row]]
    k = len(dataset.held_out)
    chosen = with_text[:: max(1, len(with_text) // most)][:most]
    return [(dataset.file(k + row), texts[row][0]) for row in chosen]
