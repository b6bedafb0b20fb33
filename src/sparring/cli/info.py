"""``sparring info``: what a run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk


@dataclass
class Info(Command):
    """Tell what a run was trained on, how far it is, and whether its checkpoints are sound."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        for name, value in api.load(self.directory, device="cpu").info().items():
            if isinstance(value, dict):
                value = ", ".join(f"{key} {number:,}" for key, number in value.items())
            talk.data(f"{name:<14}{value}")
        return 0
