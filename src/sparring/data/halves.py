"""Whether pictures are two pictures side by side, as the data sets of Pix2Pix are.

All must be exactly twice as wide as high. So are panoramas, and photographs that somebody cut, so a few are looked at:
where two pictures meet there is a seam, a step from column to column as hardly another in the picture; or, where both
end in the same white, the left half has its edges where the right one has them, and not where another picture has.
Single pictures rarely look like that (`make bench-halves`, benchmarks/results/halves.json).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Pixels, as_it_is, decoding
from sparring.data.opening import Limits, Unusable
from sparring.data.sources.items import Source, Two, Unreadable

LOOKED_AT = 16
"""Pictures of one source whose pixels are looked at; most of them must look like two."""
_STEP = 0.98  # share of all columns that the step in the middle must surpass
_ALIKE, _MORE = 0.5, 0.3  # correlation of the edges of both halves; how much above that with another picture


def side_by_side(source: Source, sides: NDArray[np.int32]) -> bool:
    """Whether the pictures of a source, of these `sides` (n, 2), width and height, look like two pictures each."""
    if len(sides) < 2 or not (sides[:, 0] == 2 * sides[:, 1]).all():
        return False
    pictures = _some(source)
    others = pictures[1:] + pictures[:1]
    looks = [seam(one) or alike(one, other) for one, other in zip(pictures, others, strict=True)]
    return len(looks) > 1 and 2 * sum(looks) > len(looks)


def seam(picture: Pixels) -> bool:
    """Whether columns differ in the middle as hardly anywhere else.

    >>> left, right = np.full((8, 50, 3), 90, np.uint8), np.full((8, 50, 3), 200, np.uint8)
    >>> seam(np.concatenate([left, right], axis=1)), seam(np.concatenate([left, left], axis=1))
    (True, False)
    """
    steps = np.abs(np.diff(picture.astype(np.float32), axis=1)).mean(axis=(0, 2))
    middle = picture.shape[1] // 2 - 1
    return bool((np.delete(steps, middle) < steps[middle]).mean() >= _STEP)


def alike(picture: Pixels, other: Pixels) -> bool:
    """Whether both halves of a picture have their edges in the same places, and not as every other picture has."""
    left, right, strange = _edges(picture, left=True), _edges(picture, left=False), _edges(other, left=False)
    own = _correlation(left, right)
    return own >= _ALIKE and (left.shape != strange.shape or own - _correlation(left, strange) >= _MORE)


def _edges(picture: Pixels, *, left: bool) -> NDArray[np.float32]:
    """How steep a half is at each pixel, flattened; without its border, where the halves meet."""
    middle = picture.shape[1] // 2
    half = picture[:, :middle] if left else picture[:, middle : 2 * middle]
    down, across = np.gradient(half.astype(np.float32).mean(axis=2))
    steep: NDArray[np.float32] = np.hypot(down, across)[1:-1, 1:-1].ravel()
    return steep


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))


def _some(source: Source) -> list[Pixels]:
    """A few pictures of a source, evenly chosen, those that can be read."""
    rows = np.unique(np.linspace(0, len(source.items) - 1, min(LOOKED_AT, len(source.items))).astype(np.int64))
    found: list[Pixels] = []
    with decoding():
        for row in rows.tolist():
            try:
                data = source.read(row)
                found += [as_it_is(data, 3, Limits())] if not isinstance(data, Two) else []
            except (Unreadable, Unusable):
                continue
    return found
