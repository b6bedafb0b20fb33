"""``sparring export``: a trained run as a folder that works without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk


@dataclass
class Export(Command):
    """Write a trained run as a folder that works without it: weights, settings, a model card."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats; or an exported folder, or hf:owner/name"""
    to: Annotated[str, tyro.conf.arg(metavar="FORM,…")] = "safetensors"
    """safetensors (what sparring opens), onnx (what other programs open), hub (ready to be published), or several"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: RUN/export)")] = None
    """a new or empty folder; only RUN/export is ever replaced"""
    license: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: not said)")] = None
    """of the model, for its card, as the hub names it: apache-2.0, mit, cc-by-sa-4.0, …"""
    show_inputs: Flag = False
    """in the picture of a model that translates, show the held-out pictures that were translated: it publishes them"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        run = api.load(self.directory, which=self.which, progress=talk.progress)
        talk.remark(run.remarks)
        made = api.export(
            run, self.to, out=self.out, license=self.license or "", show_inputs=self.show_inputs, progress=talk.progress
        )
        talk.remark(made.remarks)
        for one in made.onnx:
            talk.say(one.line())
        talk.data("\n".join(str(path) for path in made.files))
        return 0
