"""``sparring recipes``: what can be trained, and every setting of it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Annotated

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk


@dataclass
class Recipes(Command):
    """List the recipes, or every setting of one."""

    name: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[NAME]", help_behavior_hint="")] = None
    """a recipe or a preset"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        if self.name is None:
            names = api.recipes()
            width = max(map(len, names)) + 2
            talk.data("\n".join(f"{name:<{width}}{text}" for name, text in names.items()))
            talk.say("\n`sparring recipes NAME` lists its settings; change one with --set key=value")
            return 0
        for name, value, text in api.settings(self.name):
            talk.data(f"{name} = {value}")
            talk.data("\n".join(f"    {line}" for line in textwrap.wrap(text, 100)))
        return 0
