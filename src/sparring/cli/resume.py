"""``sparring resume``: go on with a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sparring.budget import parse_budget
from sparring.cli.command import Command, Flag
from sparring.cli.follow import follow
from sparring.cli.launch import launch, launched
from sparring.cli.talk import Talk


@dataclass
class Resume(Command):
    """Go on with a run that was stopped, killed or is to be trained for longer."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats"""
    budget: Annotated[
        str | None, tyro.conf.arg(metavar="+TIME|+IMAGES", help_behavior_hint="(default: as planned)")
    ] = None
    """train for longer: +10m or +100k images more, or a new total in images"""
    processes: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes on this machine that share every batch"""
    rescue: Annotated[
        Literal["on", "off"] | None, tyro.conf.arg(metavar="on|off", help_behavior_hint="(default: as it was)")
    ] = None
    """from now on, as of `sparring train`"""
    stop: Annotated[
        Literal["budget", "auto"] | None,
        tyro.conf.arg(metavar="budget|auto", help_behavior_hint="(default: as it was)"),
    ] = None
    """from now on, as of `sparring train`"""
    log: Annotated[str | None, tyro.conf.arg(metavar="NAME,NAME", help_behavior_hint="(default: as it was)")] = None
    """from now on, as of `sparring train`; none ends it"""
    json: Flag = False
    """events as JSON lines on stdout"""

    def run(self, talk: Talk) -> int:
        budget = parse_budget(self.budget) if self.budget is not None else None
        if self.processes != 1 and not launched():
            flags = {"--budget": self.budget, "--rescue": self.rescue, "--stop": self.stop, "--log": self.log}
            more = [word for name, value in flags.items() if value is not None for word in (name, value)]
            return launch(self.processes, ["resume", os.fspath(self.directory), *more, *["--json"] * self.json])
        from sparring import api

        progress = None if talk.terminal else talk.progress  # a terminal shows the live line of the run instead
        rescue = None if self.rescue is None else self.rescue == "on"
        session = api.resume_steps(
            self.directory, budget=budget, rescue=rescue, stop=self.stop, log=self.log, progress=progress
        )
        return follow(session, talk, as_json=self.json)
