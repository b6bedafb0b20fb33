"""Faults, put into a run through what anyone could put there: settings, data, a wrapped network, stream or optimiser.

What a fault is called says what was done, not what came of it: that is measured (`truth`, `labels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as _Convolution

from sparring.data import Dataset
from sparring.train.ema import Averages
from sparring.train.match import Match
from sparring.train.optimiser import Optimiser
from sparring.types import Batch, News, Stream

AT = 0.46
"""The part of a run after which a fault that comes later comes."""


# ── wrapped networks ──────────────────────────────────────────────────────────────────────────────────────────────


class Wrapped(nn.Module):
    """A player's network with something done to what goes in, or comes out, once `on`.

    Its state (names of tensors too) is that of the network inside.
    """

    def __init__(
        self, inner: nn.Module, before: Callable[..., tuple[Any, ...]] | None = None,
        after: Callable[[Tensor, bool], Tensor] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner, self.before, self.after = inner, before, after
        self.on = False

    def forward(self, *inputs: Any) -> Any:
        if self.on and self.before is not None:
            inputs = self.before(*inputs)
        found = self.inner(*inputs)
        if not self.on or self.after is None:
            return found
        if isinstance(found, tuple):
            return self.after(found[0], self.training), *found[1:]
        return self.after(found, self.training)


def no_noise(z: Tensor, *told: Any) -> tuple[Any, ...]:
    """G is given the same z for every sample."""
    return torch.zeros_like(z), *told


def little_noise(z: Tensor, *told: Any) -> tuple[Any, ...]:
    """Only the first coordinate of z is left."""
    return torch.cat([z[:, :1], torch.zeros_like(z[:, 1:])], dim=1), *told


def no_class(z: Tensor, label: Tensor, *rest: Any) -> tuple[Any, ...]:
    """G is told class 0 whatever is asked for."""
    return z, torch.zeros_like(label), *rest


def one_class_without_noise(z: Tensor, label: Tensor, *rest: Any) -> tuple[Any, ...]:
    """G is given the same z for every sample of class 0."""
    return torch.where((label == 0)[:, None], torch.zeros_like(z), z), label, *rest


def scaled(factor: float) -> Callable[[Tensor, bool], Tensor]:
    """What G makes, times a factor."""
    return lambda x, training: factor * x


def chequered(x: Tensor, training: bool) -> Tensor:
    """A chequer of single pixels is laid over what G makes; not while it trains, so that D cannot teach it away."""
    if training or x.dim() != 4:
        return x
    h, w = torch.arange(x.shape[2]), torch.arange(x.shape[3])
    return x + 0.4 * (1.0 - 2.0 * ((h[:, None] + w[None]) % 2)).to(x)


def not_a_number(x: Tensor, training: bool) -> Tensor:
    return x * math.nan


# ── wrapped streams and optimisers ────────────────────────────────────────────────────────────────────────────────


class Changed:
    """A stream whose batches pass through `change(batch, start)`."""

    def __init__(self, stream: Stream, change: Callable[[Batch, int], Batch]) -> None:
        self.stream, self.change = stream, change

    @property
    def fingerprint(self) -> str:
        return self.stream.fingerprint

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        return self.change(self.stream.take(start, count), start)

    def news(self) -> Sequence[News]:
        return self.stream.news()


def with_nan(batch: Batch, start: int) -> Batch:
    """The batch with one sample that is not a number; pixels come as numbers in [−1, 1] then."""
    return _poisoned(batch, math.nan)


def with_giant(batch: Batch, start: int) -> Batch:
    """The batch a thousand times too large."""
    x = batch.x.float() / 127.5 - 1.0 if batch.x.dtype == torch.uint8 else batch.x
    return replace(batch, x=x * 1e3)


def _poisoned(batch: Batch, value: float) -> Batch:
    x = batch.x.float() / 127.5 - 1.0 if batch.x.dtype == torch.uint8 else batch.x.clone()
    x[len(x) // 2] = value
    return replace(batch, x=x)


def shuffled_labels(batch: Batch, start: int) -> Batch:
    """Every sample has the label of another one of the batch."""
    return batch if batch.label is None else replace(batch, label=batch.label.roll(1 + start % 7, 0))


class Hurried:
    """An optimiser whose steps are `factor` times as long while `on`."""

    def __init__(self, inner: Optimiser, factor: float) -> None:
        self.inner, self.factor, self.on = inner, factor, False

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def step(self, lr: float, beta1: float, beta2: float, skip: Tensor | None = None) -> None:
        self.inner.step(lr * self.factor if self.on else lr, beta1, beta2, skip)

    def tensors(self) -> dict[str, Tensor]:
        return self.inner.tensors()


class Frozen(Averages):
    """Averages that never move: G's as it was initialised."""

    def update(self, beta: float) -> None:
        """Nothing."""


@torch.no_grad()
def flip(module: nn.Module, bit: int = 30) -> str:
    """Flip a bit of the first weight of the largest tensor that is below 2 in size: with bit 30, the highest of the
    exponent, it becomes about 10³⁸ times as large.

    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.fill_(0.5), flip(layer)
    >>> f"{float(layer.weight.detach()[0, 0]):.1e}"
    '1.7e+38'
    """
    name, weight = max(module.named_parameters(), key=lambda pair: pair[1].numel())
    place = tuple((weight.data.abs() < 2).nonzero()[0].tolist())
    value = weight.data[place].reshape(1).clone()
    value.view(torch.int32).bitwise_xor_(1 << bit)
    weight.data[place] = value[0]
    return name


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    says: in words.   settings: changes of settings, ``key=value``; those that a recipe does not have are left out, and
    "*50" multiplies both ends of a ramp.   keep: training samples that are left.
    G, D: what is done to a player's network (`Wrapped`).   stream: what is done to batches.   later: whether all this
    begins only after `AT` of the run; networks that are wrapped at once are so from the first step.
    gradient: player whose gradient becomes NaN once.   zero: G's last layer is held at 0.   frozen: G's average.
    once: rounds for which a transient fault lasts (0: it stays).   hurry: player whose steps become `factor` as long.
    bit: player in whose weights a bit is flipped.
    """

    name: str
    says: str
    settings: tuple[str, ...] = ()
    keep: int = 0
    G: tuple[Callable[..., Any] | None, Callable[..., Any] | None] | None = None
    D: tuple[Callable[..., Any] | None, Callable[..., Any] | None] | None = None
    stream: Callable[[Batch, int], Batch] | None = None
    later: bool = False
    gradient: str = ""
    zero: bool = False
    frozen: bool = False
    once: int = 0
    hurry: str = ""
    factor: float = 1.0
    bit: str = ""


_SATURATES = ("objective=minimax", "penalty=none", "play=D:5,G:1")
_LEARNS_BY_HEART = ("width=*3", "d_width=*3", "gamma=*0.02")

FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("none", "nothing is wrong"),
        # what is not a number
        Fault("nan-gradient-d", "a NaN in D's gradient, once", gradient="D", later=True),
        Fault("nan-gradient-g", "a NaN in G's gradient, once", gradient="G", later=True),
        Fault("nan-batch", "a NaN in the data", stream=with_nan, later=True),
        Fault("nan-logit", "D says NaN", D=(None, not_a_number), later=True),
        # settings
        Fault("lr-50", "fifty times the step size", settings=("lr=*50",)),
        Fault("gamma-0", "no penalty", settings=("penalty=none",)),
        Fault("gamma-500", "five hundred times the penalty", settings=("gamma=*500",)),
        Fault("d-fast", "D's steps a hundred times G's", settings=("lr_ratio=100",)),
        Fault("d-slow", "D's steps a hundredth of G's", settings=("lr_ratio=0.01",)),
        Fault("saturating", "the saturating loss, five moves of D for one of G, no penalty", settings=_SATURATES),
        Fault("saturating-fast", "the same, and D's steps five times G's", settings=(*_SATURATES, "lr_ratio=5")),
        Fault("augment-1", "every image augmented in every way", settings=("augment=1",)),
        # G
        Fault("zeroed", "G's last layer becomes 0", zero=True, later=True),
        Fault("z-constant", "z is the same for every sample", G=(no_noise, None)),
        Fault("z-constant-later", "z becomes the same for every sample", G=(no_noise, None), later=True),
        Fault("z-1", "z has one dimension", G=(little_noise, None)),
        Fault("scaled-down", "what G makes has a quarter of its size", G=(None, scaled(0.25)), later=True),
        Fault("scaled-up", "what G makes has four times its size", G=(None, scaled(4.0)), later=True),
        Fault("chequer", "a chequer of pixels lies over what G makes", G=(None, chequered)),
        Fault("class-ignored", "G is not told the class", G=(no_class, None)),
        Fault("class-without-noise", "z is the same for every sample of one class", G=(one_class_without_noise, None)),
        # data
        Fault("labels-shuffled", "labels belong to other samples", stream=shuffled_labels),
        Fault("twenty", "only 20 training samples, wide networks, little penalty", keep=20, settings=_LEARNS_BY_HEART),
        Fault("eight", "only 8 training samples, wide networks, little penalty", keep=8, settings=_LEARNS_BY_HEART),
        Fault("twenty-d4", "only 20 training samples, four moves of D for one of G", keep=20,
              settings=("play=D:4,G:1", "penalty=none")),
        Fault("two-hundred", "only 200 training samples, no penalty", keep=200, settings=("penalty=none",)),
        # averages
        Fault("ema-slow", "G's average forgets nothing", settings=("ema_images=1000000000", "ema_share=1")),
        Fault("ema-frozen", "G's average never moves", frozen=True),
        # transient: for the rescue
        Fault("once-nan", "a NaN in one batch", stream=with_nan, later=True, once=1),
        Fault("once-giant", "one batch a thousand times too large", stream=with_giant, later=True, once=1),
        Fault("once-lr-d", "D's steps 300 times as long for 20 rounds", hurry="D", factor=300, later=True, once=20),
        Fault("once-lr-g", "G's steps 300 times as long for 20 rounds", hurry="G", factor=300, later=True, once=20),
        Fault("once-bit-d", "a bit of the exponent of a weight of D flips", bit="D", later=True, once=1),
        Fault("once-bit-g", "a bit of the exponent of a weight of G flips", bit="G", later=True, once=1),
    )
}  # fmt: skip


def settings(fault: Fault, config: Any) -> list[str]:
    """The changes of settings that a fault makes to this configuration.

    >>> from sparring.runs.recipe import load
    >>> settings(FAULTS["lr-50"], load("dcgan").config)
    ['lr=0.01 -> 0.01 cosine 0.0..1.0']
    """
    made = []
    for change in fault.settings:
        name, _, value = change.partition("=")
        if name not in {f for f in config.__dataclass_fields__}:
            continue
        if name == "width" and "d_width" not in config.__dataclass_fields__:
            continue  # where one setting is the width of both players, it is wide already
        if value.startswith("*") and name.endswith("width"):
            value = str(round(float(value[1:]) * getattr(config, name)))
        elif value.startswith("*"):
            ramp, factor = getattr(config, name), float(value[1:])
            top = 1.0 if name == "lr" else math.inf
            start, end = (min(top, factor * v) for v in (ramp.start, ramp.end))
            value = f"{start:.6g} -> {end:.6g} {ramp.shape} {ramp.begin}..{ramp.until}"
        made.append(f"{name}={value}")
    return made


def cut(fault: Fault, dataset: Dataset) -> Dataset:
    """The data that the run is given."""
    if not fault.keep:
        return dataset
    k = fault.keep
    labels = None if dataset.labels is None else dataset.labels[:k]
    index = dataset.index[:k]
    return replace(dataset, train=np.array(dataset.train[:k]), labels=labels, index=index,
                   fingerprint=f"{dataset.fingerprint}/{k}")  # fmt: skip


class Injected(Match):
    """A match with a fault in it. The fault happens by rounds of `total`; a transient one happens once in the life of
    the process: a run that is rolled back does not meet it again."""

    def __init__(self, fault: Fault, *arguments: Any, total: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fault, self.total = fault, total
        self.left = fault.once
        self.stream = Changed(self.stream, self._changed) if fault.stream is not None else self.stream
        for player in ("G", "D"):
            if change := getattr(fault, player):
                setattr(self.game, player, Wrapped(getattr(self.game, player), *change))
        if fault.frozen:
            self.averages = Frozen(self.averages.players)
        elif fault.G is not None and self.averages.players:
            self.averages = Averages({"G": self.game.players["G"]})
        if fault.hurry:
            self.optimisers[fault.hurry] = Hurried(self.optimisers[fault.hurry], fault.factor)
        if fault.gradient:
            first = next(self.game.players[fault.gradient].parameters())
            first.register_hook(lambda g: g * math.nan if self._now() else g)

    def _begun(self) -> bool:
        return not self.fault.later or self.images >= AT * self.total

    def _now(self) -> bool:
        return self._begun() and (not self.fault.once or self.left > 0)

    def _changed(self, batch: Batch, start: int) -> Batch:
        assert self.fault.stream is not None
        return self.fault.stream(batch, start) if self._now() else batch

    def arm(self) -> None:
        """Whatever depends on how far the run is."""
        for player in ("G", "D"):
            network = getattr(self.game, player)
            if isinstance(network, Wrapped):
                network.on = self._begun()
        if self.fault.hurry:
            self.optimisers[self.fault.hurry].on = self._now()
        if self.fault.zero and self._begun():
            last = [m for m in self.game.players["G"].modules() if isinstance(m, nn.Linear | _Convolution)][-1]
            with torch.no_grad():
                for parameter in last.parameters():
                    parameter.zero_()

    def step(self) -> dict[str, Tensor]:
        self.arm()
        if self.fault.bit and self._now():
            flip(self.game.players[self.fault.bit])
        fired = self._now() and self.fault.once > 0
        try:
            return super().step()
        finally:
            if fired:
                self.left -= 1
