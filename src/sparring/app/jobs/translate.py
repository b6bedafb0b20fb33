"""Pictures turned into others by trained runs, in a process that keeps the last few of them open."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from sparring.app.jobs.play import uses as uses

if TYPE_CHECKING:
    from sparring.api import Run

KEPT = 2
"""Runs that stay open."""

_open: OrderedDict[str, Run] = OrderedDict()


def opened(path: str) -> dict[str, Any]:
    """Open a run anew, with its best checkpoint of now, and say what it turns into what (`api.translates`)."""
    from sparring import api

    _open.pop(path, None)
    run = _run(path)
    return api.translates(run) | {"remarks": run.remarks}


def translated(path: str, picture: bytes, **how: Any) -> bytes:
    """As `api.translated`."""
    from sparring import api

    return api.translated(_run(path), picture, **how)[0]


def example(path: str, number: int) -> bytes:
    """As `api.given_example`."""
    from sparring import api

    return api.given_example(path, number)


def _run(path: str) -> Run:
    from sparring import api

    if path not in _open:
        _open[path] = api.load(path, lopped=True)
        while len(_open) > KEPT:
            _open.popitem(last=False)
    _open.move_to_end(path)
    return _open[path]
