"""Runs in a worker: what each is good for, and the few that stay open."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.api import Run


class Opened:
    """Runs that stay open, by their paths: at most `most`; of more, the one that was not asked for the longest is
    closed."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: OrderedDict[str, Run] = OrderedDict()

    def run(self, path: str) -> Run:
        """A run, opened with its best checkpoint if it is not open."""
        from sparring import api

        if path not in self.kept:
            self.kept[path] = api.load(path, lopped=True)
            while len(self.kept) > self.most:
                self.kept.popitem(last=False)
        self.kept.move_to_end(path)
        return self.kept[path]

    def anew(self, path: str) -> Run:
        """The same with its best checkpoint of now."""
        self.kept.pop(path, None)
        return self.run(path)


def uses(paths: list[str]) -> list[dict[str, Any] | None]:
    """What each run is good for, as `api.uses`; None where that cannot be told."""
    return [_uses(path) for path in paths]


def _uses(path: str) -> dict[str, Any] | None:
    from sparring import api
    from sparring.errors import SparringError

    try:
        return api.uses(path)
    except (SparringError, OSError, KeyError, TypeError, ValueError, AttributeError):  # a folder may hold anything
        return None
