"""``sparring train``: from data to a run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sparring.budget import check_begins, check_seed, parse_budget, parse_change
from sparring.cli.command import Command, Flag
from sparring.cli.data_flags import DataFlags
from sparring.cli.follow import STOPPED, follow
from sparring.cli.launch import launch, launched
from sparring.cli.talk import Talk


@dataclass
class Train(Command):
    """Train a generator on images (a folder, a zip, idx files), or on built-in data."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """a folder or zip of images, shards, an idx file, hf:owner/name; or emoji, fashion, ring, grid, swissroll, …"""
    into: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[INTO]", help_behavior_hint="(default: none)")
    ] = None
    """image to image: a second folder, of what is to be made of the images in the first one"""
    recipe: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "auto"
    """how to train: a name from `sparring recipes`, a recipe.yaml, or auto (by data, machine and budget)"""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="RUN", help_behavior_hint="(default: runs/<name of the data>)")
    ] = None
    """directory of the run, which must not exist yet"""
    budget: Annotated[str | None, tyro.conf.arg(metavar="TIME|IMAGES", help_behavior_hint="(default: 20m)")] = None
    """how long: 90s, 20m, 2h or 12000, 500k, 2M images"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """of everything random"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """cpu, cuda, cuda:1, mps, or auto"""
    processes: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes on this machine that share every batch; on several machines use torchrun (docs/start.md)"""
    set: Annotated[list[str], tyro.conf.arg(metavar="KEY=VALUE"), tyro.conf.UseAppendAction] = field(
        default_factory=list
    )
    """change a setting of the recipe; `sparring recipes NAME` lists them"""
    begin: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN", help_behavior_hint="(default: none)")] = (
        None
    )
    """begin with the networks of this run: its recipe and size too, unless others are asked for"""
    freeze_d: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: none)")] = None
    """with --from: this many of D's lowest layers never move (FreezeD); for very few images"""
    rescue: Literal["on", "off"] = "on"
    """on: when numbers run away or the run collapses, go back to the last healthy checkpoint; off: only say so"""
    stop: Literal["budget", "auto"] = "budget"
    """auto: end as soon as no more progress is to be expected; budget: only say so"""
    log: Annotated[str | None, tyro.conf.arg(metavar="NAME,NAME", help_behavior_hint="(default: none)")] = None
    """also tell: tensorboard (RUN/tensorboard), wandb, or both with a comma"""
    dry_run: Flag = False
    """show the plan and stop"""
    json: Flag = False
    """events as JSON lines on stdout"""
    prepared: Annotated[DataFlags, tyro.conf.arg(name="data"), tyro.conf.OmitArgPrefixes] = field(
        default_factory=DataFlags
    )

    def run(self, talk: Talk) -> int:
        settings = self.settings()
        if self.processes != 1 and not launched():
            return self._launch()
        from sparring import api

        try:
            plan = api.plan(self.data, progress=talk.progress, **settings)
        except KeyboardInterrupt:
            talk.say(f"\nstopped before training began; nothing was made. Go on with:\n  {shlex.join(self.words())}")
            return STOPPED
        talk.say("\n".join(plan.lines()))
        if self.json:
            talk.record({"event": "plan", "out": plan.out, "images": plan.total, "rate": plan.rate, **plan.document()})
        if self.dry_run:
            return 0
        return follow(api.start(plan), talk, as_json=self.json)

    def settings(self) -> dict[str, Any]:
        """The flags as arguments of `sparring.train`; a form that is wrong is found before anything is loaded."""
        budget = parse_budget(self.budget) if self.budget is not None else None
        check_begins(budget)
        check_seed(self.seed)
        for change in self.set:
            parse_change(change)
        return {
            "recipe": self.recipe,
            "out": self.out,
            "budget": budget,
            "seed": self.seed,
            "device": self.device,
            "set": self.set,
            "begin": self.begin,
            "freeze_d": self.freeze_d,
            "rescue": self.rescue == "on",
            "stop": self.stop,
            "log": self.log or (),
            "into": self.into,
            **self.prepared.settings(),
        }

    def words(self) -> list[str]:
        """This command as it is typed, with `out` as it stands."""
        values = {
            "--recipe": self.recipe,
            "--out": self.out,
            "--budget": self.budget,
            "--seed": self.seed,
            "--device": self.device,
            "--from": self.begin,
            "--freeze-d": self.freeze_d,
            "--rescue": self.rescue,
            "--stop": self.stop,
            "--log": self.log,
        }
        flags = [str(word) for name, value in values.items() if value is not None for word in (name, value)]
        flags += [word for change in self.set for word in ("--set", change)]
        flags += self.prepared.words()
        flags += ["--processes", str(self.processes)] * (self.processes != 1 and not launched())
        data = [self.data] if self.into is None else [self.data, self.into]
        return ["sparring", "train", *data, *flags, *["--dry-run"] * self.dry_run, *["--json"] * self.json]

    def _launch(self) -> int:
        """Again in several processes, which must agree on the directory before one of them makes it."""
        from sparring import api

        agreed = replace(self, out=self.out if self.out is not None else api.free_directory(self.data), processes=1)
        return launch(self.processes, agreed.words()[1:])
