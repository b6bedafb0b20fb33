"""``sparring reconstruct``: pictures encoded and decoded again by a trained run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk

_NAMED = 20  # pictures that were left out, said one by one


@dataclass
class Reconstruct(Command):
    """Encode pictures and decode them again with a run that can (vae, svae): what its code keeps of them."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/digits"""
    images: Annotated[tyro.conf.Positional[list[str]], tyro.conf.arg(metavar="[IMAGES…]", help_behavior_hint="")] = (
        field(default_factory=list)
    )
    """pictures, folders, zips, patterns in quotes, anything that data are read from; none: held-out pictures of RUN"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: RUN/reconstructed)")] = None
    """where to put them, and sheet.png: given | reconstruction; outside of RUN no file is ever overwritten"""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"], metavar="N", help_behavior_hint="(default: all; 64)")] = None
    """only the first N; default: all that are named, 64 held-out pictures where none are"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """of the code that is drawn for each picture; the same picture and seed always give the same"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """auto, cpu, cuda or mps"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        run = api.load(self.directory, which=self.which, device=self.device, progress=talk.progress)
        talk.remark(run.remarks)
        done = api.save_reconstructions(run, self.images, self.out, n=self.n, seed=self.seed, progress=talk.progress)
        talk.clear()
        talk.data("\n".join(str(path) for path in [*done.paths, done.sheet]))
        lines = [f"left out {name}: {why}" for name, why in done.skipped]
        talk.remark(lines[:_NAMED] + [f"and {len(lines) - _NAMED:,} more"] * (len(lines) > _NAMED))
        odd = [f"training and evaluate leave out {name}: {why}" for name, why in done.odd]
        talk.remark(odd[:_NAMED] + [f"and {len(odd) - _NAMED:,} more"] * (len(odd) > _NAMED))
        talk.say(done.line())
        return 3 if done.skipped else 0
