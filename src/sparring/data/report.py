"""What was found, used, held out and left out, and why: for people and, as JSON, for the run directory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sparring.data.options import Pairs

BINARY = {
    "threshold": "black below 128 and white from there on",
    "static": "each value white with its level as the probability, drawn once",
    "dynamic": "each value white with its level as the probability, drawn anew whenever the image is shown",
}
"""How images become binary (`Options.binarise`), as a person is told."""
_LONGEST = 80  # characters of a name in a message
_SENTENCE = 240  # of what is said about one
_KINDS = {1: "grey", 3: "colour", 4: "colour with transparency"}
_SHOWN = 10  # excluded files named in the lines; all of them are in the JSON


def shown(name: str) -> str:
    """A file name that is safe to print: control characters and undecodable bytes escaped.

    >>> shown("a\\nb\\udcff.png")
    'a\\\\nb\\\\udcff.png'
    """
    name = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def brief(name: object, longest: int = _LONGEST) -> str:
    """A name that is safe to print and not too long.

    >>> brief("cat\\n"), brief(7)
    ('cat\\\\n', '7')
    """
    text = shown(str(name))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def few(names: Iterable[object], total: int | None = None, most: int = 10) -> str:
    """The first names (or short sentences about them), and how many there are beside them.

    >>> few(["a", "b", "c"], most=2), few("a", total=1_000)
    ('a, b and 1 more', 'a and 999 more')
    """
    rest = iter(names)
    first = [brief(name, _SENTENCE) for name in islice(rest, most)]
    beside = sum(1 for _ in rest) if total is None else total - len(first)
    return ", ".join(first) + (f" and {beside:,} more" if beside else "")


def beside(files: int) -> str:
    """How many files are left out that are half of no pair, to go on with.

    >>> beside(0), beside(1)
    ('', ', besides 1 file of no pair')
    """
    return f", besides {files:,} file{'s' * (files > 1)} of no pair" if files > 0 else ""


@dataclass(frozen=True)
class DataReport:
    """found = used + held_out + len(excluded); of pairs less those excluded files that are half of none.
    sizes: the files' own sizes, width x height, most frequent first.
    labels: where the classes come from.   classes: images of each.   captions: images that have one.
    pairs: how two pictures belong together (`Options.pairs`), "" of single ones; an image is a pair then.
    also: where the second sides lie, if not in `source`.   sides: what "given" and "made" are (`SideSpec.record`).
    binarise: how the values become 0 or 255; the fingerprint is of the images before that.
    maps: what the label maps hold (`map_verdicts.Found.record`, and "line": in words).   other: the reports of what is
    "given" and "made", where they are data sets of their own (unpaired); the rest is about what is made.
    """

    source: str
    kind: str
    found: int
    used: int
    held_out: int
    excluded: list[tuple[str, str]] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    conversions: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    channels: int | None = None
    crop: str | None = None
    background: tuple[int, int, int] | None = None
    warnings: list[str] = field(default_factory=list)
    fingerprint: str = ""
    labels: str = ""
    classes: dict[str, int] = field(default_factory=dict)
    captions: int = 0
    pairs: Pairs | Literal[""] = ""
    also: str = ""
    sides: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    binarise: str = "none"

    def record(self) -> dict[str, Any]:
        """Plain JSON values; file names round-trip even if they are not UTF-8 (JSON's \\u escapes)."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> DataReport:
        """The report that `record` was made from."""
        pairs = [(name, reason) for name, reason in record["excluded"]]
        tuples = {name: tuple(record[name]) for name in ("size", "background") if record[name] is not None}
        return cls(**{**record, "excluded": pairs, **tuples})

    def lines(self) -> list[str]:
        """A few lines for a person."""
        return list(self._lines())

    @property
    def pixels(self) -> str:
        """What the pixels are, in words; of both sides where there are two."""
        if not self.sides:
            return _KINDS[self.channels or 3]
        given, made = (
            f"{len(side['legend'])} classes" if side["legend"] else _KINDS[side["channels"]]
            for side in (self.sides["given"], self.sides["made"])
        )
        return f"{given} → {made}"

    def _lines(self) -> Iterator[str]:
        if self.kind == "points":
            yield f"{self.source}: {self.used:,} points for training, {self.held_out:,} held out"
            return
        what = " pairs" if self.pairs and not self.other else ""
        place = f"{shown(self.source)} and {shown(self.also)}" if self.also and not self.other else shown(self.source)
        for name, part in self.other.items():
            word = "given" if name == "given" else "to be made"
            yield (
                f"{word}: {shown(part['source'])}: {part['found']:,} found, {part['used']:,} used, "
                f"{part['held_out']:,} held out, {len(part['excluded']):,} excluded"
            )
        if not self.other:
            lost = self.found - self.used - self.held_out
            yield (
                f"{place}: {self.found:,}{what} found, {self.used:,} used, "
                f"{self.held_out:,} held out, {lost:,} excluded{beside(len(self.excluded) - lost)}"
            )
        if self.size:
            height, width = self.size
            top = ", ".join(f"{size} ({count:,})" for size, count in list(self.sizes.items())[:3])
            more = " …" if len(self.sizes) > 3 else ""
            size = f"{width}x{height}{',' if self.sides else ''}"
            yield f"prepared as {size} {self.pixels}, crop: {self.crop}; files are {top}{more}"
        if self.binarise != "none":
            yield f"binary ({self.binarise}): {BINARY[self.binarise]}"
        if self.maps:
            yield f"label maps: {self.maps['line']}"
        if self.classes:
            most = ", ".join(f"{shown(name)} ({count:,})" for name, count in list(self.classes.items())[:8])
            yield f"{len(self.classes):,} classes ({self.labels}): {most}{' …' if len(self.classes) > 8 else ''}"
        if self.captions:
            yield f"{self.captions:,} images have a caption"
        if self.conversions:
            yield "converted: " + ", ".join(f"{what} ({count:,})" for what, count in sorted(self.conversions.items()))
        reasons = Counter(reason for _, reason in self.excluded)
        if len(self.excluded) > _SHOWN:
            yield "left out: " + ", ".join(f"{shown(why)} ({count:,})" for why, count in reasons.most_common(5))
        for name, reason in self.excluded[:_SHOWN]:
            yield f"left out: {shown(name)}: {shown(reason)}"
        if len(self.excluded) > _SHOWN:
            yield f"left out: … and {len(self.excluded) - _SHOWN:,} more (data.json names them all)"
        if self.ignored:
            yield "ignored: " + ", ".join(f"{shown(name)} ({count:,})" for name, count in sorted(self.ignored.items()))
        for warning in self.warnings:
            yield f"warning: {shown(warning)}"
