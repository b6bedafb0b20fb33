"""What stands on either side of an evaluation: n images that can be asked for by position.

The order of the images depends on their content alone (or, of samples, on the seed): never on the names of files, on
the container, or on how many are asked for at once. So does everything that is measured.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice, permutation
from sparring.data import Dataset
from sparring.data.binary import Binarised
from sparring.data.decode import VERSION, Unusable, as_it_is, decoding
from sparring.data.live import Live
from sparring.data.pairing import AnyRecipe, decode
from sparring.data.report import BINARY
from sparring.data.scan import Scan, threads
from sparring.data.sources import Source, Unreadable
from sparring.data.sources.items import Two
from sparring.data.split import words
from sparring.generate.sample import device_of
from sparring.metrics.features import quantise
from sparring.runs.run import Run
from sparring.runs.translating import painted
from sparring.types import Samples, SamplesByClass

CHUNK = 64
"""Images that are decoded, or drawn, and shown to the judge together; never counted from anywhere but 0, so that every
image is in the same company whoever asks."""

Group = tuple[list[int], Tensor]
"""Positions, and their images (b, C, H, W) uint8, all of one size."""


class Side(ABC):
    """n images.

    what, kind, split: what a person calls it; "folder", "zip", "data", "run", "checkpoint"; "held-out", "train", "all".
    key:      the same exactly where the images are the same to a judge, wherever they come from.
    excluded: (name, reason) of what cannot be used, as far as is known by now.
    weights, seed, images: of samples: "ema" or "raw", the seed, and how many images the checkpoint had seen.
    sizes:    width x height and how often, the most frequent first.   formats: file endings and how often.
    prepared: how the images get their size, in words.   changes: what a person should know of a run or of its data.
    labels:   (n,) class of each, or None.   classes: their names.
    """

    what: str = ""
    kind: str = ""
    split: str = "all"
    key: str = ""
    weights: str | None = None
    seed: int | None = None
    images: int | None = None
    sizes: Counter[tuple[int, int]]
    formats: Counter[str]
    prepared: str = ""
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    hashes: NDArray[np.uint8] | None = None

    def __init__(self) -> None:
        self.excluded: list[tuple[str, str]] = []
        self.changes: list[str] = []
        self.sizes, self.formats = Counter(), Counter()

    @abstractmethod
    def __len__(self) -> int:
        """n."""

    @abstractmethod
    def groups(self, start: int, stop: int) -> Iterator[Group]:
        """The images at positions start … stop − 1 by size; those that cannot be used are in `excluded` instead."""

    @abstractmethod
    def name(self, position: int) -> str | int:
        """What one image is called: its file, or the number of the sample."""

    def at(self, positions: Sequence[int]) -> list[Tensor]:
        """Single images, each (C, H, W) uint8."""
        found = []
        for position in positions:
            found += [images[0] for _, images in self.groups(position, position + 1)]
        return found

    def record(self, n: int) -> dict[str, Any]:
        """For the JSON. n: how many could be used."""
        return {
            "what": self.what,
            "kind": self.kind,
            "split": self.split,
            "n": n,
            "weights": self.weights,
            "seed": self.seed,
            "images": self.images,
            "prepared": self.prepared,
            "sizes": {f"{w}x{h}": count for (w, h), count in self.sizes.most_common(5)},
            "left_out": len(self.excluded),
            "fingerprint": self.key,
        }

    def close(self) -> None:
        """Give back what is held open."""
        return None


def chosen(total: int, n: int | None, seed: int) -> NDArray[np.int64]:
    """The positions of n of `total` images, in order: all where n is None or not less. A function of the seed."""
    if n is None or n >= total:
        return np.arange(total)
    return np.sort(permutation(seed, "evaluate/part", 0, total)[:n])


def key_of(hashes: NDArray[np.uint8], preparation: str) -> str:
    """Of contents (n, 16) prepared in one way, whatever their order."""
    high, low = words(hashes)
    digest = hashlib.blake2b(preparation.encode(), digest_size=16)
    digest.update(hashes[np.lexsort((low, high))].tobytes())
    return digest.hexdigest()


def by_content(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Rows in the order of their content."""
    high, low = words(hashes)
    return np.lexsort((np.arange(len(hashes)), low, high))


class Files(Side):
    """The images of a source, decoded when they are needed and never kept.

    recipe: how each is prepared; None: each keeps its size, and goes to the judge in one step.
    """

    def __init__(self, source: Source, scan: Scan, recipe: AnyRecipe | None, n: int | None, seed: int) -> None:
        super().__init__()
        self._source, self._scan, self._recipe = source, scan, recipe
        order = by_content(scan.hashes)
        self._rows = order[chosen(len(order), n, seed)]
        if not source.direct:
            self._rows = np.sort(self._rows)  # such files are quick in their own order only
        self.hashes = scan.hashes[self._rows]
        self.key = key_of(self.hashes, recipe.key if recipe else f"as it is, decode-{VERSION}")
        self.excluded = [] if n is not None and n < len(order) else list(scan.excluded)
        self.sizes = Counter((int(w), int(h)) for w, h in scan.sides[self._rows])
        self.formats = formats_of(source.items.names[int(k)] for k in scan.number[self._rows])
        self.prepared = in_words(recipe)
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def groups(self, start: int, stop: int) -> Iterator[Group]:
        positions = range(start, min(stop, len(self)))
        with decoding():
            images = list(self._threads().map(self._decode, positions))
        together: dict[tuple[int, ...], list[int]] = {}
        found: dict[int, NDArray[np.uint8]] = {}
        for position, image in zip(positions, images, strict=True):
            if isinstance(image, str):
                self.excluded.append((str(self.name(position)), image))
            else:
                found[position] = image
                together.setdefault(image.shape, []).append(position)
        for some in together.values():
            yield some, torch.from_numpy(np.stack([found[k] for k in some])).permute(0, 3, 1, 2)

    def name(self, position: int) -> str:
        row = self._rows[position]
        frame = int(self._scan.frame[row])
        return self._source.items.names[int(self._scan.number[row])] + (f" (picture {frame + 1})" if frame else "")

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._source.close()

    def _decode(self, position: int) -> NDArray[np.uint8] | str:
        row = self._rows[position]
        try:
            data, frame = self._source.read(int(self._scan.number[row])), int(self._scan.frame[row])
            if self._recipe is not None:
                return decode(data, self._recipe, frame).pixels
            assert not isinstance(data, Two)  # files that are evaluated are no pairs
            return as_it_is(data, frame=frame)
        except (Unreadable, Unusable) as error:
            return str(error)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(threads(), thread_name_prefix="decode")
        return self._pool


class Rows(Side):
    """Some rows of a data set, prepared as it was for training.

    rows: numbers of its survey: held-out ones first.   recipe, hashes: how they were prepared, and (…, 16) of all rows;
    None where nobody knows, or where this data set alone is asked.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        recipe: AnyRecipe | None,
        hashes: NDArray[np.uint8] | None,
        n: int | None,
        seed: int,
    ) -> None:
        super().__init__()
        k, total = len(dataset.held_out), len(dataset.held_out) + len(dataset.train)
        rows = np.arange(*{"held-out": (0, k), "train": (k, total), "all": (0, total)}[split])
        if hashes is not None:
            rows = rows[by_content(hashes[rows])]
        self._dataset, self._rows = dataset, rows[chosen(len(rows), n, seed)]
        self.split = split
        if hashes is not None and recipe is not None:
            self.hashes = hashes[self._rows]
            binary = f" {dataset.fingerprint}" if dataset.binarise != "none" else ""  # drawn by row
            self.key = key_of(self.hashes, recipe.key + binary)
        else:
            digest = hashlib.blake2b(f"{dataset.fingerprint} {split}".encode(), digest_size=16)
            digest.update(self._rows.tobytes())
            self.key = digest.hexdigest()
        sides = dataset.survey.sides[self._rows] if dataset.survey is not None else np.zeros((0, 2), np.int32)
        self.sizes = Counter((int(w), int(h)) for w, h in sides)
        self.formats = formats_of(dataset.file(int(row)) for row in self._rows)
        binary = f", binary ({dataset.binarise}: {BINARY[dataset.binarise]})" if dataset.binarise != "none" else ""
        self.prepared = in_words(recipe) + binary
        self.classes = dataset.classes
        if dataset.labels is not None and dataset.held_out_labels is not None:
            self.labels = np.concatenate([dataset.held_out_labels, dataset.labels])[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def dataset(self) -> Dataset:
        return self._dataset

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(n,) the rows, held-out ones first, then training ones."""
        return self._rows

    def groups(self, start: int, stop: int) -> Iterator[Group]:
        """Label maps come in their colours."""
        rows, k = self._rows[start:stop], len(self._dataset.held_out)
        positions = np.arange(start, start + len(rows))
        for aside in (True, False):
            mine = (rows < k) == aside
            images, part = (self._dataset.held_out, rows) if aside else (self._dataset.train, rows - k)
            if not mine.any():
                continue
            if isinstance(images, Live | Binarised):
                pixels, used = images.fetch(part[mine])
                there = used == part[mine]  # another image stands in for one that is broken
                self.excluded += [(self.name(int(p)), "cannot be read any more") for p in positions[mine][~there]]
            else:
                pixels, there = images[part[mine]], np.ones(int(mine.sum()), np.bool_)
            if there.any():
                yield positions[mine][there].tolist(), self._seen(pixels[there])

    def _seen(self, pixels: NDArray[np.uint8]) -> Tensor:
        side = self._dataset.side
        if side is None:
            return torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return painted(torch.from_numpy(side.shown(pixels)), self._dataset)

    def name(self, position: int) -> str:
        return self._dataset.file(int(self._rows[position]))

    def close(self) -> None:
        self._dataset.close()


class Drawn(Side):
    """n samples of a run, 8 bits a level and never written to a file: number k is that of ``sparring sample --seed``,
    except that a game that is told classes draws them as often as the data has them.

    shares: (K,) how often each class is to be drawn, for a `SamplesByClass`.
    """

    def __init__(self, run: Run, n: int, seed: int, weights: str, shares: NDArray[np.float64] | None = None) -> None:
        super().__init__()
        self.run, self._n = run, n
        self.what, self.split = str(run.path), "samples"
        self.seed, self.weights, self.images = seed, weights, run.images
        self.classes = run.classes
        game = run.game
        assert isinstance(game, Samples)
        if isinstance(game, SamplesByClass) and shares is not None:
            draws = Dice(seed, "evaluate/class", range(n)).uniform().numpy()
            self.labels = np.minimum(np.searchsorted(np.cumsum(shares / shares.sum()), draws), len(shares) - 1)
        manifest = (run.checkpoint.path / "manifest.json").read_bytes()
        digest = hashlib.blake2b(manifest, digest_size=16)
        digest.update(f"{weights} {seed} {n} {device_of(game).type}".encode())
        digest.update(self.labels.tobytes() if self.labels is not None else b"")
        self.key = digest.hexdigest()
        height, width = run.document["data"]["shape"][1:]
        self.sizes = Counter({(int(width), int(height)): n})
        self.prepared = "as drawn, rounded to 8 bits"

    def __len__(self) -> int:
        return self._n

    @torch.no_grad()
    def groups(self, start: int, stop: int) -> Iterator[Group]:
        stop = min(stop, self._n)
        game: Any = self.run.game
        device = device_of(game)
        dice = Dice(self.seed or 0, "sample", range(start, stop), device=device)
        if self.labels is None:
            samples = game.sample(dice)
        else:
            samples = game.sample(dice, label=torch.from_numpy(self.labels[start:stop]).to(device))
        yield list(range(start, stop)), quantise(samples).cpu()

    def name(self, position: int) -> int:
        return position


def in_words(recipe: AnyRecipe | None) -> str:
    """How files get their size."""
    if recipe is None:
        return "each at its own size, resized once, by the judge"
    height, width = recipe.size
    how = {"center": "center crop", "squeeze": "squeezed", "pad": "padded"}[recipe.crop]
    return f"{width}x{height} by Lanczos with antialiasing ({how}), then resized by the judge"


def formats_of(names: Iterator[str]) -> Counter[str]:
    """File endings, how often; spelt in one way."""
    spelt = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".webp": "WebP"}
    return Counter(spelt.get(ending, ending) for ending in (PurePosixPath(name).suffix.lower() for name in names))
