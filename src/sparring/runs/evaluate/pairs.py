"""A run that translates, held against the images that it was given: pair by pair where they belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Dataset, batch_of
from sparring.data.sides import Given
from sparring.generate.sample import device_of
from sparring.metrics.features import quantise
from sparring.runs.evaluate.sides import Group, Rows, Side, chosen
from sparring.runs.run import Run
from sparring.runs.translating import PIECE, painted
from sparring.types import HasTokens, Translates, TranslatesBack

_ROOM = 2**28  # bytes of translations that are kept, so that whoever asks again need not wait again


@dataclass(frozen=True)
class Piece:
    """Some images and what was made of them, each (b, …, H, W) uint8, label maps one-hot.

    start: number of the first.   given: (b, C', H, W).   made: (b, C, H, W).   truth: as `made`; None of unpaired data.
    """

    start: int
    given: Tensor
    made: Tensor
    truth: Tensor | None


class PairScene:
    """Images of the data of a run, and its translations of them, a few at a time.

    numbers: (n,) rows of the side that is given, held-out ones first, then training ones; of pairs of both sides.
    seed: of the noise; image k has noise of its own whoever asks for it.
    """

    def __init__(self, run: Run, dataset: Dataset, numbers: NDArray[np.int64], seed: int = 0) -> None:
        self.run, self.dataset, self.numbers, self.seed = run, dataset, numbers, seed
        self._kept: dict[int, Tensor] = {}
        size = int(np.prod(dataset.shape))
        self._room = _ROOM // (PIECE * size)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def given(self) -> Given:
        """The side that is translated."""
        assert self.dataset.given is not None
        return self.dataset.given

    @property
    def paired(self) -> bool:
        """Whether there is a truth to each translation."""
        return self.given.paired

    @property
    def comparable(self) -> bool:
        """Whether what is given could be held against what is made of it."""
        return not self.given.legend

    def file(self, row: int) -> str:
        """The file that is translated."""
        return (self.given.other or self.dataset).file(row)

    def pieces(self) -> Iterator[Piece]:
        """Everything, in order, `PIECE` at a time."""
        for start in range(0, len(self), PIECE):
            stop = min(start + PIECE, len(self))
            yield Piece(start, self.conditions(start, stop), self.made(start, stop), self.truths(start, stop))

    def conditions(self, start: int, stop: int) -> Tensor:
        """What is given, (b, C', H, W)."""
        rows = self.numbers[start:stop]
        return torch.from_numpy(self.given.side.shown(_rows(rows, self.given.held_out, self.given.train)))

    def truths(self, start: int, stop: int) -> Tensor | None:
        """What should be made of it, (b, C, H, W); None where nobody knows. Beyond the end it begins again."""
        if not self.paired:
            return None
        rows = self.numbers[np.arange(start, stop) % len(self)]
        k = len(self.dataset.held_out)
        parts = [(rows < k, 0, True), (rows >= k, k, False)]
        found = torch.empty((len(rows), *self.dataset.shape), dtype=torch.uint8)
        for mine, first, held_out in parts:
            if mine.any():
                found[torch.from_numpy(mine)] = batch_of(self.dataset, rows[mine] - first, held_out=held_out).x
        return found

    def made(self, start: int, stop: int) -> Tensor:
        """What the run makes of it, (b, C, H, W), rounded to 8 bits."""
        first, last = start // PIECE, -(-stop // PIECE)
        made = torch.cat([self._piece(k) for k in range(first, last)])
        return made[start - first * PIECE : stop - first * PIECE]

    def there(self, start: int, images: Tensor) -> Tensor:
        """The way there of other images (b, C', H, W), of which the first is number `start`: (b, C, H, W)."""
        return self._translated(start, images)

    def back(self, start: int, images: Tensor) -> Tensor:
        """The way back of images (b, C, H, W), of which the first is number `start`: (b, C', H, W)."""
        return self._translated(start, images, back=True)

    def _piece(self, number: int) -> Tensor:
        if number in self._kept:
            return self._kept[number]
        start = number * PIECE
        made = self._translated(start, self.conditions(start, min(start + PIECE, len(self))))
        if len(self._kept) < self._room:
            self._kept[number] = made
        return made

    @torch.no_grad()
    def _translated(self, start: int, images: Tensor, *, back: bool = False) -> Tensor:
        device = device_of(self.run.game)
        x = images.to(device).float().div(127.5).sub(1.0)
        dice = Dice(self.seed, "sample", range(start, start + len(x)), device=device)
        game = self.run.game
        if back:
            assert isinstance(game, TranslatesBack)
            return quantise(game.translate_back(x, dice)).cpu()
        assert isinstance(game, Translates)
        return quantise(game.translate(x, dice)).cpu()


class CodedScene(PairScene):
    """Images of the data of a run with tokens, and its reconstructions of them: each image is its own truth."""

    @property
    def paired(self) -> bool:
        return True

    @property
    def comparable(self) -> bool:
        return False  # what is given is the truth

    def file(self, row: int) -> str:
        return self.dataset.file(row)

    def conditions(self, start: int, stop: int) -> Tensor:
        found = self.truths(start, stop)
        assert found is not None
        return found

    @torch.no_grad()
    def _translated(self, start: int, images: Tensor, *, back: bool = False) -> Tensor:
        game = self.run.game
        assert isinstance(game, HasTokens)
        return quantise(game.decode(game.encode(self._placed(images)))).cpu()

    @torch.no_grad()
    def counts(self) -> Tensor:
        """(K,): how often each code says the images."""
        game = self.run.game
        assert isinstance(game, HasTokens)
        total = torch.zeros(game.codes, dtype=torch.int64)
        for start in range(0, len(self), PIECE):
            tokens = game.encode(self._placed(self.conditions(start, min(start + PIECE, len(self)))))
            total += torch.bincount(tokens.flatten().cpu(), minlength=game.codes)
        return total

    def _placed(self, images: Tensor) -> Tensor:
        return images.to(device_of(self.run.game)).float().div(127.5).sub(1.0)


def _rows(rows: NDArray[np.int64], held_out: Any, train: Any) -> NDArray[np.uint8]:
    """Rows of two parts, (n, H, W, c), of which the first is counted first."""
    k = len(held_out)
    found = np.empty((len(rows), *train.shape[1:]), np.uint8)
    for mine, images, first in ((rows < k, held_out, 0), (rows >= k, train, k)):
        if mine.any():
            found[mine] = images[rows[mine] - first]
    return found


class Translated(Side):
    """Translations of images of the data of a run, as people see them: label maps in their colours."""

    def __init__(self, scene: PairScene, split: str, weights: str, fingerprint: str) -> None:
        super().__init__()
        run = scene.run
        self.scene, self.run = scene, run
        self.what, self.split = str(run.path), split
        self.seed, self.weights, self.images = scene.seed, weights, run.images
        manifest = (run.checkpoint.path / "manifest.json").read_bytes()
        digest = hashlib.blake2b(manifest, digest_size=16)
        digest.update(f"translations {weights} {scene.seed} {fingerprint} {device_of(run.game).type}".encode())
        digest.update(scene.numbers.tobytes())
        self.key = digest.hexdigest()
        height, width = scene.dataset.shape[1:]
        self.sizes[(int(width), int(height))] = len(scene)
        self.prepared = "as translated, rounded to 8 bits"

    def __len__(self) -> int:
        return len(self.scene)

    def groups(self, start: int, stop: int) -> Iterator[Group]:
        stop = min(stop, len(self))
        yield list(range(start, stop)), painted(self.scene.made(start, stop), self.scene.dataset)

    def name(self, position: int) -> str:
        """The file that was translated."""
        return self.scene.file(int(self.scene.numbers[position]))

    def close(self) -> None:
        self.scene.dataset.close()


def opened(run: Run, truth: Rows, weights: str, n: int | None, seed: int) -> Translated:
    """The translations of what the images of a side were made from, in their order; of unpaired data of the same part
    of what is given."""
    dataset, split, numbers = truth.dataset, truth.split, truth.numbers
    if isinstance(run.game, HasTokens):
        return Translated(CodedScene(run, dataset, numbers, seed), split, weights, dataset.fingerprint)
    given = dataset.given
    assert given is not None
    if not given.paired:
        k, total = len(given.held_out), len(given.held_out) + len(given.train)
        rows = np.arange(*{"held-out": (0, k), "train": (k, total), "all": (0, total)}[split])
        numbers = rows[chosen(len(rows), n, seed)]
    return Translated(PairScene(run, dataset, numbers, seed), split, weights, dataset.fingerprint)
