"""What is the matter with a run, finished, running, killed, old or damaged: its log judged, and one fresh look at it.

Nothing is written, and no lock is taken: a run that goes on is not disturbed.
"""

from __future__ import annotations

import math
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparring.contest import ContestConfig
from sparring.data import Dataset, stream_of
from sparring.errors import CheckpointError, SparringError, UsageError
from sparring.health.history import History
from sparring.health.rules import judge
from sparring.health.signals import signals
from sparring.health.table import table
from sparring.health.thresholds import usual
from sparring.health.trend import when_to_stop
from sparring.health.verdict import Context, Verdict
from sparring.health.words import count, number, of_points
from sparring.losses.adversarial import OBJECTIVES
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory
from sparring.runs.document import Document
from sparring.runs.lock import alive, holder
from sparring.runs.observe import Observer, judge_of, solo
from sparring.runs.probes import REFERENCE, SIZES, Probes
from sparring.runs.recipe import Recipe
from sparring.runs.session import data_of, recipe_of, request_of
from sparring.runs.settings import plain
from sparring.runs.watch import SAMPLES, distance_of, finite, measure_of
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.engine import choose_device
from sparring.train.log import read
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import HasTokens, Samples

Progress = Callable[[str, int, int], None]
Row = tuple[int, dict[str, float]]

STORY = ("ROLLBACK", "NOT-FINITE", "GIVEN-UP", "DISK", "DATA-BROKEN", "DATA-LOST")
"""Alarms that are told as what has happened on the way; verdicts of the past are judged anew instead."""
MOST_STORY = 8
JUDGED = {"auc", "kid", "diversity", "coverage", "accuracy", "pixel_accuracy", "retrieval"}
"""What a probe has measured if the health of a run was looked at: of points, pictures alone are counted too."""


@dataclass
class Told:
    """What log.jsonl says, as far as it can be read."""

    probes: list[Row] = field(default_factory=list)
    turns: list[Row] = field(default_factory=list)
    alarms: list[tuple[int, str, str]] = field(default_factory=list)
    done: str = ""
    troubles: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        return max((rows[-1][0] for rows in (self.probes, self.turns) if rows), default=0)


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a run.

    run: its directory.   about: the game and its data, in words.   state: running, finished, …, in words.
    images, planned: seen, and to be seen.   verdicts: the most serious first.   signals: of the last probe, or of the
    fresh look.   looked: where that was, in words, or why it was not.   table: (what, now, healthy) in words.
    stop, checkpoint: when to stop, and which checkpoint, in words.   story: what happened on the way.
    settings: what a setting that is advised is given to.   troubles: what could not be read.
    """

    run: Path
    about: str
    state: str
    images: int
    planned: int
    probes: int
    verdicts: tuple[Verdict, ...]
    signals: dict[str, float]
    looked: str
    table: tuple[tuple[str, str, str], ...]
    stop: str
    checkpoint: str
    story: tuple[str, ...]
    settings: str
    troubles: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "run": str(self.run),
            "about": self.about,
            "state": self.state,
            "images": self.images,
            "planned": self.planned,
            "probes": self.probes,
            "verdicts": [verdict.record() for verdict in self.verdicts],
            "signals": self.signals,
            "looked": self.looked,
            "stop": self.stop,
            "checkpoint": self.checkpoint,
            "story": list(self.story),
            "troubles": list(self.troubles),
        }


def diagnose(
    path: Path | str, *, look: bool = True, which: str = "last", progress: Progress | None = None
) -> Diagnosis:
    """Judge the run in `path`; with `look` also look once at its checkpoint `which` ("last", "best", or images seen).

    `CheckpointError` if there is no run; `UsageError` if `which` is none of these.
    """
    directory = RunDirectory(path)
    said, recipe, troubles = _said(directory)
    told = heard(directory.log)
    moment = _moment(directory, which)
    state, running = _state(directory, said, told)
    context = _context(directory, said, recipe, told, ended=not running)
    if moment is not None and which != "last":  # as things stood then
        told.probes = [row for row in told.probes if row[0] <= moment]
        told.turns = [row for row in told.turns if row[0] <= moment]
        context = replace(context, alarms=())
    values: dict[str, float] = {}
    looked, probes = "no probe in its log", len(told.probes)
    if told.probes:
        values, looked = dict(told.probes[-1][1]), f"at image {told.probes[-1][0]:,} (its last probe)"
    if look:
        try:
            seen, where = _look(directory, said, recipe, which, progress)
            values, looked = seen, f"at image {where:,} ({_name(which)} checkpoint, looked at now)"
            context = replace(context, alone=not any(JUDGED & values.keys() for _, values in told.probes))
            told.probes = joined(told.probes, (where, seen))
        except (SparringError, OSError, ValueError, KeyError) as error:
            why = (error.what + (f" ({error.why})" if error.why else "")) if isinstance(error, SparringError) else error
            troubles.append(f"no fresh look: {str(why).splitlines()[0]}")
    verdicts = judge(told.probes, told.turns, context)
    worded = of_points if context.kind == "points" else str
    history = History.of(told.probes, told.turns, context, usual())
    document = said.values if said is not None else {}
    return Diagnosis(
        run=directory.path, about=_about(document), state=state, images=told.images or (moment or 0),
        planned=context.planned, probes=probes,
        verdicts=tuple(verdicts), signals=values, looked=worded(looked), table=tuple(table(values, context)),
        stop=worded(when_to_stop(history)), checkpoint=worded(_checkpoint(directory, told)),
        story=tuple(map(worded, _story(told))),
        settings=_settings(directory, document, verdicts), troubles=(*troubles, *told.troubles),
    )  # fmt: skip


# ── what the files say ────────────────────────────────────────────────────────────────────────────────────────────


def _said(directory: RunDirectory) -> tuple[Document | None, Recipe | None, list[str]]:
    """recipe.yaml, and the recipe in it, as far as they can be read; why not, where they cannot."""
    try:
        said = directory.said()
    except CheckpointError as error:
        if error.code == "RUN-MISSING" or not directory.log.is_file():
            raise
        return None, None, [f"recipe.yaml could not be read: {error.why or error.what}"]
    try:
        return said, recipe_of(said), []
    except SparringError as error:
        where = f" ({error.where})" if error.where else ""
        return said, None, [f"the recipe could not be opened: {error.what}{where}"]


def heard(log: Path) -> Told:
    """The probes, turns and alarms of a log; lines that are none of ours are counted, not believed."""
    told, strange = Told(), 0
    try:
        for record in read(log):
            try:
                strange += not _hear(record, told)
            except (KeyError, TypeError, ValueError, OverflowError):
                strange += 1
    except FileNotFoundError:
        told.troubles.append("log.jsonl is missing: nothing has been logged yet")
    except OSError as error:
        told.troubles.append(f"log.jsonl could not be read: {error.strerror or error}")
    looks = [row for row in told.probes if JUDGED & row[1].keys()]
    told.probes = looks or told.probes  # of points more is counted in between, for the pictures
    if strange:
        told.troubles.append(f"{strange} of the lines in log.jsonl could not be read")
    return told


def joined(probes: list[Row], look: Row) -> list[Row]:
    """The probes with a fresh look among them: as one more at the end, or beside what was counted at the same images.
    A look at an earlier checkpoint than the last probe saw adds nothing to judge by."""
    images, values = look
    if not probes or images > probes[-1][0]:
        return [*probes, look]
    if images == probes[-1][0]:
        return [*probes[:-1], (images, {**values, **probes[-1][1]})]
    return probes


def _hear(record: dict[str, Any], told: Told) -> bool:
    """Take one line in; whether it is one of ours."""
    kind = record.get("event")
    if kind == "turn":
        values = record["values"].items()
        told.turns.append((int(record["images"]), {str(n): _number(v) for n, v in values if not isinstance(v, list)}))
    elif kind == "probed":
        told.probes.append((int(record["images"]), finite({str(n): _number(v) for n, v in record["values"].items()})))
    elif kind == "alarm":
        told.alarms.append((int(record["images"]), str(record["code"]), str(record["message"])))
    elif kind == "done":
        told.done = str(record["reason"])
    if kind == "turn":
        told.done = ""  # it went on
    return isinstance(kind, str)


def _number(value: Any) -> float:
    """A logged number; what is not finite was written as null."""
    return math.nan if value is None else float(value)


def _about(document: dict[str, Any]) -> str:
    if not document:
        return "a run whose recipe.yaml cannot be read"
    data = document["data"]
    shape = "×".join(str(side) for side in data["shape"][1:]) if data["kind"] == "images" else "points"
    labels = f", {len(data['classes'])} classes" if data.get("classes") else ""
    return f"{document['run'].get('preset') or document['recipe']} on {data['source']} ({shape}{labels})"


def _state(directory: RunDirectory, said: Document | None, told: Told) -> tuple[str, bool]:
    """(what the run is doing, in words; whether it goes on)."""
    planned = int(said.values["run"]["images"]) if said is not None else 0
    at = f"{told.images:,} of {planned:,} {_unit(said)}" if planned else f"{told.images:,} images"
    owner = holder(directory.path)
    pid, here = owner.get("pid"), owner.get("host") == socket.gethostname()
    # on Windows asking would end it: there that it holds the lock is all that is known
    if isinstance(pid, int) and here and (sys.platform == "win32" or alive(pid)):
        return f"running (process {pid}), {at} seen", True
    if isinstance(pid, int) and not here and time.time() - _touched(directory.log) < 600:
        return f"running on {owner.get('host')}, as it seems, {at} seen", True
    if planned and told.images >= planned:
        return f"finished, {told.images:,} {_unit(said)} seen", False
    if told.alarms and told.alarms[-1][1] == "GIVEN-UP":
        return f"given up at {at}", False
    return f"stopped at {at}" + (" (its process was killed)" if isinstance(pid, int) and here else ""), False


def _unit(said: Document | None) -> str:
    return "points" if said is not None and said.values["data"]["kind"] == "points" else "images"


def _touched(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _context(
    directory: RunDirectory, said: Document | None, recipe: Recipe | None, told: Told, *, ended: bool
) -> Context:
    """What must be known to judge, as far as the files say it."""
    document: dict[str, Any] = said.values if said is not None else {}
    data, run, report = document.get("data", {}), document.get("run", {}), directory.report()
    settings: dict[str, Any] = dict(document.get("config") or {})
    objective = str(settings.get("objective", ""))
    if recipe is not None:
        settings = plain(recipe.config)
        objective = str(recipe.config.objective) if isinstance(recipe.config, ContestConfig) else objective
    kept, game = "", None if recipe is None else plans.game_of(document)
    with suppress(SparringError, OSError):  # where nothing was measured, that nothing was seen says little
        found = Store(directory.checkpoints).newest_healthy(10**18) if told.probes else None
        kept = f"the checkpoint of {count(found.images)} is kept" if found is not None else ""
    return Context(
        recipe=str(document.get("recipe", "")), objective=objective,
        relative=objective in OBJECTIVES and OBJECTIVES[objective].relative,
        images=_whole(report.get("used")), held_out=_whole(report.get("held_out")), kept=kept, settings=settings,
        classes=len(data.get("classes") or ()), kind=str(data.get("kind", "images")), translates="sides" in data,
        solo=game is not None and solo(game), coded=game is not None and issubclass(game, HasTokens),
        planned=_whole(run.get("images")), stop=str(run.get("stop", "budget")), ended=ended,
        run=str(directory.path), data=str(data.get("source", "DATA")), alarms=tuple(told.alarms),
    )  # fmt: skip


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


# ── a fresh look ──────────────────────────────────────────────────────────────────────────────────────────────────


def _moment(directory: RunDirectory, which: str) -> int | None:
    """Images seen at the checkpoint that is asked for, if there is one; `UsageError` for what is none."""
    if which in ("last", "best"):
        store = Store(directory.checkpoints)
        best = store.best() if which == "best" else None
        return best[0] if best is not None else max(store.moments, default=None)
    if which.isdecimal():
        moments = Store(directory.checkpoints).moments
        if int(which) in moments:
            return int(which)
        raise UsageError(
            "RUN-WHICH", "there is no checkpoint of so many images", where=f"--which {which}",
            fix=f"there are {', '.join(map(str, moments)) or 'none'}; or --which last, --which best",
        )  # fmt: skip
    raise UsageError(
        "RUN-WHICH", "a checkpoint is named by what it is, or by the images it has seen", where=f"--which {which}",
        fix="--which last, --which best, or --which and a number",
    )  # fmt: skip


def _name(which: str) -> str:
    return f"the {which}" if which in ("last", "best") else "this"


def _chosen(directory: RunDirectory, which: str) -> Checkpoint:
    store = Store(directory.checkpoints)
    moment = _moment(directory, which)
    if which != "last" and moment is not None:
        return store.at(moment)
    found = store.newest()
    if found is None:
        raise CheckpointError("RUN-EMPTY", "the run has no checkpoint yet", where=str(directory.path))
    return found


def _look(
    directory: RunDirectory, said: Document | None, recipe: Recipe | None, which: str, progress: Progress | None
) -> tuple[dict[str, float], int]:
    """(signals, images seen) of a checkpoint, as a probe of the run would have measured them there."""
    if said is None or recipe is None:
        raise CheckpointError("RUN-RECIPE", "its recipe could not be opened")
    checkpoint = _chosen(directory, which)
    dataset, _, _ = data_of(directory, request_of(said.values), progress)
    try:
        match = _match(said.values, recipe, dataset, checkpoint)
        if progress is not None:
            progress("looking at the run", 0, 1)
        return _measured(said.values, recipe, dataset, match), checkpoint.images
    finally:
        dataset.close()


def _match(document: dict[str, Any], recipe: Recipe, dataset: Dataset, checkpoint: Checkpoint) -> Match:
    """The game as it stood at a checkpoint: players, averages, what it remembers."""
    run = document["run"]
    seed = int(run["seed"])
    engine = plans.make_engine(recipe, choose_device("auto"))
    game = plans.build(recipe, plans.space_of_document(document), seed, begins=False, document=document)
    stream = stream_of(dataset, seed, recipe.config.flip)
    match = Match(game, stream, engine, recipe.config, seed=seed, horizon=int(run["horizon"]))
    match.load({stem: checkpoint.tensors(stem) for stem in match.tensors()}, checkpoint.state)
    return match


def _measured(document: dict[str, Any], recipe: Recipe, dataset: Dataset, match: Match) -> dict[str, float]:
    """All signals of the game, with as many samples as its own probes had."""
    probes = Probes.of(document)
    samples = probes.samples if probes is not None else SIZES[0]
    reference = probes.reference if probes is not None else min(REFERENCE, len(dataset.train))
    observer = Observer(
        dataset, samples=samples, reference=reference, seed=match.seed if isinstance(match.seed, int) else 0,
        mirrored=recipe.config.flip, judge=judge_of(match.game, dataset),
    )  # fmt: skip
    values: dict[str, float] = {}
    if dataset.kind == "points" and isinstance(match.game, Samples):
        made = sample_averaged(match, SAMPLES).numpy()
        values |= {**measure_of(dataset)(made), **distance_of(dataset)(made)}
    return finite(values | signals(observer.look(match), observer.baseline))


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _checkpoint(directory: RunDirectory, told: Told) -> str:
    """Which checkpoint there is to use."""
    store = Store(directory.checkpoints)
    try:
        moments, best = store.moments, store.best()
    except OSError as error:
        return f"the checkpoints could not be read ({error.strerror or error})"
    if not moments:
        return f"there is none yet: sparring resume {directory.path}"
    if best is None or best[0] not in moments:
        why = "none is marked best, since nothing was measured while it trained"
        if any(not values.keys() & {"kid", "energy_distance"} for _, values in told.probes):
            why = "none is marked best, since points were only counted for its pictures: it was too short for probes"
        return f"the newest, of image {moments[-1]:,}, is what is used; {why}"
    images, value, measure = best
    scored = f" ({measure or 'score'} {number(value)})"
    if images == moments[-1]:
        return f"the newest, of image {images:,}, is the best{scored}, and is what is used"
    return (f"the best, of image {images:,}{scored}, is what is used; the newest is of image {moments[-1]:,} "
            "(--which last)")  # fmt: skip


def _story(told: Told) -> tuple[str, ...]:
    lines = [f"image {count(images)}: {message}" for images, code, message in told.alarms if code in STORY]
    return tuple(lines[-MOST_STORY:])


def _settings(directory: RunDirectory, document: dict[str, Any], verdicts: list[Verdict]) -> str:
    """The command that a setting is given to, if one is advised."""
    if not document or not any("--set" in verdict.advice for verdict in verdicts):
        return ""
    return f"sparring train {document['data']['source']} --recipe {directory.recipe} --set …"
