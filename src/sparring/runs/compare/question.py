"""What a comparison asks, in plain values, and the cells that answer it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparring.budget import Budget, duration
from sparring.data import Dataset, Options
from sparring.errors import SparringError
from sparring.runs import plan as plans
from sparring.runs.compare.entries import Entry
from sparring.runs.propose import words_of

PLAYING, MEASURING = 1.5, 25.0
"""What a second of a budget for images costs, with pictures, looks and checkpoints on the way; seconds that a thousand
samples take to be made and judged, with the process that does it, and once more for real images."""


@dataclass(frozen=True)
class Ask:
    """What a user asks: the flags of ``sparring compare``, in plain values.

    losses: none, with recipes and images, means the recipes as they are (`Comparison.whole`); else the famous ones.
    recipes: none is gan-points for points, and what `auto` chooses for images.   schedules: "" is the recipe's own.
    seeds: None for the usual number.   budget: for points of a cell with all its seeds, for images of each seed.
    jobs: cells played at a time.
    """

    data: str
    losses: tuple[Entry, ...] = ()
    recipes: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ("",)
    seeds: int | None = None
    budget: Budget | None = None
    options: Options = field(default_factory=Options)
    out: Path | None = None
    device: str = "auto"
    set: tuple[str, ...] = ()
    jobs: int | None = None

    @property
    def count(self) -> int:
        """Seeds of each cell: 0 … count − 1."""
        return self.seeds if self.seeds is not None else 3 if self.losses else 1


@dataclass(frozen=True)
class Cell:
    """One loss in one recipe with one schedule; loss: "" is a recipe as it is.

    document: recipe.yaml of its game.   refused: why it cannot be played, or "".   together: whether its seeds are
    played as one ensemble.   key: the name of its directory, which nothing else has.
    """

    loss: str
    recipe: str
    play: str
    document: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    together: bool = False
    key: str = ""

    def label(self, cells: Sequence[Cell]) -> str:
        """The shortest name that tells it from all other cells."""
        if not self.loss:
            short = [Path(cell.recipe).stem for cell in cells]
            mine = Path(self.recipe).stem if self.recipe.endswith((".yaml", ".yml")) else self.recipe
            return mine if short.count(mine) == 1 else self.recipe
        parts = [self.loss]
        parts += [self.recipe] * (len({cell.recipe for cell in cells}) > 1)
        own = all(
            len({c.play for c in cells if c.recipe == cell.recipe and c.loss == cell.loss}) == 1 for cell in cells
        )
        return " · ".join([*parts, *[self.play] * (not own)])

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "loss": self.loss, "recipe": self.recipe, "schedule": self.play, "refused": self.refused,
            "together": self.together, "key": self.key, "settings": self.document,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """A checked question. dataset: opened.   out: where everything goes.   threads: of each job."""

    ask: Ask
    dataset: Dataset
    cells: tuple[Cell, ...]
    budget: Budget
    device: str
    out: Path
    jobs: int
    threads: int

    @property
    def playable(self) -> list[Cell]:
        return [cell for cell in self.cells if not cell.refused]

    @property
    def whole(self) -> bool:
        """Whether recipes are compared as they are, each in a run of its own, rather than losses."""
        return not self.ask.losses

    @property
    def seeds(self) -> int:
        """Seeds 0 … seeds − 1 of each cell."""
        return self.ask.count

    @property
    def per(self) -> str:
        """What the budget is counted for, in words."""
        if self.whole:
            return "for each recipe" if self.seeds == 1 else "for each seed of each recipe"
        if self.budget.images is not None:
            return "for each seed"
        return (
            "for each cell, all its seeds together" if self.dataset.kind == "points" else "for each seed of each cell"
        )

    def seconds_of(self, seeds: int) -> float | None:
        """Seconds for so many seeds that are played at once; None where images are counted."""
        if self.budget.seconds is None or self.dataset.kind == "images":
            return self.budget.seconds
        return self.budget.seconds * seeds / self.seeds

    def question(self) -> dict[str, Any]:
        """What must be the same for a directory to go on: the data, seeds, budget and settings of all cells. Losses,
        recipes and schedules may be added or left out: each cell answers for itself."""
        data = self.dataset
        options = json.loads(json.dumps(plans.settled(self.ask.options, data).record()))
        return {
            "data": {
                "source": data.report.source, "kind": data.kind, "shape": list(data.shape),
                **options, "fingerprint": data.fingerprint,
            },
            "seeds": self.seeds,
            "budget": {"images": self.budget.images, "seconds": self.budget.seconds, "per": self.per},
            "set": list(self.ask.set),
            "device": self.device,
            **({"rows": "recipes"} if self.whole else {}),
        }  # fmt: skip

    def command(self) -> list[str]:
        """The command that asks the same, as it is typed."""
        ask = self.ask
        losses = dict.fromkeys(cell.loss for cell in self.cells)
        words = ["sparring", "compare", ask.data, *(() if self.whole else ("--losses", ",".join(losses)))]
        words += ["--recipes", ",".join(ask.recipes)] * bool(ask.recipes)
        words += ["--schedules", ";".join(ask.schedules)] * (ask.schedules != ("",))
        words += ["--seeds", str(self.seeds), "--budget", str(self.budget)]
        words += [word for change in ask.set for word in ("--set", change)]
        words += ["--device", ask.device] * (ask.device != "auto")
        return [*words, *words_of(ask.options), "--out", str(self.out)]

    def _time(self, seconds: float) -> str:
        """What it will take, in words: training and measuring, of a machine that has nothing else to do."""
        points, turns = self.dataset.kind == "points", -(-len(self.playable) // self.jobs)
        each = seconds * (1 if points else self.seeds)
        if points:
            said = f"about {duration(1.1 * each * turns + 15)}"
        else:
            fresh = MEASURING * (1 + self.seeds * turns)
            said = f"about {duration(PLAYING * each * turns)} of training and {duration(fresh)} of measuring"
        if slow := [cell.label(self.cells) for cell in self.playable if cell.document.get("recipe") == "pixelcnn"]:
            said += f", and more for {', '.join(slow)}: samples are drawn pixel by pixel"
        if (times := busy()) >= 1.5:
            said += f"; this machine is busy: expect {times:.2g} times as long by the clock"
        return said

    def lines(self) -> list[str]:
        """The question in plain words, a line each."""
        count, playable = len(self.cells), len(self.playable)
        amount = f"{self.budget.images:,} images" if self.budget.images else duration(self.budget.seconds or 0)
        how = f"{self.jobs} at a time" if self.jobs > 1 else "one after another"
        together = sum(cell.together for cell in self.playable)
        lines = [
            *self.dataset.report.lines(),
            f"{'recipes' if self.whole else 'cells':<9} {count}, each with {_seeds(self.seeds)}; {how}, "
            f"{_threads(self.threads)} each, on {self.device}",
            f"budget    {amount} {self.per}",
        ]
        if self.budget.seconds is not None:
            lines.append(f"time      {self._time(self.budget.seconds)}")
        if together:
            where = "every cell" if together == playable else f"{together} of {playable} cells"
            lines.append(f"seeds     in {where} all are played at once, as one ensemble")
        width = max(len(cell.label(self.cells)) for cell in self.cells)
        for number, cell in enumerate(self.cells):
            game = cell.play if self.whole else f"{cell.recipe}, {cell.play}"
            said = f"cannot be played: {cell.refused}" if cell.refused else game
            lines.append(f"{'plays' if not number else '':<9} {cell.label(self.cells):<{width}}  {said}")
        return [*lines, f"out       {self.out}"]


def busy() -> float:
    """How many processes want each processor, one more at least than there are now; 1 where nobody says."""
    try:
        return max(1.0, (os.getloadavg()[0] + 1) / (os.cpu_count() or 1))
    except (AttributeError, OSError):
        return 1.0


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def typed(comparison: Comparison) -> str:
    """The command as one types it."""
    return shlex.join(comparison.command())


def key_of(words: str, document: dict[str, Any], seeds: int, dataset: Dataset) -> str:
    """The name of a cell's directory: readable, and its own."""
    text = json.dumps([document, seeds, dataset.fingerprint], sort_keys=True)
    plain = re.sub(r"[^A-Za-z0-9+_.-]+", "_", words).strip("_")
    return f"{plain[:80]}--{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"


def reason(error: SparringError) -> str:
    """An error in one line, as the reason why a cell is not played."""
    text = error.why or error.what
    if error.code in ("CONFIG-KEY", "RECIPE-UNKNOWN"):
        text = f"{error.what}: {error.where}"
    text = text.splitlines()[0]
    return re.sub(r"^(--set [^:]*: )", "", text)


@dataclass(frozen=True)
class Nothing:
    """A stream that nobody reads: for games that are only tried on."""

    fingerprint: str = ""

    def __len__(self) -> int:
        return 1

    def take(self, start: int, count: int) -> Any:
        raise NotImplementedError

    def news(self) -> Sequence[Any]:
        return ()
