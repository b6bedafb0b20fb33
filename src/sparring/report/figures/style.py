"""How all figures look: one palette that colour-blind readers can tell apart, one size of type, no decoration."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

# Okabe & Ito 2008: distinct with any kind of colour vision, and in order of use
BLUE, RED, GREEN, PURPLE, AMBER, SKY = "#0072b2", "#d55e00", "#009e73", "#b3508a", "#c98a00", "#56b4e9"
INK, SOFT, FAINT = "#1c1e21", "#63686e", "#d5d9de"
DATA = "#9aa0a7"
"""What is given: theory, centres."""
REAL, MADE = "#b45309", "#1d4f9c"
"""As on the playground: orange is what is real, and D, which raises it; blue what is generated, and G."""

DPI, WIDTH = 150, 8.2
"""Pixels per inch, and inches across: 1230 pixels, shown at about 850 in a document."""

_RC: Any = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "axes.titlesize": 10.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlepad": 8.0, "axes.labelsize": 9.5, "axes.edgecolor": SOFT,
    "axes.labelcolor": INK, "text.color": INK, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "lines.linewidth": 2.0, "lines.solid_capstyle": "round",
    "legend.frameon": False, "legend.fontsize": 8.5, "legend.handlelength": 1.6, "legend.borderaxespad": 0.2,
    "axes.grid": True, "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True, "savefig.facecolor": "white",
    "figure.facecolor": "white", "axes.unicode_minus": True, "text.usetex": False, "mathtext.default": "regular",
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    name: its file without ending, and what ``--only`` is given.   title, caption: plain words; the caption says what
    to see.   notes: which founding notes it belongs to.   calls: (function of the library, what it draws here).
    draw: the figure, and a sentence with the numbers that came out.
    """

    name: str
    title: str
    notes: str
    caption: str
    calls: tuple[tuple[str, str], ...]
    draw: Callable[[], tuple[Figure, str]]


@contextmanager
def styled() -> Iterator[None]:
    """The style, for what is drawn inside; matplotlib's own settings are as they were afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says, the figures are the same
        matplotlib.rcParams.update(_RC)
        yield


def canvas(rows: int = 1, columns: int = 1, *, height: float = 3.1, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with rows × columns panels, and the panels row by row. height, width: inches of the whole."""
    spaced = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=spaced)
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def say(panel: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title and labels of a panel."""
    panel.set_title(title)
    panel.set_xlabel(x)
    panel.set_ylabel(y)


def write_at(panel: Axes, x: float, y: float, text: str, colour: str = INK, **settings: object) -> None:
    """Words at a place of the data, on a white ground that keeps lines off them."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.2}
    panel.text(x, y, text, **{"color": colour, "fontsize": 8.5, "bbox": box, **settings})  # type: ignore[arg-type]


def pixels(figure: Figure) -> Image.Image:
    """The figure as an RGB picture."""
    drawn = figure.canvas
    assert isinstance(drawn, FigureCanvasAgg)
    drawn.draw()
    return Image.fromarray(np.asarray(drawn.buffer_rgba())[..., :3].copy())


def encoded(figure: Figure, kind: str) -> bytes:
    """The figure as a file: "png" in at most 256 colours, which drawings do not exceed visibly, or lossless "webp"."""
    picture, out = pixels(figure), io.BytesIO()
    if kind == "webp":
        picture.save(out, "WEBP", lossless=True, method=6)
    else:
        picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def open_interval(low: float, high: float, count: int = 400) -> np.ndarray:
    """(count,) from low to high without either, float64."""
    return np.linspace(low, high, count + 2)[1:-1]
