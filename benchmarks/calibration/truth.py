"""What became of a run, measured apart from the signals that the doctor reads.

Points: how many of the known modes hold samples. Images: distances in the features of a small classifier (digits: the
LeNet-5 of shared/data/weights; clothing: one trained here) or, without classes, in principal components of the pixels;
pairs of samples that are nearly the same; which classes are there; copies of the training images; what D says of what
it is trained on. None of them uses the judge's network, Vendi, coverage or KID, which the signals are made of.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.data import Dataset
from sparring.train.match import Match, resting
from sparring.types import Batch, Criticises, Samples, SamplesByClass

STATE = Path(__file__).parents[1] / "state" / "calibration"
SHARED = Path(os.environ.get("SPARRING_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
POINTS, IMAGES = 2500, 1000
"""Samples that are looked at."""
FAIR = 0.2
"""A mode (a class) is there if it has this part of its fair share of the samples."""

Values = dict[str, float]
Look = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Images (N, C, H, W) in [−1, 1] → features (N, F), and the class of each, if there is a classifier."""


# ── classifiers ───────────────────────────────────────────────────────────────────────────────────────────────────


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998) as in weights/mnist_lenet5.pth: digits (N, 1, 32, 32) in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c3, self.c5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.f6, self.f7 = nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c3(x)), 2)
        features = F.relu(self.f6(F.relu(self.c5(x)).flatten(1)))
        return features, self.f7(features)


@cache
def lenet() -> LeNet:
    stored = torch.load(SHARED / "weights" / "mnist_lenet5.pth", map_location="cpu", weights_only=True)
    net = LeNet()
    net.load_state_dict({name.split(".", 1)[1]: tensor for name, tensor in stored.items()})
    return net.eval()


class Small(nn.Module):
    """Grey images (N, 1, 16, 16) in [−1, 1] → features (N, 64) and logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.last(features)


def taught(dataset: Dataset, passes: int = 6) -> Small:
    """A classifier of this data, trained once and kept in benchmarks/state."""
    path = STATE / f"classifier-{dataset.fingerprint[:16]}.safetensors"
    net = Small()
    if path.exists():
        net.load_state_dict(load_file(path))
        return net.eval()
    assert dataset.labels is not None
    x, y = scaled(np.asarray(dataset.train)), torch.from_numpy(dataset.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Small()
        adam = torch.optim.Adam(net.parameters(), 2e-3)
        for _ in range(passes):
            for rows in torch.randperm(len(x)).split(64):
                adam.zero_grad()
                F.cross_entropy(net(x[rows])[1], y[rows]).backward()
                adam.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), path)
    return net.eval()


def scaled(images: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 → (N, C, H, W) in [−1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def viewer(dataset: Dataset) -> Look:
    """The features that images of this data are compared in."""
    if not dataset.classes or dataset.shape[0] != 1:
        real = F.adaptive_avg_pool2d(scaled(np.asarray(dataset.train[:2000])), 16).flatten(1)
        middle = real.mean(0)
        _, _, axes = torch.linalg.svd(real - middle, full_matrices=False)
        return lambda x: ((F.adaptive_avg_pool2d(x, 16).flatten(1) - middle) @ axes[:32].T, None)
    net: nn.Module
    digits = "shirt" not in " ".join(dataset.classes).lower()
    net = lenet() if digits else taught(dataset)

    @torch.no_grad()
    def look(x: Tensor) -> tuple[Tensor, Tensor]:
        if digits:
            x = F.interpolate((x + 1) / 2, size=(32, 32), mode="bilinear", align_corners=False)
        features, logits = net(x)
        return features, logits.argmax(1)

    return look


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────


class Truth:
    """Measures a match at a probe; `whole` is the data as it is, `used` what the run was given (a fault may cut it)."""

    def __init__(self, whole: Dataset, used: Dataset) -> None:
        self.whole, self.used = whole, used
        if whole.kind == "images":
            self.look = viewer(whole)
            self.real = scaled(np.asarray(whole.train[:IMAGES]))
            self.labels = None if whole.labels is None else torch.from_numpy(whole.labels[:IMAGES])
            self.theirs, self.named = self.look(self.real)

    @torch.no_grad()
    def __call__(self, match: Match, raw: bool = True) -> dict[str, Values]:
        """``{"ema": {…}, "raw": {…}, "d": {…}}``; raw: whether the players as they are are looked at too."""
        with match.averages.applied():
            ema = self._of(match)
        return {"ema": ema, **({"raw": self._of(match)} if raw else {}), "d": self._critic(match)}

    def _of(self, match: Match) -> Values:
        game, points = match.game, self.whole.kind == "points"
        assert isinstance(game, Samples)
        n = POINTS if points else IMAGES
        with resting(game):
            made = game.sample(Dice(int(match.seed), "calibration/truth", range(n))).float()
        if not bool(made.isfinite().all()):
            return {"finite": 0.0}
        found = self._points(made) if points else self._images(made, isinstance(game, SamplesByClass))
        return {"finite": 1.0, **found}

    def _points(self, made: Tensor) -> Values:
        """modes: share of the modes that hold `FAIR` of their fair share; near: share of the samples within a quarter
        of the smallest distance of two modes; good: within 3 σ; spread: (std / std of data) of the worse coordinate."""
        centres, sigma = torch.from_numpy(self.whole.modes).double(), float(self.whole.spread or 0)
        apart = torch.cdist(centres, centres).fill_diagonal_(math.inf).min()
        distance, which = torch.cdist(made.double() * self.whole.scale, centres).min(1)
        shares = torch.bincount(which[distance < apart / 4], minlength=len(centres)) / len(made)
        real = torch.from_numpy(self.whole.train[:POINTS])
        return {
            "modes": float((shares >= FAIR / len(centres)).double().mean()),
            "near": float((distance < apart / 4).double().mean()),
            "good": float((distance < 3 * sigma).double().mean()),
            "spread": worst(made.std(0) / real.std(0)),
            **self._repeats(made, real),
        }

    def _images(self, made: Tensor, told: bool) -> Values:
        """fd: Fréchet distance over the total variance of the reals (1: as bad as their mean image; 0: alike).

        spread: std of pixels over that of the reals.  classes: share of those that are there.  right: share of samples
        of the class that was asked for.  least: smallest of the classes' own pixel variances over the reals' of that
        class.  border: how much brighter the border is than that of the reals.  fine: energy of the finest chequer.
        """
        real, labels, theirs, named = self.real, self.labels, self.theirs, self.named
        x = (made.clamp(-1, 1) * 127.5).round() / 127.5
        ours, guessed = self.look(x)
        found = {
            "fd": frechet(ours, theirs),
            "spread": float(x.std() / real.std()),
            "varied": float(x.var(0).sum() / real.var(0).sum()),
            "border": float(border(x) - border(real)),
            "fine": float(fine(x) / fine(real)),
            **self._repeats(x.flatten(1), real.flatten(1)),
        }
        if guessed is not None and named is not None:
            shares = torch.bincount(guessed, minlength=10) / len(guessed)
            fair = torch.bincount(named, minlength=10) / len(named)
            found["classes"] = float((shares >= FAIR * fair).double().mean())
        if told and labels is not None:
            asked = torch.arange(len(x)) % len(self.whole.classes)
            if guessed is not None:
                found["right"] = float((guessed == asked).double().mean())
            ratios = [
                x[asked == k].flatten(1).var(0).sum() / real[labels == k].flatten(1).var(0).sum()
                for k in range(len(self.whole.classes))
                if int((labels == k).sum()) > 4
            ]
            found["least"] = float(torch.stack(ratios).min())
        return found

    def _repeats(self, made: Tensor, real: Tensor) -> Values:
        """twins: share of pairs nearer than 1 of 100 pairs of reals are (0.01 where all is well; 1/K where there are
        only K).  Of few training samples also: copies, share of samples at most half as far from one as they are from
        each other; closer, share of samples nearer to one than 99 of 100 unseen reals are."""
        made, real = made[:500], real[:500]
        near = torch.quantile(torch.pdist(real), 0.01)
        found = {"twins": float((torch.pdist(made) < near).double().mean())}
        if len(self.used.train) <= 256:
            train = torch.from_numpy(np.array(self.used.train))
            if self.used.kind == "images":
                train = scaled(np.asarray(self.used.train)).flatten(1)
            between = torch.cdist(train, train).fill_diagonal_(math.inf).min(1).values.median()
            mine = torch.cdist(made, train).min(1).values
            theirs = torch.cdist(real[len(self.used.train) :], train).min(1).values  # of reals that were kept from it
            found["copies"] = float((mine < between / 2).double().mean())
            found["closer"] = float((mine < torch.quantile(theirs, 0.01)).double().mean())
        return found

    def _critic(self, match: Match) -> Values:
        """apart: mean of σ(s(x) − s(G(z))) over pairs; real, fake: mean σ(s); of what D is trained on."""
        game = match.game
        assert isinstance(game, Criticises)
        rows = np.arange(min(256, len(self.used.train)))
        x = torch.from_numpy(np.array(self.used.train[rows]))
        batch = Batch(x if self.used.kind == "points" else scaled(np.asarray(self.used.train[rows])),
                      label=None if self.used.labels is None else torch.from_numpy(self.used.labels[rows]))  # fmt: skip
        packs = getattr(match.training, "packing", 1)
        if len(rows) % packs:
            return {}
        with resting(game):
            real, fake = game.logits(batch, Dice(int(match.seed), "calibration/critic", range(len(rows))))
        if not bool(real.isfinite().all() and fake.isfinite().all()):
            return {"finite": 0.0}
        apart = torch.sigmoid(real.flatten()[:, None] - fake.flatten()[None]).mean()
        return {"finite": 1.0, "apart": float(apart), "real": float(torch.sigmoid(real).mean()),
                "fake": float(torch.sigmoid(fake).mean())}  # fmt: skip


def worst(ratios: Tensor) -> float:
    """The ratio that is furthest from 1, by its logarithm.

    >>> worst(torch.tensor([0.5, 1.5]))
    0.5
    """
    return float(ratios[ratios.clamp_min(1e-12).log().abs().argmax()])


def frechet(x: Tensor, y: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to x and y, over the total variance of y.

    >>> y = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    >>> round(frechet(y.mean(0).expand(10, 3), y), 3)
    1.0
    """
    x, y = x.double(), y.double()
    a, b = torch.cov(x.T), torch.cov(y.T)
    values, vectors = torch.linalg.eigh(b)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ a @ root).clamp_min(0).sqrt().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    return float(distance / b.trace())


def border(x: Tensor) -> Tensor:
    """Mean over images of how far the frame of one pixel is from the image's commonest extreme (−1 or 1)."""
    frame = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], dim=2)
    return (1 - frame.abs()).mean()


def fine(x: Tensor) -> Tensor:
    """Share of the energy that alternates from pixel to pixel in both directions."""
    h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = x[:, :, :h, :w]
    chequer = (x[:, :, ::2, ::2] + x[:, :, 1::2, 1::2] - x[:, :, ::2, 1::2] - x[:, :, 1::2, ::2]) / 2
    return chequer.square().mean() / x.var(dim=(2, 3)).mean().clamp_min(1e-6)


def plain(truth: dict[str, Any]) -> dict[str, Any]:
    """Four significant digits, so that a record is short."""
    return {k: plain(v) if isinstance(v, dict) else float(f"{v:.4g}") for k, v in truth.items()}
