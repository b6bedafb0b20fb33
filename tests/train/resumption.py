"""Runs that are stopped and resumed, and everything they leave, to be compared bit for bit."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.train.arena import digest, match_of

from sparring.generate.grid import picture
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.log import Log
from sparring.train.loop import Loop, Pace
from sparring.types import Decision, Done, Event, Opinion, Sampled, Turn

LONG = {"gan", "dcgan", "r3gan", "gan-ahead", "gan-images"}
"""Games that are played for 26 rounds, each with a checkpoint. The others take 14: three lines of the log, all four
pictures, both looks of the watch, and every period among the settings several times."""


def total(name: str) -> int:
    """Images of a whole run of this game."""
    return 8 * (26 if name in LONG else 14)


class Counting:
    """A watch that counts its looks and remembers a number; it objects at its second look, and never looks again."""

    def __init__(self) -> None:
        self.looks, self.sum = 0, 0.0

    def due(self, images: int) -> bool:
        return self.looks < 2 and images >= 40 * (self.looks + 1)

    def hear(self, turn: Turn) -> None:
        pass

    def look(self, view: Any) -> Opinion:
        self.looks += 1
        self.sum += next(view.game.parameters()).detach().sum().item()
        decision = Decision.HOLD if self.looks == 2 else Decision.NOTE
        return Opinion({"sum": self.sum}, decision, (("OBJECTION", "an objection"),) if self.looks == 2 else ())

    def state_dict(self) -> dict[str, Any]:
        return {"looks": self.looks, "sum": self.sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.looks, self.sum = state["looks"], state["sum"]


@dataclass(frozen=True)
class Outcome:
    """Everything a run leaves: what must not depend on where it was stopped."""

    tensors: str
    state: str
    log: tuple[str, ...]
    pictures: tuple[tuple[int, bytes], ...]

    def __sub__(self, other: Outcome) -> list[str]:
        """Names of what differs."""
        return [name for name in ("tensors", "state", "log", "pictures") if getattr(self, name) != getattr(other, name)]


def pictures_of(events: list[Event]) -> dict[int, bytes]:
    found = {}
    for event in events:
        if isinstance(event, Sampled):
            file = io.BytesIO()
            picture(event.samples).save(file, format="PNG")
            found[event.images] = file.getvalue()
    return found


def begin(name: str, folder: Path, *, init: int = 0, every: bool = False, images: int | None = None) -> Loop:
    """A loop over a nano match. `init` seeds the weights; `every`: a checkpoint after every round; `images`: another
    budget than `total`, which stays the horizon of the schedules."""
    horizon = total(name)
    match = match_of(name, seed=0, init=init, horizon=horizon)
    each = match.training.batch * (2 if match.training.play in ("D:2,G:1", "extragradient") else 1)
    pace = Pace(log=4 * each, samples=(0, 40, 100, horizon), grid=4, save_seconds=-1.0 if every else 1e9)
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / "log.jsonl")
    return Loop(
        match,
        total=images or horizon,
        pace=pace,
        store=Store(folder / "checkpoints", keep=99),
        log=log,
        watch=Counting(),
    )


def lines_of(log: Path, images: float = math.inf) -> tuple[str, ...]:
    """The log (up to `images`), without what the clock says."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return tuple(
        json.dumps({key: value for key, value in record.items() if key != "rate"}, sort_keys=True)
        for record in records
        if record["images"] <= images
    )


def plain(state: dict[str, Any]) -> str:
    """The state without its position in the log, which depends on how many digits `rate` had."""
    return json.dumps(state | {"log": bool(state["log"])}, sort_keys=True)


def outcome(loop: Loop, events: list[Event], earlier: dict[int, bytes] | None = None) -> Outcome:
    """What a loop leaves that has just ended or stopped."""
    assert loop.log is not None
    shown = (earlier or {}) | pictures_of(events)
    lines = lines_of(loop.log.path)
    return Outcome(digest(loop.match.tensors()), plain(loop.state()), lines, tuple(sorted(shown.items())))


@dataclass(frozen=True)
class Whole:
    """A run that was never stopped but saved after every round."""

    name: str
    folder: Path
    end: Outcome

    def at(self, images: int) -> Outcome:
        """What it had left after `images`."""
        checkpoint = Store(self.folder / "checkpoints").at(images)
        files = {stem: checkpoint.tensors(stem) for stem in checkpoint.stems}
        shown = tuple((moment, file) for moment, file in self.end.pictures if moment <= images)
        return Outcome(digest(files), plain(checkpoint.state), lines_of(self.folder / "log.jsonl", images), shown)

    @property
    def moments(self) -> list[int]:
        return sorted(int(path.name) for path in (self.folder / "checkpoints").iterdir() if path.name.isdigit())


def resumed(
    whole: Whole,
    images: int,
    target: Path,
    rounds: int,
    load: Callable[[Loop, Checkpoint], None] = Loop.load,
) -> list[str]:
    """What differs `rounds` rounds after a resume from the checkpoint at `images`."""
    target.mkdir()
    shutil.copy(whole.folder / "log.jsonl", target / "log.jsonl")  # with lines beyond the checkpoint, to be cut off
    loop = begin(whole.name, target, init=1234)
    load(loop, Store(whole.folder / "checkpoints").at(images))
    stop_after(loop, rounds)
    events = list(loop)
    done = events[-1]
    assert isinstance(done, Done)
    if done.images not in whole.moments or (done.images <= images < total(whole.name)):
        return ["images"]
    shown = {moment: data for moment, data in whole.end.pictures if moment <= images}
    return outcome(loop, events, shown) - whole.at(done.images)


def stop_after(loop: Loop, rounds: int) -> None:
    """Ask for a polite end during the `rounds`-th round from now."""
    original, made = loop.match.step, []

    def step() -> Any:
        made.append(1)
        if len(made) == rounds:
            loop.stop()
        return original()

    loop.match.step = step  # type: ignore[method-assign]


def uninterrupted(name: str, folder: Path) -> Whole:
    """A run to its end, saved after every round."""
    loop = begin(name, folder, every=True)
    events = list(loop)
    assert isinstance(events[-1], Done) and events[-1].reason == "budget"
    return Whole(name, folder, outcome(loop, events))
