"""Studies: made of runs, in a process of its own, since that takes a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def create(runs: list[str], names: list[str], home: str, **asked: Any) -> str:
    """Make a study of runs in a new folder of `home`; its directory. asked: as of `api.new_study`.

    names: what the models are called.
    """
    from sparring import api

    return str(api.new_study(runs, out=_free(Path(home), names[0]), **asked))


def _free(home: Path, name: str) -> Path:
    """A directory that is not there yet: study-NAME, study-NAME-2, …"""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in name).strip(".-")[:60] or "run"
    number = 1
    while True:
        found = home / (f"study-{plain}" if number == 1 else f"study-{plain}-{number}")
        if not found.exists():
            return found
        number += 1
