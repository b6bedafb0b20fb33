"""Binary data out of grey ones: three treatments, which are three different data sets.

Each value v of an image (of each channel) becomes 0 or 255:

- threshold: 255 where v ≥ 128.
- static:    255 with probability v / 255, drawn once for each image; the same in every pass and in every run.
- dynamic:   the same, drawn anew whenever the stream delivers the image: a model sees the grey level itself, in time
             (Salakhutdinov & Murray 2008; Burda et al. 2016, 5.1).

Likelihoods of one are not those of another. What is drawn once depends on the number of the row alone, and rows are in
the order of the split, which content decides: a folder and its zip hold the same binary images.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from sparring.data.live import ByRow, Live
from sparring.data.options import Binarise
from sparring.types import News

_SEED, _PURPOSE = 0, "binary by row"
_KEPT = 2**29  # values whose bits are kept; of more, and of what is decoded on demand, bits are drawn when needed
_BLOCK = 1024


def drawn(images: NDArray[np.uint8], noise: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """(n, …) levels, as many uniform 16-bit numbers → 0 or 255, with probability level / 255 (to 2⁻¹⁶; 0 and 255 stay).

    >>> drawn(np.array([0, 128, 128, 255], np.uint8), np.array([0, 32895, 32896, 65535], np.uint16)).tolist()
    [0, 255, 0, 255]
    """
    share = images.astype(np.uint16) * np.uint16(257)  # 0 … 65535
    return _black_and_white(np.minimum(noise, np.uint16(65534)) < share)


def _black_and_white(white: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = white.view(np.uint8) * np.uint8(255)
    return values


def threshold(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels of any shape → 255 where they are 128 or more, else 0."""
    return _black_and_white(images >= 128)


def drawn_at(images: NDArray[np.uint8], seed: int, positions: range) -> NDArray[np.uint8]:
    """Images (n, H, W, C) of these positions of a stream, drawn anew for each position."""
    from sparring.chance import halves  # loads torch, which looking at images does without

    noise = halves(seed, "binary by position", positions, int(np.prod(images.shape[1:])))
    return drawn(images, noise.reshape(images.shape))


class Binarised(ByRow):
    """N binary images by row; indexed like a uint8 array (N, H, W, C), in which each value is 0 or 255.

    images: (N, H, W, C) levels.   first: the number of their first row among all of the data.   how: the treatment;
    what is dynamic in a stream is drawn once here, as if it were static: held-out images are measured on one draw.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, images: NDArray[np.uint8] | Live, first: int, how: Binarise) -> None:
        self.images = images if isinstance(images, Live) else np.asarray(images)  # without memmap's overhead
        self.first, self.how = first, how
        self._bits: NDArray[np.uint8] | None = None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    @property
    def nbytes(self) -> int:
        return self.images.nbytes

    def __len__(self) -> int:
        return len(self.images)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return self[:]

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images of `rows` (n,), and the rows they are really from: others where a file is broken."""
        if isinstance(self.images, Live):
            levels, rows = self.images.fetch(rows)
            return self._treated(levels, rows), rows
        if self.how != "threshold" and self.images.size <= _KEPT and len(rows):
            bits = np.unpackbits(self._all()[rows], axis=1, count=self.images[0].size)
            return _black_and_white(bits).reshape(len(rows), *self.shape[1:]), rows
        return self._treated(self.images[rows], rows), rows

    def news(self) -> list[News]:
        """What broke since the last call."""
        return self.images.news() if isinstance(self.images, Live) else []

    def _treated(self, levels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        if self.how == "threshold":
            return threshold(levels)
        from sparring.chance import halves

        each = int(np.prod(levels.shape[1:]))
        noise = np.empty((len(rows), each), np.uint16)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1  # rows that follow each other are drawn together
        for start, stop in zip([0, *breaks], [*breaks, len(rows)], strict=True):
            if stop > start:
                at = self.first + int(rows[start])
                noise[start:stop] = halves(_SEED, _PURPOSE, range(at, at + stop - start), each)
        return drawn(levels, noise.reshape(levels.shape))

    def _all(self) -> NDArray[np.uint8]:
        """The bits of all images, packed: (N, ⌈H · W · C / 8⌉)."""
        with self._lock:
            if self._bits is None:
                pieces = []
                for start in range(0, len(self), _BLOCK):
                    rows = np.arange(start, min(len(self), start + _BLOCK))
                    made = self._treated(self.images[rows], rows)
                    pieces.append(np.packbits((made > 0).reshape(len(rows), -1), axis=1))
                self._bits = np.concatenate(pieces)
            return self._bits
