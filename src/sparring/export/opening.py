"""Whatever a person calls a trained model, opened: a run, an exported folder, an address on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparring.export import hub
from sparring.runs.release import Release, is_release, refuse_which
from sparring.runs.run import Run


def open_trained(
    place: str | Path, *, which: str | int = "best", device: str = "auto", lopped: bool = False,
    progress: Callable[..., None] | None = None,
) -> Run:  # fmt: skip
    """The run in a directory, the folder that one was exported to, or what ``hf:owner/name[@revision]`` is now.

    lopped: a run without what samples do not need; a folder holds nothing else.

    Raises `CheckpointError`, and of the hub what `hub.fetch` raises."""
    if hub.is_address(place):
        found = hub.fetch(str(place), progress)
        run = Release(found.folder, device=device, source=found.address, notes=found.remarks)
    elif is_release(place):
        run = Release(place, device=device)
    else:
        return Run(place, which=which, device=device, lopped=lopped)
    refuse_which(which, run)
    return run
