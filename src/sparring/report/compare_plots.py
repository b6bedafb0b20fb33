"""The drawings of a comparison as inline SVG: seeds as dots with an interval, and small curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparring.report.curves import Axes, short, ticks
from sparring.report.text import escape
from sparring.runs.compare.measures import Measure

_WIDTH, _HEIGHT = 240, 34


def span_of(made: Mapping[str, Any], main: Measure) -> tuple[float, float]:
    """The common axis of all rows."""
    found = [
        seed["averaged"].get(main.name) for cell in made["cells"] if cell["state"] == "played" for seed in cell["seeds"]
    ]
    return axis([value for value in found if value is not None], made["reference"].get(main.name))


def axis(values: Sequence[float], fresh: float | None) -> tuple[float, float]:
    """From 0 to the largest; fresh data belong on it unless they would press everything else together.

    >>> axis([0.2, 0.6], 0.9), axis([0.01, 0.05], 0.9)
    ((0.0, 0.9), (0.0, 0.055))
    """
    most = max([*values, 1e-9])
    shown = fresh is not None and fresh <= 2.5 * most
    return min([0.0, *values, *[fresh or 0.0] * shown]), max(most, fresh or 0.0) if shown else round(1.1 * most, 12)


def dots(
    values: Sequence[float | None], failed: Sequence[bool], found: Mapping[str, Any], low: float, high: float,
    fresh: float | None,
) -> str:  # fmt: skip
    """A row of the table: every seed, the mean, its interval, and where fresh data are."""

    def at(value: float) -> float:
        return 6 + (_WIDTH - 12) * (value - low) / ((high - low) or 1.0)

    out = [f'<svg class="dots" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="each seed">']
    out.append(f'<path class="rule" d="M{at(low):.1f} {_HEIGHT / 2}H{at(high):.1f}"/>')
    if fresh is not None and low <= fresh <= high:
        out.append(f'<path class="hint" d="M{at(fresh):.1f} 2V{_HEIGHT - 2}"/>')
    if found["low"] is not None:
        left, right = at(found["low"]), at(found["high"])
        out.append(f'<rect class="bar" x="{left:.1f}" y="12" width="{max(1.5, right - left):.1f}" height="10" rx="2"/>')
    for k, (value, broken) in enumerate(zip(values, failed, strict=True)):
        if value is not None:
            y = _HEIGHT / 2 + 5 * ((k % 3) - 1)  # apart a little: equal seeds remain visible
            out.append(f'<circle class="{"broken" if broken else "seed"}" cx="{at(value):.1f}" cy="{y:.1f}" r="2.6"/>')
    if found["mean"] is not None:
        out.append(f'<path class="mean" d="M{at(found["mean"]):.1f} 7V{_HEIGHT - 7}"/>')
    return "".join(out) + "</svg>"


def bar(found: Mapping[str, Any], low: float, high: float) -> str:
    """A value as a bar from the left, with its interval."""
    if found["mean"] is None:
        return ""

    def at(value: float) -> float:
        return 6 + (_WIDTH - 12) * min(1.0, max(0.0, (value - low) / ((high - low) or 1.0)))

    out = [f'<svg class="dots" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="its size">']
    out.append(f'<rect class="scale" x="6" y="11" width="{max(1.0, at(found["mean"]) - 6):.1f}" height="12" rx="2"/>')
    if found["low"] is not None:
        out.append(f'<path class="mean" d="M{at(found["low"]):.1f} {_HEIGHT / 2}H{at(found["high"]):.1f}"/>')
    return "".join(out) + "</svg>"


def curve(cell: Mapping[str, Any], main: Measure, most: int, low: float, high: float, fresh: float | None) -> str:
    """One cell over images: every seed thin, their mean thick."""
    margin = 0.04 * ((high - low) or 1.0)
    low, high = low - margin * (low < 0), high + margin

    axes = Axes(0, max(1, most), low, high if high > low else low + 1.0)

    def line(points: Sequence[Sequence[float | None]]) -> str:
        return axes.line([float(x or 0) for x, _ in points], [y for _, y in points])

    rows = [seed["curve"] for seed in cell["seeds"]]
    middle = []
    for k in range(min(len(row) for row in rows)):
        there = [row[k][1] for row in rows if row[k][1] is not None]
        middle.append((rows[0][k][0], sum(there) / len(there) if there else None))
    marks = ticks(low, high, 3)
    step = 100 * (marks[1] - marks[0]) if len(marks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))  # so many that no two marks read the same
    known = fresh is not None and low <= fresh <= high
    inside = axes.across(fresh, "hint") if known and fresh is not None else ""
    inside += "".join(f'<path class="thin" d="{line(row)}"/>' for row in rows)
    inside += f'<path class="line c0" d="{line(middle)}"/>'
    ys = [(y, f"{100 * y:.{digits}f} %" if main.share else short(y)) for y in marks]
    plot = axes.frame(inside, "over images", ys=ys, xs=ticks(0, most, 3))
    caption = f"<figcaption><h3>{escape(cell['label'])}</h3></figcaption>"
    return f'<figure class="chart">{caption}{plot}<p class="axis">images seen by each seed</p></figure>'
