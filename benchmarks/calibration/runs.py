"""Runs are played once and remembered at a few moments; what is measured of them is measured later, as often as wanted.

The loop is the library's own. A run's weights (both players, G's average) at each of its moments, what was paid, and
how it ended are kept in benchmarks/state/calibration/runs, which is not committed. Truth and signals are then taken by
putting these weights back into the same game: what a watch would have seen there it sees again, bit for bit, since it
changes nothing.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.calibration.cases import GROUNDS, Case, data_of
from benchmarks.calibration.faults import FAULTS, Injected, cut, settings
from benchmarks.calibration.truth import STATE
from sparring.data import Dataset, stream_of
from sparring.errors import Diverged
from sparring.runs.plan import build, make_engine, space_of
from sparring.runs.recipe import Recipe, load
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.types import Opinion, Turn

PROBES = 12
"""Moments at which a run is looked at, evenly spaced; the last is its end."""
STEMS = ("D", "G", "G-ema", "game")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run that can be played, or put where it was."""

    case: Case
    recipe: Recipe
    whole: Dataset
    used: Dataset
    match: Injected
    total: int

    @property
    def moments(self) -> tuple[int, ...]:
        return tuple(round(self.total * k / PROBES) for k in range(1, PROBES + 1))


def prepare(case: Case) -> Prepared:
    ground, fault = GROUNDS[case.ground], FAULTS[case.fault]
    plain = load(ground.preset, ground.changes)
    recipe = load(ground.preset, [*ground.changes, *settings(fault, plain.config)])
    whole = data_of(case.ground)
    used = cut(fault, whole)
    game = build(recipe, space_of(used), case.seed)
    moves = used_batches(recipe.config.play)
    total = ground.rounds * 2 // (1 + moves) * recipe.config.batch * moves  # as much work as one move of each
    match = Injected(
        fault, game, stream_of(used, case.seed, recipe.config.flip), make_engine(recipe, torch.device("cpu")),
        recipe.config, seed=case.seed, horizon=total, total=total,
    )  # fmt: skip
    return Prepared(case, recipe, whole, used, match, total)


def used_batches(play: str) -> int:
    """Batches that a round takes: as many as its busiest player has moves.

    >>> used_batches("D:5,G:1"), used_batches("simultaneous")
    (5, 1)
    """
    counts = [int(part.split(":")[1]) for part in play.split(",") if ":" in part]
    return max(counts, default=1)


class Recorder:
    """A watch that writes the players down at its moments, and decides nothing."""

    def __init__(self, folder: Path, moments: tuple[int, ...]) -> None:
        self.folder, self.moments = folder, moments
        self.looked = 0
        self.seen: list[dict[str, Any]] = []
        self.turns: list[tuple[int, dict[str, float]]] = []

    def due(self, images: int) -> bool:
        return any(self.looked < moment <= images for moment in self.moments)

    def hear(self, turn: Turn) -> None:
        self.turns.append((turn.images, {name: short(value) for name, value in turn.values.items()}))

    def look(self, view: Match) -> Opinion:
        self.looked = view.images
        files = view.tensors()
        tensors = {f"{stem}|{name}": t.contiguous() for stem in STEMS for name, t in files.get(stem, {}).items()}
        save_file(tensors, self.folder / f"{len(self.seen):02d}.safetensors")
        self.seen.append(view.state())
        return Opinion({})

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """It begins with the run."""


def short(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def folder_of(case: Case) -> Path:
    return STATE / "runs" / case.name


def played(case: Case) -> bool:
    return (folder_of(case) / "run.json").exists()


def play(case: Case) -> dict[str, Any]:
    """Play a run to its end; nothing of a run that was stopped in between is used."""
    prepared = prepare(case)
    folder = folder_of(case)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    watch = Recorder(folder, prepared.moments)
    pace = replace(Pace.of(prepared.total, prepared.recipe.config.batch), samples=())
    loop = Loop(prepared.match, total=prepared.total, pace=pace, watch=watch)
    clock, ended = time.process_time(), "budget"
    try:
        for _ in loop:
            pass
    except Diverged as error:
        ended = error.code
    record = {
        "case": case.name, "total": prepared.total, "ended": ended, "images": prepared.match.images,
        "seconds": round(time.process_time() - clock, 2), "probes": watch.seen, "turns": watch.turns,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record, allow_nan=True))
    return record


def revisit(case: Case) -> Iterator[tuple[Prepared, dict[str, Any], int]]:
    """A played run at each of its moments: (the run with its weights as they were, its record, the moment's number)."""
    record = json.loads((folder_of(case) / "run.json").read_text())
    prepared = prepare(case)
    for number in range(len(record["probes"])):
        put_back(prepared, record, number)
        yield prepared, record, number


def at(case: Case, moment: int = -1) -> Prepared:
    """A played run as it was at one of its moments; −1 is the last."""
    record = json.loads((folder_of(case) / "run.json").read_text())
    prepared = prepare(case)
    put_back(prepared, record, range(len(record["probes"]))[moment])
    return prepared


@torch.no_grad()
def put_back(prepared: Prepared, record: dict[str, Any], number: int) -> None:
    match = prepared.match
    files = match.tensors()
    stored = load_file(folder_of(prepared.case) / f"{number:02d}.safetensors")
    for stem in STEMS:
        for name, tensor in files.get(stem, {}).items():
            tensor.copy_(stored[f"{stem}|{name}"])
    state = record["probes"][number]
    match.round, match.drawn = int(state["round"]), int(state["drawn"])
    match.arm()
