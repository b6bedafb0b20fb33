"""Curves as inline SVG: lines stretch with the page, labels stay readable at any width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparring.report.text import escape

Values = Sequence[float | None]
_COLOURS = 6


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


def decades(low: float, high: float) -> list[float]:
    """Round numbers within [low, high] on an axis by powers of ten.

    >>> decades(0.03, 20), decades(0.03, 0.3)
    ([0.1, 1.0, 10.0], [0.05, 0.1, 0.2])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5)):
        found = [float(f"{digit}e{power}") for power in powers for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) >= 3:
            break
    return found[:: max(1, math.ceil(len(found) / 6))]


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
class Axes:
    """A box of 1000 × 1000, y downwards, for x from `first` to `last` and y from `low` to `high`.

    log: y by powers of ten.
    """

    first: float
    last: float
    low: float
    high: float
    log: bool = False

    def left(self, x: float) -> float:
        """Where x is, from 0 to 1000."""
        return 1000 * (x - self.first) / (self.last - self.first) if self.last > self.first else 500.0

    def top(self, y: float) -> float:
        """Where y is; outside of the box at its border."""
        low, high, y = self.low, self.high, min(max(y, self.low), self.high)
        if self.log:
            low, high, y = math.log(low), math.log(high), math.log(y)
        return 1000 * (high - y) / (high - low)

    def line(self, at: Sequence[float], values: Values) -> str:
        """A path through what there is: values that are missing are passed over, those outside cut off."""
        there = [(self.left(x), self.top(y)) for x, y in zip(at, values, strict=True) if y is not None]
        drawn = "".join(f"{'L' if k else 'M'}{x:.1f} {y:.1f}" for k, (x, y) in enumerate(there))
        return drawn + ("h1" if len(there) == 1 else "")  # one point alone is still seen

    def area(self, at: Sequence[float], low: Values, high: Values) -> str:
        """A path around what lies between two lines, where both are known."""
        there = [(x, a, b) for x, a, b in zip(at, low, high, strict=True) if a is not None and b is not None]
        if len(there) == 1:  # one interval alone is a bar
            x, a, b = there[0]
            return f"M{self.left(x):.1f} {self.top(a):.1f}V{self.top(b):.1f}h6V{self.top(a):.1f}Z"
        corners = [(self.left(x), self.top(b)) for x, _, b in there]
        corners += [(self.left(x), self.top(a)) for x, a, _ in reversed(there)]
        drawn = "".join(f"{'L' if k else 'M'}{x:.1f} {y:.1f}" for k, (x, y) in enumerate(corners))
        return drawn + "Z" if corners else ""

    def across(self, value: float, kind: str) -> str:
        """A horizontal line."""
        return f'<path class="{kind}" d="M0 {self.top(value):.1f}H1000"/>'

    def frame(
        self, inside: str, title: str, *, ys: Iterable[tuple[float, str]], xs: Iterable[float], more: str = ""
    ) -> str:
        """The plot: rules at `ys` (value, label), numbers at `xs`, and what is drawn inside."""
        ys = list(ys)
        out = ['<div class="plot"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" ']
        out.append(f'aria-label="{escape(title)}">{"".join(self.across(y, "rule") for y, _ in ys)}{inside}</svg>')
        out += [f'<span class="y" style="top:{self.top(y) / 10:.2f}%">{label}</span>' for y, label in ys]
        out += [f'<span class="x" style="left:{self.left(x) / 10:.2f}%">{short(x)}</span>' for x in xs]
        return "".join(out) + more + "</div>"


@dataclass(frozen=True)
class Panel:
    """One chart: a title, what it says, and its lines by label; `bounds` fixes the vertical axis.

    at:     where its lines have points, in images seen.
    bands:  by label of a line, (low, high) on both sides of it: the interval of each point.
    hints:  horizontal lines worth knowing, for example D's answer when it is only guessing.
    aside:  labels of lines that only say what others are compared with: dashed, without colour.
    undone: what was measured on stretches that the run went back over, by label: (at, values) of each.
    log:    by powers of ten, if the values ask for it.
    """

    title: str
    note: str
    lines: Mapping[str, Values]
    bounds: tuple[float, float] | None = None
    hints: tuple[float, ...] = ()
    at: Sequence[int] = ()
    bands: Mapping[str, tuple[Values, Values]] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    undone: Mapping[str, Sequence[tuple[Sequence[int], Values]]] = field(default_factory=dict)
    log: bool = False

    @property
    def drawn(self) -> dict[str, Values]:
        """Its lines that have a point."""
        return {label: line for label, line in self.lines.items() if any(v is not None for v in line)}


def logarithmic(panel: Panel) -> bool:
    """Whether an axis by powers of ten shows more: all values are above 0, and the largest is 20 times the smallest."""
    values = [v for line in panel.lines.values() for v in line if v is not None]
    return panel.log and len(values) > 2 and min(values) > 0 and max(values) >= 20 * min(values)


def bounds(panel: Panel, log: bool) -> tuple[float, float]:
    """Where the vertical axis begins and ends. log: by powers of ten."""
    if panel.bounds:
        return panel.bounds
    values = sorted(v for line in panel.lines.values() for v in line if v is not None)
    if not values:
        return 0.0, 1.0
    if log:
        reach = max(1.1, (values[-1] / values[0]) ** 0.05)
        return values[0] / reach, values[-1] * reach
    low, high = values[0], values[-1]
    quarter, three = values[len(values) // 4], values[3 * len(values) // 4]
    reach = 6 * max(three - quarter, 1e-12)  # a single wild value must not flatten everything else
    low, high = max(low, quarter - reach), min(high, three + reach)
    for lows, highs in panel.bands.values():  # intervals are shown whole, unless they press the line flat
        low = max(min([low, *[v for v in lows if v is not None]]), low - (high - low))
        high = min(max([high, *[v for v in highs if v is not None]]), high + (high - low))
    low, high = min([low, *panel.hints]), max([high, *panel.hints])
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def cut(panel: Panel, axes: Axes) -> str:
    """What the axis does not show, in a sentence; "" where it shows everything."""
    values = [v for line in panel.drawn.values() for v in line if v is not None]
    over, under = [v for v in values if v > axes.high], [v for v in values if v < axes.low]
    said = [f"{len(over)} above, up to {short(max(over))}"] if over else []
    said += [f"{len(under)} below, down to {short(min(under))}"] if under else []
    return f"Cut off, so that the rest can be seen: {', '.join(said)}." if said else ""


def chart(
    panel: Panel, number: int, unit: str = "images", span: tuple[float, float] | None = None,
    marks: Sequence[tuple[float, float]] = (), best: float | None = None,
) -> str:  # fmt: skip
    """The panel as HTML, "" when there is nothing to draw.

    unit: what is seen.   span: the first and last of all charts of a page.   marks: (from, to) of stretches that the
    run went back over.   best: where the best checkpoint is.
    """
    lines = panel.drawn
    if not lines or not panel.at:
        return ""
    first, last = span or (panel.at[0], panel.at[-1])
    log = logarithmic(panel)
    axes = Axes(first, last, *bounds(panel, log), log)
    out = [f'<figure class="chart" data-chart="{number}"><figcaption><h3>{escape(panel.title)}</h3>']
    note = " ".join(part for part in (panel.note, cut(panel, axes)) if part)
    out.append(f'<p>{escape(note)}</p></figcaption><ul class="legend">')
    inside = [_stretch(axes, since, until) for since, until in marks]
    if best is not None and first < best <= last:
        inside.append(f'<path class="best" d="M{axes.left(best):.1f} 0V1000"/>')
    inside += [axes.across(hint, "hint") for hint in panel.hints if axes.low < hint < axes.high]
    for k, (label, line) in enumerate(lines.items()):
        end = next(v for v in reversed(line) if v is not None)
        kind = "aside" if label in panel.aside else f"c{k % _COLOURS}"
        out.append(f'<li class="{kind}"><i></i>{escape(label)} <b data-line="{k}">{short(end)}</b></li>')
        if label in panel.bands:
            inside.append(f'<path class="band {kind}" d="{axes.area(panel.at, *panel.bands[label])}"/>')
        inside += [
            f'<path class="line undone {kind}" d="{path}"/>'
            for at, values in panel.undone.get(label, ())
            if (path := axes.line(at, values))
        ]
        inside.append(f'<path class="line {kind}" d="{axes.line(panel.at, line)}"/>')
    ys = [(y, short(y)) for y in (decades if log else ticks)(axes.low, axes.high)]
    xs = ticks(first, last) if last > first else [float(first)]
    cursor = '<span class="cursor" hidden></span>'
    plot = axes.frame("".join(inside), panel.title, ys=ys, xs=xs, more=cursor)
    return "".join(out) + f'</ul>{plot}<p class="axis">{unit} seen</p></figure>'


def _stretch(axes: Axes, since: float, until: float) -> str:
    left, right = axes.left(since), axes.left(until)
    return f'<rect class="back" x="{left:.1f}" y="0" width="{max(2.0, right - left):.1f}" height="1000"/>'
