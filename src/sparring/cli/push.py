"""``sparring push``: a trained run as a model on the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk


@dataclass
class Push(Command):
    """Publish a trained run, or an exported folder, as a model on the Hugging Face hub."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats; or an exported folder, which is sent as it is"""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OWNER/NAME")]
    """what it is called on the hub; the repository is made if there is none"""
    private: Flag = False
    """only you see it"""
    revision: Annotated[str | None, tyro.conf.arg(metavar="BRANCH", help_behavior_hint="(default: main)")] = None
    """the branch, made if there is none"""
    license: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: not said)")] = None
    """of the model, for its card, as the hub names it: apache-2.0, mit, cc-by-sa-4.0, …"""
    show_inputs: Flag = False
    """in the picture of a model that translates, show the held-out pictures that were translated: it publishes them"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        run = api.load(self.directory, which=self.which)
        talk.remark(run.remarks)
        sent = api.push(
            run, self.name, private=self.private, revision=self.revision or "", license=self.license or "",
            show_inputs=self.show_inputs, progress=talk.progress,
        )  # fmt: skip
        talk.remark(sent.remarks)
        talk.say(f"published: {sent.url}")
        talk.data(sent.address)
        return 0
