"""Pictures turned into others by trained runs, in a process that keeps the last few of them open."""

from __future__ import annotations

from typing import Any

from sparring.app.jobs.opened import Opened
from sparring.app.jobs.opened import uses as uses

_open = Opened(2)


def opened(path: str) -> dict[str, Any]:
    """Open a run anew, with its best checkpoint of now, and say what it turns into what (`api.translates`)."""
    from sparring import api

    run = _open.anew(path)
    return api.translates(run) | {"remarks": run.remarks}


def translated(path: str, picture: bytes, **how: Any) -> bytes:
    """As `api.translated`."""
    from sparring import api

    return api.translated(_open.run(path), picture, **how)[0]


def example(path: str, number: int) -> bytes:
    """As `api.given_example`."""
    from sparring import api

    return api.given_example(path, number)
