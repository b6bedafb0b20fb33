"""A game on the plane, seen from above: data and samples, what D thinks of every place, where G is drawn, how it goes.

Orange is what is real, or taken for it; blue what is generated, or taken for it; and where D cannot tell it is white.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.generate.landscape import ARROWS, CELLS, Reading, View, arrows, lattice, view
from sparring.types import Landscape

SIZE = (920, 520)
"""Pixels of a picture."""

_REAL, _MADE, _INK, _SOFT, _GOOD, _FAINT = "#b45309", "#1d4f9c", "#1f2328", "#6b7280", "#0f8a7e", "#a3a8b0"
_TINTS = ("#8fb3e6", "#ffffff", "#f5b968")  # generated, undecided, real
_LINE = 27  # characters of a title beside the clock
_LAYERS = 5  # data and samples are drawn in turn, so that neither hides the other
_MANY = 0.02  # share of samples outside that is worth a word
_LEAST = 1e-3  # of the energy distance of data at unit scale: about what chance leaves of 2,500 samples

Line = tuple[Sequence[float], Sequence[float]]
"""Where a curve has points, in images seen, and its values there."""


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────────


class Plane:
    """Draws moments of one game, always within the same frame. What stays is drawn up once: a moment costs about
    the time of one rendering.

    real:  (N, 2) data at unit scale.   scale: times that are the coordinates on the axes.
    title: what is played.   total: images at the end of the curves.   modes: how many the data has.
    costs: {"D": 2 log 2, …} what each player pays at the equilibrium, where it is known.
    reading: how D's output becomes a belief.
    """

    def __init__(
        self, real: Tensor, *, scale: float = 1.0, title: str = "", total: int = 1, modes: int | None = None,
        costs: Mapping[str, float] | None = None, reading: Reading = Reading(),  # noqa: B008 - it is frozen
    ) -> None:  # fmt: skip
        self.real, self.scale, self.title, self.total = real[:, :2].float().cpu(), scale, title, total
        self.modes, self.costs, self.reading = modes, dict(costs or {}), reading
        finite = self.real[self.real.isfinite().all(dim=1)].abs()
        self.extent = 1.3 * float(finite.max()) if finite.numel() else 1.0
        self._made: _Sheet | None = None

    def draw(self, game: Landscape, samples: Tensor, images: int, curves: Mapping[str, Line]) -> Image.Image:
        """The picture of this moment, in 256 colours.

        samples: (M, 2) at unit scale.   curves: "D", "G" (costs), "D(x)", "D(G(z))" and what was measured, by name.
        """
        if self._made is None:
            self._made = _Sheet(self)
        seen = view(game, self.real, samples.float().cpu(), self.extent, self.reading)
        return self._made.moment(seen, samples.float().cpu(), images, curves)


class _Sheet:
    """The figure, and what changes in it."""

    def __init__(self, plane: Plane) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure

        self.plane, self.edge = plane, plane.extent * plane.scale
        self.figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.tints = LinearSegmentedColormap.from_list("belief", _TINTS)
        self.panels: list[_Panel] = []
        self.paper: Any = None  # what stays, rendered
        self.palette = _palette()
        self._board()
        self._curves()

    def _board(self) -> None:
        """The plane on the left."""
        plane, edge = self.plane, self.edge
        at = self.figure.add_axes((0.052, 0.115, 0.4465, 0.79))
        at.set(xlim=(-edge, edge), ylim=(-edge, edge))
        _quiet(at)
        self.axes = at
        self.heat = at.imshow(
            np.full((CELLS, CELLS), 0.5), cmap=self.tints, vmin=0, vmax=1, origin="lower", interpolation="bilinear",
            extent=(-edge, edge, -edge, edge), aspect="auto", animated=True,
        )  # fmt: skip
        real = plane.real.numpy() * plane.scale
        self.real = real
        (self.data,) = at.plot([], [], "o", ms=2.6, mew=0, color=_REAL, alpha=0.55, animated=True)
        (self.cloud,) = at.plot([], [], "o", ms=2.4, mew=0, color=_MADE, alpha=0.7, animated=True)
        places = lattice(edge, ARROWS).numpy()
        self.quiver = at.quiver(
            places[:, 0], places[:, 1], np.zeros(len(places)), np.zeros(len(places)), color=_INK, alpha=0.55,
            angles="xy", scale_units="xy", scale=1, width=0.0026, headwidth=4, headlength=4.5, headaxislength=4,
            pivot="mid", animated=True,
        )  # fmt: skip
        self._title(plane.title)
        self.outside = at.text(
            0.985, 0.975, "", transform=at.transAxes, fontsize=8.5, color=_MADE, ha="right", va="top", animated=True,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.5},
        )  # fmt: skip
        self.clock = self.figure.text(0.4985, 0.945, "", fontsize=9.5, color=_SOFT, ha="right", animated=True)
        self.marks = self.figure.text(0.59, 0.945, "", fontsize=9.5, color=_INK, animated=True)
        bar = self.figure.add_axes((0.507, 0.115, 0.0105, 0.79))
        bar.imshow(np.linspace(0, 1, 64)[:, None], cmap=self.tints, origin="lower", aspect="auto", extent=(0, 1, 0, 1))
        bar.set(xticks=[], yticks=[0, 0.5, 1])
        bar.set_yticklabels(["0", "½", "1"], fontsize=8, color=_SOFT)
        bar.yaxis.tick_right()
        bar.tick_params(length=0, pad=2)
        bar.axhline(0.5, color=_INK, lw=1.2)
        for side in bar.spines.values():
            side.set_visible(False)
        self._legend()

    def _title(self, title: str) -> None:
        """One line; a long one in two: the game, and smaller what holds D back."""
        head, besides, rest = title.partition(" + ")
        if len(title) <= _LINE or not besides:
            head, rest = title, ""
        high = 0.957 if rest else 0.945
        size = 11.5 * min(1.0, _LINE / max(1, len(head)))
        self.figure.text(0.052, high, head, fontsize=max(8.0, size), color=_INK, weight="bold")
        size = 8.5 * min(1.0, 66 / max(1, len(rest)))
        self.figure.text(0.052, 0.921, f"+ {rest}" if rest else "", fontsize=max(6.5, size), color=_INK)

    def _legend(self) -> None:
        from matplotlib.lines import Line2D

        belief = f"D = {formula(self.plane.reading)}"
        keys = [
            Line2D([], [], ls="", marker="o", ms=4.5, mew=0, color=_REAL, label="data"),
            Line2D([], [], ls="", marker="o", ms=4.5, mew=0, color=_MADE, label="generated"),
            Line2D([], [], color=_INK, lw=1.2, label=f"{belief} is ½"),
            Line2D([], [], ls="", marker=r"$\rightarrow$", ms=9, mew=0.2, color=_INK, label="what G follows"),
        ]
        self.figure.legend(
            handles=keys, loc="lower left", bbox_to_anchor=(0.043, -0.008), ncols=4, frameon=False, fontsize=8.5,
            handletextpad=0.35, columnspacing=1.3, labelcolor=_INK, handlelength=1.4,
        )  # fmt: skip

    def _curves(self) -> None:
        """Three panels on the right, over images seen."""
        plane, left, width = self.plane, 0.590, 0.345
        cost = _Panel(self.figure, (left, 0.675, width, 0.195), plane.total, "what each player pays")
        cost.lines({"D": ("D", _REAL), "G": ("G", _MADE)})
        same = len(set(plane.costs.values())) == 1
        for name, value in plane.costs.items():
            cost.level(value, _named(value), _SOFT if same else _REAL if name == "D" else _MADE)
        believed = "σ(s), no belief here" if plane.reading.gain is None else "what D believes"
        belief = _Panel(self.figure, (left, 0.395, width, 0.195), plane.total, believed, (0.0, 1.0))
        belief.lines({"D(x)": ("D(x)", _REAL), "D(G(z))": ("D(G(z))", _MADE)})
        if plane.reading.gain is not None:
            belief.level(0.5, "½", _SOFT)  # σ(s) of a D without a scale is no probability
        if plane.modes:
            last = _Panel(self.figure, (left, 0.115, width, 0.195), plane.total, "samples", (0.0, 1.0))
            last.lines(
                {
                    "smallest_share": ("smallest share", _FAINT),
                    "share": ("modes", _INK),
                    "high_quality": ("high quality", _GOOD),
                }
            )  # fmt: skip
        else:
            last = _Panel(self.figure, (left, 0.115, width, 0.195), plane.total, "samples", lowest=_LEAST * plane.scale)
            last.lines({"energy_distance": ("energy distance to the data", _GOOD)})
        last.axes.set_xlabel("points seen", fontsize=8, color=_SOFT, labelpad=1)
        last.axes.tick_params(labelbottom=True)
        self.panels = [cost, belief, last]

    def moment(self, seen: View, samples: Tensor, images: int, curves: Mapping[str, Line]) -> Image.Image:
        plane, edge = self.plane, self.edge
        every = dict(curves)
        if plane.modes and "modes" in every:
            at, count = every["modes"]
            every["share"] = (at, [value / plane.modes for value in count])
        belief = np.nan_to_num(seen.belief, nan=0.5)
        self.heat.set_data(belief)
        near = samples[:, :2]
        away = int((~(near.abs() <= plane.extent).all(dim=1)).sum())  # also what is no number
        border = 0.992 * plane.extent
        made = near.nan_to_num(0.0, border, -border).clamp(-border, border).numpy() * plane.scale
        self.outside.set_text(f"{away:,} of {len(near):,} samples are outside" if away > _MANY * len(near) else "")
        field = arrows(seen.pull, longest=0.92 * 2 * edge / ARROWS)
        self.quiver.set_UVC(field[:, 0], field[:, 1])
        self.clock.set_text(f"after {images:,} points")
        self.marks.set_text(_measured(every, plane.modes))
        moved = [panel.show(every) for panel in self.panels]
        if self.paper is None or any(moved):
            self.canvas.draw()
            self.paper = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self.paper)
        self.axes.draw_artist(self.heat)
        if belief.min() < 0.5 < belief.max():
            axis, ink = lattice(edge, CELLS).numpy()[:CELLS, 0], firmness(belief)
            contour = self.axes.contour(axis, axis, belief, levels=[0.5], colors=[_INK], linewidths=1.2, alpha=ink)
            self.axes.draw_artist(contour)
            contour.remove()
        self.axes.draw_artist(self.quiver)
        for k in range(_LAYERS):
            for dots, points in ((self.data, self.real), (self.cloud, made)):
                dots.set_data(points[k::_LAYERS, 0], points[k::_LAYERS, 1])
                self.axes.draw_artist(dots)
        self.axes.draw_artist(self.outside)
        for panel in self.panels:
            panel.draw()
        for text in (self.clock, self.marks):
            self.figure.draw_artist(text)
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3].copy())
        return picture.quantize(palette=self.palette, dither=Image.Dither.NONE)


class _Panel:
    """One set of axes over images seen, with curves that end now and levels that are known beforehand."""

    def __init__(
        self, figure: Any, place: tuple[float, float, float, float], total: int, title: str,
        bounds: tuple[float, float] | None = None, lowest: float = 0.0,
    ) -> None:  # fmt: skip
        """bounds: of the vertical axis, if it stays as it is.   lowest: above 0, the end of a logarithmic one."""
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

        self.axes, self.bounds, self.lowest = figure.add_axes(place), bounds, lowest
        self.axes.set_xlim(0, max(1, total))
        _quiet(self.axes)
        self.axes.grid(True, axis="y", color="#eceef1", lw=0.8)
        self.axes.set_axisbelow(True)
        self.axes.xaxis.set_major_locator(MaxNLocator(4))
        self.axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        if lowest:
            self.axes.set_yscale("log")
            self.axes.yaxis.set_minor_locator(NullLocator())
        else:
            self.axes.yaxis.set_major_locator(MaxNLocator(3))
        self.axes.tick_params(labelbottom=False)
        figure.text(place[0], place[1] + place[3] + 0.014, title, fontsize=9.5, color=_INK)
        self.drawn: dict[str, Any] = {}
        self.levels: list[float] = []
        self.names: list[Any] = []  # of the levels
        if bounds is not None:
            room = 0.04 * (bounds[1] - bounds[0])
            self.axes.set_ylim(bounds[0] - room, bounds[1] + room)
            self.axes.set_yticks([bounds[0], 0.5 * (bounds[0] + bounds[1]), bounds[1]])

    def lines(self, named: Mapping[str, tuple[str, str]]) -> None:
        """curve → (label, colour)."""
        for name, (label, colour) in named.items():
            (self.drawn[name],) = self.axes.plot([], [], color=colour, lw=1.5, label=label, animated=True)
        self.axes.legend(
            loc="lower right", bbox_to_anchor=(1.012, 0.965), ncols=len(named), frameon=False, fontsize=8,
            handlelength=0.9, handletextpad=0.4, columnspacing=0.8, labelcolor=_INK, borderpad=0.2,
        )  # fmt: skip

    def level(self, value: float, name: str, colour: str) -> None:
        """A dashed line at what theory says."""
        self.axes.axhline(value, color=colour, lw=1, ls=(0, (4, 3)), alpha=0.8)
        text = self.axes.text(
            1.008, value, name, fontsize=8, color=colour, va="center", transform=self.axes.get_yaxis_transform()
        )
        self.levels.append(value)
        self.names.append(text)

    def show(self, curves: Mapping[str, Line]) -> bool:
        """Set the curves; whether the axis had to change."""
        shown: list[float] = []
        for name, line in self.drawn.items():
            at, values = curves.get(name, ((), ()))
            line.set_data(at, [max(value, self.lowest) for value in values] if self.lowest else values)
            shown += [value for value in values if np.isfinite(value)]
        if self.bounds is not None:
            return False
        before = self.axes.get_ylim()
        if self.lowest:
            top = max([10 * self.lowest, *shown])
            self.axes.set_ylim(0.9 * self.lowest, float(10 ** np.ceil(np.log10(top))))
        else:
            low, high = limits(shown, self.levels)
            self.axes.set_ylim(low, high)
            close = max(self.levels, default=0.0) - min(self.levels, default=0.0) < 0.15 * (high - low)
            for value, text in zip(self.levels, self.names, strict=True):  # two names never on top of each other
                beside = "bottom" if value == max(self.levels) else "top"
                text.set_va(beside if close and len(set(self.levels)) > 1 else "center")
        return bool(before != self.axes.get_ylim())

    def draw(self) -> None:
        """The curves, onto what stays."""
        for line in self.drawn.values():
            self.axes.draw_artist(line)


# ── small things ──────────────────────────────────────────────────────────────────────────────────────────────────


def formula(reading: Reading) -> str:
    """How s is read, in signs.

    >>> formula(Reading()), formula(Reading(2.0)), formula(Reading(None, centred=True))
    ('σ(s)', 'σ(2 s)', 'σ((s − median) / spread)')
    """
    inner = "s − median" if reading.centred else "s"
    if reading.gain is None:
        return f"σ(({inner}) / spread)"
    if abs(reading.gain - 1) < 1e-6:
        return f"σ({inner})"
    return f"σ({reading.gain:.3g} ({inner}))" if reading.centred else f"σ({reading.gain:.3g} {inner})"


def firmness(belief: NDArray[np.floating]) -> float:
    """Opacity of the line where D is ½: full where D distinguishes places, faint where it calls all of them the same,
    as at the start and at the equilibrium: the line then only follows noise.

    >>> firmness(np.full((4, 4), 0.5)), firmness(np.array([0.1, 0.9])), round(firmness(np.linspace(0.45, 0.55, 11)), 2)
    (0.12, 1.0, 0.36)
    """
    low, high = np.quantile(belief, [0.05, 0.95])
    return float(np.clip((high - low) / 0.25, 0.12, 1.0))


def limits(values: Sequence[float], levels: Sequence[float]) -> tuple[float, float]:
    """Axis limits that hold the levels and nearly all values: a few wild ones, as at the start, are cut off. They move
    in steps, so that an animation does not tremble.

    >>> limits([0.5, 1.0, 1.4], [1.386])
    (0.375, 1.5)
    """
    known = sorted(values)
    wild = len(known) // 100
    inner = known[wild : len(known) - wild] or [0.0, 1.0]
    low, high = min(inner[0], *levels, inner[-1]), max(inner[-1], *levels, inner[0])
    step = 2.0 ** np.ceil(np.log2(max(high - low, 1e-6) / 12))
    bottom = step * (np.floor(low / step) - (low % step < step / 4))
    top = step * (np.ceil(high / step) + (-high % step < step / 4))
    return float(bottom), float(top)


def _measured(curves: Mapping[str, Line], modes: int | None) -> str:
    """What was measured last, in a line."""
    last = {name: values[-1] for name, (_, values) in curves.items() if len(values)}
    if modes and "modes" in last:
        shares = f"{last['modes']:.0f} of {modes} modes  ·  high quality {100 * last['high_quality']:.0f} %"
        return shares + (f"  ·  reverse KL {last['reverse_kl']:.3f}" if last["modes"] else "")
    return f"energy distance {last['energy_distance']:.2g}" if "energy_distance" in last else ""


def _named(value: float) -> str:
    known = {"log 4": np.log(4), "log 2": np.log(2), "−log 2": -np.log(2)}
    return next((name for name, number in known.items() if abs(value - number) < 1e-5), f"{value + 0.0:.3g}")


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _quiet(axes: Any) -> None:
    axes.tick_params(length=2.5, color="#c4c8ce", labelsize=8, labelcolor=_SOFT, pad=2)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color("#c4c8ce")


# ── the animation ─────────────────────────────────────────────────────────────────────────────────────────────────


def animate(pictures: Sequence[Image.Image], path: Path, *, milliseconds: int = 160, rest: int = 2500) -> Path:
    """Pictures as an endless GIF, all in the colours of a plane, so that nothing flickers; the last one stays for
    `rest` milliseconds, and those of another size than that are left out. `ValueError` without pictures."""
    if not pictures:
        raise ValueError("an animation needs at least one picture")
    palette, size = _palette(), pictures[-1].size
    fitting = [picture.convert("RGB") for picture in pictures if picture.size == size]
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in fitting]
    first.save(
        path, "GIF", save_all=True, append_images=others, loop=0, optimize=False, disposal=1,
        duration=[milliseconds] * len(others) + [rest],
    )  # fmt: skip
    return path


def _palette() -> Image.Image:
    """The 256 colours of a plane: every tint, with more or less of each ink on it, and lines on white."""

    def rgb(colour: str) -> NDArray[np.float64]:
        return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)

    def blend(a: NDArray[np.float64], b: NDArray[np.float64], steps: int) -> list[NDArray[np.float64]]:
        return [a + t * (b - a) for t in np.linspace(0, 1, steps)]

    low, white, high = (rgb(tint) for tint in _TINTS)
    colours = [*blend(low, white, 20)[:-2], white, *blend(white, high, 20)[2:]]  # 37: nothing that white is rounded to
    papers = blend(low, white, 6)[:-1] + blend(white, high, 6)  # 11
    colours += [blend(paper, rgb(ink), 6)[k] for ink in (_REAL, _MADE, _INK) for paper in papers for k in range(1, 6)]
    colours += [shade for ink in (_SOFT, _GOOD, _FAINT) for shade in blend(white, rgb(ink), 11)[1:]]  # + 165, + 30
    sheet = Image.new("P", (1, 1))
    sheet.putpalette([int(round(level)) for colour in colours[:256] for level in colour])
    return sheet
