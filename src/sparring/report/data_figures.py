"""Images, pairs and label maps on the page of a check."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sparring.data.inspection import Inspection
from sparring.data.pair_sheet import chosen
from sparring.data.report import few, shown
from sparring.data.tiles import TILE, tile
from sparring.report.data_pictures import Pictures, url
from sparring.report.html import section
from sparring.report.text import escape
from sparring.runs.check import Checked


def escaped(name: object) -> str:
    """A name or a reason from a file: control characters spelt, then escaped."""
    return escape(shown(str(name)))


def several(rows: Iterable[int], caption: str, pictures: Pictures) -> str:
    """Images that have something in common."""
    return figure([pictures.kept(row) for row in rows], caption)


def one(row: int, caption: str, pictures: Pictures) -> str:
    """An image, or both sides of a pair."""
    sides = pictures.sides(row)
    return figure(sides, caption, "one" if len(sides) == 1 else "two")


def figure(images: Iterable[NDArray[np.uint8]], caption: str, kind: str = "", height: int = TILE) -> str:
    drawn = "".join(f'<img src="{url(tile(image, height))}" alt="" width="{height}">' for image in images)
    return f'<figure class="thumb {kind}"><div>{drawn}</div><figcaption>{caption}</figcaption></figure>'


def pairs(checked: Checked, pictures: Pictures) -> str:
    """Eight pairs, what is given on the left."""
    dataset, way = checked.dataset, checked.options.direction
    assert dataset.given is not None
    height, width = dataset.shape[1:]
    names = ("A", "B") if way == "AtoB" else ("B", "A")
    belong = "is to be made of it" if dataset.given.paired else "it is to look like; they are drawn independently"
    note = f"Left what is given (side {names[0]}), right what {belong} (side {names[1]}): {width}×{height} pixels."
    figures = "".join(
        figure(pictures.sides(row), escaped(dataset.file(row)) if dataset.given.paired else "", "two", 2 * TILE)
        for row in chosen(dataset)
    )
    return section(
        "The pairs" if dataset.given.paired else "The two sides", f'<div class="pairs">{figures}</div>', note
    )


def legend(made: Inspection) -> str:
    """The classes of label maps: colour, name, share of the pixels."""
    if not made.maps:
        return ""
    key, total = made.maps["legend"], max(made.maps["shares"])
    rows = "".join(
        f'<dt><i style="background:rgb({r},{g},{b})"></i>{escaped(name)}</dt>'
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="ground" width="100" '
        f'height="10"/><rect width="{max(0.6, 100 * share / total):.1f}" height="10"/></svg>'
        f"<dd>{100 * share:.3g} %</dd>"
        for name, (r, g, b), share in zip(key["names"], key["colours"], made.maps["shares"], strict=True)
    )
    how = f"by their numbers: {few(key['values'], most=20)}" if key["values"] else "by the nearest of these colours"
    side = "What is given" if made.maps["side"] == "given" else "What is to be made"
    beyond = f" {100 * made.maps['beyond']:.1f} % of the pixels are of none of them." if made.maps["beyond"] else ""
    note = f"{side} is label maps: {len(key['names'])} classes, read {how}.{beyond} With each its share of all pixels."
    return section("The label maps", f'<dl class="bars legend">{rows}</dl>', note)
