"""Which images are set aside: by content alone, duplicates together."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def held_out_count(n: int, fraction: float) -> int:
    """How many of n images to set aside: the fraction, but at least 50 where n ≥ 500 and 1 where n ≥ 20.

    >>> [held_out_count(n, 0.05) for n in (1, 19, 20, 203, 500, 9303)]
    [0, 0, 1, 10, 50, 465]
    """
    if fraction <= 0.0:
        return 0
    least = 50 if n >= 500 else 1 if n >= 20 else 0
    return min(max(int(n * fraction), least), n // 2)


def split_order(hashes: list[bytes], pixel_hashes: list[bytes]) -> tuple[list[int], NDArray[np.int64]]:
    """Rows in the order of the split, and the group of equal images of each: the first rows are the held-out ones.

    The order depends on content alone: never on names, on the order of files, or on chance. Groups of equal images stay
    together, and images without a duplicate come first, so that the held-out ones are as different as possible.
    """
    members: dict[bytes, list[int]] = {}
    for row, digest in enumerate(pixel_hashes):
        if digest:
            members.setdefault(digest, []).append(row)

    def place(group: list[int]) -> tuple[int, bytes]:
        first = min(hashes[row] for row in group)
        return len(group), hashlib.blake2b(first, digest_size=16, person=b"held-out").digest()

    rows: list[int] = []
    groups: list[int] = []
    for number, group in enumerate(sorted(members.values(), key=place)):
        rows += sorted(group, key=lambda row: (hashes[row], row))
        groups += [number] * len(group)
    return rows, np.array(groups, np.int64)


def boundary(groups: NDArray[np.int64], k: int) -> int:
    """`k`, moved to where no group of equal images is cut: onwards, or back if that took more than half."""
    n, end = len(groups), k
    while 0 < end < n and groups[end] == groups[end - 1]:
        end += 1
    if end <= n // 2:
        return end
    while 0 < k < n and groups[k] == groups[k - 1]:
        k -= 1
    return k
