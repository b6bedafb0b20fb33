"""``sparring compare``: objectives, penalties, schedules, or whole recipes against each other, on equal terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from sparring.budget import check_begins, parse_budget, parse_change
from sparring.cli.command import Command, Flag
from sparring.cli.data_flags import DataFlags
from sparring.cli.follow import STOPPED
from sparring.cli.talk import Talk
from sparring.errors import UsageError

BROKEN = 1
"""Exit code where a cell was killed or broke off: the table is there, and is not whole."""


@dataclass
class Compare(Command):
    """Play objectives, penalties, schedules or recipes against each other: same data, same seeds, same budget."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """a folder or zip of images, shards, an idx file, hf:owner/name; or emoji, fashion, ring, grid, swissroll, …"""
    losses: Annotated[str | None, tyro.conf.arg(metavar="A,B+C,…", help_behavior_hint="(default: the famous ones)")] = (
        None
    )
    """objectives, each with what is added: minimax,hinge+sn,wasserstein+gp,relativistic+r1+r2,nonsaturating+pac2; after
    a plus: r1, r2, gp, gp-one-sided, gp-zero, dragan, sn, clip, noise, smooth, pac2 to pac4, lazy, joined"""
    recipes: Annotated[
        str | None, tyro.conf.arg(metavar="A,B,…", help_behavior_hint="(default: gan-points for points, else auto)")
    ] = None
    """names from `sparring recipes`, or recipe.yaml files. On images and without --losses and --schedules they are
    compared as they are, each in a run of its own: vae,r3gan-minutes,pixelcnn"""
    schedules: Annotated[
        str | None, tyro.conf.arg(metavar="A;B;…", help_behavior_hint="(default: the recipe's own)")
    ] = None
    """who moves when, with semicolons between: 'D:1,G:1;D:2,G:1;simultaneous'"""
    seeds: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 3; 1 for recipes as they are)")
    ] = None
    """seeds 0 to N − 1; from 6 on the intervals can decide"""
    budget: Annotated[
        str | None, tyro.conf.arg(metavar="TIME|IMAGES", help_behavior_hint="(default: 1m for points, 10m for images)")
    ] = None
    """how long: a time is for each cell with all its seeds (points), or for each seed of a cell (images); a number of
    images is for each seed"""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/compare-<name of the data>)")
    ] = None
    """directory of the comparison; what is finished there is not played again"""
    jobs: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: as many as cores for points, else 1)")
    ] = None
    """cells that are played at a time"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """cpu, cuda, cuda:1, mps, or auto"""
    set: Annotated[list[str], tyro.conf.arg(metavar="KEY=VALUE"), tyro.conf.UseAppendAction] = field(
        default_factory=list
    )
    """change a setting of all cells; `sparring recipes NAME` lists them"""
    dry_run: Flag = False
    """show the cells and stop"""
    json: Flag = False
    """the result as one JSON document on stdout"""
    prepared: Annotated[DataFlags, tyro.conf.arg(name="data"), tyro.conf.OmitArgPrefixes] = field(
        default_factory=DataFlags
    )

    def run(self, talk: Talk) -> int:
        settings = self.settings()
        from sparring import api

        asked = api.comparison(self.data, progress=talk.progress, **settings)
        talk.say("\n".join(asked.lines()))
        if self.dry_run:
            if self.json:
                talk.record({**asked.question(), "cells": [cell.record() for cell in asked.cells]})
            return 0
        api.refuse_comparison(asked)
        playing = api.play(asked)
        try:
            with api.polite(playing.stop):
                self._watch(playing, asked, talk)
        finally:
            playing.close()
        talk.progress("measuring fresh data, and writing the page", 0, 1)
        made, page = api.save_comparison(asked)
        if self.json:
            talk.record({**made, "page": str(page)})
        else:
            talk.data("\n".join(api.comparison_lines(made)))
            talk.data(f"\nlook at it: {page}")
        if playing.stopped:
            talk.say("stopped; what is finished is kept. Go on with the same command:\n  " + made["command"])
            return STOPPED
        return BROKEN if any(cell["state"] in ("failed", "killed") for cell in made["cells"]) else 0

    def _watch(self, playing: Any, asked: Any, talk: Talk) -> None:
        """Say how far each cell is."""
        shares = {cell.key: 0.0 for cell in asked.playable}
        for step in playing:
            label = step.cell.label(asked.cells)
            if step.state == "playing":
                shares[step.cell.key] = step.share
                if talk.terminal:
                    talk.progress("playing, percent of each cell", round(100 * sum(shares.values())), 100 * len(shares))
                continue
            shares[step.cell.key] = max(shares[step.cell.key], step.share)
            said = f": {step.said}" if step.said else ""
            talk.say(f"{step.state:<8} {label}{said}")

    def settings(self) -> dict[str, Any]:
        """The flags as arguments of `sparring.compare`; a form that is wrong is found before anything is loaded."""
        budget = parse_budget(self.budget) if self.budget is not None else None
        check_begins(budget)
        for change in self.set:
            parse_change(change)
        for flag, given in (("losses", self.losses), ("recipes", self.recipes), ("schedules", self.schedules)):
            if given is not None and not given.strip(" ,;"):  # a variable of the shell that is not set
                raise UsageError(
                    "COMPARE-EMPTY", f"--{flag} names nothing", fix=f"leave --{flag} out for the usual ones"
                )
        return {
            "losses": self.losses or "",
            "recipes": self.recipes or "",
            "schedules": self.schedules or "",
            "seeds": self.seeds,
            "budget": budget,
            "out": self.out,
            "jobs": self.jobs,
            "device": self.device,
            "set": self.set,
            **self.prepared.settings(),
        }
