"""``sparring translate``: pictures turned into other pictures by a trained run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk
from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.runs.translation_files import Translated

_NAMED = 20  # pictures that were skipped, and remarks, that are said one by one


@dataclass
class Translate(Command):
    """Turn pictures into other pictures with a run that learned to: as many pixels come out as go in."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/facades; an exported folder; or a model of the hub, hf:owner/name"""
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IN")]
    """a picture, a folder, a zip, a pattern in quotes such as 'photos/*.jpg', or - for standard input"""
    out: Annotated[str | None, tyro.conf.arg(metavar="OUT", help_behavior_hint="(default: RUN/translated)")] = None
    """a file, a folder, or - for standard output (PNG); outside of RUN no file is ever overwritten"""
    back: Flag = False
    """the other way round, with a run that learned both ways (cyclegan)"""
    deterministic: Flag = False
    """without the noise that some recipes (pix2pix) add"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """other seeds, other noise; the same picture and seed always give the same, whatever is translated with it"""
    size: Annotated[str | None, tyro.conf.arg(metavar="PIXELS|train", help_behavior_hint="(default: its own)")] = None
    """bring the shorter side to so many pixels before and back after; train: the size the run was trained at"""
    tile: Annotated[int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: by memory)")] = None
    """cut what has longer sides into overlapping tiles of at most so many pixels a side"""
    half: Annotated[Literal["auto", "left", "right", "whole"], tyro.conf.arg(metavar="left|right|whole")] = "auto"
    """left, right: each picture is two side by side, and this one is given; whole: it is one, although it looks like
    two of those the run was trained on, which else is refused"""
    compile: Flag = False
    """bring the network into a faster form first; the time that takes is said, the result is the same"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """auto, cpu, cuda or mps"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        piped, printed = self.source == "-", self.out == "-" or (self.source == "-" and self.out is None)
        self._check(printed)
        data = None
        if piped or printed:
            data = sys.stdin.buffer.read() if piped else Path(self.source).expanduser().read_bytes()
        run = api.load(self.directory, which=self.which, device=self.device, progress=talk.progress)
        talk.remark(run.remarks)
        how: dict[str, Any] = {
            "seed": self.seed, "deterministic": self.deterministic, "back": self.back, "tile": self.tile,
            "size": self.size, "compile": self.compile, "half": self.half,
        }  # fmt: skip
        if printed:
            made, done = api.translated(run, data or b"", **how)
            sys.stdout.buffer.write(made)
            sys.stdout.buffer.flush()
        else:
            source = self.source if data is None else data
            done = api.save_translations(run, source, self.out, progress=talk.progress, **how)
            talk.clear()
            talk.data("\n".join(str(path) for path in done.paths))
        return self._told(done, talk)

    def _check(self, printed: bool) -> None:
        """`UsageError` where what comes out cannot go where it is sent."""
        if self.out == "-" and self.source != "-" and not Path(self.source).expanduser().is_file():
            raise UsageError(
                "TRANSLATE-OUT", "only a single picture can go to standard output", where=self.source,
                fix="--out with a folder",
            )  # fmt: skip
        if printed and sys.stdout.isatty():
            raise UsageError(
                "TRANSLATE-OUT", "a terminal does not show pictures", where="standard output",
                fix="--out picture.png, or send it to a file or a program: > picture.png",
            )  # fmt: skip

    def _told(self, done: Translated, talk: Talk) -> int:
        """What a person should know; the exit code."""
        talk.remark(shortened(done.notes))
        talk.remark(shortened([f"left out {name}: {why}" for name, why in done.skipped]))
        talk.say(done.line())
        return 3 if done.skipped else 0


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - _NAMED
    return lines if more <= 0 else [*lines[:_NAMED], f"and {more:,} more"]
