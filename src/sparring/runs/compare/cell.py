"""Playing one cell: its seeds together or one after another, with probes on the way, from a checkpoint if there is one.

A cell is a directory: ``recipe.yaml`` (its game, itself a valid --recipe), and for every group of seeds that is played
at once ``<group>.json`` once it is finished, and ``<group>/`` with its plan and checkpoints while it is under way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparring.data import Dataset, stream_of
from sparring.errors import DataError, Diverged
from sparring.runs import plan as plans
from sparring.runs.compare.measures import GLIMPSE, IMAGES, POINTS, Judge
from sparring.runs.compare.probe import Prober, draw, finite, measured
from sparring.runs.directory import write_atomically
from sparring.runs.recipe import Recipe
from sparring.train.checkpoint import Store
from sparring.train.ensemble import Streams, together
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.types import Done, Turn

STOPPED = 75
"""Exit code of the process of a cell that was asked to stop and has saved."""

_WARM, _TIMED = 3, 6.0  # rounds that are not timed; seconds of timing at most
_LONGEST_SAVE = 60.0  # seconds between two checkpoints


def groups_of(seeds: int, together: bool) -> list[tuple[int, ...]]:
    """The seeds 0 … seeds − 1 in the groups that are played at once: all of them, or each alone.

    >>> groups_of(3, True), groups_of(2, False)
    ([(0, 1, 2)], [(0,), (1,)])
    """
    every = tuple(range(seeds))
    return [every] if together else [(seed,) for seed in every]


def name_of(group: Sequence[int]) -> str:
    """What the files of a group are called.

    >>> name_of((0, 1, 2)), name_of((4,))
    ('seeds-0-2', 'seed-4')
    """
    return f"seed-{group[0]}" if len(group) == 1 else f"seeds-{group[0]}-{group[-1]}"


@dataclasses.dataclass(frozen=True)
class Task:
    """A group of seeds of a cell that is played at once. images: the budget of each seed, or `seconds` of the group."""

    folder: Path
    recipe: Recipe
    dataset: Dataset
    seeds: tuple[int, ...]
    device: torch.device
    images: int | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        return name_of(self.seeds)

    @property
    def result(self) -> Path:
        return self.folder / f"{self.name}.json"


_RESULT = ("seeds", "images", "seconds", "rate", "averaged", "raw", "final", "curve", "initial", "failures", "samples")


def result_of(path: Path) -> dict[str, Any] | None:
    """What a finished group wrote; None if there is nothing, or nothing whole: then it is to be played again."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or any(name not in found for name in _RESULT):
        return None
    count = len(found["seeds"]) if isinstance(found["seeds"], list) else 0
    whole = count and all(isinstance(found[k], list) and len(found[k]) == count for k in ("averaged", "raw", "final"))
    return found if whole else None


def build(task: Task, horizon: int) -> Match:
    """The match of these seeds: as an ensemble where there are several."""
    recipe, dataset = task.recipe, task.dataset
    engine = plans.make_engine(recipe, task.device)
    games = [plans.build(recipe, plans.space_of(dataset), seed) for seed in task.seeds]
    streams = [stream_of(dataset, seed, recipe.config.flip) for seed in task.seeds]
    if len(games) == 1:
        return Match(games[0], streams[0], engine, recipe.config, seed=task.seeds[0], horizon=horizon)
    return Match(together(games), Streams(streams), engine, recipe.config, seed=task.seeds, horizon=horizon)


def play(
    task: Task, judge: Judge, *, say: Callable[[int, int], None] = lambda images, total: None,
    begun: Callable[[Loop], None] = lambda loop: None,
) -> bool:  # fmt: skip
    """Play the group to its end and write its result; False if it was stopped before (everything is saved then).

    say: told how far it is.   begun: is given the loop, so that it can be stopped.
    """
    if result_of(task.result) is not None:
        return True
    place = task.folder / task.name
    place.mkdir(parents=True, exist_ok=True)
    planned = _planned(task, place / "plan.json")
    total = int(planned["images"])
    match = build(task, total)
    prober = Prober(task.dataset.kind, judge, total)
    pace = Pace(
        log=max(1, total // 100 // task.recipe.config.batch) * task.recipe.config.batch,
        saves=tuple(total * quarter // 4 for quarter in (1, 2, 3)), save_seconds=_LONGEST_SAVE,
    )  # fmt: skip
    store = Store(place / "checkpoints")
    loop = Loop(match, total=total, pace=pace, store=store, watch=prober)
    begun(loop)
    checkpoint = store.newest()
    if checkpoint is not None:
        loop.load(checkpoint)
    else:
        prober.initial = initial(match)
        prober.look(match)
    failures: dict[int, dict[str, Any]] = {}
    prober.start()
    done, reason = checkpoint is not None and match.images >= total, ""
    try:
        for event in loop:
            if isinstance(event, Turn):
                prober.last = dict(event.values)
                say(event.images, total)
            if isinstance(event, Done):
                reason = event.reason
    except Diverged as error:
        failures = _diverged(match, str(error.what))
    if reason == "stopped":
        return False
    if reason == "data":
        raise DataError("DATA-LOST", "too much of the data could no longer be read", where=loop.lost)
    assert failures or done or match.images >= total
    _finish(task, match, prober, judge, planned, failures)
    shutil.rmtree(place, ignore_errors=True)
    return True


def _planned(task: Task, path: Path) -> dict[str, Any]:
    return planned(
        path, task.recipe.config.batch, task.images, task.seconds, lambda limit: rate_of(build(task, 10**9), limit)
    )


def planned(
    path: Path, batch: int, images: int | None, seconds: float | None, rate: Callable[[float], float]
) -> dict[str, Any]:
    """How many images each seed sees: from the budget, or timed once on a discarded copy; written down.

    rate: images per second, by playing for about so many seconds."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict) and isinstance(found.get("images"), int):
            return found
    except (OSError, ValueError):
        pass
    found, wanted = 0.0, float(images or 0)
    if images is None:
        found = rate(min(_TIMED, max(0.3, 0.1 * (seconds or 0.0))))
        wanted = (seconds or 0.0) * found
    plan = {"images": max(1, round(wanted / batch)) * batch, "rate": round(found, 2)}
    write_atomically(path, json.dumps(plan) + "\n")
    return plan


def rate_of(match: Match, seconds: float) -> float:
    """Images per second of each seed, by playing about so long; the match is not to be used afterwards."""
    for _ in range(_WARM):
        match.step()
    began, before, rounds = time.perf_counter(), match.images, 0
    while rounds < 8 or time.perf_counter() - began < seconds:
        try:
            match.step()
        except Diverged:
            break
        rounds += 1
    return max(1.0, match.images - before) / (time.perf_counter() - began)


def initial(match: Match) -> list[dict[str, str]]:
    """A hash of the weights of every player of every seed before the first move: equal ones began equally."""
    several = isinstance(match.seed, tuple)
    count = len(match.seed) if isinstance(match.seed, tuple) else 1
    return [
        {name: _hash(player, seed if several else None) for name, player in match.game.players.items()}
        for seed in range(count)
    ]


def _hash(player: nn.Module, member: int | None) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for parameter in player.parameters():
        tensor = parameter.detach() if member is None else parameter.detach()[member]
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _diverged(match: Match, why: str) -> dict[int, dict[str, Any]]:
    """Every seed that has failed, by its place in the group."""
    count = len(match.seed) if isinstance(match.seed, tuple) else 1
    return {k: {"why": "diverged", "said": why, "images": match.images} for k in range(count)}


def _retired(match: Match) -> dict[int, dict[str, Any]]:
    """Seeds of an ensemble that stopped moving on the way, while the others went on."""
    if not isinstance(match.seed, tuple):
        return {}
    per = match.images / max(1, match.round)
    return {
        k: {"why": "diverged", "said": f"the gradient was not finite in round {turn}", "images": round(turn * per)}
        for k, turn in enumerate(match.failed.tolist())
        if turn >= 0
    }


def _finish(
    task: Task, match: Match, prober: Prober, judge: Judge, planned: Mapping[str, Any],
    failures: dict[int, dict[str, Any]],
) -> None:  # fmt: skip
    """Measure what came out, draw it, and write the result: the last thing that is written is that it is finished."""
    seconds = prober.seconds
    count = POINTS if task.dataset.kind == "points" else IMAGES
    less = POINTS if task.dataset.kind == "points" else GLIMPSE
    averaged, raw = draw(match, count), measured(match, judge, less, averaged=False)
    found = [judge(samples) for samples in averaged]
    failures = failures | _retired(match)
    for k, values in enumerate(found):
        if k not in failures and values.get("modes") == 0:
            failures[k] = {"why": "no mode found", "said": "no sample lies within 3σ of a mode", "images": match.images}
        if k not in failures and values[judge.main.name] is None:
            failures[k] = {"why": "not measurable", "said": "its samples are not finite", "images": match.images}
    for seed, samples in zip(task.seeds, averaged, strict=True):
        judge.picture(samples).save(task.folder / f"seed-{seed}.png", format="PNG", optimize=True)
    seen = match.images
    result = {
        "seeds": list(task.seeds),
        "images": seen,
        "planned": planned,
        "seconds": round(seconds, 2),
        "rate": round(seen / max(seconds, 1e-9), 1),
        "rounds": match.round,
        "averaged": found,
        "raw": raw,
        "final": _per_seed(prober.last, len(task.seeds)),
        "curve": prober.curve,
        "initial": prober.initial,
        "failures": {str(task.seeds[k]): failure for k, failure in sorted(failures.items())},
        "samples": count,
    }
    write_atomically(task.result, json.dumps(finite(result), allow_nan=False) + "\n")


def _per_seed(values: Mapping[str, Any], seeds: int) -> list[dict[str, float]]:
    """The last means of every term, seed by seed; what an ensemble has in common each of them has."""
    rows = [{name: v[k] if isinstance(v, Sequence) else v for name, v in values.items()} for k in range(seeds)]
    return [{name: float(value) for name, value in row.items() if value is not None} for row in rows]
