"""What each verdict looks like, beside a healthy run of the same kind: docs/images/doctor/<code in lower case>.webp.

Every picture is of runs of this calibration, at their end or at the moment that is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.calibration import runs
from benchmarks.calibration.cases import Case, data_of
from benchmarks.calibration.truth import scaled
from sparring.chance import Dice
from sparring.report.figures.style import BLUE, DATA, RED, SOFT, styled
from sparring.train.match import resting

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "doctor"
SIDE = 8
"""Samples in a row of a grid, and rows."""
DPI, MOST = 110, 60_000
"""Pixels per inch; bytes of a picture."""


@dataclass(frozen=True)
class Panel:
    """One part of a picture.

    run: a case.   what: "ema", "raw" (samples), "train" (what it was trained on), or the name of a signal or of a term
    of the log, drawn over the images seen.   title: above it.   moment: −1 for the end.
    """

    run: str
    what: str
    title: str
    moment: int = -1


@dataclass(frozen=True)
class Picture:
    """A healthy run, and what the verdict looks like; curves share one panel."""

    code: str
    panels: tuple[Panel, ...]
    log: bool = False


def pair(code: str, run: str, title: str, twin: str = "", what: str = "ema", moment: int = -1) -> Picture:
    """Samples of the healthy run of the same ground, and of this one."""
    healthy = twin or f"{run.split('.')[0]}.none.0"
    return Picture(code, (Panel(healthy, what, "healthy", moment), Panel(run, what, title, moment)))


def curves(code: str, run: str, what: str, title: str, log: bool = False) -> Picture:
    """A number over time, of the healthy run and of this one."""
    return Picture(code, (Panel(f"{run.split('.')[0]}.none.0", what, "healthy"), Panel(run, what, title)), log)


PICTURES: Sequence[Picture] = (
    Picture("HEALTHY", (
        Panel("digits-classes.none.0", "train", "data"), Panel("digits-classes.none.0", "ema", "healthy"),
    )),
    curves("NOT-FINITE", "ring-relativistic.nan-gradient-d.0", "D/gradient", "ends where a gradient was NaN", log=True),
    pair("DIVERGED", "grid-relativistic.d-slow.0", "diverged"),
    pair("MODE-COLLAPSE", "digits-mlp.twenty-d4.0", "mode collapse"),
    Picture("MEMORISING", (
        Panel("digits-classes.none.0", "ema", "healthy"),
        Panel("digits-classes.twenty.0", "ema", "memorising 20 images"),
        Panel("digits-classes.twenty.0", "train", "the 20 images"),
    )),
    pair("D-WINS", "digits-mlp.saturating.0", "D has won"),
    curves("D-FOOLED", "digits-mlp.d-slow.0", "auc", "D is fooled"),
    Picture("D-OVERFITS", (
        Panel("digits-r3.twenty.0", "auc", "held-out data"), Panel("digits-r3.twenty.0", "auc_train", "training data"),
    )),
    curves("G-STARVED", "digits-r3.saturating.0", "G/gradient", "G is starved", log=True),
    pair("LOW-DIVERSITY", "digits-r3.eight.0", "low diversity"),
    pair("CLASS-COLLAPSE", "digits-classes.class-without-noise.0", "class 0 has collapsed"),
    pair("OUTPUT-RANGE", "cats-r3.scaled-up.0", "output range"),
    Picture("EMA-LAG", (
        Panel("digits-dcgan.ema-slow.0", "raw", "G as it is", 3),
        Panel("digits-dcgan.ema-slow.0", "ema", "its average lags", 3),
    )),
    Picture("EMA-FROZEN", (
        Panel("digits-dcgan.ema-frozen.0", "raw", "G as it is"),
        Panel("digits-dcgan.ema-frozen.0", "ema", "its average never moved"),
    )),
    curves("PENALTY", "ring-relativistic.lr-50.0", "D/r1", "the penalty has run away", log=True),
    curves("GRADIENT-JUMP", "ring-wasserstein.lr-50.0", "G/gradient", "gradients jump", log=True),
    pair("CHECKERBOARD", "cats-r3.chequer.0", "checkerboard"),
    pair("AUGMENT-LEAK", "fashion-r3.augment-1.0", "augmentation leaks"),
    curves("KID-RISING", "digits-r3.z-constant-later.0", "kid", "rises again"),
    Picture("PLATEAU", (
        Panel("fashion-r3.none.1", "kid", "still learning"), Panel("emoji-r3.none.1", "kid", "no progress any more"),
    )),
    Picture("FEW-IMAGES", (
        Panel("emoji-r3.none.0", "train", "1,547 images"), Panel("emoji-r3.eight.0", "train", "8 images"),
        Panel("emoji-r3.eight.0", "ema", "what becomes of 8"),
    )),
)  # fmt: skip


def draw(only: Sequence[str] = ()) -> list[Path]:
    """Every picture whose runs were played."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = []
    for picture in PICTURES:
        cases = [Case.named(panel.run) for panel in picture.panels]
        if (only and picture.code not in only) or not all(runs.played(case) for case in cases):
            continue
        path = FOLDER / f"{picture.code.lower()}.webp"
        save(figure_of(picture), path)
        made.append(path)
    return made


def figure_of(picture: Picture) -> Figure:
    samples = all(panel.what in ("ema", "raw", "train") for panel in picture.panels)
    with styled():
        if not samples:
            figure = Figure(figsize=(6.4, 2.6), layout="constrained")
            _curves(figure.subplots(), picture)
            return figure
        count = len(picture.panels)
        figure = Figure(figsize=(3.2 * count, 3.6), layout="constrained")
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, count)), picture.panels, strict=True):
            axes.set_title(panel.title)
            axes.grid(False)
            _samples(axes, panel)
        return figure


def _curves(axes: Axes, picture: Picture) -> None:
    for panel, colour in zip(picture.panels, (BLUE, RED), strict=True):
        folder = runs.folder_of(Case.named(panel.run))
        if "/" in panel.what:
            rows = json.loads((folder / "run.json").read_text())["turns"]
        else:
            rows = json.loads((folder / "record.json").read_text())["probes"]
        found = [(images, values[panel.what]) for images, values in rows if panel.what in values]
        axes.plot(*np.array(found).T, color=colour, label=panel.title, marker="" if "/" in panel.what else "o", ms=3)
        if len(found) < len(rows) or rows[-1][0] < 0.9 * axes.get_xlim()[1]:
            axes.plot(*found[-1], color=colour, marker="x", ms=8, mew=2)
    if picture.log:
        axes.set_yscale("log")
    axes.set_xlabel("images seen")
    axes.set_ylabel({"auc": "pairs D orders rightly", "kid": "KID"}.get(picture.panels[0].what, picture.panels[0].what))
    axes.legend()


def _samples(axes: Axes, panel: Panel) -> None:
    case = Case.named(panel.run)
    points = data_of(case.ground).kind == "points"
    count = 2000 if points else SIDE**2
    values = _train(case) if panel.what == "train" else drawn(case, panel.what, panel.moment, count)
    axes.set(xticks=[], yticks=[])
    if points:
        data = np.array(data_of(case.ground).train[:1500])
        axes.scatter(*data.T, s=1, c=DATA, linewidths=0)
        axes.scatter(*values.numpy().T, s=1, c=BLUE, linewidths=0)
        bound = max(1.3 * float(np.abs(data).max()), float(values.abs().quantile(0.9)))
        axes.set(xlim=(-bound, bound), ylim=(-bound, bound), aspect="equal")
        for spine in axes.spines.values():
            spine.set(visible=True, color=SOFT)
        return
    axes.imshow(sheet(values), interpolation="nearest")
    axes.axis("off")


def _train(case: Case) -> Tensor:
    return scaled(np.array(runs.prepare(case).used.train[: SIDE**2]))


@torch.no_grad()
def drawn(case: Case, what: str, moment: int, count: int) -> Tensor:
    """Samples of a played run; of labelled games a row of the sheet shows one class."""
    match = runs.at(case, moment).match
    game: Any = match.game
    dice = Dice(case.seed, "calibration/pictures", range(count))
    classes = len(data_of(case.ground).classes)
    extra = {"label": torch.arange(count) // SIDE % classes} if "classes" in case.ground and classes else {}

    def make() -> Tensor:
        with resting(game):
            made: Tensor = game.sample(dice, **extra).float()
        return made

    if what == "raw":
        return make()
    with match.averages.applied():
        return make()


def sheet(images: Tensor) -> np.ndarray:
    """(n, C, H, W) in [−1, 1] → (8 H, 8 W, 3) in [0, 1], empty places white."""
    n, c, h, w = images.shape
    x = ((images.clamp(-1, 1) + 1) / 2).expand(-1, 3, -1, -1) if c == 1 else (images[:, :3].clamp(-1, 1) + 1) / 2
    full = torch.ones(SIDE * SIDE, 3, h, w)
    full[: min(n, SIDE * SIDE)] = x[: SIDE * SIDE]
    return full.view(SIDE, SIDE, 3, h, w).permute(0, 3, 1, 4, 2).reshape(SIDE * h, SIDE * w, 3).numpy()


def save(figure: Figure, path: Path) -> None:
    """As WebP, in the best quality that keeps it small."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    for quality in (85, 70, 50, 30):
        image.save(path, format="WEBP", quality=quality, method=6)
        if path.stat().st_size < MOST:
            return
