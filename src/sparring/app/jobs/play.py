"""Pictures of trained runs, in a process that keeps the last few of them open."""

from __future__ import annotations

from typing import Any

from sparring.app.jobs.opened import Opened
from sparring.app.jobs.opened import uses as uses

_open = Opened(3)


def opened(path: str) -> dict[str, Any]:
    """Open a run anew, with its best checkpoint of now, make its first sample, and say what it can do."""
    from sparring import api

    run = _open.anew(path)
    able = api.powers(run)
    api.sample_sheet(run, 1)  # the first one takes longer: memory is found, kernels are chosen
    return able | {"remarks": run.remarks}


def samples(path: str, **asked: Any) -> bytes:
    """As `api.sample_sheet`."""
    from sparring import api

    return api.sample_sheet(_open.run(path), **asked)


def picture(path: str, **asked: Any) -> bytes:
    """As `api.spot_picture`."""
    from sparring import api

    return api.spot_picture(_open.run(path), **asked)


def film(path: str, **asked: Any) -> bytes:
    """As `api.spot_film`."""
    from sparring import api

    return api.spot_film(_open.run(path), **asked)
