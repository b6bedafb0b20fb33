"""Pictures of trained runs, in a process that keeps the last few of them open."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.api import Run

KEPT = 3
"""Runs that stay open; of more, the one that was not asked for the longest is closed."""

_open: OrderedDict[str, Run] = OrderedDict()


def uses(paths: list[str]) -> list[dict[str, Any] | None]:
    """What each run is good for, as `api.uses`; None where that cannot be told."""
    return [_uses(path) for path in paths]


def opened(path: str) -> dict[str, Any]:
    """Open a run anew, with its best checkpoint of now, make its first sample, and say what it can do."""
    from sparring import api

    _open.pop(path, None)
    run = _run(path)
    able = api.powers(run)
    api.sample_sheet(run, 1)  # the first one takes longer: memory is found, kernels are chosen
    return able | {"remarks": run.remarks}


def samples(path: str, **asked: Any) -> bytes:
    """As `api.sample_sheet`."""
    from sparring import api

    return api.sample_sheet(_run(path), **asked)


def picture(path: str, **asked: Any) -> bytes:
    """As `api.spot_picture`."""
    from sparring import api

    return api.spot_picture(_run(path), **asked)


def film(path: str, **asked: Any) -> bytes:
    """As `api.spot_film`."""
    from sparring import api

    return api.spot_film(_run(path), **asked)


def _run(path: str) -> Run:
    from sparring import api

    if path not in _open:
        _open[path] = api.load(path, lopped=True)
        while len(_open) > KEPT:
            _open.popitem(last=False)
    _open.move_to_end(path)
    return _open[path]


def _uses(path: str) -> dict[str, Any] | None:
    from sparring import api
    from sparring.errors import SparringError

    try:
        return api.uses(path)
    except (SparringError, OSError, KeyError, TypeError, ValueError, AttributeError):  # a folder may hold anything
        return None
