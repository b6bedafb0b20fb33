"""The runs that a page can do something with, by id."""

from __future__ import annotations

from typing import Any

from sparring.app.desk import Desk
from sparring.app.worker import Worker


async def able(desk: Desk, worker: Worker, use: str) -> list[dict[str, Any]]:
    """The runs of a desk with a checkpoint that can be used so ("samples", "translates"), with id and name, by name.

    worker: its module has `uses` of `sparring.app.jobs.opened`.
    """
    found = desk.runs()
    said = await worker.call("uses", paths=[str(path) for path in found.values()])
    runs = [
        {"id": id, "name": desk.called(path), **uses}
        for (id, path), uses in zip(found.items(), said, strict=True)
        if uses is not None and uses["ready"] and uses[use]
    ]
    return sorted(runs, key=lambda run: str(run["name"]))
