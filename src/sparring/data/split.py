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
