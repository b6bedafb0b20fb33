"""Sequences whose elements are made when they are asked for: a million rows cost nothing until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

from sparring.data.sources.items import Item, Items

A = TypeVar("A")


class Lazy(Sequence[A]):
    """n values that are made when they are asked for."""

    def __init__(self, n: int, at: Callable[[int], A]) -> None:
        self._n, self._at = n, at

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, number: int) -> A: ...

    @overload
    def __getitem__(self, number: slice) -> list[A]: ...

    def __getitem__(self, number: int | slice) -> A | list[A]:
        if isinstance(number, slice):
            return [self._at(k) for k in range(*number.indices(self._n))]
        if not -self._n <= number < self._n:
            raise IndexError(number)
        return self._at(int(number) % self._n)


class Rows(Items):
    """The rows of shards as items; neither names nor stamps are kept as objects."""

    def __init__(self, names: Sequence[str], stamp: Callable[[int], str]) -> None:
        self._given, self._stamp = names, stamp

    @property
    def names(self) -> Sequence[str]:
        return self._given

    def __len__(self) -> int:
        return len(self._given)

    def _item(self, number: int) -> Item:
        name = self._given[number]
        return Item(name, self._stamp(number % len(self)))
