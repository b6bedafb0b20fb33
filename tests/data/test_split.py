"""The split is a function of content, and equal to its definition written out in plain Python."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparring.data.prepare import matched
from sparring.data.split import boundary, numbered, split_order


def rows_of(numbers: list[int]) -> NDArray[np.uint8]:
    """(n, 16): a hash for each number."""
    digests = b"".join(hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in numbers)
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)


def plainly(hashes: NDArray[np.uint8], together: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """The definition: groups by size, then by a hash of their least content; inside a group by content."""
    members: dict[bytes, list[int]] = {}
    for row, mark in enumerate(together):
        members.setdefault(mark.tobytes(), []).append(row)

    def place(group: list[int]) -> tuple[int, bytes]:
        least = min(hashes[row].tobytes() for row in group)
        return len(group), hashlib.blake2b(least, digest_size=16, person=b"held-out").digest()

    rows: list[int] = []
    groups: list[int] = []
    for number, group in enumerate(sorted(members.values(), key=place)):
        rows += sorted(group, key=lambda row: (hashes[row].tobytes(), row))
        groups += [number] * len(group)
    return rows, groups


contents = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(contents)
def test_the_order_is_the_definition(pairs: list[tuple[int, int]]) -> None:
    pixels = {content: look for content, look in pairs}  # equal contents have equal pixels
    hashes = rows_of([content for content, _ in pairs])
    together = rows_of([100 + pixels[content] for content, _ in pairs])
    rows, groups = split_order(hashes, together)
    assert (rows.tolist(), groups.tolist()) == plainly(hashes, together)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_matching_pairs_equal_contents_once_each(found: list[int], wanted: list[int]) -> None:
    rows, spare = matched(rows_of(found), rows_of(wanted))
    for row, content in zip(rows.tolist(), wanted, strict=True):
        assert row == -1 or found[row] == content
    paired = rows[rows >= 0].tolist()
    assert len(set(paired)) == len(paired) and sorted([*paired, *spare.tolist()]) == list(range(len(found)))
    for content in range(10):  # as many pairs as both sides allow
        pairs = sum(found[row] == content for row in paired)
        assert pairs == min(found.count(content), wanted.count(content))


def test_numbers_are_equal_exactly_where_hashes_are() -> None:
    numbers = numbered(rows_of([3, 1, 3, 2, 1]))
    assert numbers[0] == numbers[2] and numbers[1] == numbers[4] and len(set(numbers.tolist())) == 3


def test_the_boundary_divides_no_group() -> None:
    groups = np.array([0, 1, 2, 2, 2, 3, 4, 4])
    assert [boundary(groups, k) for k in range(5)] == [0, 1, 2, 2, 2]  # onwards would take more than half
    assert boundary(np.array([0, 0, 1, 2, 3, 4]), 1) == 2
