"""Making a comparison: the data opened, every cell tried, what cannot be played found before anything is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sparring.budget import Budget, parse_change
from sparring.data import Dataset, open_data
from sparring.errors import DataError, SparringError, UsageError
from sparring.runs import auto, compatible
from sparring.runs import plan as plans
from sparring.runs.compare import lineup, measures
from sparring.runs.compare.entries import Entry, parse_losses
from sparring.runs.compare.question import Ask, Cell, Comparison, Nothing, key_of, reason
from sparring.runs.directory import stem
from sparring.runs.recipe import Recipe, load, plain
from sparring.train.engine import choose_device
from sparring.train.match import Match
from sparring.train.schedule import Play

BUDGETS = {"points": Budget(seconds=60.0), "images": Budget(seconds=600.0)}
"""What a cell gets when no budget is named."""
MOST_SEEDS = 1000
TOGETHER = ("alternating", "simultaneous", "extragradient", "consensus")
"""Plays in which all seeds of a small game move at once; in the others each seed decides for itself who moves."""


def make(ask: Ask, *, progress: Callable[..., None] | None = None) -> Comparison:
    """Open the data, resolve and try every cell: what cannot be played is found, and said, before anything is."""
    _check(ask)
    device = choose_device(ask.device)
    dataset = open_data(ask.data, ask.options, progress=progress)
    whole = dataset.kind == "images" and ask.recipes and not ask.losses and ask.schedules == ("",)
    if not whole and not ask.losses:
        ask = replace(ask, losses=parse_losses(""))
    if dataset.kind == "images" and len(dataset.held_out) < measures.LEAST_HELD_OUT:
        raise DataError(
            "COMPARE-HELD-OUT", f"{len(dataset.held_out)} images are held out, too few to judge by", where=ask.data,
            why=f"each generator is compared with at least {measures.LEAST_HELD_OUT} images that it never saw",
            fix="--held-out 0.1, or more images",
        )  # fmt: skip
    cells = tuple(lineup.cells(ask, dataset) if whole else _cells(ask, dataset, device.type))
    if all(cell.refused for cell in cells):
        raise UsageError(
            "COMPARE-NOTHING", "none of this can be played", where=ask.data,
            why="; ".join(f"{cell.label(cells)}: {cell.refused}" for cell in cells[:5]),
            fix="other --recipes" if whole else "other --losses or --recipes",
        )  # fmt: skip
    left = [cell for cell in cells if not cell.refused]
    if whole and len(left) == 1 < len(cells):
        raise UsageError(
            "COMPARE-ALONE", f"only {left[0].label(cells)} is left, and there is nothing to compare it with",
            where=ask.data,
            why="; ".join(f"{cell.label(cells)} cannot be played: {cell.refused}" for cell in cells if cell.refused),
            fix=f"name another recipe beside it, or play it alone: sparring train {ask.data} --recipe {left[0].recipe}",
        )  # fmt: skip
    cores = os.cpu_count() or 1
    alone = dataset.kind == "images" or device.type != "cpu"
    jobs = ask.jobs or (1 if alone else min(cores, len(left)))
    threads = 1 if dataset.kind == "points" else max(1, cores // jobs)
    out = ask.out or Path("runs") / f"compare-{stem(ask.data)}{'-recipes' * bool(whole)}"
    return Comparison(ask, dataset, cells, ask.budget or BUDGETS[dataset.kind], str(device), out, jobs, threads)


_NAMED = {"objective": "--losses hinge,…", "penalty": "--losses hinge+r1,…", "play": "--schedules 'D:1,G:1;D:2,G:1'"}
_SWITCHES = ("spectral", "packing", "penalty_every", "joined")
"""Settings that a word of an entry turns on or off; of its other words --set may change the strength."""


def _check(ask: Ask) -> None:
    if ask.seeds is not None and not 1 <= ask.seeds <= MOST_SEEDS:
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
        Match(game, Nothing(), plans.make_engine(recipe, choose_device("cpu")), recipe.config, seed=0, horizon=1)
    except SparringError as error:
        return Cell(entry.text, name, shown, refused=reason(error))
    kind = Play.parse(recipe.config.play).kind
    together = dataset.kind == "points" and ask.count > 1 and kind in TOGETHER
    document = recipe.document()
    key = key_of(f"{entry.text}--{stem(name)}--{recipe.config.play}", document, ask.count, dataset)
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
