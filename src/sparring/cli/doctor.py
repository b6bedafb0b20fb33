"""``sparring doctor``: what is the matter with a run, in plain words, with evidence and what to try."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk

if TYPE_CHECKING:
    from sparring.runs.doctor import Diagnosis

_WIDTH = 100
_GLUE = "\0"
_NOTHING = "nothing to complain of in what was measured"
_LITTLE = "nothing wrong in its log, which says little: losses and gradients alone do not show what samples are like"
_LEVELS = {"note": "note", "warn": "warning", "hard": "serious"}


@dataclass
class Doctor(Command):
    """Say what is the matter with a run: finished, running or killed. Nothing of it is changed."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats"""
    which: str = "last"
    """the checkpoint that is looked at: last, best, or the number of images it has seen"""
    no_look: Flag = False
    """judge by the log alone: at once, without opening data or checkpoints"""
    json: Flag = False
    """everything as one JSON object on stdout"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        found = api.doctor(self.directory, look=not self.no_look, which=self.which, progress=talk.progress)
        if self.json:
            talk.record(found.record())
        else:
            talk.data("\n".join(lines(found)))
        return 0


def lines(found: Diagnosis) -> list[str]:
    """What is the matter, for people."""
    said = [f"{found.run}: {found.about}", found.state, ""]
    for verdict in found.verdicts:
        since = f", since {verdict.unit} {verdict.since:,}" if verdict.since else ""
        how = f" ({_LEVELS[verdict.level]}, {verdict.sure}{since})" if verdict.level != "fine" else ""
        said.append(f"{verdict.code}  {verdict.title}{how}")
        said += _paragraph("seen", f"{verdict.seen}.") + (_paragraph("means", verdict.means) if verdict.means else [])
        said += [*(_paragraph("try", verdict.advice) if verdict.advice else []), ""]
    if not found.verdicts:
        said += [_NOTHING if found.signals else _LITTLE if found.images else "nothing is known of it yet", ""]
    if found.table:
        said += _table(found)
    said += _paragraph("when to stop", found.stop, 14) + _paragraph("checkpoint", found.checkpoint, 14)
    for k, line in enumerate(found.story):
        said += _paragraph("on the way" if k == 0 else "", line, 14)
    if found.settings:
        said += _paragraph("settings", f"are given to a new run: {found.settings}", 14)
    for line in found.troubles:
        said += _paragraph("!", line, 14)
    return said


def _table(found: Diagnosis) -> list[str]:
    """The signals now beside what is healthy."""
    rows = [(f"signals {found.looked}", "now", "healthy"), *found.table]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [*(f"{what:<{widths[0]}}  {now:<{widths[1]}}  {fine}".rstrip() for what, now, fine in rows), ""]


def _paragraph(name: str, text: str, width: int = 8) -> list[str]:
    """A paragraph with its name beside it. Commands are not parted, so that they can be copied."""
    whole = re.sub("`[^`]*`| %|± ", lambda part: part[0].replace(" ", _GLUE), text)
    parted = textwrap.wrap(
        whole, _WIDTH, initial_indent=f"{name:<{width}}" if width > 8 else f"  {name:<{width - 2}}",
        subsequent_indent=" " * width, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(_GLUE, " ") for line in parted]
