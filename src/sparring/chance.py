"""Counter-based randomness: every draw is a pure function of (seed, purpose, time, index of the sample).

No generator has a state, so there is nothing to save, nothing to synchronise between processes or workers, and nothing
that depends on batch size: sample k gets the same numbers whoever draws them. Underneath is Philox-4x64 (Salmon et
al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), as NumPy ships it: the key names the draw, the counter names
the sample.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_WORDS = 4  # 64-bit words that Philox makes per counter value


def _key(*parts: int | str) -> int:
    """128 bits that name a draw."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def _words(key: int, samples: range, each: int) -> np.ndarray:
    """(n, each) uint64: the same words for sample k whatever the range it is drawn in."""
    blocks = -(-each // _WORDS)  # whole counter values per sample, so that samples never share one
    if samples.step == 1 or len(samples) < 2:
        first = samples.start if len(samples) else 0
        raw = np.random.Philox(key=key, counter=first * blocks).random_raw(len(samples) * blocks * _WORDS)
    else:
        raw = np.concatenate([_words(key, range(k, k + 1), each).ravel() for k in samples])
        return raw.reshape(len(samples), each)
    return raw.reshape(len(samples), blocks * _WORDS)[:, :each]


def _unit(words: np.ndarray) -> np.ndarray:
    """uint64 → float64 in (0, 1): 53 bits, centred, never 0 and never 1."""
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def permutation(seed: int, purpose: str, number: int, n: int) -> np.ndarray:
    """The `number`-th shuffle of 0 … n − 1, (n,) int64: a pure function of its arguments.

    >>> sorted(permutation(0, "order", 3, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, number))).permutation(n)


def halves(seed: int, purpose: str, samples: range, each: int) -> np.ndarray:
    """(n, each) uint16, uniform: the same for sample k whatever the range it is drawn in, four to a word of Philox.

    >>> bool((halves(0, "bits", range(3, 9), 5)[2] == halves(0, "bits", range(5, 6), 5)[0]).all())
    True
    """
    words = _words(_key(seed, purpose, "halves", each), samples, -(-each // 4))
    return np.ascontiguousarray(words, "<u8").view("<u2")[:, :each].astype(np.uint16, copy=False)


class _Throws(ABC):
    """What dice can throw, given the words of each row."""

    device: str | torch.device

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    @abstractmethod
    def _draw(self, kind: str, shape: tuple[int, ...], each: int) -> np.ndarray:
        """(n, each) uint64."""

    def _place(self, values: np.ndarray, shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(values.reshape(len(self), *shape)).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """(n, *shape) float32, uniform in [0, 1)."""
        each = math.prod(shape)
        unit = (self._draw("uniform", shape, each) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return self._place(unit, shape)

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) float32, standard normal (Box-Muller in float64)."""
        each = math.prod(shape)
        pairs = -(-each // 2)
        unit = _unit(self._draw("normal", shape, 2 * pairs))
        radius = np.sqrt(-2.0 * np.log(unit[:, :pairs]))
        angle = 2.0 * math.pi * unit[:, pairs:]
        values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :each]
        return self._place(np.ascontiguousarray(values, dtype=np.float32), shape)

    def field(self, *shape: int) -> Tensor:
        """(n, *shape) float32, standard normal, where they are many (a number for each pixel): made on the device, by
        torch's generator, begun anew for each sample. Another kind of device, or torch, makes others of them."""
        words = self._draw("field", shape, 1)[:, 0] >> np.uint64(1)
        generator = torch.Generator(self.device)
        values = torch.empty((len(self), *shape), device=self.device)
        for row, word in zip(values, words.tolist(), strict=True):
            row.normal_(generator=generator.manual_seed(word))
        return values

    def integers(self, high: int, *shape: int) -> Tensor:
        """(n, *shape) int64, uniform in 0 … high − 1."""
        each = math.prod(shape)
        values = np.floor(_unit(self._draw("integers", shape, each)) * high).astype(np.int64)
        return self._place(np.minimum(values, high - 1), shape)


@dataclass(frozen=True)
class Dice(_Throws):
    """Random numbers for the samples of a batch. Calling a method twice gives the same numbers twice:
    what must differ gets another purpose.

    >>> dice = Dice(seed=0, purpose="z", samples=range(8))
    >>> bool((dice.normal(3)[5] == Dice(seed=0, purpose="z", samples=range(5, 6)).normal(3)[0]).all())
    True
    """

    seed: int
    purpose: str
    samples: range
    time: tuple[int, ...] = ()
    device: str | torch.device = "cpu"

    def __len__(self) -> int:
        return len(self.samples)

    def of(self, purpose: str) -> Dice:
        """Other dice at the same time for the same samples."""
        return replace(self, purpose=f"{self.purpose}/{purpose}")

    def _draw(self, kind: str, shape: tuple[int, ...], each: int) -> np.ndarray:
        key = _key(self.seed, self.purpose, kind, *shape, "at", *self.time)
        return _words(key, self.samples, each)


@dataclass(frozen=True)
class Dices(_Throws):
    """The dice of several seeds as one: for S seeds and N samples, S·N rows, the N of the first seed first.

    The rows of a seed are those of its own `Dice`, bit for bit; `samples` are the numbers that every seed draws for.

    >>> both = Dices((3, 4), "z", range(8)).normal(2)
    >>> bool((both[8:] == Dice(4, "z", range(8)).normal(2)).all())
    True
    """

    seeds: tuple[int, ...]
    purpose: str
    samples: range
    time: tuple[int, ...] = ()
    device: str | torch.device = "cpu"

    def __len__(self) -> int:
        return len(self.seeds) * len(self.samples)

    def of(self, purpose: str) -> Dices:
        """Other dice at the same time for the same samples."""
        return replace(self, purpose=f"{self.purpose}/{purpose}")

    def _draw(self, kind: str, shape: tuple[int, ...], each: int) -> np.ndarray:
        keys = [_key(seed, self.purpose, kind, *shape, "at", *self.time) for seed in self.seeds]
        return np.concatenate([_words(key, self.samples, each) for key in keys])
