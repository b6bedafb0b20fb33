"""Pictures that are almost the same: another size, another compression, a little brighter, mirrored.

`look` says in 64 bits how a picture looks; `near` compares all of them, and confirms on the pixels what the bits
suggest, so that aligned faces, icons on white and handwritten digits are not taken for copies of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """How a picture looks, in 64 bits of which similar pictures share most: the signs of its lowest frequencies.

    pixels: (H, W, C) uint8 with C = 1, 3 or 4, of any size. Only whole numbers are added: equal on every machine.
    After the DCT hash (Zauner 2010), but with zero in place of the median, so that mirroring changes known bits.

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
_ALL = 16_000  # up to so many pictures, each is compared with each
_BLOCK = 1024
_ORDERS = 12  # of the bits, in which more pictures are sorted …
_NEIGHBOURS = 12  # … and compared with so many after them


def candidates(looks: Looks, close: int = CLOSE, most: int = 100_000) -> NDArray[np.int64]:
    """(m, 4) rows (a, b, differing bits, 1 if mirrored), closest first; a < b, each pair once. At most `most`.

    Up to 16,000 pictures each is compared with each. More are sorted by their bits in 12 orders, and each compared with
    its next 12 neighbours: time n·log n, memory about 200 bytes per picture, and a pair is missed only where one of the
    leading bits differs in every order.
    """
    found = [np.zeros((0, 4), np.int64)]
    kept = 0
    for piece in _every(looks, close, most) if len(looks) <= _ALL else _sorted(looks, close):
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


def _every(looks: Looks, close: int, most: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(looks), _BLOCK):
        block, rest = looks[start : start + _BLOCK, None], looks[None, start:]
        for mirrored, mask in ((0, np.uint64(0)), (1, MIRROR)):
            bits = np.bitwise_count(block ^ (rest ^ mask))
            a, b = np.nonzero(bits <= close)
            a, b = a[a < b], b[a < b]
            apart = bits[a, b]
            if len(apart) > most:
                closest = np.argsort(apart, kind="stable")[:most]
                a, b, apart = a[closest], b[closest], apart[closest]
            yield _pairs(a + start, b + start, apart, mirrored)


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
    turned: Looks = np.bitwise_or.reduce([table[k][(looks >> np.uint64(8 * k)) & np.uint64(255)] for k in range(8)])
    return turned


# ── and whether they are ──────────────────────────────────────────────────────────────────────────────────────────

_GRID = 32  # pictures are compared at this size
_TILES = 8  # in 8 x 8 parts, each of which must agree
_SHIFT = 1.6  # pixels of the grid by which a border may be moved
_GAIN = 0.25  # by which contrast may differ
_PLAIN, _RICH = 4.5, 14.0  # mean difference that may be left in the worst part: of a drawing on white, of a photograph
_SLOPE = 2.0  # levels per pixel of the grid, from which on there is something to be seen in a part
_ROUGH = 0.6  # what is left, as a share of the slope: more than a small shift explains
_COARSE = 40.0  # mean difference in some part before alignment, beyond which alignment is not tried
_TOGETHER = 128  # pairs at a time


def near(
    looks: Looks, pixels_of: Callable[[NDArray[np.int64]], Pixels], *, most: int = 10_000
) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of rows that show the same picture, perhaps mirrored, and are not equal in every pixel.

    looks: (n,) uint64, of each row its `look`.   pixels_of: rows (m,) → their pixels (m, H, W, C) uint8; asked only for
    rows that look alike.   most: as many pairs at most; four times as many candidates are looked at.

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
    pairs = _roughly(candidates(looks, most=4 * most), pixels_of)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    found: list[tuple[int, int, bool]] = []
    for start in range(0, len(pairs), _TOGETHER):
        piece = pairs[start : start + _TOGETHER]
        rows, places = np.unique(piece[:, :2], return_inverse=True)
        places, pixels = places.reshape(-1, 2), pixels_of(rows)
        reduced = small(pixels)
        a, b = reduced[places[:, 0]], reduced[places[:, 1]]
        turned = piece[:, 3] == 1
        b[turned] = b[turned][:, :, ::-1]
        equal = [np.array_equal(pixels[x], pixels[y]) for x, y in places]
        same = agree(a, b) & ~np.array(equal, np.bool_)
        found += [(int(x), int(y), bool(mirrored)) for x, y, _, mirrored in piece[same]]
    return found[:most]


def _roughly(pairs: NDArray[np.int64], pixels_of: Callable[[NDArray[np.int64]], Pixels]) -> NDArray[np.int64]:
    """Those of the pairs that could be the same: their parts have about the same brightness and colour."""
    rows, places = np.unique(pairs[:, :2], return_inverse=True)
    if not len(rows):
        return pairs
    blocks = [_tiles(small(pixels_of(rows[k : k + 512])).astype(np.float32)) for k in range(0, len(rows), 512)]
    parts = np.concatenate(blocks)
    places = places.reshape(-1, 2)
    keep = np.zeros(len(pairs), np.bool_)
    for start in range(0, len(pairs), 4096):
        span = slice(start, start + 4096)
        a, b = parts[places[span, 0]], parts[places[span, 1]]
        turned = pairs[span, 3] == 1
        b[turned] = b[turned][:, :, ::-1]
        apart = a - b
        apart -= apart.mean(axis=(1, 2), keepdims=True)
        keep[span] = np.abs(apart).max(axis=(1, 2, 3)) <= _COARSE
    return pairs[keep]


@cache
def _areas(length: int) -> NDArray[np.float32]:
    """(grid, length): the mean over each of at most 32 equal parts of a side, slightly blurred (1, 4, 6, 4, 1)."""
    parts = min(_GRID, length)
    edges = np.linspace(0.0, length, parts + 1)
    share = np.minimum(edges[1:, None], np.arange(1, length + 1)) - np.maximum(edges[:-1, None], np.arange(length))
    means = np.maximum(share, 0.0) * (parts / length)
    inside = np.clip(np.arange(-2, 3) + np.arange(parts)[:, None], 0, parts - 1)
    blurred: NDArray[np.float32] = np.einsum("k,pkl->pl", np.array([1, 4, 6, 4, 1]) / 16, means[inside])
    return blurred.astype(np.float32)


def small(pixels: Pixels) -> NDArray[np.float32]:
    """(m, H, W, C) uint8 → (m, h, w, C) with h, w ≤ 32; what is transparent becomes white, beside its transparency."""
    rows, columns = _areas(pixels.shape[1]), _areas(pixels.shape[2])
    m, height, width, channels = pixels.shape
    if channels == 4:
        values = pixels.astype(np.float32)
        values[..., :3] = 255.0 + (values[..., :3] - 255.0) * (values[..., 3:] / 255.0)
    else:
        values = pixels.astype(np.float32)
    flat = rows @ values.reshape(m, height, width * channels)
    across = flat.reshape(m, -1, width, channels).transpose(0, 1, 3, 2) @ columns.T
    return np.ascontiguousarray(across.transpose(0, 1, 3, 2))


def agree(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(m,) whether b is a, but for a small shift and scale, brightness and contrast, and noise. a, b: (m, h, w, C).

    Two steps of least squares (Lucas and Kanade 1981), then what is left must be little everywhere: the hands of two
    clocks differ in a small part only. How little depends on how much there is to agree about: a photograph has
    structure in all of its parts, a digit or an icon in some, and other digits have it in the same ones. The numbers
    were chosen by looking at what they report on cat faces, emoji, digits and clothes (tests/data/test_duplicates.py).
    """
    moved = _fit(a, b)[1]
    gain, more, left = _fit(_moved(a, moved / 2.0), _moved(b, -moved / 2.0))
    moved = np.abs(moved + more)
    fits = (np.abs(gain) <= _GAIN) & (moved[:, 0] + moved[:, 1] <= _SHIFT) & (moved[:, 2] + moved[:, 3] <= _SHIFT)
    slopes = _tiles(sum(np.abs(slope).mean(axis=3) for slope in np.gradient(a, axis=(1, 2))))
    rich = np.clip(2.0 * (slopes > _SLOPE).mean(axis=(1, 2)) - 1.0, 0.0, 1.0)
    seen = (slopes > _SLOPE).any(axis=(1, 2))  # one colour looks like any other once brightness is taken out
    rest = _tiles(left)
    worst = rest.max(axis=(1, 2))
    same: NDArray[np.bool_] = fits & seen & (worst <= _PLAIN + (_RICH - _PLAIN) * rich)
    for k in np.flatnonzero(same):
        there = slopes[k] > _SLOPE
        usual = np.percentile(rest[k][there], 75)
        alone = worst[k] > 3.0 and worst[k] > (3.0 + 5.0 * rich[k] ** 2) * (usual + 0.3)
        same[k] = not alone and np.percentile(rest[k][there] / slopes[k][there], 90) <= _ROUGH
    return same


def _fit(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """b ≈ (1 + g)·a + o + a_x·(s + t·x) + a_y·(u + v·y), for all channels, with x and y from −1 to 1.

    Returns g (m,), the shifts s, t, u, v (m, 4) in pixels, and what is left, the mean over the channels (m, h, w).
    """
    m, height, width, channels = a.shape
    d_y, d_x = np.gradient((a + b) / 2.0, axis=(1, 2))
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[:, None]
    columns = (a / 255.0, np.ones_like(a), d_x, d_x * x, d_y, d_y * y)
    design = np.stack([column.reshape(m, -1) for column in columns], axis=1)
    wanted = (b - a).reshape(m, -1, 1)
    normal = (design @ design.transpose(0, 2, 1)).astype(np.float64) + np.diag([0.1, 0.1, 10.0, 10.0, 10.0, 10.0])
    step = np.linalg.solve(normal, (design @ wanted).astype(np.float64))
    left = np.abs(wanted - design.transpose(0, 2, 1) @ step.astype(np.float32))
    return step[:, 0, 0] / 255.0, step[:, 2:, 0], left.reshape(m, height, width, channels).mean(axis=3)


def _moved(a: NDArray[np.float32], by: NDArray[np.float64]) -> NDArray[np.float32]:
    """a(x + s + t·x, y + u + v·y), between pixels by straight lines, outside as at the border. by: (m, 4)."""
    m, height, width, channels = a.shape
    rows, columns = _between(height, by[:, 2], by[:, 3]), _between(width, by[:, 0], by[:, 1])
    down = (rows @ a.reshape(m, height, width * channels)).reshape(m, height, width, channels)
    across: NDArray[np.float32] = columns[:, None] @ down
    return across


def _between(length: int, shift: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """(m, length, length) weights that read a row of pixels at x + shift + scale·x."""
    at = np.arange(length) + shift[:, None] + scale[:, None] * np.linspace(-1.0, 1.0, length)
    weights: NDArray[np.float64] = 1.0 - np.abs(np.clip(at, 0, length - 1)[..., None] - np.arange(length))
    return np.maximum(weights, 0.0).astype(np.float32)


def _tiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, h, w, …) → (m, 8, 8, …): means over the parts of a picture."""
    edges = [np.linspace(0, side, min(_TILES, side) + 1).astype(int) for side in values.shape[1:3]]
    sums: NDArray[np.float32] = np.add.reduceat(np.add.reduceat(values, edges[0][:-1], axis=1), edges[1][:-1], axis=2)
    sizes = np.diff(edges[0])[:, None] * np.diff(edges[1])
    return sums / sizes.astype(np.float32).reshape(*sizes.shape, *[1] * (values.ndim - 3))
