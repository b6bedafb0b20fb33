"""What a comparison asks, and the cells that answer it: every loss, in every recipe, with every schedule."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparring.budget import Budget, duration, parse_change
from sparring.data import Dataset, Options, open_data
from sparring.errors import DataError, SparringError, UsageError
from sparring.runs import auto, compatible
from sparring.runs import plan as plans
from sparring.runs.compare import measures
from sparring.runs.compare.entries import Entry
from sparring.runs.directory import stem
from sparring.runs.propose import words_of
from sparring.runs.recipe import Recipe, load, plain
from sparring.train.engine import choose_device
from sparring.train.match import Match
from sparring.train.schedule import Play

BUDGETS = {"points": Budget(seconds=60.0), "images": Budget(seconds=600.0)}
"""What a cell gets when no budget is named."""
MOST_SEEDS = 1000
TOGETHER = ("alternating", "simultaneous", "extragradient", "consensus")
"""Plays in which all seeds of a small game move at once; in the others each seed decides for itself who moves."""


@dataclass(frozen=True)
class Ask:
    """What a user asks: the flags of ``sparring compare``, in plain values.

    recipes: none is gan-points for points, and what `auto` chooses for images.   schedules: "" is the recipe's own.
    budget: for points of a cell with all its seeds, for images of each seed.   jobs: cells played at a time.
    """

    data: str
    losses: tuple[Entry, ...]
    recipes: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ("",)
    seeds: int = 3
    budget: Budget | None = None
    options: Options = field(default_factory=Options)
    out: Path | None = None
    device: str = "auto"
    set: tuple[str, ...] = ()
    jobs: int | None = None


@dataclass(frozen=True)
class Cell:
    """One loss in one recipe with one schedule.

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
    def per(self) -> str:
        """What the budget is counted for, in words."""
        if self.budget.images is not None:
            return "for each seed"
        return (
            "for each cell, all its seeds together" if self.dataset.kind == "points" else "for each seed of each cell"
        )

    def seconds_of(self, seeds: int) -> float | None:
        """Seconds for so many seeds that are played at once; None where images are counted."""
        if self.budget.seconds is None or self.dataset.kind == "images":
            return self.budget.seconds
        return self.budget.seconds * seeds / self.ask.seeds

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
            "seeds": self.ask.seeds,
            "budget": {"images": self.budget.images, "seconds": self.budget.seconds, "per": self.per},
            "set": list(self.ask.set),
            "device": self.device,
        }  # fmt: skip

    def command(self) -> list[str]:
        """The command that asks the same, as it is typed."""
        ask = self.ask
        losses = dict.fromkeys(cell.loss for cell in self.cells)
        words = ["sparring", "compare", ask.data, "--losses", ",".join(losses)]
        words += ["--recipes", ",".join(ask.recipes)] * bool(ask.recipes)
        words += ["--schedules", ";".join(ask.schedules)] * (ask.schedules != ("",))
        words += ["--seeds", str(ask.seeds), "--budget", str(self.budget)]
        words += [word for change in ask.set for word in ("--set", change)]
        words += ["--device", ask.device] * (ask.device != "auto")
        return [*words, *words_of(ask.options), "--out", str(self.out)]

    def lines(self) -> list[str]:
        """The question in plain words, a line each."""
        count, playable = len(self.cells), len(self.playable)
        amount = f"{self.budget.images:,} images" if self.budget.images else duration(self.budget.seconds or 0)
        how = f"{self.jobs} at a time" if self.jobs > 1 else "one after another"
        together = sum(cell.together for cell in self.playable)
        lines = [
            *self.dataset.report.lines(),
            f"cells     {count}, each with {_seeds(self.ask.seeds)}; {how}, {_threads(self.threads)} each, "
            f"on {self.device}",
            f"budget    {amount} {self.per}",
        ]
        if self.budget.seconds is not None:
            each = self.budget.seconds * (1 if self.dataset.kind == "points" else self.ask.seeds)
            lines.append(f"time      about {duration(1.1 * each * -(-playable // self.jobs) + 15)}")
        if together:
            where = "every cell" if together == playable else f"{together} of {playable} cells"
            lines.append(f"seeds     in {where} all are played at once, as one ensemble")
        width = max(len(cell.label(self.cells)) for cell in self.cells)
        for number, cell in enumerate(self.cells):
            said = f"cannot be played: {cell.refused}" if cell.refused else f"{cell.recipe}, {cell.play}"
            lines.append(f"{'plays' if not number else '':<9} {cell.label(self.cells):<{width}}  {said}")
        return [*lines, f"out       {self.out}"]


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def make(ask: Ask, *, progress: Callable[..., None] | None = None) -> Comparison:
    """Open the data, resolve and try every cell: what cannot be played is found, and said, before anything is."""
    _check(ask)
    device = choose_device(ask.device)
    dataset = open_data(ask.data, ask.options, progress=progress)
    if dataset.kind == "images" and len(dataset.held_out) < measures.LEAST_HELD_OUT:
        raise DataError(
            "COMPARE-HELD-OUT", f"{len(dataset.held_out)} images are held out, too few to judge by", where=ask.data,
            why=f"each generator is compared with at least {measures.LEAST_HELD_OUT} images that it never saw",
            fix="--held-out 0.1, or more images",
        )  # fmt: skip
    cells = tuple(_cells(ask, dataset, device.type))
    if all(cell.refused for cell in cells):
        raise UsageError(
            "COMPARE-NOTHING", "none of this can be played", where=ask.data,
            why="; ".join(f"{cell.label(cells)}: {cell.refused}" for cell in cells[:5]),
            fix="other --losses or --recipes",
        )  # fmt: skip
    cores = os.cpu_count() or 1
    alone = dataset.kind == "images" or device.type != "cpu"
    jobs = ask.jobs or (1 if alone else min(cores, len([cell for cell in cells if not cell.refused])))
    threads = 1 if dataset.kind == "points" else max(1, cores // jobs)
    out = ask.out or Path("runs") / f"compare-{stem(ask.data)}"
    return Comparison(ask, dataset, cells, ask.budget or BUDGETS[dataset.kind], str(device), out, jobs, threads)


_NAMED = {"objective": "--losses hinge,…", "penalty": "--losses hinge+r1,…", "play": "--schedules 'D:1,G:1;D:2,G:1'"}
_SWITCHES = ("spectral", "packing", "penalty_every", "joined")
"""Settings that a word of an entry turns on or off; of its other words --set may change the strength."""


def _check(ask: Ask) -> None:
    if not 1 <= ask.seeds <= MOST_SEEDS:
        raise UsageError(
            "COMPARE-SEEDS", f"1 to {MOST_SEEDS} seeds are possible", where=str(ask.seeds), fix="--seeds 3"
        )
    if ask.jobs is not None and not 1 <= ask.jobs <= 1024:
        raise UsageError("COMPARE-JOBS", "1 to 1024 jobs are possible", where=str(ask.jobs), fix="leave --jobs out")
    for change in ask.set:
        if flag := _NAMED.get(parse_change(change)[0]):
            raise UsageError(
                "COMPARE-SET", "this is what the rows are named after, and cannot be the same in all of them",
                where=f"--set {change}", fix=f"say it with {flag}",
            )  # fmt: skip


def _cells(ask: Ask, dataset: Dataset, device: str) -> list[Cell]:
    """The product of recipes, losses and schedules, each tried."""
    names = ask.recipes or (auto.choose(dataset.kind, dataset.shape, len(dataset.train), device, ask.budget)[0],)
    cells: list[Cell] = []
    for name in names:
        base = load(name)
        known = plain(base.config)
        if any(parse_change(change)[0].split(".")[0] not in known for change in ask.set):
            load(name, ask.set)  # says which setting there is not
        changes = auto.adapted(base.config, dataset.shape, len(dataset.train)) if not ask.recipes else []
        compatible.check_kind(dataset.kind, ask.options, base, ask.data)
        if {"pair", "unpaired", "legend"} & base.game.needs or dataset.given is not None:
            raise UsageError(
                "COMPARE-PAIRS", "games are compared that make images out of nothing", where=f"{name}, {ask.data}",
                fix="train each recipe of pairs alone, and measure it: sparring evaluate RUN",
            )  # fmt: skip
        plans.check_needs(base, plans.space_of(dataset), ask.data)
        for entry in ask.losses:
            for play in ask.schedules:
                cells.append(_once(_cell(entry, name, base, changes, play, ask, dataset), cells))
    return cells


def _once(cell: Cell, before: Sequence[Cell]) -> Cell:
    """The cell, refused if its game is that of an earlier one: two rows would be one, counted twice."""
    for other in before:
        if not cell.refused and not other.refused and cell.document == other.document:
            return replace(
                cell, refused=f"this is the same game as {other.loss} in {other.recipe}, {other.play}",
                document={}, together=False, key="",
            )  # fmt: skip
    return cell


def _cell(entry: Entry, name: str, base: Recipe, adapted: Sequence[str], play: str, ask: Ask, dataset: Dataset) -> Cell:
    """One cell: its settings checked, its game built once and thrown away."""
    usual = {"play": base.config.play, **plain(base.config)}
    shown = play or str(usual["play"])
    try:
        own = entry.changes(dataset.kind, usual)
        switched = {change.partition("=")[0] for change in own} & set(_SWITCHES)
        if against := [change for change in ask.set if parse_change(change)[0] in switched]:
            raise UsageError("COMPARE-SET", f"--set {against[0]} is about what {entry.text} says itself")
        changes = [*adapted, *own, *[f"play={play}"] * bool(play), *ask.set]
        recipe = _loaded(name, changes)
        compatible.check_batch(recipe, len(dataset.train))
        game = plans.build(recipe, plans.space_of(dataset), 0)
        Match(game, _Nothing(), plans.make_engine(recipe, choose_device("cpu")), recipe.config, seed=0, horizon=1)
    except SparringError as error:
        return Cell(entry.text, name, shown, refused=_reason(error))
    kind = Play.parse(recipe.config.play).kind
    together = dataset.kind == "points" and ask.seeds > 1 and kind in TOGETHER
    document = recipe.document()
    text = json.dumps([document, ask.seeds, dataset.fingerprint], sort_keys=True)
    words = re.sub(r"[^A-Za-z0-9+_.-]+", "_", f"{entry.text}--{stem(name)}--{recipe.config.play}").strip("_")
    key = f"{words[:80]}--{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    return Cell(entry.text, name, recipe.config.play, document, together=together, key=key)


def _loaded(name: str, changes: Sequence[str]) -> Recipe:
    """The recipe with the changes; that it has no objective or penalty to choose is said as what it is."""
    recipe = load(name)
    known = plain(recipe.config)
    for change in changes:
        key = change.partition("=")[0]
        if key in ("objective", "penalty") and key not in known:
            if change == "penalty=none":
                continue
            raise UsageError("COMPARE-RECIPE", f"recipe {name} has no {key} that could be chosen")
    wanted = [change for change in changes if change != "penalty=none" or "penalty" in known]
    return load(name, wanted)


def _reason(error: SparringError) -> str:
    """An error in one line, as the reason why a cell is not played."""
    text = error.why or error.what
    if error.code in ("CONFIG-KEY", "RECIPE-UNKNOWN"):
        text = f"{error.what}: {error.where}"
    text = text.splitlines()[0]
    return re.sub(r"^(--set [^:]*: )", "", text)


@dataclass(frozen=True)
class _Nothing:
    """A stream that nobody reads: for games that are only tried on."""

    fingerprint: str = ""

    def __len__(self) -> int:
        return 1

    def take(self, start: int, count: int) -> Any:
        raise NotImplementedError

    def news(self) -> Sequence[Any]:
        return ()


def typed(comparison: Comparison) -> str:
    """The command as one types it."""
    return shlex.join(comparison.command())
