"""``sparring interpolate``: a walk through the latent space of a trained run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command
from sparring.cli.follow import unread, write_page
from sparring.cli.talk import Talk


@dataclass
class Interpolate(Command):
    """Make a moving picture: a smooth, endless walk through what a run has learned."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats; an exported folder; or a model of the hub, hf:owner/name"""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 60
    """pictures in the walk, 20 a second"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """other seeds give other walks"""
    label: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: all classes)")] = None
    """only of this class, by its name or number; a walk never changes its class"""
    text: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: captions in turn)")] = None
    """what all of it shall show, for example "a red apple", of a run that was trained on captions"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: RUN/walk.gif)")] = None
    """a .gif, or all colours in a .webp or .png; outside of RUN no file is ever overwritten"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        run = api.load(self.directory, which=self.which, lopped=True, progress=talk.progress)
        talk.remark(run.remarks)
        out = self.out if self.out is not None else run.home / "walk.gif"
        path = api.save_walk(run, out, frames=self.frames, seed=self.seed, label=self.label, text=self.text)
        talk.remark(unread(run.game, self.text))
        talk.data(str(path))
        if self.out is None and (self.directory / "recipe.yaml").is_file():
            write_page(self.directory, talk)  # which shows the walk from now on
        return 0
