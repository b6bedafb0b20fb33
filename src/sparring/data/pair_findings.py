"""What a person should know of pairs: whether the two sides are what they should be, as far as pixels can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sparring.data.builtin import IMAGES
from sparring.data.dataset import Dataset
from sparring.data.decode import Pixels
from sparring.data.inspection import LISTED, Finding, Level
from sparring.data.map_verdicts import UNNAMED
from sparring.data.options import Options
from sparring.data.pair_sheet import of_survey
from sparring.data.palette import BUILT_IN, FOREIGN, Palette
from sparring.data.scan import content_hash

_LOOKED_AT, _LIVE = 5_000, 200  # pairs whose pixels are compared; of those that are decoded for it
_APART, _SPOTS = 24, 0.001  # of the same picture in two formats, at most a thousandth differs by more levels than these
_FITTED = 16  # pictures of a side that are held against palettes


def pair_findings(dataset: Dataset, options: Options) -> Iterator[Finding]:
    """Both sides the same, sides on which there is nothing, the same picture given with different ones, label maps that
    are taken for photographs; and, always, which side is given."""
    given = dataset.given
    if given is None:
        return
    names = ("A", "B") if options.direction == "AtoB" else ("B", "A")
    if given.paired:
        looks = _Looks(dataset)
        yield from looks.same()
        yield from looks.empty(names)
        yield from looks.shared()
    if options.maps == "none":
        yield from _maps(dataset, names)
    made = f"side {names[1]} is to be made of it" if given.paired else f"is to become like side {names[1]}"
    why = "whether that was meant, and whether the two sides belong together, only a look at the pairs tells"
    yield Finding(
        "note", "DATA-DIRECTION", f"side {names[0]} is given, and {made}",
        f"if it should be the other way round: --direction {'BtoA' if options.direction == 'AtoB' else 'AtoB'}",
        why=why if given.paired else "",
    )  # fmt: skip


def pair_warnings(dataset: Dataset, options: Options) -> list[str]:
    """What `check` warns of in pairs, a line each, for whoever trains on them without a check; none of other data."""
    return [f"{found.what}; {found.fix}" for found in pair_findings(dataset, options) if found.level == "warning"]


class _Looks:
    """What is found in pairs, of `n` looked at."""

    def __init__(self, dataset: Dataset) -> None:
        total = len(dataset.held_out) + len(dataset.train)
        self.n = min(total, _LIVE if dataset.live else _LOOKED_AT)
        self.dataset = dataset
        self.alike: list[int] = []
        self.flat: tuple[list[int], list[int]] = ([], [])
        self.groups: dict[bytes, list[int]] = {}
        self.outcomes: dict[bytes, set[bytes]] = {}
        for row in np.linspace(0, total - 1, self.n).round().astype(int).tolist():
            sides = [np.asarray(side) for side in of_survey(dataset, row)]
            for flat, pixels in zip(self.flat, sides, strict=True):
                if bool((pixels[0] == pixels[0, 0]).all()) and bool((pixels == pixels[0, 0]).all()):
                    flat.append(row)
            if _alike(*sides) and row not in self.flat[0]:
                self.alike.append(row)
            key = content_hash(np.ascontiguousarray(sides[0]))
            self.groups.setdefault(key, []).append(row)
            self.outcomes.setdefault(key, set()).add(content_hash(np.ascontiguousarray(sides[1])))

    def _files(self, rows: list[int]) -> list[tuple[str, str]]:
        return [(self.dataset.file(row), "") for row in rows[:LISTED]]

    def _of(self, count: int) -> str:
        return f"{count:,} of {self.n:,} pairs"

    def same(self) -> Iterator[Finding]:
        count = len(self.alike)
        if count > 0.5 * self.n:
            what = f"both sides of {self._of(count)} are the same picture"
            yield Finding("warning", "DATA-PAIRS-SAME", what,
                          "was the same folder given twice? Name the other one")  # fmt: skip
        elif count:
            what = f"both sides of {self._of(count)} are the same picture"
            few = count < 0.01 * self.n or self.dataset.report.source in IMAGES  # nobody can remove built-in ones
            yield Finding("note" if few else "warning", "DATA-PAIRS-SAME", what,
                          "look at them; from these nothing is learnt but to copy", count, self._files(self.alike),
                          rows=self.alike[:12])  # fmt: skip

    def empty(self, names: tuple[str, str]) -> Iterator[Finding]:
        for side, name, rows in zip(("given", "to be made"), names, self.flat, strict=True):
            if not rows:
                continue
            most, count = len(rows) > 0.5 * self.n, len(rows)
            what = f"on side {name} ({side}) {self._of(count)} {'have' if count > 1 else 'has'} nothing but one colour"
            fix = "from nothing nothing can be made" if side == "given" else "the game learns to make nothing"
            fix = f"leave these pairs out: {fix}"
            if most:
                fix = f"is this the right folder? If its pixels are numbers of classes: --maps {name}"
            level: Level = "warning" if count > 0.005 * self.n else "note"
            yield Finding(level, "DATA-PAIRS-EMPTY", what, fix, count, self._files(rows), rows=rows[:12])

    def shared(self) -> Iterator[Finding]:
        groups = [rows for key, rows in self.groups.items() if len(self.outcomes[key]) > 1]
        if not groups:
            return
        groups.sort(key=lambda rows: -len(rows))
        count = sum(map(len, groups))
        what = f"{self._of(count)} share what is given with others, from which something else is to be made"
        named = [" = ".join(self.dataset.file(row) for row in rows[:3]) + (" = …" if len(rows) > 3 else "")
                 for rows in groups[:LISTED]]  # fmt: skip
        level: Level = "warning" if count > 0.05 * self.n else "note"
        yield Finding(level, "DATA-PAIRS-SHARED", what,
                      "fine if few: of the same picture a game makes one thing, at best one of these",
                      len(groups), [(name, "") for name in named])  # fmt: skip


def _alike(first: Pixels, second: Pixels) -> bool:
    """Whether two pictures (H, W, C) are the same, perhaps in another format; one of them may be grey."""

    def apart(step: int) -> float:
        rows = (side[::step, :, :3].astype(np.int16) for side in (first, second))
        return float((np.abs(np.subtract(*rows)).max(axis=2) > _APART).mean())

    return apart(16) < 2 * 16 * _SPOTS and apart(1) < _SPOTS  # a sixteenth of the rows rules most out, and cheaply


def _maps(dataset: Dataset, names: tuple[str, str]) -> Iterator[Finding]:
    """A side in the colours of a palette that is known, or nearly black as small numbers are."""
    assert dataset.given is not None
    for name, images in zip(names, (dataset.given.train, dataset.train), strict=True):
        rows = np.unique(np.linspace(0, len(images) - 1, min(_FITTED, len(images))).astype(np.int64))
        some = np.asarray(images[rows])
        if images.shape[3] == 1 and 0 < (most := int(some.max())) < UNNAMED:
            what = f"side {name} is nearly black: are its levels, up to {most}, the numbers of classes?"
            yield Finding("warning", "DATA-PAIRS-MAPS", what, f"--maps {name}, if so")
        for known in BUILT_IN if images.shape[3] == 3 else ():
            palette = Palette.load(known)
            found = [palette.index(pixels) for pixels in some]
            classes = Counter(int(number) for index, _ in found for number in np.unique(index))
            if float(np.mean([share for _, share in found])) <= FOREIGN and len(classes) > 2:
                what = f"side {name} looks like label maps in the colours of {known}, and is taken for photographs"
                yield Finding("warning", "DATA-PAIRS-MAPS", what, f"--maps {name} --palette {known}")
