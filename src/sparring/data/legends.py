"""From all label maps of a data set to what their pixels stand for: which classes there are, and what nobody expects.

A number that is met once too often costs a run: a mask with 254 for 255 has three classes, a mask with soft edges has
256. So all values are counted before anything is decoded for training, and what does not look like classes is refused
with the values, how often each occurs, and where.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sparring.data.decode import Pixels, decoding
from sparring.data.map_verdicts import BESIDE, RARE, Found, Look, Looks, by_colour, by_number
from sparring.data.maps import colours, halved, numbers
from sparring.data.opening import Unusable
from sparring.data.options import Options
from sparring.data.palette import BUILT_IN, FOREIGN, Palette
from sparring.data.remarks import hexadecimal
from sparring.data.report import few
from sparring.data.scan import Progress, each, threads
from sparring.data.sources.items import Source, Two, Unreadable
from sparring.errors import DataError

VERSION = 2  # raise it when the same maps would be said to hold something else: it is part of what caches go by
_NUMBERED = re.compile(r"(\d{1,5})[\s:,=]+(\D.*)")


def survey(
    source: Source, items: Sequence[int], side: str, options: Options, progress: Progress | None = None
) -> Found:
    """Look at all label maps of one side. items: of the source.   side: "given" or "made" of each pair.

    Raises `DataError` where the values are not what classes look like, where nobody says what colours stand for, and
    where more than 5 % of the pixels are of no colour of the palette.
    """
    known = key(source, options)
    palette = known if isinstance(known, Palette) else None
    looks = Looks()
    with ThreadPoolExecutor(threads()) as pool, decoding():
        found = each(pool, lambda item: _look(source, item, side, options, palette), items)
        for done, (item, look) in enumerate(zip(items, found, strict=True), 1):
            looks.add(source.items[item].name, look)
            if progress and (done == len(items) or done % 64 == 0):
                progress("reading label maps", done, len(items))
    if looks.coloured and 2 * looks.coloured > looks.read + looks.coloured:
        raise _coloured(source, items, side, options)
    if not looks.read:
        raise DataError("DATA-MAPS", "no label map can be read", where=source.place, why=looks.why,
                        fix="label maps are PNG files: class numbers, or colours with a --palette")  # fmt: skip
    if palette is not None:
        return by_colour(source.place, side, palette, looks)
    return by_number(source.place, side, known if isinstance(known, dict) else {}, looks)


def stamp(source: Source, options: Options) -> str:
    """Text that changes with what is said of the classes: the palette, or the file beside the maps."""
    if options.maps == "none":
        return ""
    known = key(source, options)
    said = known.record() if isinstance(known, Palette) else known
    return hashlib.blake2b(f"{VERSION} {said!r}".encode(), digest_size=16).hexdigest()


# ── what is said of the classes ───────────────────────────────────────────────────────────────────────────────────


def key(source: Source, options: Options) -> Palette | dict[int, str] | None:
    """What somebody said of the classes: a palette, or a name for each number; None where nobody did.

    `options.palette` is a palette or a list of names; else a ``classes.txt`` beside the maps is one of the two."""
    if options.palette is not None:
        named = None if options.palette in BUILT_IN else _text_of(Path(options.palette).expanduser())
        return (parse(named, options.palette) if named else None) or Palette.load(options.palette)
    for place in (source.place, source.also):
        text = _beside(Path(place)) if place else None
        if text is not None:
            where = f"{place}: {BESIDE}"
            return parse(text, where) or Palette.parse(text, where)
    return None


def parse(text: str, where: str = "") -> dict[int, str] | None:
    """Number to name, from a text with a name, or a number and a name, in each line; None if these are colours.

    Raises `DataError` for a number or a name that occurs twice.

    >>> parse("wall\\nopen door"), parse("0 wall\\n255 = open door"), parse("#000000 wall\\n#ffffff door")
    ({0: 'wall', 1: 'open door'}, {0: 'wall', 255: 'open door'}, None)
    """
    lines = [(n, line.partition(";")[0].strip()) for n, line in enumerate(text.splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not re.match(r"#(\s|$)", line)]
    if not lines or lines[0][1][0] in "#{" or re.match(r"\d+[\s,]+\d+[\s,]+\d+|GIMP Palette", lines[0][1]):
        return None
    numbered = [_NUMBERED.fullmatch(line) for _, line in lines]
    names: dict[int, str] = {}
    for position, ((line, said), match) in enumerate(zip(lines, numbered, strict=True)):
        number, name = (int(match[1]), match[2].strip()) if match and all(numbered) else (position, said)
        if number in names or name in names.values() or number >= 2**16:
            twice = "too large a number" if number >= 2**16 else "this occurs twice"
            raise DataError("DATA-CLASSES-TXT", f"{twice}: {said[:60]!r}", where=f"{where}, line {line}",
                            fix="a line for each class: its name, or its number and its name")  # fmt: skip
        names[number] = name
    return names


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _beside(place: Path) -> str | None:
    """The text of classes.txt in a folder or a zip, or in a folder at its top; also of a folder inside a zip."""
    if place.is_dir():
        paths = [place / BESIDE, *sorted(place.glob(f"*/{BESIDE}"))]
        return next((text for path in paths if (text := _text_of(path)) is not None), None)
    file = next((path for path in (place, *place.parents) if path.is_file()), None)
    if file is None or not zipfile.is_zipfile(file):
        return None
    folder = place.relative_to(file).parts
    with zipfile.ZipFile(file) as archive:
        names = [name.split("/") for name in archive.namelist()]
        here = [name for name in names if name[-1] == BESIDE and tuple(name[: len(folder)]) == folder]
        near = sorted((name for name in here if len(name) <= len(folder) + 2), key=len)
        return archive.read("/".join(near[0])).decode("utf-8-sig", "replace") if near else None


# ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _map_of(source: Source, item: int, side: str) -> tuple[bytes | Pixels, str]:
    found = source.read(item)
    if not isinstance(found, Two):
        return found, ""
    return (found.given, found.halves[0]) if side == "given" else (found.made, found.halves[1])


def _look(source: Source, item: int, side: str, options: Options, palette: Palette | None) -> Look | Exception:
    try:
        data, half = _map_of(source, item, side)
        if palette is None:
            stored = halved(numbers(data, options.limits), half)
            counts = np.bincount(stored.ravel())
            return Look({int(n): int(counts[n]) for n in np.flatnonzero(counts)})
        pixels = halved(colours(data, options.limits, options.background), half)
        index, beyond = palette.index(pixels)
        counts = np.bincount(index.ravel(), minlength=len(palette))
        return Look(dict(enumerate(counts.tolist())), beyond, palette.foreign(pixels) if beyond > RARE else Counter())
    except (Unreadable, Unusable) as error:
        return error


def _coloured(source: Source, items: Sequence[int], side: str, options: Options) -> DataError:
    """Maps in colours of which nobody says what they stand for."""
    some = [items[k] for k in np.linspace(0, len(items) - 1, min(8, len(items))).astype(int)]
    seen: list[Pixels] = []
    for item in some:
        try:
            data, half = _map_of(source, item, side)
            seen.append(halved(colours(data, options.limits, options.background), half))
        except (Unreadable, Unusable):
            continue
    fits = [name for name in BUILT_IN if seen and np.mean([Palette.load(name).index(p)[1] for p in seen]) <= FOREIGN]
    counts: Counter[tuple[int, int, int]] = Counter()
    for pixels in seen:
        kinds, many = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
        counts.update({(int(r), int(g), int(b)): int(n) for (r, g, b), n in zip(kinds.tolist(), many, strict=True)})
    total = max(1, sum(counts.values()))
    often = [f"{hexadecimal(c)} ({100 * n / total:.2g} %)" for c, n in counts.most_common(10)]
    return DataError(
        "DATA-MAPS", "the label maps are in colours, and nobody says what these stand for", where=source.place,
        why=f"the most frequent of {len(counts):,} colours in {len(seen)} of them: {few(often, len(counts))}",
        fix=f"--palette {fits[0]} fits" if fits
        else "--palette FILE, a text with a line '#rrggbb name' for each class",
    )  # fmt: skip
