"""What an inspection of a data set says: findings, pairs, groups, numbers; plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sparring.data.report import BINARY, beside, shown

Level = Literal["error", "warning", "note"]

LISTED = 200  # names kept of each kind; everything is counted
ODD = 0.02  # share of images of another kind up to which each is named
MOST_LIVE = 1_000  # pairs, where every look at pixels is a decoding


@dataclass(frozen=True)
class Finding:
    """Something a person should know, in one short sentence. files: (name, reason), at most 200 of `count`.
    why: more about it, perhaps in several lines.   fix: what to do; "" if nothing.
    rows: of the survey, a few of which the page shows.

    level: "error" where training would be refused, "warning" where something is probably not as it was meant, "note".
    """

    level: Level
    code: str
    what: str
    fix: str = ""
    count: int = 0
    files: list[tuple[str, str]] = field(default_factory=list)
    why: str = ""
    rows: list[int] = field(default_factory=list)

    def lines(self, most: int = 3) -> Iterator[str]:
        """For a person: what, up to `most` of the files with their reasons, the fix. A single file is named at once."""
        alone = self.count == 1 and len(self.files) == 1 and self.code == "DATA-LEFT-OUT"
        what = f"left out: {': '.join(part for part in self.files[0] if part)}" if alone else self.what
        yield f"{shown(what)}  [{self.code}]"
        for line in self.why.splitlines():
            yield f"    {shown(line)}"
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
    """found = usable + number of `excluded`, of pairs less those files that are half of none;
    usable = used + held_out. Sizes: (width, height) as stored in the files.

    sides, aspects: histograms of the shorter side and of width ÷ height, (label, images).
    lost:      mean share of an image's area that the crop cuts away; `much`: images that lose more than a fifth.
    even:      width ÷ height if it is the same of all images (within 2 %), else None.
    modes:     images by kind of pixels and bit depth.
    folders:   names of the folders at the top of the data, at most 200, if all images lie in one.
    equal:     groups of exact duplicates; `repeated` images are duplicates of others.
    near:      pairs that are almost the same; `near_count` of them.
    empty:     images in which there is nothing to see, such as those of one colour; `blank` of them.
    findings:  what a person should know, the most important first.
    pairs:     how two images belong together (`Options.pairs`), "" of single ones: then an image is a pair, and what is
               said of its pixels is about what is to be made.   also: where the second sides lie.
    pixels:    what they are, in words, of both sides: "grey → colour".   maps: what label maps hold
               (`DataReport.maps`).   binarise: how their values become 0 or 255.
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
    pairs: str = ""
    also: str = ""
    pixels: str = ""
    maps: dict[str, Any] = field(default_factory=dict)
    binarise: str = "none"

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
        what = "pair" if self.pairs not in ("", "unpaired") else "file"
        place = f"{shown(self.place)} and {shown(self.also)}" if self.also else shown(self.place)
        lost = self.found - self.usable
        yield (
            f"{place}: {self.found:,} {what}{'s' if self.found != 1 else ''}, {self.usable:,} usable "
            f"({self.used:,} for training, {self.held_out:,} held out), {lost:,} left out"
            + beside(len(self.excluded) - lost)
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
        yield "colours " + (_counts(self.modes) if not self.pairs else self.pixels)
        if self.binarise != "none":
            yield f"binary  {self.binarise}: {BINARY[self.binarise]}; what is said here is of the images before that"
        if self.maps:
            yield f"maps    {self.maps['line']}"
        if self.classes:
            yield f"classes {len(self.classes):,} ({self.labels}): {_counts(self.classes)}"
        if self.captions:
            example = f', such as "{shown(self.examples[0][1])[:60]}"' if self.examples else ""
            yield f"texts   {self.captions:,} image{'s have' if self.captions > 1 else ' has'} a caption{example}"
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
