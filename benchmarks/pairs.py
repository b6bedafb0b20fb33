"""Pairs to measure translations on: what was held out, what had to be coloured, and what costs no training."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.data import Dataset, batch_of, open_data
from sparring.errors import SparringError
from sparring.metrics import features, hue, kernel, paired
from sparring.metrics.features import quantise
from sparring.networks import lpips
from sparring.types import Translates

HELD_OUT = 0.13
"""Share of emoji that is judged on: with the usual 5 % another draw of true emoji is 0.14 away in its hues."""
NEAR = 0.1
"""Outlines that differ in less than this share of their ink are the same drawing but for a detail."""
CHANGED = 0.1
"""A pixel had to be coloured where a channel of the truth differs by more than this from what was given, of [0, 1]."""
SHARED = Path(os.environ.get("SPARRING_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Pairs:
    """given: (n, C', H, W), truth: (n, C, H, W), both uint8, held out.   where: (n, H, W), what had to be coloured;
    None where that means nothing.   rows: of `dataset.held_out`."""

    name: str
    dataset: Dataset
    rows: NDArray[np.int64]
    given: Tensor
    truth: Tensor
    where: Tensor | None

    def baselines(self) -> dict[str, Tensor]:
        """Pictures that cost no training, (n, C, H, W) uint8 each."""
        trained = batch_of(self.dataset, np.arange(len(self.dataset.train)), held_out=False)
        assert trained.condition is not None
        nearest = trained.x[_distances(self.given, trained.condition).argmin(1)]
        if self.where is None:
            return {"the picture of the nearest map": nearest}
        return {"the outline itself": self.given.expand_as(self.truth), "the picture of the nearest outline": nearest}


def emoji(held_out: float = HELD_OUT) -> Pairs:
    """Outline → colour, 64 px, without held-out outlines that nearly repeat one of training."""
    dataset = open_data("emoji", needs={"pair"}, size=(64, 64), held_out=held_out)
    every = batch_of(dataset, np.arange(len(dataset.held_out)), held_out=True)
    trained = batch_of(dataset, np.arange(len(dataset.train)), held_out=False)
    assert every.condition is not None and trained.condition is not None
    far = _distances(every.condition, trained.condition).amin(1) >= NEAR
    given, truth = every.condition[far], every.x[far]
    where = (truth.float() - given.float()).abs().amax(1) > CHANGED * 255
    return Pairs("emoji", dataset, np.flatnonzero(far.numpy()), given, truth, where)


def facades() -> Pairs:
    """Label map → photograph, 128 px, a fifth of the 500 held out."""
    dataset = open_data(
        SHARED / "facades_512x256.zip", needs={"pair"}, size=(128, 128), pairs="side-by-side", direction="BtoA",
        maps="B", palette="cmp", held_out=0.2,
    )  # fmt: skip
    every = batch_of(dataset, np.arange(len(dataset.held_out)), held_out=True)
    assert every.condition is not None
    return Pairs("facades", dataset, np.arange(len(every)), every.condition, every.x, None)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) in [0, 1]: how much of the ink (of slightly blurred drawings), or of the area of label maps, differs."""

    def ink(x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            return F.avg_pool2d(1.0 - x.float() / 255, 3, stride=1, padding=1).flatten(1)
        return F.avg_pool2d(x.float() / 255, 4).flatten(1)

    x, y = ink(a), ink(b)
    return torch.cdist(x, y, p=1) / (x.sum(1)[:, None] + y.sum(1)[None]).clamp_min(1e-6)


@torch.no_grad()
def translated(game: object, pairs: Pairs, piece: int = 16) -> Tensor:
    """What a game makes of what is given, with noise: (n, C, H, W) uint8."""
    assert isinstance(game, Translates)
    made = []
    for i in range(0, len(pairs.given), piece):
        some = pairs.given[i : i + piece].float() / 127.5 - 1
        made.append(quantise(game.translate(some, Dice(0, "benchmark", range(i, i + len(some))))))
    return torch.cat(made)


@cache
def _judges() -> tuple[Any, Any]:
    """LPIPS and the extractor of KID, each None where its weights are not here."""
    found: list[Any] = []
    for loaded in (lpips.load, features.default):
        try:
            found.append(loaded())
        except SparringError:
            found.append(None)
    return found[0], found[1]


def measures(made: Tensor, pairs: Pairs) -> dict[str, Any]:
    """Of `made`, (n, C, H, W) uint8: L1 in [0, 1], LPIPS, KID, and what became of the hues."""
    truth, where = pairs.truth, pairs.where
    perceptual, extractor = _judges()
    found: dict[str, Any] = {"l1": float(paired.l1(made, truth).mean())}
    if where is not None:
        error = (made.float() - truth.float()).abs().mean(1) / 255
        found["foreground_l1"] = float((error * where).sum() / where.sum())
        found["ripple"] = ripple(made, truth, where)
    found["lpips"] = float(paired.lpips(perceptual, made, truth).mean()) if perceptual else None
    found["kid"] = None
    if extractor:
        x, y = (features.embed(extractor, images) for images in (made, truth))
        found["kid"] = kernel.kid_of_pairs(x, y).value
    shares = hue.histogram(made / 255, where)
    found["hue_tv"] = hue.total_variation(made / 255, truth / 255, where)
    found["hue_entropy"] = hue.entropy(shares)
    return {key: None if value is None else round(value, 5) for key, value in found.items()}


def ripple(made: Tensor, truth: Tensor, where: Tensor) -> float:
    """How much neighbouring pixels differ from their mean where the truth is one flat colour: mottle and checkerboard
    alike, in [0, 1]; the truth has less than 0.01 there."""
    flat = (F.max_pool2d(truth.float(), 5, 1, 2) + F.max_pool2d(-truth.float(), 5, 1, 2)).amax(1) <= 5
    x = made.float() / 255
    rough = (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)).abs().mean(1)
    counts = flat & where
    return float((rough * counts).sum() / counts.sum())


def visible(pairs: Pairs) -> Tensor:
    """What is given, in colours: (n, 3, H, W) uint8."""
    given = pairs.dataset.given
    if given is None or given.palette is None:
        return pairs.given.expand(-1, 3, -1, -1)
    return torch.from_numpy(given.palette)[pairs.given.argmax(1)].permute(0, 3, 1, 2)


def picture(made: Tensor, pairs: Pairs, count: int = 16) -> Image.Image:
    """`count` held-out pairs, spread over all: given, made, truth, one below the other."""
    chosen = torch.linspace(0, len(made) - 1, count).long()
    rows = torch.stack([visible(pairs)[chosen], made[chosen], pairs.truth[chosen]])  # (3, count, 3, H, W)
    rows = rows.unflatten(1, (2, count // 2)).permute(1, 0, 4, 2, 5, 3)  # (2, 3, H, count / 2, W, 3)
    return Image.fromarray(rows.flatten(3, 4).flatten(0, 2).to(torch.uint8).numpy())
