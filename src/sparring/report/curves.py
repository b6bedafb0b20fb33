"""Curves as inline SVG: lines stretch with the page, labels stay readable at any width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparring.report.text import escape

Values = Sequence[float | None]


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], about `about` of them.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(0, 230_000)
    [0.0, 50000.0, 100000.0, 150000.0, 200000.0]
    """
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    digits = max(0, -math.floor(math.log10(step)))
    return [round((first + i) * step, digits) + 0.0 for i in range(count)]


def short(value: float) -> str:
    """A number in at most five or so characters.

    >>> [short(v) for v in (0, 0.25, 1500, 200_000, 2_500_000, -3.14159, 0.00002)]
    ['0', '0.25', '1.5k', '200k', '2.5M', '-3.14', '2e-05']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Panel:
    """One chart: a title, what it says, and its lines by label; `bounds` fixes the vertical axis."""

    title: str
    note: str
    lines: Mapping[str, Values]
    bounds: tuple[float, float] | None = None
    hint: float | None = None
    """A horizontal line worth knowing, for example D's answer when it is only guessing."""


def _bounds(panel: Panel) -> tuple[float, float]:
    if panel.bounds:
        return panel.bounds
    values = sorted(v for line in panel.lines.values() for v in line if v is not None)
    if not values:
        return 0.0, 1.0
    low, high = values[0], values[-1]
    quarter, three = values[len(values) // 4], values[3 * len(values) // 4]
    reach = 6 * max(three - quarter, 1e-12)  # a single wild value must not flatten everything else
    low, high = max(low, quarter - reach), min(high, three + reach)
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def _path(images: Sequence[int], line: Values, low: float, high: float) -> str:
    """The line in a box of 1000 × 1000, y downwards; gaps where there is no value, cut off at the border."""
    first, last = images[0], images[-1]
    parts, pen_down = [], False
    for x, y in zip(images, line, strict=True):
        if y is None:
            continue
        left = 1000 * (x - first) / (last - first) if last > first else 500
        top = 1000 * (high - min(max(y, low), high)) / (high - low)
        parts.append(f"{'L' if pen_down else 'M'}{left:.1f} {top:.1f}")
        pen_down = True
    if len(parts) == 1:
        parts.append("h1")  # one point alone is still seen
    return "".join(parts)


def chart(panel: Panel, images: Sequence[int], number: int, unit: str = "images") -> str:
    """The panel as HTML; `images` are where its lines have points, counted in `unit`. Empty when there is nothing to
    draw."""
    lines = {label: line for label, line in panel.lines.items() if any(v is not None for v in line)}
    if not lines or not images:
        return ""
    low, high = _bounds(panel)
    first, last = images[0], images[-1]
    out = [f'<figure class="chart" data-chart="{number}"><figcaption><h3>{escape(panel.title)}</h3>']
    out.append(f"<p>{escape(panel.note)}</p></figcaption>" + '<ul class="legend">')
    for k, (label, line) in enumerate(lines.items()):
        end = next(v for v in reversed(line) if v is not None)
        out.append(f'<li class="c{k % 6}"><i></i>{escape(label)} <b data-line="{k}">{short(end)}</b></li>')
    out.append('</ul><div class="plot"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" ')
    out.append(f'aria-label="{escape(panel.title)}">')
    marks = ticks(low, high)
    for y in marks:
        top = 1000 * (high - y) / (high - low)
        out.append(f'<path class="rule" d="M0 {top:.1f}H1000"/>')
    if panel.hint is not None and low < panel.hint < high:
        out.append(f'<path class="hint" d="M0 {1000 * (high - panel.hint) / (high - low):.1f}H1000"/>')
    for k, line in enumerate(lines.values()):
        out.append(f'<path class="line c{k % 6}" d="{_path(images, line, low, high)}"/>')
    out.append("</svg>")
    out += [f'<span class="y" style="top:{100 * (high - y) / (high - low):.2f}%">{short(y)}</span>' for y in marks]
    across = ticks(first, last) if last > first else [float(first)]
    for x in across:
        left = 100 * (x - first) / (last - first) if last > first else 50
        out.append(f'<span class="x" style="left:{left:.2f}%">{short(x)}</span>')
    out.append('<span class="cursor" hidden></span></div>' + f'<p class="axis">{unit} seen</p></figure>')
    return "".join(out)
