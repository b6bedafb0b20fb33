"""Real, small data that ships with the package, each with its licence beside it."""

from __future__ import annotations

from sparring.data.sources import ArraySource

IMAGES: tuple[str, ...] = ()


def source(name: str) -> ArraySource:
    raise ValueError(name)
