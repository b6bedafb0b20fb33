"""Which images are set aside: by content alone, duplicates together."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint8]
"""(n, 16): one hash per row."""


def held_out_count(n: int, fraction: float) -> int:
    """How many of n images to set aside: the fraction, but at least 50 where n ≥ 500 and 1 where n ≥ 20.

    >>> [held_out_count(n, 0.05) for n in (1, 19, 20, 203, 500, 9303)]
    [0, 0, 1, 10, 50, 465]
    """
    if fraction <= 0.0:
        return 0
    least = 50 if n >= 500 else 1 if n >= 20 else 0
    return min(max(int(n * fraction), least), n // 2)


def words(hashes: Hashes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The two halves of each hash as numbers, which sort as the bytes do."""
    halves = np.ascontiguousarray(hashes).view(">u8").astype(np.uint64).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]


def numbered(hashes: Hashes) -> NDArray[np.int64]:
    """For each row the number of its hash among the different ones: equal exactly where the hashes are."""
    high, low = words(hashes)
    order = np.lexsort((low, high))
    new = np.ones(len(order), np.bool_)
    new[1:] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(new) - 1
    return numbers


def joined(*sides: Hashes, alike: NDArray[np.int64] | None = None) -> Hashes:
    """(n, 16): the same mark for rows that share a hash in any of `sides` (each (n, 16)), for the two rows of each of
    `alike` (m, 2), and for what hangs together by several of these. The mark is the smallest hash of the group in the
    first of the sides, so that it depends on content alone.

    >>> a, b = np.zeros((3, 16), np.uint8), np.zeros((3, 16), np.uint8)
    >>> a[:, 0], b[:, 0] = (1, 1, 2), (5, 6, 7)
    >>> joined(a, b)[:, 0].tolist(), joined(a, b, alike=np.array([[1, 2]]))[:, 0].tolist()
    ([1, 1, 2], [1, 1, 1])
    """
    n = len(sides[0])
    edges = [alike] if alike is not None and len(alike) else []
    for hashes in sides:
        number = numbered(hashes)
        first = np.full(n, n, np.int64)
        np.minimum.at(first, number, np.arange(n))
        edges.append(np.stack([np.arange(n), first[number]], axis=1))
    a, b = np.concatenate(edges).T
    label = np.arange(n)
    while True:  # each row takes the smallest number of its neighbours, and of what stands there, until nothing changes
        low = np.minimum(label[a], label[b])
        new = label.copy()
        np.minimum.at(new, a, low)
        np.minimum.at(new, b, low)
        new = new[new]
        if np.array_equal(new, label):
            break
        label = new
    high, low = words(sides[0])
    order = np.lexsort((low, high, label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    marks = sides[0][order[starts]]
    place = np.searchsorted(label[order[starts]], label)
    return marks[place]


def split_order(hashes: Hashes, together: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order of the split, and the group of each: the first rows are the held-out ones.

    hashes: (n, 16) of content.   together: (n, 16), equal for rows that must not be divided (equal pixels).
    The order depends on content alone: never on names, on the order of files, or on chance. Groups stay together, and
    small ones come first, so that the held-out images are as different as possible.
    """
    n = len(hashes)
    group = numbered(together)
    high, low = words(hashes)
    order = np.lexsort((np.arange(n), low, high, group))  # by group, then by content
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(starts, append=n)
    firsts = hashes[order[starts]]
    places = b"".join(hashlib.blake2b(row.tobytes(), digest_size=16, person=b"held-out").digest() for row in firsts)
    place_high, place_low = words(np.frombuffer(places, np.uint8).reshape(-1, 16))
    ranked = np.lexsort((place_low, place_high, sizes))
    within = np.arange(n) - np.repeat(np.cumsum(sizes[ranked]) - sizes[ranked], sizes[ranked])
    return order[np.repeat(starts[ranked], sizes[ranked]) + within], np.repeat(np.arange(len(ranked)), sizes[ranked])


def boundary(groups: NDArray[np.int64], k: int) -> int:
    """`k`, moved to where no group is cut: onwards, or back if that took more than half."""
    n, end = len(groups), k
    while 0 < end < n and groups[end] == groups[end - 1]:
        end += 1
    if end <= n // 2:
        return end
    while 0 < k < n and groups[k] == groups[k - 1]:
        k -= 1
    return k
