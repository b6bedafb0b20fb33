"""The latent spaces of the cells normal-2 and sphere-2 of `benchmarks.svae`: where digits are, and what is made there.

    python -m benchmarks.svae --pictures --epochs 60 --seeds 0          writes docs/images/svae/{codes,maps}.webp

The plane is shown as it is. The sphere, which lies in three dimensions, is seen from two opposite sides: where a point
is on the picture is its orthographic projection (codes), or an equal-area one (maps), so that each half shows half of
what the prior draws. The plane's map is spaced by the prior too: each tile stands for as many draws as any other.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.cells import HERE
from benchmarks.stacked import mnist
from benchmarks.svae import Training, test_images
from sparring.autoencoder import Autoencoder

FOLDER = HERE.parent / "docs" / "images" / "svae"
COLOURS = matplotlib.colormaps["tab10"]


def draw(plane: Training, sphere: Training, folder: Path = FOLDER) -> None:
    """Both pictures, of the first seed of each cell."""
    games = plane.member(0), sphere.member(0)
    test, labels = test_images("cpu"), mnist("t10k")[1]
    codes = [torch.cat([game.encode(x).mean() for x in test.split(1000)]).numpy() for game in games]
    folder.mkdir(parents=True, exist_ok=True)
    save(scattered(codes[0], codes[1], labels), folder / "codes.webp")
    save(mapped(games[0], games[1]), folder / "maps.webp")


def save(picture: Image.Image, path: Path) -> None:
    picture.save(path, "WEBP", quality=80, method=6)
    print(path)


def scattered(plane: NDArray[np.float32], sphere: NDArray[np.float32], labels: NDArray[np.uint8]) -> Image.Image:
    """Where the encoders place the test digits: the plane, the front of the sphere, its back seen from behind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.2), dpi=80, layout="constrained")
    axes = figure.subplots(1, 3)
    front = sphere[:, 2] >= 0
    views = [
        (axes[0], plane, labels, "Gaussian, R²: 2 coordinates"),
        (axes[1], sphere[front, :2], labels[front], "S² in R³, from above"),
        (axes[2], sphere[~front, :2] * [-1, 1], labels[~front], "S² in R³, from below"),
    ]
    for axis, points, digits, title in views:
        axis.scatter(points[:, 0], points[:, 1], c=COLOURS(digits), s=5, linewidths=0, alpha=0.7)
        axis.set_title(title)
        axis.set_aspect("equal")
    limit = float(np.quantile(np.abs(plane), 0.999)) * 1.05
    axes[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    for axis in axes[1:]:
        axis.add_artist(matplotlib.patches.Circle((0, 0), 1, fill=False, color="0.6"))
        axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=[], yticks=[])
    handles = [matplotlib.lines.Line2D([], [], marker="o", ls="", color=COLOURS(k), label=str(k)) for k in range(10)]
    figure.legend(handles=handles, loc="outside lower center", ncols=10, frameon=False)
    data = io.BytesIO()
    FigureCanvasAgg(figure).print_png(data)
    return Image.open(data).convert("RGB")


def mapped(plane: Autoencoder, sphere: Autoencoder, tiles: int = 17) -> Image.Image:
    """What the decoders make, everywhere: tiles² of the plane, and of each half of the sphere those on its disc."""
    share = (torch.arange(tiles) + 0.5) / tiles
    quantile = math.sqrt(2) * torch.erfinv(2 * share - 1)
    y, x = torch.meshgrid(quantile.flip(0), quantile, indexing="ij")
    sheets = [sheet(plane, torch.stack([x, y], -1), torch.ones_like(x, dtype=torch.bool))]
    line = 2 * share - 1
    y, x = torch.meshgrid(line.flip(0), line, indexing="ij")
    radius = x.square() + y.square()  # Lambert's azimuthal equal-area projection of a half: 1 − z = r²
    stretch = (2 - radius).clamp(min=0).sqrt()
    for side in (1.0, -1.0):
        points = torch.stack([side * x * stretch, y * stretch, side * (1 - radius)], -1)
        sheets.append(sheet(sphere, points, radius <= 1))
    gap = 24
    width = sum(s.width for s in sheets) + 2 * gap
    picture = Image.new("RGB", (width, sheets[0].height + 22), "white")
    pen, left = ImageDraw.Draw(picture), 0
    for one, title in zip(sheets, ("R², by the prior's quantiles", "S² from above", "S² from below")):
        pen.text((left + 4, 4), title, fill="black")
        picture.paste(one, (left, 22))
        left += one.width + gap
    return picture


def sheet(game: Autoencoder, points: Tensor, shown: Tensor) -> Image.Image:
    """(rows, columns, coordinates) → the decoded tiles, dark on white; those not shown stay white."""
    rows, columns = shown.shape
    ink = (1 - game.decode(points.flatten(0, 1).float())[:, 0]) / 2  # (rows · columns, 28, 28), 1: white
    ink = torch.where(shown.flatten()[:, None, None], ink, torch.ones(()))
    whole = ink.view(rows, columns, 28, 28).permute(0, 2, 1, 3).reshape(28 * rows, 28 * columns)
    return Image.fromarray((whole * 255).round().byte().numpy()).convert("RGB")
