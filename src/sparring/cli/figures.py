"""``sparring figures``: the figures of the founding notes, drawn by the code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk


@dataclass
class Figures(Command):
    """Draw the theory: cross entropy, costs, divergences, collapse, equilibrium; each curve by the library itself."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs/figures")
    """where the pictures and index.html go; files of the same names are replaced"""
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …", help_behavior_hint="(default: all)")] = ()
    """only these figures"""
    list: Flag = False
    """say which figures there are, and draw nothing"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        if self.list:
            talk.data("\n".join(f"{name:<18}{title}" for name, title in api.figure_names().items()))
            return 0
        paths = api.figures(self.out, only=self.only, progress=talk.progress)
        talk.data("\n".join(map(str, paths)))
        return 0
