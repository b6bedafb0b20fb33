"""The runs that a page can do something with, by id."""

from __future__ import annotations

from typing import Any

from sparring.app.desk import Desk
from sparring.app.worker import Worker


async def able(desk: Desk, trained: Worker, *wanted: str) -> list[dict[str, Any]]:
    """The runs of a desk with a checkpoint that have one of the uses ("samples", "translates"), with id and name, by
    name.   trained: the worker of `sparring.app.jobs.trained`."""
    found = desk.runs()
    said = await trained.call("uses", paths=[str(path) for path in found.values()])
    runs = [
        {"id": id, "name": desk.called(path), **uses}
        for (id, path), uses in zip(found.items(), said, strict=True)
        if uses is not None and uses["ready"] and any(uses[use] for use in wanted)
    ]
    return sorted(runs, key=lambda run: str(run["name"]))
