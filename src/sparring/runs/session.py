"""A run under way: started from a plan or resumed from its directory; it yields events and keeps the files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Any

import torch
from PIL.Image import Image

from sparring.budget import Budget
from sparring.data import BUILT_IN, Dataset, Manifest, Options, Prefetch, reopen, stream_of
from sparring.data.pair_sheet import pair_sheet
from sparring.errors import CheckpointError, DataError, Diverged, UsageError
from sparring.generate.grid import picture
from sparring.generate.sample import rows_of, shown
from sparring.runs import edits, exhibits, loggers, neighbours
from sparring.runs import plan as plans
from sparring.runs.board import POINTS, Board, board_of, drawn, moments
from sparring.runs.directory import RunDirectory
from sparring.runs.document import Document
from sparring.runs.lock import RunLock
from sparring.runs.loggers import Loggers
from sparring.runs.plan import Plan, Request
from sparring.runs.probes import Probes
from sparring.runs.recipe import Recipe, of_document
from sparring.runs.transfer import Origin, adopt
from sparring.runs.watch import RunWatch, context_of, kept_in, watch_of
from sparring.train.checkpoint import Store
from sparring.train.disk import Disk
from sparring.train.engine import choose_device, join
from sparring.train.log import Log
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.train.rescue import Ladder
from sparring.types import Alarm, Done, Event, Landscape, Sampled, Watch


class Session(Iterator[Event]):
    """One process's part in a run. Iterate to train; `stop()` asks for a polite end.

    The run directory is locked while the session lives, and signals to stop are heard while it is iterated.
    """

    def __init__(self, directory: RunDirectory, begin: Callable[[ExitStack], tuple[Loop, Dataset]]) -> None:
        self.directory = directory
        self.loop: Loop | None = None
        self.finished: Done | None = None
        self._stop = False
        self._dataset: Dataset | None = None
        self._real: torch.Tensor | None = None  # points that a picture of points is laid over
        self._rows: int | None = None  # of a picture of images, if each class has one
        self._board: Board | None = None  # draws a game on the plane
        self._loggers: Loggers | None = None  # tell other programs
        self._events = self._run(begin)

    def __next__(self) -> Event:
        return next(self._events)

    def stop(self) -> None:
        """Save and end at the next opportunity. May be called at any time, from a signal handler too."""
        self._stop = True
        if self.loop is not None:
            self.loop.stop()

    @property
    def lost(self) -> DataError | None:
        """Why the data ended the run, if it did: it is saved, and goes on once the data is whole again."""
        if self.finished is None or self.finished.reason != "data" or self.loop is None:
            return None
        return DataError(
            "DATA-LOST",
            "too much of the data could no longer be read; the run was saved and ended",
            where=str(self.directory.document()["data"]["source"]),
            why=self.loop.lost or "another process of this run met it, and says what",
            fix=f"restore the files, then: sparring resume {quote(str(self.directory.path))}",
        )

    @property
    def trouble(self) -> Diverged | None:
        """Why the run ended before its time, if it went back in vain: it is saved as it was before that."""
        found = self.loop.trouble if self.loop is not None else None
        if found is None:
            return None
        run = quote(str(self.directory.path))
        return Diverged(
            found.code, found.what, where=str(self.directory.path), why=found.why,
            fix=f"{found.fix}; `sparring doctor {run}` tells more, and `sparring resume {run}` goes on from there",
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the run without saving (what is saved stays)."""
        self._events.close()

    def _run(self, begin: Callable[[ExitStack], tuple[Loop, Dataset]]) -> Generator[Event, None, None]:
        with ExitStack() as stack:
            stack.enter_context(polite(self.stop))
            self.loop, dataset = begin(stack)
            self._dataset = dataset
            self._rows = rows_of(self.loop.match.game, len(dataset.classes))
            self._real = torch.from_numpy(dataset.train[:POINTS].copy()) if dataset.kind == "points" else None
            if self.loop.engine.leads:  # the others draw nothing, and may be here before the document is written
                self._board = board_of(
                    dataset, self.loop.match.game, seconds=planned_seconds(self.directory.document()),
                    total=self.loop.total, logged=self.directory.log,
                )  # fmt: skip
                document = self.directory.document()
                self._loggers = Loggers(loggers.names_in(document), self.directory, document, self.loop.match.images)
                stack.callback(self._loggers.close)
            if self._stop:
                self.loop.stop()
            yield from self._messages()
            for event in self.loop:
                if self._board is not None:
                    self._board.hear(event)
                if isinstance(event, Sampled):
                    yield from self._keep(event)
                if isinstance(event, Done):
                    self.finished = event
                    yield from self._film(event)
                    yield from self._nearest(event)
                if self._loggers is not None:
                    yield from self._loggers.hear(event)
                yield event

    def _messages(self) -> list[Alarm]:
        assert self.loop is not None
        return [Alarm(self.loop.match.images, "RESUME", text) for text in self.loop.remarks]

    def _keep(self, event: Sampled) -> Iterator[Event]:
        """The picture as a PNG, named by images seen. A full disk costs the picture, not the run."""
        path = self.directory.samples / f"{event.images:012d}.png"
        temporary = path.with_suffix(".tmp")
        try:
            self._picture(event).save(temporary, format="PNG")
            temporary.replace(path)
        except OSError as error:
            yield Alarm(event.images, "DISK", f"the sample grid could not be written ({error})")

    def _picture(self, event: Sampled) -> Image:
        assert self.loop is not None and self._dataset is not None
        match = self.loop.match
        if self._board is not None and isinstance(match.game, Landscape):
            return self._board.picture(match.game, event)
        if match.exhibits is not None:
            return exhibits.picture(self._dataset, match.exhibits, event.samples)
        return picture(event.samples, rows=self._rows, real=self._real)

    def _film(self, done: Done) -> Iterator[Event]:
        """The pictures of a game on the plane as an animation."""
        if self._board is None or self.loop is None or not self.loop.engine.leads:
            return
        try:
            self._board.film(self.directory)
        except OSError as error:
            yield Alarm(done.images, "DISK", f"the animation could not be written ({error})")

    def _nearest(self, done: Done) -> Iterator[Event]:
        """Ten samples beside their nearest training images, if the run has got to its end."""
        if self.loop is None or not isinstance(self.loop.watch, RunWatch) or done.reason not in ("budget", "watch"):
            return
        try:
            if self.loop.engine.leads:
                neighbours.write(self.directory, self.loop.watch.observer, self.loop.match)
        except OSError as error:
            yield Alarm(done.images, "DISK", f"the picture of nearest images could not be written ({error})")


def start(
    plan: Plan, *, watch: Watch | None = None, disk: Disk | None = None, pace: dict[str, Any] | None = None
) -> Session:
    """Make the run directory and begin. `pace` overrides fields of `Pace` (tests, notebooks)."""
    directory, document = RunDirectory(plan.out), plan.document()

    def begin(stack: ExitStack) -> tuple[Loop, Dataset]:
        rank, size = join(plan.device)
        if rank == 0:
            directory.claim()
            stack.enter_context(RunLock(directory.path))
            sources = {plan.request.data, plan.request.options.into} - {None, *BUILT_IN}
            manifest = Manifest.of(plan.dataset) if sources else None
            directory.create(document, plan.dataset.report.record(), manifest)
            if plan.dataset.given is not None:
                with suppress(OSError):  # a full disk costs the picture, not the run
                    pair_sheet(plan.dataset, direction=plan.request.options.direction).save(directory.pairs)
        loop = _loop(
            directory, plan.recipe, plan.dataset, document, plan.total,
            device=plan.device, rank=rank, size=size, stack=stack, watch=watch, disk=disk, pace=pace,
        )  # fmt: skip
        return loop, plan.dataset

    return Session(directory, begin)


def resume(
    path: Path | str, *, budget: Budget | None = None, device: str | None = None, watch: Watch | None = None,
    disk: Disk | None = None, pace: dict[str, Any] | None = None, progress: Callable[..., None] | None = None,
    rescue: bool | None = None, stop: str | None = None, log: Sequence[str] | None = None,
) -> Session:  # fmt: skip
    """Go on with a run as if it had never stopped: everything comes from its directory.

    `budget` adds to it ("+10m") or names a new total in images; schedules stay at their end values beyond the horizon.
    rescue, stop, log: from now on; None: as it was. A run from before there were any is not rescued.
    """
    directory = RunDirectory(path)
    said = directory.said()
    written = said.values
    changed: dict[str, Any] = {name: value for name, value in (("rescue", rescue), ("stop", stop)) if value is not None}
    changed |= {"log": list(log)} if log is not None else {}
    document = {**written, "run": {**written["run"], **changed}}
    loggers.check(loggers.names_in(document))
    responses(document)  # refused before anything is written
    run, recipe = document["run"], recipe_of(said)
    request = request_of(document)
    where = choose_device(device or _device_of(run))

    def begin(stack: ExitStack) -> tuple[Loop, Dataset]:
        rank, size = join(where)
        if rank == 0:
            stack.enter_context(RunLock(directory.path))
        plans.set_threads(int(run["threads"]))
        newest = Store(directory.checkpoints, disk=disk).newest()
        trained = newest.state.get("record", {}) if newest is not None else {}
        edited = edits.compare(trained, recipe, document, str(directory.recipe))
        dataset, changes = _reopened(directory, request, document, progress)
        total = int(run["images"])
        if budget is not None:
            total = _extended(budget, document, recipe, dataset, where, rank, size, directory)
        if rank == 0 and (final := {**document, "run": {**run, "images": total}}) != written:
            directory.write_recipe(final)
        loop = _loop(
            directory, recipe, dataset, document, total,
            device=where, rank=rank, size=size, stack=stack, watch=watch, disk=disk, pace=pace,
        )  # fmt: skip
        loop.remarks = [*edited, *changes, *_differences(run, where, size), *loop.remarks]
        return loop, dataset

    return Session(directory, begin)


def _loop(
    directory: RunDirectory, recipe: Recipe, dataset: Dataset, document: dict[str, Any], total: int, *,
    device: torch.device, rank: int, size: int, stack: ExitStack, watch: Watch | None, disk: Disk | None,
    pace: dict[str, Any] | None,
) -> Loop:  # fmt: skip
    """The loop of this run, at its newest valid checkpoint if there is one."""
    seed, horizon = int(document["run"]["seed"]), int(document["run"]["horizon"])
    engine = plans.make_engine(recipe, device, rank, size)
    workers = 2 if device.type != "cpu" else 1 if dataset.live else 0  # a cached batch is a copy; decoding takes time
    stream = Prefetch(stream_of(dataset, seed, recipe.config.flip), workers)
    stack.callback(dataset.close)
    stack.callback(stream.close)
    store = Store(directory.checkpoints, disk=disk)
    checkpoint = store.newest()
    space = replace(plans.space_of(dataset), texts=tuple(document["data"].get("texts") or ()))
    game = plans.build(recipe, space, seed, begins=checkpoint is None, document=document)
    if checkpoint is None and (origin := Origin.in_document(document)) is not None:
        adopt(game, origin)
    match = Match(game, stream, engine, recipe.config, seed=seed, horizon=horizon)
    match.exhibits = exhibits.exhibits_of(dataset, game)
    log = stack.enter_context(Log(directory.log, disk=disk)) if rank == 0 else None
    count = POINTS if dataset.kind == "points" else shown(rows_of(game, len(dataset.classes)))
    settled = Pace.of(horizon, recipe.config.batch, total, grid=count)
    if drawn(dataset, game, seconds := planned_seconds(document)):
        settled = replace(settled, samples=moments(horizon, total, seconds))
    settled = replace(settled, **(pace or {}))
    if watch is None and rank == 0:  # who looks, looks for all
        watch = watch_of(
            dataset, game, settled.samples, probes=Probes.of(document), total=total, seed=seed,
            mirrored=recipe.config.flip, context=context_of(recipe, dataset, document, total, directory.path),
            kept=lambda: kept_in(store, match),
        )  # fmt: skip
    rescue, _ = responses(document)
    loop = Loop(match, total=total, pace=settled, store=store, log=log, watch=watch, rescue=rescue)
    loop.record = edits.record(recipe, document)
    if checkpoint is not None:
        loop.remarks = [f"passed over: {line}" for line in checkpoint.rejected]
        loop.load(checkpoint)
        if checkpoint.images >= total:
            loop.remarks.append(f"the run has seen all of its {total:,} images; add to it with --budget +10m")
        loop.remarks += gone_back(loop.ladder)
    elif log is not None:
        log.truncate(0)  # killed before its first checkpoint: it begins again, and so does its log
    return loop


# ── what a run says about itself ──────────────────────────────────────────────────────────────────────────────────


def recipe_of(said: Document) -> Recipe:
    """The recipe of a run, checked again; mistakes are named with their lines."""
    name, config = of_document(said)
    run = said.values["run"]
    return Recipe(name, config, str(run.get("preset", "")), str(run.get("why", "")))


def responses(document: dict[str, Any]) -> tuple[bool, str]:
    """What recipe.yaml says under run.rescue and run.stop; `CheckpointError` if it is none of what it can be. A run of
    before there were any is not rescued, and trains as long as it was told to."""
    run = document["run"]
    rescue, stop = run.get("rescue", False), run.get("stop", "budget")
    switch = {True: True, "on": True, False: False, "off": False}
    if not isinstance(rescue, bool | str) or rescue not in switch or stop not in ("budget", "auto"):
        raise CheckpointError(
            "RUN-RECIPE", "recipe.yaml does not say what is done when something goes wrong",
            where=f"run.rescue: {rescue}, run.stop: {stop}",
            fix="rescue is true or false, stop is budget or auto",
        )  # fmt: skip
    return switch[rescue], stop


def gone_back(ladder: Ladder) -> list[str]:
    """What a person should know of a run that was rescued before it goes on."""
    if not ladder.attempt:
        return []
    times = "once" if ladder.attempt == 1 else f"{ladder.attempt} times"
    images, to, code = ladder.history[-1]
    slower = f"; it learns at {ladder.slower:g} of the planned rate since then" if ladder.halvings else ""
    return [f"the run went back {times}, the last time from {images:,} to {to:,} images because of {code}{slower}"]


def planned_seconds(document: dict[str, Any]) -> float:
    """How long the run was planned to take, up to its horizon."""
    run = document["run"]
    rate = run.get("rate", 0)
    return float(run["horizon"] / rate) if isinstance(rate, (int, float)) and rate > 0 else 0.0


def request_of(document: dict[str, Any]) -> Request:
    """What opens the same data again. `UsageError` of a model from elsewhere, which brought none."""
    data = document["data"]
    if "converted" in document["run"]:
        raise UsageError(
            "RUN-CONVERTED", "this model was converted: the data that it was trained on are not known here",
            fix="train a run of your own that begins with it: sparring train … --from RUN",
        )  # fmt: skip
    return Request(data=data["source"], options=Options.of(data), seed=int(document["run"]["seed"]))


def _reopened(
    directory: RunDirectory, request: Request, document: dict[str, Any], progress: Callable[..., None] | None
) -> tuple[Dataset, list[str]]:
    """The data of a run, as it was when the run began; and what has changed meanwhile."""
    dataset, manifest, changes = data_of(directory, request, progress)
    if manifest is None and dataset.fingerprint != document["data"]["fingerprint"]:
        raise DataError(
            "DATA-CHANGED",
            "the data is not what the run was started on",
            where=request.data,
            why=f"then {_found(directory.report())}; now {_found(dataset.report.record())}",
            fix="restore the data (data.json lists what was left out), or start a new run",
        )
    return dataset, changes


def data_of(
    directory: RunDirectory, request: Request, progress: Callable[..., None] | None = None
) -> tuple[Dataset, Manifest | None, list[str]]:
    """The data of a run as its manifest has it, the manifest, and what has changed meanwhile. Of a run without one the
    data as they are now: whether they are the same, their fingerprint says."""
    manifest = Manifest.load(directory.manifest)
    if manifest is None:
        return plans.open_dataset(request, progress), None, []
    dataset, changes = reopen(manifest, request.data, request.options, progress=progress)
    return dataset, manifest, changes


def _found(report: dict[str, Any]) -> str:
    """What a data report says in numbers."""
    numbers = [f"{report.get(key)} {key.replace('_', ' ')}" for key in ("found", "used", "held_out")]
    return ", ".join([*numbers, f"{len(report.get('excluded', ()))} left out"])


def _device_of(run: dict[str, Any]) -> str:
    device = str(run["device"])
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return device if present.get(device, False) else "auto"


def _differences(run: dict[str, Any], device: torch.device, size: int) -> list[str]:
    """What is not as it was, so that the run goes on but not bit for bit."""
    now = {
        "device": device.type,
        "processes": size,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }
    changed = [f"{key} was {run[key]}, is {value}" for key, value in now.items() if run.get(key) != value]
    if not changed:
        return []
    return ["the run goes on, but is no longer bit-identical to an uninterrupted one: " + "; ".join(changed)]


def _extended(
    budget: Budget, document: dict[str, Any], recipe: Recipe, dataset: Dataset, device: torch.device,
    rank: int, size: int, directory: RunDirectory,
) -> int:  # fmt: skip
    """The new total in images: added to what was planned, or named outright."""
    if budget.images is None and not budget.more:
        raise UsageError(
            "BUDGET-LESS", "a run that has begun is given more time, not another time", where=str(budget),
            fix=f"write --budget +{budget}",
        )  # fmt: skip
    planned = int(document["run"]["images"])
    rate = 0.0
    if budget.images is None:
        engine = plans.make_engine(recipe, device, rank, size)
        rate, _, _ = plans.rehearse(recipe, dataset, engine, int(document["run"]["seed"]))
    images = plans.images_of(budget, rate, recipe.config.batch)
    if budget.more:
        return planned + images
    if images < planned:
        newest = Store(directory.checkpoints).newest()
        seen = newest.images if newest else 0
        raise UsageError(
            "BUDGET-LESS",
            f"the run was planned for {planned:,} images and has seen {seen:,}",
            where=str(budget),
            why="a budget adds to a run, or names a larger total",
            fix="add to it with --budget +10m or +100k"
            + f"; to end it earlier, write images: {images} under run: in {directory.recipe} and resume without "
            "--budget (its schedules stay as they were planned)" * (seen < images),
        )
    return images


# ── signals ───────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def polite(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and a closed terminal call `stop` once; a second one leaves at once, as it always did.
    What is ignored (by nohup, say) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
    before = {number: signal.getsignal(number) for number in known}
    ours = [number for number in known if before[number] is not signal.SIG_IGN]  # nohup, and jobs in the background

    def restore() -> None:
        for number in ours:
            signal.signal(number, before[number] if before[number] is not None else signal.SIG_DFL)

    def heard(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    for number in ours:
        signal.signal(number, heard)
    try:
        yield
    finally:
        restore()
