"""Images that are decoded whenever they are needed, and what happens when a file breaks meanwhile.

A broken file (deleted, truncated, unreadable, another content) does not stop a run: another image takes its place, the
same one whenever the same files are broken, and the file is named. Where more than 1 % is lost the run should end.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.decode import Unusable
from sparring.data.pairing import AnyRecipe, decode
from sparring.data.report import shown
from sparring.data.scan import content_hash, picture_hash, threads
from sparring.data.sources.items import Source, Unreadable
from sparring.errors import DataError
from sparring.types import News

MOST_LOST = 0.01
"""Share of the images that may be lost before a run ends."""
_TRIES = 100
_NAMED = 20  # lost files that get a message of their own; the rest are counted


class _State:
    """What happened to the files of some images, and the threads that decode them."""

    def __init__(self) -> None:
        self.lost: dict[int, str] = {}
        self.fresh: list[int] = []  # of these, what nobody was told yet
        self.news: list[News] = []
        self.told = False
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None


class ByRow(ABC):
    """Images that are made when they are asked for, indexed by row as a uint8 array (N, H, W, C) is."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (n, H, W, C) of `rows` (n,), and the rows they are really from: others where a file is broken."""

    def __getitem__(self, rows: int | slice | NDArray[np.integer] | Sequence[int]) -> NDArray[np.uint8]:
        if isinstance(rows, (int, np.integer)):
            image: NDArray[np.uint8] = self.fetch(np.array([range(len(self))[int(rows)]]))[0][0]
            return image
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        return self.fetch(np.arange(len(self))[rows])[0]


class Live(ByRow):
    """N images by row, decoded on demand; indexed like a uint8 array (N, H, W, C).

    number, frame: (N,) where each row lies in `source`; a negative number is a row that is known to be lost.
    hashes: (N, 16) what each file held when the run began.   names: of the rows, where the source does not tell them.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        source: Source,
        number: NDArray[np.int64],
        frame: NDArray[np.int32],
        hashes: NDArray[np.uint8],
        recipe: AnyRecipe,
        names: Sequence[str] = (),
    ) -> None:
        self.source, self.recipe = source, recipe
        self._number, self._frame, self._hashes, self._names = number, frame, hashes, names
        self._channels = range(recipe.channels)
        self._state = _State()
        # not `decoding()`, which is for one thread: batches are fetched by several. Each image is judged by its limits.
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self._number), *self.recipe.size, len(self._channels))

    @property
    def nbytes(self) -> int:
        """Bytes of all images, if they were decoded."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._number)

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (n, H, W, C) of `rows` (n,), and the rows they are really from: others where a file is broken."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        wanted = slice(self._channels.start, self._channels.stop)
        used = rows.copy()

        def one(at: int) -> None:
            image, used[at] = self._one(int(rows[at]))
            images[at] = image[..., wanted]

        try:
            if len(rows) < 4 or threads() == 1:
                for at in range(len(rows)):
                    one(at)
            else:
                list(self._threads().map(one, range(len(rows))))
        finally:
            self._tell()
        return images, used

    def news(self) -> list[News]:
        """What broke since the last call."""
        with self._state.lock:
            news, self._state.news = self._state.news, []
        return news

    @property
    def lost(self) -> dict[int, str]:
        """Rows whose file is broken, and why."""
        with self._state.lock:
            return dict(self._state.lost)

    def channels(self, start: int, end: int) -> Live:
        """Some of the channels of the same images: one side of pairs. What is lost is known to all who share them."""
        view = copy.copy(self)
        view._channels = range(start, end)
        return view

    def part(self, start: int, end: int | None) -> Live:
        """Some of the rows as images of their own, with news of their own."""
        some = slice(start, end)
        return Live(
            self.source, self._number[some], self._frame[some], self._hashes[some], self.recipe, self._names[some]
        )

    def name(self, row: int) -> str:
        """The name of a row's file."""
        return self._names[row] if len(self._names) else self.source.items[int(self._number[row])].name

    def close(self) -> None:
        """End the threads and close the source."""
        pool, self._state.pool = self._state.pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        self.source.close()

    def _threads(self) -> ThreadPoolExecutor:
        with self._state.lock:
            if self._state.pool is None:
                self._state.pool = ThreadPoolExecutor(threads(), thread_name_prefix="decode")
            return self._state.pool

    def _one(self, row: int) -> tuple[NDArray[np.uint8], int]:
        """The image of `row`, or of the first of the rows that stand in for it whose file is whole."""
        n, candidate = len(self), row
        for attempt in range(1, _TRIES):
            with self._state.lock:
                known = candidate in self._state.lost
            if not known:
                try:
                    return self._read(candidate), candidate
                except (Unreadable, Unusable) as error:
                    self._lose(candidate, str(error))
            candidate = int.from_bytes(hashlib.blake2b(f"{row} {attempt}".encode(), digest_size=8).digest()) % n
        raise DataError(
            "DATA-LOST", "the images can no longer be read", where=self.source.place, why=self.lost.get(row, ""),
            fix="bring the files back and resume the run",
        )  # fmt: skip

    def _read(self, row: int) -> NDArray[np.uint8]:
        if self._number[row] < 0:
            raise Unreadable("no longer there")
        data = self.source.read(int(self._number[row]))
        frame = int(self._frame[row])
        if picture_hash(content_hash(data), frame) != self._hashes[row].tobytes():
            raise Unreadable("its content changed since the run started")
        return decode(data, self.recipe, frame).pixels

    def _lose(self, row: int, reason: str) -> None:
        with self._state.lock:
            if row not in self._state.lost:
                self._state.lost[row] = reason
                self._state.fresh.append(row)

    def _tell(self) -> None:
        """Make news of what broke in one fetch: in the order of the rows, whichever thread met it first."""
        with self._state.lock:
            n, total = len(self), len(self._state.lost)
            for count, row in enumerate(sorted(self._state.fresh), total - len(self._state.fresh) + 1):
                if count <= _NAMED:
                    text = f"{shown(self.name(row))}: {shown(self._state.lost[row])}; another image takes its place"
                    self._state.news.append(News("DATA-BROKEN", f"{text} ({count:,} of {n:,} lost)"))
                elif count & (count - 1) == 0:
                    self._state.news.append(News("DATA-BROKEN", f"{count:,} of {n:,} images are lost by now"))
            self._state.fresh.clear()
            if total > MOST_LOST * n and not self._state.told:
                self._state.told = True
                self._state.news.append(News("DATA-LOST", self._verdict(total, n), fatal=True))

    def _verdict(self, count: int, n: int) -> str:
        names = ", ".join(shown(self.name(row)) for row in sorted(self._state.lost)[:3])
        return (
            f"{count:,} of {n:,} images can no longer be read, more than {MOST_LOST:.0%}: {names}"
            f"{' …' if count > 3 else ''} in {shown(self.source.place)}"
        )
