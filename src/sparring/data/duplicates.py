"""Pictures that are almost the same: another size, another compression, a little brighter, mirrored.

`look` says in 64 bits how a picture looks; `near` compares all of them, and confirms on the pixels what the bits suggest,
so that aligned faces, icons on white and handwritten digits are not taken for copies of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Looks = NDArray[np.uint64]

_SAMPLES = 64  # of a side are looked at: low frequencies need no more
_SCALE = 1024.0
_BITS = 8  # frequencies in each direction


# ── 64 bits ───────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _cosines(length: int) -> NDArray[np.float64]:
    """(8, length) whole numbers: 1024 · cos(π k (2x + 1) / (2 length)), the rows of a discrete cosine transform."""
    places = (2 * np.arange(length) + 1) / (2 * length)
    return np.rint(_SCALE * np.cos(np.pi * np.arange(_BITS)[:, None] * places))


@cache
def _samples(length: int) -> slice:
    step = max(1, round(length / _SAMPLES))
    return slice(step // 2, None, step)


@cache
def _weights() -> NDArray[np.uint64]:
    return np.uint64(1) << np.arange(64, dtype=np.uint64)


MIRROR = np.uint64(sum(1 << bit for bit in range(64) if bit % _BITS % 2))
"""``look(picture) ^ MIRROR`` is the look of the mirrored picture: cosines of odd frequency change their sign."""


def look(pixels: Pixels) -> int:
    """How a picture looks, in 64 bits of which similar pictures share most: the signs of its 64 lowest frequencies.

    pixels: (H, W, C) uint8 with C = 1, 3 or 4, of any size. Whole numbers only, so equal on every machine. The
    brightness of the whole picture has no sign to speak of; its bit tells instead whether the picture is dark.
    After "DCT hashing" (Zauner 2010), without its median, so that mirroring is known exactly.

    >>> picture = np.arange(48 * 40 * 3, dtype=np.uint8).reshape(48, 40, 3)
    >>> look(picture[:, ::-1]) == look(picture) ^ int(MIRROR)
    True
    """
    seen = pixels[_samples(pixels.shape[0]), _samples(pixels.shape[1])].astype(np.float64)
    grey = seen[..., 0] if seen.shape[2] == 1 else seen[..., :3] @ _LUMINANCE
    if seen.shape[2] == 4:  # what is transparent is seen as white
        grey = (grey - 255.0 * 8.0) * seen[..., 3]
    waves = _cosines(grey.shape[0]) @ grey @ _cosines(grey.shape[1]).T  # whole numbers below 2^53: exact
    return int((waves.ravel() > 0.0) @ _weights())


_LUMINANCE = np.array([2.0, 5.0, 1.0])  # eighths


# ── which look alike ──────────────────────────────────────────────────────────────────────────────────────────────

CLOSE = 12
"""Bits in which the looks of near-duplicates may differ: one in five of a picture cropped by a pixel or compressed."""
_ALL = 24_000  # up to so many pictures, each is compared with each
_BLOCK = 1024
_ORDERS = 12  # of the bits, in which more pictures are sorted …
_NEIGHBOURS = 12  # … and compared with so many after them


def candidates(looks: Looks, close: int = CLOSE, most: int = 100_000) -> NDArray[np.int64]:
    """(m, 4) rows (a, b, differing bits, 1 if mirrored), closest first; a < b, each pair once. At most `most`.

    Up to 24,000 pictures each is compared with each. More are sorted by their bits in 12 orders, and each compared with
    its next 12 neighbours: time n·log n, memory about 200 bytes per picture, and a pair is missed only where in every order one
    of the leading bits differs.
    """
    found = [np.zeros((0, 4), np.int64)]
    kept = 0
    for piece in _every(looks, close) if len(looks) <= _ALL else _sorted(looks, close):
        found.append(piece)
        kept += len(piece)
        if kept > 4 * most:  # memory stays bounded where thousands look alike
            found = [_best(np.concatenate(found), most)]
            kept = len(found[0])
            close = min(close, int(found[0][:, 2].max())) if kept >= most else close
    return _best(np.concatenate(found), most)


def _best(pairs: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Each pair once, closest first."""
    order = np.lexsort((pairs[:, 3], pairs[:, 2], pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    first = np.ones(len(pairs), np.bool_)
    first[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(axis=1)
    pairs = pairs[first]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 2]))][:most]


def _pairs(a: NDArray[np.int64], b: NDArray[np.int64], bits: NDArray[np.uint8], mirrored: int) -> NDArray[np.int64]:
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.stack([low, high, bits.astype(np.int64), np.full(len(a), mirrored)], axis=1)[low < high]


def _every(looks: Looks, close: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(looks), _BLOCK):
        block, rest = looks[start : start + _BLOCK, None], looks[None, start:]
        for mirrored, mask in ((0, np.uint64(0)), (1, MIRROR)):
            bits = np.bitwise_count(block ^ (rest ^ mask))
            a, b = np.nonzero(bits <= close)
            kept = a < b
            yield _pairs(a[kept] + start, b[kept] + start, bits[a[kept], b[kept]], mirrored)


def _sorted(looks: Looks, close: int) -> Iterator[NDArray[np.int64]]:
    """Each picture, as it is and mirrored, beside those that share its leading bits, in several orders of the bits."""
    n = len(looks)
    both = np.concatenate([looks, looks ^ MIRROR])
    turned = np.random.Generator(np.random.Philox(0))
    for _ in range(_ORDERS):
        order = np.argsort(_reordered(both, turned.permutation(64)), kind="stable")
        for step in range(1, _NEIGHBOURS + 1):
            a, b = order[:-step], order[step:]
            bits = np.bitwise_count(both[a] ^ both[b])
            kept = (bits <= close) & ((a < n) | (b < n))
            a, b, bits = a[kept], b[kept], bits[kept]
            for mirrored in (0, 1):
                these = ((a < n) != (b < n)) == bool(mirrored)
                yield _pairs(a[these] % n, b[these] % n, bits[these], mirrored)


def _reordered(looks: Looks, order: NDArray[np.int64]) -> Looks:
    """The same bits in another order, byte by byte from a table."""
    table = np.zeros((8, 256), np.uint64)
    values = np.arange(256, dtype=np.uint64)
    for place, bit in enumerate(order.tolist()):
        table[bit // 8] |= ((values >> np.uint64(bit % 8)) & np.uint64(1)) << np.uint64(place)
    return np.bitwise_or.reduce([table[k][(looks >> np.uint64(8 * k)) & np.uint64(255)] for k in range(8)])


# ── and whether they are ──────────────────────────────────────────────────────────────────────────────────────────

_GRID = 32  # pictures are compared at this size
_TILES = 8  # in 8 x 8 parts, each of which must agree
_SHIFT = 1.5  # pixels of the grid that alignment may move a border
_GAIN = 0.25  # by which brightness and contrast may differ
_LEVELS = 7.0  # mean difference that is left in the worst part, in levels of 255 …
_RELATIVE = 0.3  # … and as a share of what there is to be seen in that part
_TOGETHER = 256  # pairs at a time


def near(
    looks: Looks, pixels_of: Callable[[NDArray[np.int64]], Pixels], *, most: int = 10_000
) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of rows that show the same picture, perhaps mirrored, and are not equal in every pixel.

    looks: (n,) uint64, of each row its `look`.   pixels_of: rows (m,) → their pixels (m, H, W, C) uint8; it is asked only
    for rows that look alike.   most: as many pairs are looked for.

    >>> rows = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    >>> rows[7] = (rows[3] * 0.96).astype(np.uint8)
    >>> near(np.array([look(row) for row in rows], np.uint64), lambda chosen: rows[chosen])
    [(3, 7)]
    """
    return [(a, b) for a, b, _ in alike(looks, pixels_of, most=most)]


def alike(
    looks: Looks, pixels_of: Callable[[NDArray[np.int64]], Pixels], *, most: int = 10_000
) -> list[tuple[int, int, bool]]:
    """As `near`, with whether b is a mirror image of a."""
    pairs = candidates(looks, most=8 * most)
    found: list[tuple[int, int, bool]] = []
    for start in range(0, len(pairs), _TOGETHER):
        piece = pairs[start : start + _TOGETHER]
        rows, places = np.unique(piece[:, :2], return_inverse=True)
        pixels = pixels_of(rows)
        small = _small(pixels)
        places = places.reshape(-1, 2)
        a, b = small[places[:, 0]], small[places[:, 1]]
        turned = piece[:, 3] == 1
        b[turned] = b[turned][:, :, ::-1]
        same = _agree(a, b) & ~_equal(pixels, places)
        found += [(int(x), int(y), bool(m)) for x, y, _, m in piece[same]]
        if len(found) >= most:
            break
    return sorted(found[:most])


def _equal(pixels: Pixels, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.array([np.array_equal(pixels[a], pixels[b]) for a, b in places], np.bool_)


@cache
def _areas(length: int) -> NDArray[np.float32]:
    """(grid, length): the mean over each of at most 32 equal parts of a side."""
    parts = min(_GRID, length)
    edges = np.linspace(0.0, length, parts + 1)
    share = np.minimum(edges[1:, None], np.arange(1, length + 1)) - np.maximum(edges[:-1, None], np.arange(length))
    return (np.maximum(share, 0.0) * (parts / length)).astype(np.float32)


def _small(pixels: Pixels) -> NDArray[np.float32]:
    """(m, H, W, C) uint8 → (m, h, w, C) with h, w ≤ 32; what is transparent becomes white, beside its transparency."""
    rows, columns = _areas(pixels.shape[1]), _areas(pixels.shape[2])
    values = pixels.astype(np.float32)
    if pixels.shape[3] == 4:
        values[..., :3] = 255.0 + (values[..., :3] - 255.0) * (values[..., 3:] / 255.0)
    across = np.einsum("mhwc,xw->mhxc", values, columns, optimize=True)
    reduced = np.einsum("mhxc,yh->myxc", across, rows, optimize=True)
    return _smooth(_smooth(reduced, 1), 2)


def _smooth(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Weighted 1, 4, 6, 4, 1 along an axis: what is compared is as smooth as its derivatives have to be."""
    wide = np.pad(values, [(2, 2) if k == axis else (0, 0) for k in range(4)], mode="edge")
    n = values.shape[axis]
    parts = [wide.take(range(k, k + n), axis) * np.float32(weight / 16) for k, weight in enumerate((1, 4, 6, 4, 1))]
    smooth: NDArray[np.float32] = np.ascontiguousarray(np.sum(parts, axis=0, dtype=np.float32))
    return smooth


def _agree(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(m,) whether b is a, but for a small shift and scale, brightness and contrast, and noise.

    One step of least squares (Lucas and Kanade 1981): b ≈ (1 + g)·a + o + a_x·(s + t·x) + a_y·(u + v·y), the same for all
    channels. What is left must be little everywhere: the hands of two clocks differ in a small part only.
    """
    m, height, width, channels = a.shape
    d_y, d_x = np.gradient((a + b) / 2.0, axis=(1, 2))
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[:, None]
    columns = [a / 255.0, np.ones_like(a), d_x, d_x * x, d_y, d_y * y]
    design = np.stack([column.reshape(m, -1) for column in columns], axis=2).astype(np.float64)
    wanted = (b - a).reshape(m, -1).astype(np.float64)
    normal = design.transpose(0, 2, 1) @ design + np.diag([1e-3, 1e-3, 1.0, 1.0, 1.0, 1.0])
    step = np.linalg.solve(normal, design.transpose(0, 2, 1) @ wanted[..., None])
    left = np.abs(wanted[..., None] - design @ step).reshape(m, height, width, channels).mean(axis=3)
    gain, moved = step[:, 0, 0] / 255.0, np.abs(step[:, 2:, 0])
    small = (np.abs(gain) <= _GAIN) & (moved[:, 0] + moved[:, 1] <= _SHIFT) & (moved[:, 2] + moved[:, 3] <= _SHIFT)
    worst = _tiles(left)
    relief = _tiles(np.abs(a - a.mean(axis=(1, 2), keepdims=True)).mean(axis=3))
    agrees: NDArray[np.bool_] = small & (worst <= np.maximum(_LEVELS, 0.0 * relief)).all(axis=(1, 2))
    return agrees


def _tiles(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(m, h, w) → (m, 8, 8): means over the parts of a picture."""
    rows = np.linspace(0, values.shape[1], _TILES + 1).astype(int)[:-1]
    columns = np.linspace(0, values.shape[2], _TILES + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=1), columns, axis=2)
    ones = np.add.reduceat(np.add.reduceat(np.ones(values.shape[1:]), rows, axis=0), columns, axis=1)
    means: NDArray[np.float64] = sums / ones
    return means
