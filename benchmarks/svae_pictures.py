"""The latent spaces of the cells normal-2 and sphere-2 of `benchmarks.svae`: where digits are, and what is made there.

    python -m benchmarks.svae --pictures --epochs 60 --seeds 0        writes docs/images/svae/{normal,sphere}-2.webp

The plane is shown as it is. The sphere, which lies in three dimensions, is seen from two opposite sides, in an
equal-area projection: each half shows half of what the prior draws. The plane's map is spaced by its prior too: each
tile stands for as many draws as any other.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.cells import HERE
from benchmarks.stacked import mnist
from benchmarks.svae import Training, test_images
from sparring.autoencoder import Autoencoder

FOLDER = HERE.parent / "docs" / "images" / "svae"
COLOURS = matplotlib.colormaps["tab10"]
Points = NDArray[np.float32]


@torch.no_grad()
def draw(training: Training, folder: Path = FOLDER) -> Path:
    """The picture of a cell of two dimensions, of its first seed: codes of the test digits, a map of what is made."""
    game = training.member(0)
    codes = torch.cat([game.encode(x).mean() for x in test_images("cpu").split(1000)]).numpy()
    labels = mnist("t10k")[1]
    if codes.shape[1] == 2:
        panels = [("codes of the test digits (means)", codes, labels)]
        sheets = [("decoded, by the prior's quantiles", plane(game))]
    else:
        above = codes[:, 2] >= 0
        halves = [("above", above, 1.0), ("below", ~above, -1.0)]
        panels = [(f"codes, from {name}", flattened(codes[half], side), labels[half]) for name, half, side in halves]
        sheets = [(f"decoded, from {name}", hemisphere(game, side)) for name, _, side in halves]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{training.cell}.webp"
    picture(panels, sheets).save(path, "WEBP", quality=80, method=6)
    return path


def flattened(points: Points, side: float) -> Points:
    """Points of one half of S² → its disc, by Lambert's equal-area projection: radius² = 1 − |z|."""
    return points[:, :2] * [side, 1] / np.sqrt(1 + np.abs(points[:, 2:]))


def picture(panels: list[tuple[str, Points, NDArray[np.uint8]]], sheets: list[tuple[str, Image.Image]]) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(panels)
    figure = Figure(figsize=(5.2 * columns * 2, 5.6) if columns == 1 else (10.4, 11), dpi=80, layout="constrained")
    axes = figure.subplots(1, 2) if columns == 1 else figure.subplots(2, 2).flatten()
    for axis, (title, points, digits) in zip(axes, panels):
        axis.scatter(points[:, 0], points[:, 1], c=COLOURS(digits), s=5, linewidths=0, alpha=0.7)
        axis.set_title(title)
        if columns == 2:
            axis.add_artist(Circle((0, 0), 1, fill=False, color="0.6"))
            axis.axis("off")
        limit = 1.02 if columns == 2 else float(np.quantile(np.abs(points), 0.999)) * 1.05
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for axis, (title, sheet) in zip(axes[columns:], sheets):
        axis.imshow(sheet)
        axis.set_title(title)
        axis.axis("off")
    handles = [Line2D([], [], marker="o", ls="", color=COLOURS(k), label=str(k)) for k in range(10)]
    figure.legend(handles=handles, loc="outside lower center", ncols=10, frameon=False)
    data = io.BytesIO()
    FigureCanvasAgg(figure).print_png(data)
    return Image.open(data).convert("RGB")


def plane(game: Autoencoder, tiles: int = 17) -> Image.Image:
    """tiles² images of the plane, those of equal shares of the normal law."""
    share = (torch.arange(tiles) + 0.5) / tiles
    quantile = math.sqrt(2) * torch.erfinv(2 * share - 1)
    y, x = torch.meshgrid(quantile.flip(0), quantile, indexing="ij")
    return sheet(game, torch.stack([x, y], -1), torch.ones_like(x, dtype=torch.bool))


def hemisphere(game: Autoencoder, side: float, tiles: int = 17) -> Image.Image:
    """The images of one half of S² on its disc, where `flattened` would put their latents."""
    line = (2 * torch.arange(tiles) + 1) / tiles - 1
    y, x = torch.meshgrid(line.flip(0), line, indexing="ij")
    radius = x.square() + y.square()
    stretch = (2 - radius).clamp(min=0).sqrt()
    return sheet(game, torch.stack([side * x * stretch, y * stretch, side * (1 - radius)], -1), radius <= 1)


def sheet(game: Autoencoder, points: Tensor, shown: Tensor) -> Image.Image:
    """(rows, columns, coordinates) → the decoded tiles, dark on white; those not shown stay white."""
    rows, columns = shown.shape
    ink = (1 - game.decode(points.flatten(0, 1).float())[:, 0]) / 2  # (rows · columns, 28, 28), 1: white
    ink = torch.where(shown.flatten()[:, None, None], ink, torch.ones(()))
    whole = ink.view(rows, columns, 28, 28).permute(0, 2, 1, 3).reshape(28 * rows, 28 * columns)
    return Image.fromarray((whole * 255).round().byte().numpy()).convert("RGB")
