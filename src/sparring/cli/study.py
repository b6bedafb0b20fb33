"""``sparring study``: people say which is real. Make a study, serve it, say what it found, hand out the answers."""

from __future__ import annotations

import dataclasses
import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk
from sparring.errors import UsageError

_OF = {
    "new": [
        "against", "real", "protocol", "trials", "seconds", "practice", "catch", "seed", "images", "matched",
        "one_each", "which", "device", "heading", "fast", "catch_wrong", "least", "out",
    ],
    "serve": ["host", "port", "password", "name", "no_browser"],
    "result": ["json"],
    "export": ["format", "out"],
}  # fmt: skip
"""The flags of each action."""


@dataclass
class Study(Command):
    """Ask people which picture is real: `study new RUN` makes a study, `study serve STUDY` asks, `study result STUDY`
    says who was fooled, `study export STUDY` hands out every answer."""

    action: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="new|serve|result|export")]
    """what to do"""
    place: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN|STUDY")]
    """new: a run, or a folder or zip of made pictures; else the directory of a study"""
    against: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN…")] = ()
    """new: further runs, or pictures, in the same study"""
    real: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="(default: held out of RUN)")] = None
    """new: real pictures, prepared as those of the run: a folder, a zip, a built-in name"""
    protocol: Literal["paired", "single", "preference"] = "paired"
    """new: paired (which of two is real?), single (is this one real?) or preference (which of two made ones is
    better?)"""
    trials: Annotated[int, tyro.conf.arg(metavar="N")] = 50
    """new: trials of each rater: those for practice among them, catch trials besides"""
    seconds: Annotated[
        float | None, tyro.conf.arg(metavar="S", help_behavior_hint="(default: 1 if paired, else 0)")
    ] = None
    """new: how long pictures are seen; 0: until the answer"""
    practice: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """new: how many of the trials come first, with feedback, and are never counted"""
    catch: Annotated[int, tyro.conf.arg(metavar="N")] = 6
    """new: catch trials besides, with noise for a picture, which nobody who looks gets wrong"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """new: of samples, order and sides"""
    images: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: as a rater sees)")] = None
    """new: different pictures of each model"""
    matched: Flag = False
    """new: both pictures of a question belong to one input (runs that translate pairs)"""
    one_each: Flag = False
    """new: each rater sees one model only, as in the paper of Pix2Pix"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """new: the checkpoint of each run"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """new: cpu, cuda, mps or auto"""
    heading: Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: the question)")] = ""
    """new: what raters read"""
    fast: Annotated[int, tyro.conf.arg(metavar="MS")] = 200
    """new: answers sooner than this are not counted"""
    catch_wrong: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """new: a rater who gets more catch trials wrong is not counted"""
    least: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.5
    """new: nor is one who answers a smaller share of what counts"""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: runs/study-NAME; stdout)")
    ] = None
    """new: a new directory; export: a file that is not there yet"""
    host: str = "127.0.0.1"
    """serve: the address to listen on; another one than this machine's own needs --password"""
    port: int = 8123
    """serve: where the page is; the next free one if it is taken, any free one with 0"""
    password: str = ""
    """serve: what raters from elsewhere are asked for; better in SPARRING_PASSWORD"""
    name: tuple[str, ...] = ()
    """serve: further names under which this machine is reached with --host"""
    no_browser: Flag = False
    """serve: print the address and open nothing"""
    format: Literal["csv", "json"] = "csv"
    """export: a table of answers, or a document with the study beside them"""
    json: Flag = False
    """result: everything as one JSON object on stdout"""

    def run(self, talk: Talk) -> int:
        self._check()
        doing = {"new": self._new, "serve": self._serve, "result": self._result, "export": self._export}[self.action]
        return doing(talk)

    def _check(self) -> None:
        """`UsageError` for an action that there is not, and for flags of another one."""
        if self.action not in _OF:
            near = difflib.get_close_matches(self.action, _OF, n=1, cutoff=0.5) or ["result"]
            raise UsageError("STUDY-ACTION", "study takes new, serve, result or export", where=self.action,
                             fix=f"sparring study {near[0]} {self.place}")  # fmt: skip
        for field in dataclasses.fields(self)[2:]:
            if field.name in _OF[self.action] or getattr(self, field.name) == field.default:
                continue
            flag = "--" + field.name.replace("_", "-")
            owners = " and ".join(action for action, flags in _OF.items() if field.name in flags)
            raise UsageError("STUDY-FLAG", f"{flag} is of `study {owners}`", where=f"sparring study {self.action}",
                             fix=f"leave {flag} out")  # fmt: skip

    def _new(self, talk: Talk) -> int:
        from sparring import api

        rules: dict[str, Any] = {"fast_ms": self.fast, "catch_wrong": self.catch_wrong, "least": self.least}
        out = api.new_study(
            [self.place, *self.against], real=self.real, protocol=self.protocol, trials=self.trials,
            seconds=self.seconds, practice=self.practice, seed=self.seed, catch=self.catch,
            matched=self.matched or None, one_each=self.one_each, images=self.images, which=self.which,
            device=self.device, title=self.heading, rules=rules, out=self.out, progress=talk.progress,
        )  # fmt: skip
        with api.open_study(out) as store:
            talk.say("\n".join(store.study.lines()))
        talk.say(f"ask people: sparring study serve {out}")
        talk.data(str(out))
        return 0

    def _serve(self, talk: Talk) -> int:
        from sparring import api
        from sparring.app import launch

        api.open_study(self.place).close()  # that it is one is said before a port is taken
        return launch.app(
            talk.data, talk.say, roots=(self.place,), host=self.host, port=self.port,
            password=self.password or os.environ.get("SPARRING_PASSWORD") or None, names=self.name,
            browser=not self.no_browser, only_study=self.place.resolve(),
        )  # fmt: skip

    def _result(self, talk: Talk) -> int:
        from sparring import api

        found = api.study_result(self.place)
        if self.json:
            talk.record(found)
        else:
            talk.data("\n".join(api.study_lines(found)))
        return 0

    def _export(self, talk: Talk) -> int:
        from sparring import api

        with api.open_study(self.place) as store:
            text = store.export(self.format)
        if self.out is None:
            talk.data(text.rstrip("\n"))
            return 0
        try:
            with self.out.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            raise UsageError("STUDY-OUT", "this file is there already", where=str(self.out),
                             fix="choose another --out; nothing was written") from None  # fmt: skip
        talk.data(str(self.out))
        return 0
