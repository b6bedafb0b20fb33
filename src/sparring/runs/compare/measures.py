"""How the samples of a cell are judged: against the known truth of points, or against images that nobody trained on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.data import Dataset
from sparring.errors import DataError
from sparring.generate.grid import picture
from sparring.metrics import features, kernel
from sparring.metrics.energy import energy_distance
from sparring.metrics.modes import modes

LEAST_HELD_OUT = 10
"""Held-out images below which no distance to them is worth a table."""
POINTS = 2500
"""Samples per seed, as in PacGAN's protocol (Lin et al. 2018, section 4.1)."""
_DATA, _SAMPLES = (230, 150, 40), (25, 60, 150)
IMAGES, GLIMPSE = 1000, 250
"""Images per seed at the end, and at each probe on the way: each costs more to judge than to make."""


@dataclass(frozen=True)
class Measure:
    """What a number is called and how it reads. up: more is better.   digits: after the point; share: shown in %."""

    name: str
    title: str
    meaning: str
    up: bool = True
    digits: int = 3
    share: bool = False

    def show(self, value: float | None) -> str:
        """The value as the tables write it.

        >>> Measure("high_quality", "high quality", "", share=True, digits=1).show(0.9889)
        '98.9 %'
        >>> Measure("energy", "energy distance", "", digits=2).show(-0.001)
        '0.00'
        >>> Measure("energy", "energy distance", "").show(2.01232e24)
        '2.01e+24'
        """
        if value is None or not math.isfinite(value):
            return "–"
        if abs(value) >= 1e6:  # of a game that ran away
            return f"{value:.3g}"
        shown = round(100 * value if self.share else value, self.digits) + 0.0  # −0 is 0
        return f"{shown:.{self.digits}f}" + " %" * self.share

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "meaning": self.meaning, "up": self.up, "digits": self.digits,
            "share": self.share,
        }  # fmt: skip

    def between(self, low: float, high: float) -> str:
        """An interval, with the unit once.

        >>> Measure("high_quality", "high quality", "", share=True, digits=1).between(-0.003, 0.0989)
        '−0.3 – 9.9 %'
        """
        both = f"{self.show(low)} – {self.show(high)}".replace("-", "−")
        return both.replace(" %", "", 1)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Measure:
        return cls(**record)


OVERLAP = Measure(
    "overlap", "right place", "share of the samples that lie where the data do: within 3σ of a mode, and no more in "
    "any mode than its share; 1 − total variation over modes and elsewhere", digits=1, share=True,
)  # fmt: skip
ENERGY = Measure(
    "energy", "energy distance", "to fresh data, in units of the data; 0: the same law", up=False, digits=4
)
KID = Measure(
    "kid", "KID", "kernel distance to held-out images on EfficientNet-Lite0 features; 0: the same law", up=False
)
MODES = (
    OVERLAP,
    Measure("modes", "modes", "modes with at least one sample within 3σ", digits=1),
    Measure("high_quality", "high quality", "share of the samples within 3σ of a mode", digits=1, share=True),
    Measure("reverse_kl", "reverse KL", "of high-quality samples over modes to evenness, nats; 0: even", up=False),
    Measure("smallest_share", "smallest share", "of a mode, 1 where all have their share", digits=2),
)


class Judge(ABC):
    """Measures samples of one data set. measures: the first is the one that decides."""

    measures: tuple[Measure, ...]

    @property
    def main(self) -> Measure:
        return self.measures[0]

    @abstractmethod
    def __call__(self, samples: Tensor) -> dict[str, float | None]:
        """Of one seed: (N, …) as the game makes them."""

    @abstractmethod
    def reference(self) -> dict[str, float | None]:
        """The same of fresh data: what a perfect generator would get."""

    @abstractmethod
    def picture(self, samples: Tensor) -> Any:
        """A small picture of one seed."""


class ModesJudge(Judge):
    """Points with modes: the protocol of PacGAN, and one number for all of it."""

    measures = MODES

    def __init__(self, dataset: Dataset) -> None:
        assert dataset.modes is not None and dataset.spread is not None
        self.dataset, self.centres, self.spread = dataset, dataset.modes, dataset.spread

    def __call__(self, samples: Tensor) -> dict[str, float | None]:
        found = modes(samples.double() * self.dataset.scale, self.centres, self.spread)
        return {"overlap": overlap(found.counts, len(samples)), **found.values()}

    def reference(self) -> dict[str, float | None]:
        return self(torch.from_numpy(np.array(self.dataset.held_out[:POINTS])))

    def picture(self, samples: Tensor) -> Any:
        return cloud(self.dataset, samples)


class EnergyJudge(Judge):
    """Points without modes: the energy distance to points that nobody trained on."""

    measures = (ENERGY,)

    def __init__(self, dataset: Dataset) -> None:
        held_out = torch.from_numpy(np.array(dataset.held_out)).double() * dataset.scale
        self.dataset, self.fresh, self.other = dataset, held_out[: len(held_out) // 2], held_out[len(held_out) // 2 :]
        if len(self.fresh) < 2:
            raise DataError("COMPARE-HELD-OUT", "no points are held out to judge by", fix="--held-out 0.05")

    def __call__(self, samples: Tensor) -> dict[str, float | None]:
        value = energy_distance(samples.double() * self.dataset.scale, self.fresh)
        return {"energy": value if math.isfinite(value) else None}

    def reference(self) -> dict[str, float | None]:
        return {"energy": energy_distance(self.other[:POINTS], self.fresh)}

    def picture(self, samples: Tensor) -> Any:
        return cloud(self.dataset, samples)


class ImageJudge(Judge):
    """Images: KID against those held out."""

    measures = (KID,)

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        self.dataset, self.extractor = dataset, features.default(device)
        self.held_out = self._features(dataset.held_out)

    def _features(self, images: Any) -> Tensor:
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        return features.embed(self.extractor, pixels)

    def __call__(self, samples: Tensor) -> dict[str, float | None]:
        made = features.embed(self.extractor, features.quantise(samples))
        value = kernel.kid(made, self.held_out).value
        return {"kid": value if math.isfinite(value) else None}

    def reference(self) -> dict[str, float | None]:
        return {"kid": kernel.kid(self._features(self.dataset.train[:IMAGES]), self.held_out).value}

    def picture(self, samples: Tensor) -> Any:
        return picture(samples[:16], columns=4)


def judge_of(dataset: Dataset, device: str = "cpu") -> Judge:
    """The one that fits the data."""
    if dataset.kind == "images":
        return ImageJudge(dataset, device)
    return ModesJudge(dataset) if dataset.modes is not None and dataset.spread else EnergyJudge(dataset)


def measures_of(dataset: Dataset) -> tuple[Measure, ...]:
    """What the data are judged by, without opening a judge."""
    if dataset.kind == "images":
        return ImageJudge.measures
    return ModesJudge.measures if dataset.modes is not None and dataset.spread else EnergyJudge.measures


def overlap(counts: Any, samples: int) -> float:
    """Σ_k min(q_k, 1/K), with q_k the share of all samples near mode k: 1 − TV(samples, truth) over modes and
    elsewhere, in [0, 1]. It falls with every mode that is missed or starved, and with every sample between modes.

    counts: (K,) high-quality samples of each mode among `samples`.

    >>> overlap(np.array([50, 0]), 100), overlap(np.array([40, 40]), 100)
    (0.5, 0.8)
    """
    return float(np.minimum(np.asarray(counts) / samples, 1 / len(counts)).sum())


def cloud(dataset: Dataset, samples: Tensor, side: int = 200) -> Any:
    """Samples (dark) over data (orange), small: all pictures of a comparison show the same square, a little larger than
    the data. A sample outside of it is drawn on its border."""
    real = torch.from_numpy(np.array(dataset.train[:1000]))
    extent, factor = 1.15 * float(real.abs().max()), 3
    sheet = Image.new("RGB", (side * factor, side * factor), (255, 255, 255))
    pen = ImageDraw.Draw(sheet, "RGBA")
    for points, ink, radius in ((real, (*_DATA, 130), 5), (samples, (*_SAMPLES, 120), 2)):
        at = points if points.shape[1] > 1 else torch.cat([points, torch.zeros_like(points)], 1)
        at = at[:, :2].float().nan_to_num(0.0, extent, -extent).clamp(-extent, extent) / extent
        places = (at * torch.tensor([1.0, -1.0]) + 1) * 0.5 * (side * factor - 1)
        for x, y in places.tolist():
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    small = sheet.resize((side, side), Image.Resampling.LANCZOS)
    return small.quantize(palette=_palette(), dither=Image.Dither.NONE)


def _palette() -> Any:
    """White, with some of the orange of data on it, with some of the blue of samples on that: a third of the bytes."""
    colours = []
    for orange in range(5):
        for blue in range(8):
            under = [255 + (ink - 255) * orange / 4 for ink in _DATA]
            colours += [round(level + (ink - level) * blue / 7) for level, ink in zip(under, _SAMPLES, strict=True)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours + colours[-3:] * (256 - len(colours) // 3))
    return palette
