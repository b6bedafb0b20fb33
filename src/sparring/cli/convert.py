"""``sparring convert``: a run made of a model that another program trained."""

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
    """Make a run of a model that StyleGAN2, R3GAN, or the classic pix2pix and CycleGAN trained; its file is data."""

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """network-snapshot-….pkl, latest_net_G.pth, or of a cyclegan latest_net_G_A.pth; nothing in it is executed"""
    method: Annotated[Literal["auto", "stylegan2", "r3gan", "pix2pix", "cyclegan"], tyro.conf.arg(name="as")] = "auto"
    """what it was trained as; auto: what the file says"""
    back: Annotated[Path | None, tyro.conf.arg(metavar="FILE.pth", help_behavior_hint="(default: one way only)")] = None
    """of a cyclegan the generator of the way back, latest_net_G_B.pth"""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: 256)")] = None
    """pix2pix, cyclegan: side of the images that it was trained on"""
    dropout: Literal["auto", "on", "off"] = "auto"
    """trained with dropout or without; auto: if its layers do not say, on for pix2pix, off for cyclegan"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/<name>)")] = None
    """the run's directory, new"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        method = None if self.method == "auto" else self.method
        made = api.convert(self.checkpoint, method, back=self.back, out=self.out, size=self.size, dropout=self.dropout)
        for line in made.lines:
            talk.say(line)
        path = shlex.quote(str(made.path))
        translates = made.recipe in ("pix2pix", "cyclegan")
        verb, what = ("translate", f"translate {path} photo.jpg") if translates else ("sample", f"sample {path}")
        talk.say(f"\n{verb} with it:\n  sparring {what}")
        talk.data(str(made.path))
        return 0
