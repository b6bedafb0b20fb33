"""Playing a recipe as it is: every seed a run directory like that of ``sparring train``, then measured like any run.

A cell is a directory: ``recipe.yaml``, ``plan.json`` (the budget as images, once for all seeds), and for each seed the
run ``seed-0/``, pictures of its samples, and ``seed-0.json`` once it is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.budget import Budget
from sparring.chance import Dice
from sparring.data import Dataset, Options, stream_of
from sparring.errors import CheckpointError, DataError, Diverged
from sparring.generate import sample
from sparring.generate.grid import picture
from sparring.metrics.extractors import DEFAULT
from sparring.metrics.features import quantise
from sparring.metrics.texture import PATCH, local_variance
from sparring.runs import plan as plans
from sparring.runs import session as sessions
from sparring.runs.compare.cell import name_of, planned, result_of
from sparring.runs.compare.probe import finite
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.evaluate import evaluation, likelihood
from sparring.runs.evaluate.sides import Rows
from sparring.runs.recipe import Recipe, load
from sparring.runs.run import Run
from sparring.train import parts
from sparring.train.checkpoint import Store
from sparring.train.match import Match
from sparring.types import HasLikelihood, Turn

MEASURED = ("kid", "fd", "precision", "recall", "coverage", "texture", "background_texture")
JUDGE = DEFAULT
SAMPLES = 1000
"""Samples of each run that are judged."""
IMPORTANCE = 100
"""Importance weights of each held-out image, for the likelihood of a model with latents."""
SHOWN = 10
"""Samples of each recipe that stand side by side."""
BATCH = 64
"""Samples that are made at once while their cost is measured."""
BRIGHT = 48.0
"""Standard deviation inside a square, of levels 0 … 255, that the picture of it shows white."""
_WARM = 3  # rounds that are not timed


def measures() -> dict[str, Any]:
    """How a run is measured, as cell.json says it to the process that does it."""
    return {"judge": JUDGE, "samples": SAMPLES, "measured": list(MEASURED), "importance": IMPORTANCE}


def play(folder: Path, spec: Mapping[str, Any], dataset: Dataset, brake: Any, say: Callable[[int, int], None]) -> bool:
    """Play and measure all seeds of the cell in `folder`; False if it was stopped (everything is saved then).

    spec: what the director wrote into cell.json.   brake: `worker.Brake`.   say: told how many images of how many."""
    recipe = load(str(folder / "recipe.yaml"))
    budget = _planned(folder / "plan.json", recipe, dataset, spec)
    images, count = int(budget["images"]), int(spec["seeds"])
    for seed in range(count):
        path = folder / f"{name_of((seed,))}.json"
        if result_of(path) is not None:
            continue
        if brake.pulled:
            return False

        def far(seen: int, before: int = seed * images) -> None:
            say(before + seen, count * images)

        place = path.with_suffix("")
        trained = _train(place, _request(folder, spec, images, seed), brake, far)
        if trained is None:
            return False
        torch.set_num_threads(int(spec["threads"]))
        now = clock(spec["device"])
        began = now()
        found = {**_measured(place, path, recipe, dataset, seed, spec), **trained, "planned": budget}
        found["measuring"] = round(now() - began, 2)
        write_atomically(path, json.dumps(finite(found), allow_nan=False) + "\n")
    return True


# ── how long ──────────────────────────────────────────────────────────────────────────────────────────────────────


def clock(device: str) -> Callable[[], float]:
    """Seconds of computing: on a processor of the process, shared by its threads, so that what else runs on the machine
    does not count; on other devices of the clock."""
    if torch.device(device).type != "cpu":
        return time.perf_counter
    return lambda: time.process_time() / torch.get_num_threads()


def _planned(path: Path, recipe: Recipe, dataset: Dataset, spec: Mapping[str, Any]) -> dict[str, Any]:
    """How many images each seed sees, as `cell.planned`, by the `clock` of computing."""
    rate = partial(_rate, recipe, dataset, spec["device"])
    return {**planned(path, recipe.config.batch, spec["images"], spec["seconds"], rate), "seconds": spec["seconds"]}


def _rate(recipe: Recipe, dataset: Dataset, device: str, seconds: float) -> float:
    """Images per second of computing, by playing about so long on a copy."""
    game = plans.build(recipe, plans.space_of(dataset), 0)
    engine = plans.make_engine(recipe, torch.device(device))
    match = Match(game, stream_of(dataset, 0, recipe.config.flip), engine, recipe.config, seed=0, horizon=10**9)
    for _ in range(_WARM):
        match.step()
    _settled(device)
    now = clock(device)
    began, before, rounds = now(), match.images, 0
    while rounds < 8 or now() - began < seconds:
        match.step()
        rounds += 1
    _settled(device)
    return (match.images - before) / max(now() - began, 1e-9)


def _settled(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _request(folder: Path, spec: Mapping[str, Any], images: int, seed: int) -> plans.Request:
    """What ``sparring train`` would be asked for this seed. A game that breaks is not rescued: to go back and play on
    would take more time than the others have."""
    return plans.Request(
        data=spec["data"]["source"], recipe=str(folder / "recipe.yaml"), options=Options.of(spec["data"]),
        out=folder / name_of((seed,)), budget=Budget(images=images), seed=seed, device=spec["device"],
        threads=spec["threads"], rescue=False,
    )  # fmt: skip


def _train(place: Path, request: plans.Request, brake: Any, say: Callable[[int], None]) -> dict[str, Any] | None:
    """Train the run in `place` to its end, from where it was left; what it took, or None if it was stopped."""
    assert request.budget is not None and request.budget.images is not None
    total = request.budget.images
    quarters = {"samples": tuple(total * k // 4 for k in range(1, 5))}
    if not RunDirectory(place).is_run:
        session = sessions.start(plans.make(request), pace=quarters)
    else:
        newest = Store(RunDirectory(place).checkpoints).newest()
        if newest is not None and newest.images >= total:
            return {"images": total, "seconds": None, "wall": None, "failures": {}}
        session = sessions.resume(place, pace=quarters)
    brake.take(session)
    now, wall = clock(request.device), time.perf_counter()
    began, first, images, failures = now(), None, 0, {}
    try:
        for event in session:
            first = event.images if first is None else first
            images = max(images, event.images)
            if isinstance(event, Turn):
                say(event.images)
    except Diverged as error:
        failures = {str(request.seed): {"why": "diverged", "said": error.what, "images": images}}
    finally:
        session.close()
    if session.lost is not None:
        raise session.lost
    if session.finished is not None and session.finished.reason == "stopped":
        return None
    if not failures and images < total:
        raise DataError(
            "COMPARE-RUN", "the run ended before its time", where=str(place), fix=f"sparring doctor {place}"
        )
    part = max(1, images - (first or 0)) / max(1, images)  # of a run that was resumed, the share seen since
    spent = {"seconds": round((now() - began) / part, 2), "wall": round((time.perf_counter() - wall) / part, 2)}
    return {"images": images, **spent, "failures": failures}


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _measured(
    place: Path, path: Path, recipe: Recipe, dataset: Dataset, seed: int, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that is said of a run; of one that broke before its first checkpoint only that."""
    whole = plans.build(recipe, plans.space_of(dataset), seed)
    found: dict[str, Any] = {
        "seeds": [seed], "samples": spec["samples"], "rate": 0.0, "averaged": [{}], "raw": [{}], "final": [{}],
        "curve": [], "initial": [{}], "figures": {}, "sampling": None, "likelihood": None,
        "parameters": {"trained": _count(whole.players.values()), "sampling": _count(parts.used(whole).values())},
    }  # fmt: skip
    try:
        run = Run(place, which="last", device=spec["device"])
    except CheckpointError:
        return found
    drawn = sample.draw(run, SHOWN, seed=0)
    picture(drawn, columns=SHOWN).save(path.with_suffix(".png"), format="PNG", optimize=True)
    rough(quantise(drawn)).save(path.with_name(f"{path.stem}-texture.png"), format="PNG", optimize=True)
    ask = evaluation.Ask(
        str(place), features=spec["judge"], metrics=tuple(spec["measured"]), n=spec["samples"], which="last",
        device=spec["device"],
    )  # fmt: skip
    record = evaluation.evaluate(ask)
    if isinstance(run.game, HasLikelihood):
        side = Rows(dataset, "held-out", None, None, None, 0)
        likely = likelihood.measured(run, side, None, ("nll",), importance=spec["importance"])
        record["metrics"] |= {name: figure.record() for name, figure in likely.figures.items()}
        found["likelihood"] = likely.record
    values = {name: figure["value"] for name, figure in record["metrics"].items()}
    return {
        **found, "figures": record["metrics"], "averaged": [values], "sampling": sampling(run),
        "warnings": record["warnings"],
    }  # fmt: skip


def _count(modules: Iterable[nn.Module]) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@torch.no_grad()
def sampling(run: Run, batch: int = BATCH, seconds: float = 2.0) -> dict[str, Any]:
    """What a sample costs: seconds of computing for each, made `batch` at once; on a processor by one thread.

    A few samples are made before, and whole batches timed until about so many seconds have gone by."""
    game: Any = run.game
    device = str(sample.device_of(game))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        game.sample(Dice(0, "cost", range(2), device=device))
        _settled(device)
        now, made = clock(device), 0
        began = now()
        while made == 0 or now() - began < seconds:
            game.sample(Dice(0, "cost", range(made, made + batch), device=device))
            _settled(device)
            made += batch
        spent = now() - began
    finally:
        torch.set_num_threads(threads)
    return {"seconds": spent / made, "batch": batch, "threads": 1, "device": run.device.type, "timed": made}


def rough(images: Tensor) -> Any:
    """A picture of where images (n, C, H, W) uint8 have texture: the standard deviation inside each 4 × 4 square, white
    where it is `BRIGHT` levels or more."""
    spread = local_variance(images).sqrt().div(BRIGHT).clamp(max=1.0).mul(2).sub(1)
    large = spread[:, None].repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    return picture(large.float(), columns=len(images))
