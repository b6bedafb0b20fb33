"""``sparring demo``: everything once, on built-in data, in a few minutes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sparring.budget import check_begins, parse_budget
from sparring.cli.command import Command
from sparring.cli.follow import following, places, write_page
from sparring.cli.live import Live
from sparring.cli.talk import Talk
from sparring.errors import UsageError

DATA = "fashion"
RECIPE = "auto"


@dataclass
class Demo(Command):
    """Train on built-in pictures of clothes for a few minutes, and show what came of it."""

    out: Annotated[Path, tyro.conf.arg(metavar="RUN")] = Path("runs/demo")
    """directory of the run; an earlier demo there is replaced"""
    budget: Annotated[str, tyro.conf.arg(metavar="TIME|IMAGES")] = "4m"
    """how long to train"""

    def run(self, talk: Talk) -> int:
        budget = parse_budget(self.budget)
        check_begins(budget)
        from sparring import api

        self._make_room()
        plan = api.plan(DATA, recipe=RECIPE, out=self.out, budget=budget, progress=talk.progress)
        talk.say("\n".join(plan.lines()))
        session = api.start(plan)
        with Live(talk, lambda: plan.total) as live:
            for event in session:
                live.show(event)
        stopped = session.finished is not None and session.finished.reason == "stopped"
        if not stopped:
            talk.say("making a walk through latent space …")
            api.save_walk(self.out, self.out / "walk.gif", frames=60, seed=0)
        page = write_page(self.out, talk)
        talk.say("\n".join(places(self.out, page) + following(self.out, stopped)))
        for verdict in api.doctor(self.out, look=False).verdicts:
            talk.say(f"verdict: {verdict.sentence()}")
        if page is not None:
            talk.say(f"all of it on one page, for a browser:\n  {page.resolve().as_uri()}")
        talk.data(str(page or self.out))
        return 75 if stopped else 0

    def _make_room(self) -> None:
        """Remove an earlier demo, and nothing else: only what a run has in it goes."""
        if not self.out.exists():
            return
        own = {
            "recipe.yaml",
            "data.json",
            "log.jsonl",
            "samples",
            "checkpoints",
            "report.html",
            "walk.gif",
            "evaluation.json",
            "neighbours.json",
            "neighbours.png",
            "lock",
            "generated",
        }
        strange = {path.name for path in self.out.iterdir()} - own if self.out.is_dir() else {self.out.name}
        if strange:
            raise UsageError(
                "DEMO-OUT",
                "there is something here that is not from an earlier demo",
                where=f"{self.out} ({', '.join(sorted(strange)[:3])})",
                fix="choose another --out; nothing was changed",
            )
        shutil.rmtree(self.out)
