"""``sparring convert``: a run made of a generator that another program trained."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk


@dataclass
class Convert(Command):
    """Make a run of a generator that the classic pytorch-CycleGAN-and-pix2pix trained."""

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.pth")]
    """latest_net_G.pth of a pix2pix, latest_net_G_A.pth of a cyclegan; its network is found by its shapes"""
    method: Annotated[Literal["pix2pix", "cyclegan"], tyro.conf.arg(name="as")]
    """what it was trained as"""
    back: Annotated[Path | None, tyro.conf.arg(metavar="FILE.pth", help_behavior_hint="(default: one way only)")] = None
    """of a cyclegan the generator of the way back, latest_net_G_B.pth"""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: 256)")] = None
    """side of the images that it was trained on"""
    dropout: Literal["auto", "on", "off"] = "auto"
    """whether it was trained with dropout; auto: if its layers do not say, on for pix2pix, off for cyclegan"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/<name>)")] = None
    """the run's directory, new"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        made = api.convert(
            self.checkpoint, self.method, back=self.back, out=self.out, size=self.size, dropout=self.dropout
        )
        for line in made.lines:
            talk.say(line)
        path = shlex.quote(str(made.path))
        talk.say(f"\ntranslate with it:\n  sparring translate {path} photo.jpg")
        talk.data(str(made.path))
        return 0
