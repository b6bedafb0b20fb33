"""``sparring app``: a page that shows runs while they train, and lets one play with what they learned."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk


@dataclass
class App(Command):
    """Open a local web page: runs while they train, latent spaces to walk, a sketch pad, a playground, a study."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUNS_DIR")] = Path("runs")
    """the folder in which runs are looked for, and in which new ones are made"""
    data: Annotated[list[Path], tyro.conf.arg(metavar="DIR"), tyro.conf.UseAppendAction] = field(default_factory=list)
    """a folder whose data sets may be trained on from the page; may be said again. Built-in data always may"""
    port: int = 8123
    """where the page is; the next free one if it is taken, any free one with 0"""
    host: str = "127.0.0.1"
    """the address to listen on; another one than this machine's own needs --password"""
    password: str = ""
    """what people from elsewhere are asked for; better in SPARRING_PASSWORD, which no list of processes shows"""
    name: Annotated[list[str], tyro.conf.arg(metavar="HOST"), tyro.conf.UseAppendAction] = field(default_factory=list)
    """a further name under which this machine is reached with --host, such as lab.example.org; may be said again"""
    no_browser: Flag = False
    """print the address and open nothing"""

    def run(self, talk: Talk) -> int:
        from sparring.app import launch

        return launch.app(
            talk.data, talk.say, roots=(self.directory,), data_roots=self.data, host=self.host, port=self.port,
            password=self.password or os.environ.get("SPARRING_PASSWORD") or None, names=self.name,
            browser=not self.no_browser,
        )  # fmt: skip
