"""``sparring sample``: new samples of a trained run."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.follow import unread
from sparring.cli.talk import Talk


@dataclass
class Sample(Command):
    """Make new samples with a trained run."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/cats; an exported folder; or a model of the hub, hf:owner/name"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N")] = 64
    """how many"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """other seeds give other samples; the same seed always gives the same ones"""
    truncation: Annotated[float, tyro.conf.arg(metavar="X")] = 1.0
    """below 1: safer, less varied samples; 1 is what was learned"""
    label: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: all classes)")] = None
    """only of this class, by its name or number; `sparring info RUN` lists the classes"""
    text: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: captions in turn)")] = None
    """what they shall show, for example "a red apple", of a run that was trained on captions"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: RUN/generated)")] = None
    """where to put them; outside of RUN no file is ever overwritten"""
    grid: Flag = False
    """one picture with all of them, grid.png, instead of a file for each"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        run = api.load(self.directory, which=self.which, lopped=True, progress=talk.progress)
        talk.remark(run.remarks)
        out = self.out if self.out is not None else run.home / "generated"
        if self.out is None and self.label is not None:
            name = run.classes[run.class_of(self.label)]  # by its name, however it was asked for
            out /= _folder(name)  # each class in a folder of its own
        if self.out is None and self.text is not None:
            out /= _folder(" ".join(self.text.split()))
        paths = api.save_samples(
            run, out, n=self.n, seed=self.seed, truncation=self.truncation, grid=self.grid, label=self.label,
            text=self.text,
        )  # fmt: skip
        talk.remark(unread(run.game, self.text))
        if run.texts and self.text is None and self.grid:
            talk.say(f"row by row: {', '.join(run.texts[:8])}")
        talk.data("\n".join(str(path) for path in paths))
        return 0


def _folder(name: str) -> str:
    """What a folder of samples is called: another one for each name, also where a path cannot say all of it.

    >>> _folder("a red apple"), _folder("a/red apple")
    ('a_red_apple', 'a_red_apple-c8f497')
    """
    said = re.sub(r"[^\w-]+", "_", name)[:60]
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:6]
    return said if said == name.replace(" ", "_") else f"{said}-{mark}"
