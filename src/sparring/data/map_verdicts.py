"""What is concluded from the values in all label maps: the classes, or a refusal that shows what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparring.data.maps import Legend
from sparring.data.palette import FOREIGN, TOLERANCE, Palette, distinct
from sparring.data.remarks import hexadecimal
from sparring.data.report import few, shown
from sparring.errors import DataError

RARE = 1e-4
"""Share of all pixels below which a number looks like an accident."""
UNNAMED = 64
"""Classes up to which numbers without a gap are believed; more of them look like a photograph, and need names."""
BESIDE = "classes.txt"
"""The file beside label maps that names the classes."""

_LISTED = 12  # numbers that a refusal shows, the most frequent ones
_FILES = 3  # that are named for each number


@dataclass(frozen=True)
class Found:
    """What the label maps of a data set hold.

    side: which of the pair they are, "given" or "made".
    legend: what stands for which class.   shares: of all pixels, in [0, 1], by class.
    beyond: share of the pixels that are of no colour of the palette; 0 where files hold numbers.
    warnings: what a person should know, in plain words.
    """

    side: str
    legend: Legend
    shares: tuple[float, ...]
    beyond: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Plain JSON values; `of` undoes it."""
        return {"side": self.side, "legend": self.legend.record(), "shares": list(self.shares), "beyond": self.beyond,
                "warnings": self.warnings, "line": self.line()}  # fmt: skip

    @classmethod
    def of(cls, record: dict[str, Any]) -> Found:
        """What `record` was made from."""
        legend, shares = Legend.of(record["legend"]), tuple(record["shares"])
        return cls(record["side"], legend, shares, record["beyond"], list(record["warnings"]))

    def line(self) -> str:
        """The classes with their shares, for a person."""
        values = self.legend.values or (None,) * len(self.legend)
        named = [
            f"{shown(name)}{'' if value is None else f' = {value}'} ({share:.3g} %)"
            for name, value, share in zip(self.legend.names, values, np.multiply(self.shares, 100.0), strict=True)
        ]
        return f"{len(self.legend)} classes by {'colour' if self.legend.by_colour else 'number'}: {few(named, most=16)}"


@dataclass(frozen=True)
class Look:
    """One map. counts: pixels by number, or by class of the palette.   beyond: share that is of no colour of it.
    foreign: those colours."""

    counts: dict[int, int]
    beyond: float = 0.0
    foreign: Counter[tuple[int, int, int]] = field(default_factory=Counter)


class Looks:
    """What is seen in all maps."""

    def __init__(self) -> None:
        self.pixels: Counter[int] = Counter()
        self.files: Counter[int] = Counter()
        self.named: dict[int, list[str]] = {}
        self.beyond: list[tuple[float, str]] = []
        self.away, self.total = 0.0, 0
        self.foreign: Counter[tuple[int, int, int]] = Counter()
        self.read, self.coloured, self.why = 0, 0, ""

    def add(self, name: str, look: Look | Exception) -> None:
        if isinstance(look, Exception):
            self.coloured += "colours" in str(look)
            self.why = self.why or f"{name}: {look}"
            return
        size = sum(look.counts.values())
        self.read, self.total, self.away = self.read + 1, self.total + size, self.away + look.beyond * size
        self.beyond.append((look.beyond, name))
        self.foreign.update(look.foreign)
        for number, count in look.counts.items():
            if count:
                self.pixels[number] += count
                self.files[number] += 1
                names = self.named.setdefault(number, [])
                if len(names) < _FILES:
                    names.append(name)

    def share(self, number: int) -> float:
        return self.pixels[number] / max(1, self.total)

    def said(self, number: int, mark: str = "", named: bool = False) -> str:
        """One number with how often it occurs, and in which files."""
        count = self.files[number]
        files = f"{count:,} of {self.read:,} files" if count < self.read else "all files"
        files += f": {few(self.named[number], count, most=_FILES)}" if named else ""
        return f"{number} in {100 * self.share(number):.3g} % of the pixels ({files}){mark}"


def by_number(place: str, side: str, names: dict[int, str], looks: Looks) -> Found:
    there = sorted(looks.pixels)
    wrong, reason, fix = _unexpected(there, names, looks)
    if reason:
        raise _refused(place, looks, wrong, reason, fix)
    values = sorted(names) if names else there
    legend = Legend(
        tuple(names.get(value, f"class {value}") for value in values),
        tuple((int(r), int(g), int(b)) for r, g, b in distinct(len(values))), tuple(values),
    )  # fmt: skip
    warnings = _missing(legend.names, [looks.pixels[value] for value in values])
    rare = [value for value in there if looks.share(value) < RARE]
    if rare and not names:
        said = few([looks.said(value, named=True) for value in rare], most=5)
        warnings.append(f"numbers that hardly occur in the label maps, and are classes all the same: {said}")
    return Found(side, legend, tuple(looks.share(value) for value in values), 0.0, warnings)


def _unexpected(there: list[int], names: dict[int, str], looks: Looks) -> tuple[list[int], str, str]:
    """Which of the numbers are not expected, why, and what to do; ([], "", "") where they look like classes."""
    name_them = f"if they are meant, say so in a {BESIDE} beside the maps, with a line 'number name' for each class"
    if len(there) < 2 and len(names) < 2:
        return [], "the pixels of all label maps are equal: there is nothing to tell apart", "look at the files"
    if names:
        wrong = [value for value in there if value not in names]
        reason = f"numbers that {BESIDE} (or --palette) does not name" if wrong else ""
        return wrong, reason, "correct the files, or name these numbers too" if wrong else ""
    if set(there) <= {0, 255}:
        return [], "", ""
    whole = there[0] <= 1 and there == list(range(there[0], there[0] + len(there)))
    if whole and len(there) <= UNNAMED:
        return [], "", ""
    most = sorted(sorted(there, key=lambda value: -looks.pixels[value])[:2])
    if looks.share(most[0]) + looks.share(most[-1]) > 0.9 and {0, 255} & set(most) and len(there) > 2 and not whole:
        wrong = [value for value in there if value not in most]
        why = "soft edges come from resizing or from JPEG: save the masks anew without"
        if len(wrong) <= 3:
            why = f"should {few(wrong)} be {' or '.join(map(str, most))}? Correct these files"
        return wrong, f"a mask of two numbers ({most[0]} and {most[1]}) with others among them", f"{why}; {name_them}"
    if len(there) > UNNAMED:
        return [], f"{len(there)} different numbers", (
            "photographs, masks with soft edges and JPEGs have so many; label maps hold a few, without gaps. Does "
            f"--maps name the right side? If they are meant, name each in a {BESIDE} beside the maps: 'number name'"
        )  # fmt: skip
    rare = [value for value in there if looks.share(value) < RARE]
    gaps = [value for value in range(there[-1]) if value not in looks.pixels and value > 0]
    return (
        rare or there[-1:],
        f"numbers with gaps between them: there is no {few(gaps, most=6)}",
        (f"correct the files; {name_them}" + (" (255 is often what nobody labelled)" if there[-1] == 255 else "")),
    )


def _refused(place: str, looks: Looks, wrong: Sequence[int], reason: str, fix: str) -> DataError:
    most = _LISTED if len(looks.pixels) > _LISTED + 4 else len(looks.pixels)
    ordered = sorted(value for value, _ in looks.pixels.most_common(most))
    if not set(wrong) & set(ordered):
        ordered += wrong[:3]
    lines = [looks.said(value, " <- unexpected" * (value in wrong), value in wrong) for value in ordered]
    more = [f"… and {len(looks.pixels) - len(ordered):,} more"] if len(looks.pixels) > len(ordered) else []
    return DataError(
        "DATA-MAPS", f"the label maps hold {reason}" if "numbers" in reason else reason, where=place,
        why="\n       ".join([*lines, *more]), fix=fix,
    )  # fmt: skip


def _missing(names: Sequence[str], pixels: Sequence[int]) -> list[str]:
    never = [name for name, count in zip(names, pixels, strict=True) if not count]
    return [f"no pixel of the label maps is of the class{'es' if len(never) > 1 else ''} {few(never)}"] if never else []


def by_colour(place: str, side: str, palette: Palette, looks: Looks) -> Found:
    share = looks.away / max(1, looks.total)
    if share > FOREIGN:
        raise _misfit(place, palette, looks, share)
    warnings = _missing(palette.names, [looks.pixels[number] for number in range(len(palette))])
    shares = tuple(looks.share(number) for number in range(len(palette)))
    return Found(side, Legend.of_palette(palette), shares, share, warnings)


def _misfit(place: str, palette: Palette, looks: Looks, share: float) -> DataError:
    worst = sorted(looks.beyond, reverse=True)
    total = sum(looks.foreign.values())
    lines = [
        f"the most foreign: {few([f'{name} ({100 * beyond:.0f} %)' for beyond, name in worst], most=5)}",
        "their colours, about: " + few(
            [f"{hexadecimal(c)} ({100 * share * n / total:.2g} %)" for c, n in looks.foreign.most_common(8)],
            len(looks.foreign),
        ),
        f"a pixel within {TOLERANCE:g} levels of a colour is of it; edges, where colours blend, are not counted",
    ]  # fmt: skip
    grey = all(max(colour) - min(colour) < 16 for colour, _ in looks.foreign.most_common(8))
    return DataError(
        "DATA-PALETTE", f"{100 * share:.1f} % of the pixels of the label maps are of no colour of the palette",
        where=place, why="\n       ".join(lines),
        fix="add a line '#rrggbb name' to the palette for each class that is missing; if these are photographs, --maps "
        "names the other side" + ("; if the pixels are class numbers, leave --palette out" if grey else ""),
    )  # fmt: skip
