"""Endless streams over a data set: sample k is a pure function of (seed, k).

Order and flips do not depend on batch size, workers or processes: whoever asks for sample k gets sample k. A pass
delivers every training sample exactly once, passes follow each other without a gap, and batches are always full.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice, permutation
from sparring.data.binary import Binarised, drawn_at
from sparring.data.dataset import Dataset
from sparring.data.live import Live
from sparring.errors import DataError
from sparring.types import Batch, News, Stream

_PASSES = 3  # shuffles kept: a batch may span passes, and threads work ahead


class _Order:
    """Row of sample k: permutation(seed, k // N)[k mod N], with the last few shuffles remembered. Thread-safe."""

    def __init__(self, n: int, seed: int, purpose: str = "order") -> None:
        if n < 1:
            raise DataError("DATA-EMPTY", "no sample is left for training", fix="use --held-out 0 or more images")
        self.n, self.seed, self.purpose = n, seed, purpose
        self._kept: OrderedDict[int, NDArray[np.int64]] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, start: int, count: int) -> NDArray[np.int64]:
        """(count,) rows of samples start … start + count − 1."""
        if start < 0 or count < 0:
            raise ValueError(f"take({start}, {count}): positions are not negative")
        pieces, at, end = [], start, start + count
        while at < end:
            number, first = divmod(at, self.n)
            last = min(self.n, first + end - at)
            pieces.append(self._shuffle(number)[first:last])
            at += last - first
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    def _shuffle(self, number: int) -> NDArray[np.int64]:
        with self._lock:
            if number not in self._kept:
                self._kept[number] = permutation(self.seed, self.purpose, number, self.n)
                while len(self._kept) > _PASSES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]


def _labels(labels: NDArray[np.int64] | None, rows: NDArray[np.int64]) -> Tensor | None:
    return None if labels is None else torch.from_numpy(labels[rows])


def mirrored(images: NDArray[np.uint8], chance: Dice) -> None:
    """Mirror each of (n, H, W, C) left to right with probability ½, in place."""
    turned = chance.uniform().numpy() < 0.5
    for channel in range(images.shape[3]):  # one plane at a time: three times as fast as all at once
        images[turned, :, :, channel] = images[turned, :, ::-1, channel]


class ImageStream:
    """Training images of a data set, shuffled, each mirrored left to right with probability ½ if `flip`.

    Where images are given with them, both are of the same row and mirrored alike; of unpaired data the two are shuffled
    and mirrored independently of each other.

    Images that are made binary anew whenever they are delivered ("dynamic") are drawn by the seed and the position.

    Of several captions of an image one is drawn whenever it is delivered; an image without any has an empty one.
    """

    def __init__(self, dataset: Dataset, seed: int = 0, flip: bool = False) -> None:
        self.dataset, self.seed, self.flip = dataset, seed, flip
        self._order = _Order(len(dataset.train), seed)
        given = dataset.given
        images = dataset.train if given is None or given.whole is None else given.whole
        self._anew = isinstance(images, Binarised) and images.how == "dynamic"
        if isinstance(images, Binarised) and self._anew:
            images = images.images
        # without memmap's overhead:
        self._images = images if isinstance(images, Live | Binarised) else np.asarray(images)
        self._other = _Other(given.other, seed, flip) if given is not None and given.other is not None else None
        self.fingerprint = hashlib.blake2b(f"{dataset.fingerprint} {flip}".encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return self._order.n

    def take(self, start: int, count: int) -> Batch:
        """x: (count, C, H, W) uint8 with channels_last strides; labels, captions and what is given (condition) where
        the data has them."""
        rows = self._order.rows(start, count)
        if isinstance(self._images, Live | Binarised):
            images, rows = self._images.fetch(rows)  # the rows change where a file is broken
        else:
            images = self._images[rows]  # (count, H, W, C), a copy
        if self.flip:
            mirrored(images, Dice(seed=self.seed, purpose="flip", samples=range(start, start + count)))
        if self._anew:
            images = drawn_at(images, self.seed, range(start, start + count))
        x, condition = _sides(self.dataset, images)
        if self._other is not None:
            condition = self._other.take(start, count)
        return Batch(x, _labels(self.dataset.labels, rows), condition, self._texts(rows, start))

    def _texts(self, rows: NDArray[np.int64], start: int) -> tuple[str, ...] | None:
        captions = self.dataset.captions
        if captions is None:
            return None
        dice = Dice(seed=self.seed, purpose="caption", samples=range(start, start + len(rows)))
        places = dice.uniform().tolist()
        texts = [captions[row] for row in rows.tolist()]
        return tuple(some[int(u * len(some))] if some else "" for some, u in zip(texts, places, strict=True))

    def news(self) -> Sequence[News]:
        """Files that broke since the last call."""
        own = self._images.news() if isinstance(self._images, Live | Binarised) else ()
        return [*own, *self._other.news()] if self._other is not None else own


class _Other:
    """What is given, where it has nothing to do with x: another order, and other chance to be mirrored."""

    def __init__(self, dataset: Dataset, seed: int, flip: bool) -> None:
        self._dataset, self._seed, self._flip = dataset, seed, flip
        self._order = _Order(len(dataset.train), seed, "order of what is given")
        self._images = dataset.train if isinstance(dataset.train, Live) else np.asarray(dataset.train)

    def take(self, start: int, count: int) -> Tensor:
        rows = self._order.rows(start, count)
        images = self._images[rows]
        if self._flip:
            mirrored(images, Dice(self._seed, "flip of what is given", range(start, start + count)))
        return _sides(self._dataset, images)[0]

    def news(self) -> Sequence[News]:
        return self._images.news() if isinstance(self._images, Live) else ()


def _sides(dataset: Dataset, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor | None]:
    """(n, H, W, c) as stored, in pairs with the channels of both sides → x and condition, (n, C, H, W) uint8."""
    given, condition = dataset.given, None
    if given is not None and given.paired:
        first = given.side.channels
        condition = torch.from_numpy(given.side.shown(images[..., :first]))
        images = images[..., first:]
    return torch.from_numpy(dataset.side.shown(images) if dataset.side else np.moveaxis(images, -1, 1)), condition


def batch_of(dataset: Dataset, rows: NDArray[np.int64], *, held_out: bool) -> Batch:
    """The images in these rows of `dataset.held_out`, or of `dataset.train`, with what is given with them and their
    labels, as they lie there: uint8 (n, C, H, W), label maps one-hot, nothing mirrored. Of unpaired data what is given
    is in the row of the same number, modulo how many there are.

    >>> from sparring.data import open_data
    >>> tuple(batch_of(open_data("fashion", size=(8, 8)), np.arange(3), held_out=True).x.shape)
    (3, 1, 8, 8)
    """
    rows = np.asarray(rows, np.int64)
    images = dataset.held_out if held_out else dataset.train
    labels = dataset.held_out_labels if held_out else dataset.labels
    if dataset.kind == "points":
        return Batch(torch.from_numpy(np.asarray(images[rows])), _labels(labels, rows))
    x = np.asarray(images[rows])
    x = dataset.side.shown(x) if dataset.side is not None else np.moveaxis(x, -1, 1)
    given, condition = dataset.given, None
    if given is not None:
        source = given.held_out if held_out else given.train
        condition = torch.from_numpy(given.side.shown(np.asarray(source[rows % max(1, len(source))])))
    return Batch(torch.from_numpy(x), _labels(labels, rows), condition)


class PointStream:
    """Training points of a data set, shuffled: (count, D) float32."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.dataset, self.seed = dataset, seed
        self._order = _Order(len(dataset.train), seed)
        self.fingerprint = dataset.fingerprint

    def __len__(self) -> int:
        return self._order.n

    def take(self, start: int, count: int) -> Batch:
        """x: (count, D) float32."""
        rows = self._order.rows(start, count)
        return Batch(torch.from_numpy(self.dataset.train[rows]), label=_labels(self.dataset.labels, rows))

    def news(self) -> Sequence[News]:
        """Nothing: points do not break."""
        return ()


def stream_of(dataset: Dataset, seed: int = 0, flip: bool = False) -> Stream:
    """The stream of a data set; `flip` concerns images only.

    >>> from sparring.data import open_data
    >>> tuple(stream_of(open_data("ring")).take(10**12, 5).x.shape)
    (5, 2)
    """
    return ImageStream(dataset, seed, flip) if dataset.kind == "images" else PointStream(dataset, seed)


class Prefetch:
    """The same stream, with `workers` threads fetching ahead; the same batches in the same order for any number.

    It expects the next `take` at the distance of the last two (which is right for one process and for one of many);
    another one is served all the same, only not ahead of time. At most 2 · workers batches wait. An error in a thread
    is raised by the `take` that asked for that batch, and news of a batch are told once it was taken, so that with one
    worker they come at the same moment as without. 0 workers: no thread at all.
    """

    def __init__(self, stream: Stream, workers: int = 0) -> None:
        if workers < 0:
            raise ValueError(f"{workers} workers")
        self.stream, self.workers = stream, workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch") if workers else None
        self._ahead: dict[tuple[int, int], Future[tuple[Batch, Sequence[News]]]] = {}
        self._news: list[News] = []
        self._last: tuple[int, int] | None = None

    @property
    def fingerprint(self) -> str:
        return self.stream.fingerprint

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        """As the stream's own."""
        if self._pool is None:
            return self.stream.take(start, count)
        stride = count if self._last is None else start - self._last[0]
        self._last = (start, count)
        future = self._ahead.pop((start, count), None) or self._pool.submit(self._fetch, start, count)
        wanted = [(start + i * stride, count) for i in range(1, 2 * self.workers + 1)] if stride > 0 else []
        for key in [key for key in self._ahead if key not in wanted]:
            self._ahead.pop(key).cancel()
        for key in wanted:
            if key not in self._ahead:
                self._ahead[key] = self._pool.submit(self._fetch, *key)
        try:
            batch, news = future.result()
        except DataError:
            self._news += self.stream.news()
            raise
        self._news += news
        return batch

    def _fetch(self, start: int, count: int) -> tuple[Batch, Sequence[News]]:
        return self.stream.take(start, count), self.stream.news()

    def news(self) -> Sequence[News]:
        """What happened to the data in the batches that were taken, since the last call."""
        if self._pool is None:
            self._news += self.stream.news()
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """End the threads; `take` goes on without them."""
        pool, self._pool = self._pool, None
        self._ahead.clear()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
