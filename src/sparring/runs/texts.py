"""Which captions of its data a run remembers, to be sampled and shown where nobody asks for a text."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.chance import permutation

MOST = 256
"""Captions that are remembered."""


def chosen(captions: Sequence[tuple[str, ...]] | None) -> tuple[str, ...]:
    """At most `MOST` different texts, of images that are spread over all: the same ones for the same data.

    >>> sorted(chosen([("a cat", "a kitten"), (), ("a dog",), ("a  cat",)]))
    ['a cat', 'a dog']
    """
    found: dict[str, None] = {}
    captions = captions or ()
    for row in permutation(0, "texts", 0, len(captions)).tolist():
        if text := " ".join(next(iter(captions[row]), "").split()):
            found[text] = None
        if len(found) == MOST:
            break
    return tuple(found)
