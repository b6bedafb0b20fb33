"""The runs that a page can do something with, by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparring.app.desk import Desk
from sparring.app.worker import Worker


class Listing:
    """The runs of a desk by what they are good for."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def able(self, worker: Worker, use: str) -> list[dict[str, Any]]:
        """The runs with a checkpoint that can be used so ("samples", "translates"), with id and name, by name."""
        found = self.desk.runs()
        said = await worker.call("uses", paths=[str(path) for path in found.values()])
        runs = [
            {"id": id, "name": self._name(path), **uses}
            for (id, path), uses in zip(found.items(), said, strict=True)
            if uses is not None and uses["ready"] and uses[use]
        ]
        return sorted(runs, key=lambda run: str(run["name"]))

    def _name(self, path: Path) -> str:
        """Where a run is below its root."""
        for root in self.desk.roots:
            home = root.resolve()
            if path != home and path.is_relative_to(home):
                return path.relative_to(home).as_posix()
        return path.name
