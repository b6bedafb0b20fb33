"""A process that plays one cell: ``python -m sparring.runs.compare.worker CELL``.

It says how far it is as JSON lines on stdout. It stops politely (saving) when its stdin is closed: so it ends with the
process that started it, however that one ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import torch

from sparring.data import Dataset, Options, open_data
from sparring.errors import CheckpointError, DataError, SparringError
from sparring.runs import plan as plans
from sparring.runs.compare import entrant
from sparring.runs.compare.cell import STOPPED, Task, groups_of, play
from sparring.runs.compare.measures import judge_of
from sparring.runs.document import read
from sparring.runs.lock import RunLock
from sparring.runs.recipe import Recipe, of_document

PATIENCE = 60.0
"""Seconds to wait for the process of an earlier call, which was left alone and is about to save and end."""


class Stops(Protocol):
    """What can be asked to save and end: a loop, a session."""

    def stop(self) -> None: ...


class Brake:
    """Stops whatever loop is under way, and every later one."""

    def __init__(self) -> None:
        self.pulled = False
        self._loop: Stops | None = None

    def take(self, loop: Stops) -> None:
        self._loop = loop
        if self.pulled:
            loop.stop()

    def pull(self) -> None:
        self.pulled = True
        if self._loop is not None:
            self._loop.stop()


def data_of(spec: dict[str, Any]) -> Dataset:
    """The data of the comparison, if they are what they were."""
    dataset = open_data(spec["data"]["source"], Options.of(spec["data"]))
    if dataset.fingerprint != spec["data"]["fingerprint"]:
        raise DataError("DATA-CHANGED", "the data has changed since the comparison began", where=dataset.name)
    return dataset


def tasks(folder: Path, spec: dict[str, Any]) -> list[Task]:
    """The groups of seeds of a cell. spec: what the director wrote into cell.json."""
    name, config = of_document(read(folder / "recipe.yaml"))
    dataset = data_of(spec)
    return [
        Task(
            folder, Recipe(name, config), dataset, group, torch.device(spec["device"]),
            images=spec["images"], seconds=spec["seconds"] if spec["together"] else spec["seconds_each"],
        )
        for group in groups_of(spec["seeds"], spec["together"])
    ]  # fmt: skip


def lock(folder: Path) -> RunLock:
    """The cell for this process alone."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return RunLock(folder)
        except CheckpointError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def run(folder: Path, brake: Brake, say: Any) -> bool:
    """Play the cell in `folder`; False if it was stopped."""
    spec = json.loads((folder / "cell.json").read_text("utf-8"))
    plans.set_threads(spec["threads"])
    if spec.get("runs"):
        return entrant.play(
            folder, spec, data_of(spec), brake, lambda n, of: say({"done": n / max(1, of), "images": n, "total": of})
        )
    every = tasks(folder, spec)
    judge = judge_of(every[0].dataset, spec["device"])
    for number, task in enumerate(every):

        def far(images: int, total: int, number: int = number) -> None:
            say({"done": (number + images / max(1, total)) / len(every), "images": images, "total": total})

        if brake.pulled or not play(task, judge, say=far, begun=brake.take):
            return False
    return True


def main(folder: Path) -> int:
    brake = Brake()
    channel = sys.stdin.buffer

    def wait() -> None:
        channel.read()
        brake.pull()

    threading.Thread(target=wait, daemon=True).start()

    def say(values: dict[str, Any]) -> None:
        try:
            print(json.dumps(values), flush=True)
        except OSError:
            brake.pull()

    try:
        with lock(folder):
            return 0 if run(folder, brake, say) else STOPPED
    except SparringError as error:
        say({"error": {"code": error.code, "what": error.what, "why": error.why, "text": str(error)}})
        return error.exit_code


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for stdin may hold its buffer
