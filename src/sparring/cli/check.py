"""``sparring check``: what is in the data, what is wrong with it, how to train on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.data_flags import DataFlags
from sparring.cli.talk import Talk
from sparring.cli.trouble import record
from sparring.errors import DataError, SparringError


@dataclass
class Check(Command):
    """Look at all of the data before training: what is wrong with it, and how to train on it."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """a folder or zip of images, shards, an idx file, hf:owner/name; or emoji, fashion, ring, grid, swissroll, …"""
    into: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[INTO]", help_behavior_hint="(default: none)")
    ] = None
    """image to image: a second folder, of what is to be made of the images in the first one"""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/checks/<name of the data>)")
    ] = None
    """where report.html, report.json and contact.png go; only an earlier check of the same data is replaced"""
    json: Flag = False
    """the report as one JSON document on stdout"""
    prepared: Annotated[DataFlags, tyro.conf.arg(name="data"), tyro.conf.OmitArgPrefixes] = field(
        default_factory=DataFlags
    )

    def run(self, talk: Talk) -> int:
        from sparring import api

        settings = {**self.prepared.settings(), "into": self.into}
        try:
            api.refuse_check(self.data, self.out, self.into)
            checked = api.check(self.data, progress=talk.progress, **settings)
        except SparringError as error:
            if self.json:
                talk.record({"refused": True, "error": record(error)["error"]})
            raise
        if not self.json:
            talk.data("\n".join(checked.lines()))
        page = api.save_check(checked, self.out)
        if self.json:
            talk.record({**checked.record(), "page": page})
        else:
            talk.data(f"\nlook at it: {page}")
        return DataError.exit_code if checked.refused else 0
