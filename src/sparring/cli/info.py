"""``sparring info``: what a run is."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk
from sparring.errors import CheckpointError, SparringError


@dataclass
class Info(Command):
    """Tell what a run was trained on, how far it is, and whether its checkpoints are sound."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats; an exported folder; or a model of the hub, hf:owner/name"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        try:
            run = api.load(self.directory, which=self.which, device="cpu", progress=talk.progress)
        except CheckpointError:
            with contextlib.suppress(SparringError):
                self._show(api.info(self.directory), talk)  # what it was is known, whatever became of its checkpoints
            raise
        self._show(run.info(), talk)
        return 0

    def _show(self, facts: dict[str, Any], talk: Talk) -> None:
        for name, value in facts.items():
            if isinstance(value, dict):
                value = ", ".join(f"{key} {number:,}" for key, number in value.items())
            if name == "classes":
                value = f"{len(value)}: {', '.join(value)}"
            if name == "checkpoints":
                value = ", ".join(f"{images:,}" for images in value)
            if name == "remarks":
                talk.remark(value)
            else:
                talk.data(f"{name:<14}{value}")
