"""The plan of a run: what data, which game, for how long; made, shown and checked before anything is trained."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

import sparring
from sparring.budget import Budget, duration
from sparring.data import Dataset, Options, SideSpec, open_data, stream_of
from sparring.data.pair_findings import pair_warnings
from sparring.errors import UsageError
from sparring.runs import auto, compatible, loggers, others, transfer
from sparring.runs.cost import cost_of
from sparring.runs.directory import RunDirectory, free_directory
from sparring.runs.drawing import PICTURES, seconds_of_picture
from sparring.runs.observe import most_seen
from sparring.runs.others import Other
from sparring.runs.probes import SHORTEST, Cost, Probes, moments, planned
from sparring.runs.recipe import Recipe, configure, game_class
from sparring.runs.texts import chosen
from sparring.runs.transfer import Origin
from sparring.runs.watch import SAMPLES, distance_of
from sparring.train.engine import Engine, choose_device, join, local_rank
from sparring.train.game import Game, seeded
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import Batch, HasLikelihood, News, Samples, SamplesByClass, SamplesByText, Space, Stream

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
_OVERHEAD = 0.97  # share of the time that is left for training once checkpoints and sample grids are written


@dataclass(frozen=True)
class Request:
    """What a user asks for: the flags of ``sparring train``, in plain values."""

    data: str
    recipe: str = "auto"
    options: Options = field(default_factory=Options)
    out: Path | None = None
    budget: Budget | None = None
    seed: int = 0
    device: str = "auto"
    set: tuple[str, ...] = ()
    threads: int | None = None
    begin: Path | None = None  # a run whose networks this one begins with
    freeze_d: int | None = None
    log: tuple[str, ...] = ()  # programs that are told what happens (`runs.loggers`)
    rescue: bool = True  # go back to the newest healthy checkpoint when numbers run away or the watch objects
    stop: str = "budget"  # or "auto": end when nothing more is to be expected


@dataclass(frozen=True)
class Plan:
    """A checked request. total: images to be seen; rate: images per second, measured on a discarded copy."""

    request: Request
    recipe: Recipe
    dataset: Dataset
    device: torch.device
    threads: int
    out: Path
    total: int
    rate: float
    memory: int
    parameters: dict[str, int]
    size: int = 1
    origin: Origin | None = None
    taken: tuple[str, ...] = ()  # from it, in plain words
    probes: Probes | None = None  # when it will be looked at, if it can afford that
    picture: float = 0.0  # seconds that a picture of samples takes where they are drawn step by step
    texts: tuple[str, ...] = ()  # captions that the game remembers
    others: Mapping[str, Other] = field(default_factory=dict)  # runs that it is built upon, by setting

    @property
    def seconds(self) -> float:
        """How long training will take, about."""
        looks = (self.probes.seconds if self.probes else 0.0) + PICTURES * self.picture
        return self.total / max(self.rate * _OVERHEAD, 1e-9) + looks

    def document(self) -> dict[str, Any]:
        """recipe.yaml: the resolved recipe, the data, and everything that decides the numbers."""
        request, data = self.request, self.dataset
        return {
            **self.recipe.document(),
            **({"others": {name: other.record() for name, other in self.others.items()}} if self.others else {}),
            "data": {
                "source": data.report.source,
                "kind": data.kind,
                "shape": list(data.shape),
                **settled(request.options, data).record(),
                "fingerprint": data.fingerprint,
                "classes": list(data.classes),
                "captions": data.captions is not None,
                **({"texts": list(self.texts)} if self.texts else {}),
                **({"sides": data.report.sides} if data.report.sides else {}),
            },
            "run": {
                "seed": request.seed,
                "images": self.total,
                "horizon": self.total,
                "device": self.device.type,
                "threads": self.threads,
                "processes": self.size,
                "rate": round(self.rate, 2),
                "preset": self.recipe.preset,
                "why": self.recipe.why,
                "rescue": request.rescue,
                "stop": request.stop,
                **({"log": list(request.log)} if request.log else {}),
                "sparring": sparring.__version__,
                "torch": str(torch.__version__),
                **({"probes": self.probes.record()} if self.probes is not None else {}),
                **({"from": self.origin.record()} if self.origin is not None else {}),
            },
        }

    def lines(self) -> list[str]:
        """The plan in plain words, a line each."""
        config, recipe = self.recipe.config, self.recipe
        size = " × ".join(str(side) for side in self.dataset.shape)
        weights = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        name = recipe.name if recipe.preset in ("", recipe.name) else f"{recipe.name} ({recipe.preset})"
        return [
            *self.dataset.report.lines(),
            f"recipe    {name}" + (f": {recipe.why}" if recipe.why else ""),
            f"players   {weights} parameters; {config.play}; "
            + (f"images of {size}" if self.dataset.kind == "images" else f"points of {size} numbers"),
            *[f"built on  {other.run} at {other.images:,} images ({name})" for name, other in self.others.items()],
            *self.taken,
            f"machine   {self.device}, {self.threads} threads"
            + (f", {self.size} processes" if self.size > 1 else "")
            + f", {config.precision}, {config.memory_format}; about {self.memory / 2**20:,.0f} MB of memory",
            f"training  {self.total:,} images in batches of {config.batch} "
            f"({self.total / max(1, len(self.dataset.train)):.1f} passes), seed {self.request.seed}",
            f"time      about {duration(self.seconds)} at {self.rate:,.{0 if self.rate >= 10 else 1}f} images/s "
            "(measured)",
            *([f"probes    {self.probes.line(self.seconds)}"] if self.probes is not None else []),
            *([f"pictures  about {self.picture:.1f} s each: samples are drawn pixel after pixel"] * (self.picture > 0)),
            f"run       {self.out}",
            *([f"pairs     {RunDirectory(self.out).pairs} shows eight of them"] if self.dataset.given else []),
            *self._hints(),
        ]

    def _hints(self) -> list[str]:
        """What was perhaps not meant."""
        said = compatible.notes(self.dataset.kind, self.recipe, len(self.dataset.train))
        if self.dataset.kind == "images":  # of points the labels are their modes: nobody brought them
            said += unused(self.recipe, space_of(self.dataset))
            said += compatible.unlikely(self.recipe, self.dataset.binarise)
        if self.device.type == "cpu" and (light := auto.LIGHTER.get(self.recipe.preset)):
            said.append(f"these are the networks of the paper; on a CPU --recipe {light} sees many times the images")
        asked = self.request.budget.images if self.request.budget is not None else None
        if asked is not None and asked < 1000:
            said.append(f"--budget {asked} means {asked} images; minutes are written {asked}m")
        return [f"note      {line}" for line in said]


def make(request: Request, *, progress: Callable[..., None] | None = None) -> Plan:
    """Open the data, choose and check the recipe, time a discarded copy, and turn the budget into images once."""
    loggers.check(request.log)
    request = transfer.with_origin(request)
    asked = compatible.before_data(request)
    if asked is not None:
        asked, request = others.settled(asked, request)
    origin = Origin.of(request.begin) if request.begin is not None else None
    device = choose_device(request.device)
    compatible.check_processes(device)
    threads = set_threads(request.threads)
    dataset = open_dataset(request, progress, asked)
    recipe = auto.recipe_for(
        asked, dataset.kind, dataset.shape, len(dataset.train), device.type, budget=request.budget, changes=request.set,
        binary=dataset.binarise != "none",
    )  # fmt: skip
    compatible.check_kind(dataset.kind, request.options, recipe, request.data)
    compatible.check_batch(recipe, len(dataset.train))
    check_needs(recipe, space_of(dataset), request.data)
    dataset.report.warnings.extend(pair_warnings(dataset, request.options))
    out = request.out or free_directory(request.data)
    taken = adopted(recipe, dataset, request.seed, origin)
    rank, size = join(device)
    engine = make_engine(recipe, device, rank, size)
    if progress:
        progress("timing a few rounds on a copy that is thrown away", 0, 1)
    asked_for = request.budget.images if request.budget is not None else None
    rate, memory, parameters = rehearse(recipe, dataset, engine, request.seed, images=asked_for)
    picture = 0.0
    if issubclass(recipe.game, HasLikelihood):
        picture = seconds_of_picture(build(recipe, space_of(dataset), request.seed), dataset, engine)
    total = images_of(request.budget or auto.DEFAULT_BUDGET, rate, recipe.config.batch)
    if _by_time(request.budget):
        pictures = round(PICTURES * picture * rate * _OVERHEAD / recipe.config.batch) * recipe.config.batch
        total = max(recipe.config.batch, total - pictures)
    if (looks := affordable(recipe, dataset, engine, request.seed, rate, total)) is not None:
        if _by_time(request.budget):  # what looking takes is not there for training
            batches = round((total - looks.seconds * rate * _OVERHEAD) / recipe.config.batch)
            total = max(1, batches) * recipe.config.batch
        looks = replace(looks, moments=moments(total, len(looks.moments)))
    return Plan(
        request, recipe, dataset, device, threads, out, total, rate, memory, parameters, size, origin, taken, looks,
        picture, remembered(recipe, space_of(dataset)), others.found(recipe),
    )  # fmt: skip


def affordable(recipe: Recipe, dataset: Dataset, engine: Engine, seed: int, rate: float, total: int) -> Probes | None:
    """When a run can be looked at for at most 3 % of its time: from a piece of a look, timed on a copy that is thrown
    away. None, untimed, for a run of a few seconds."""
    if total / max(rate, 1e-9) < SHORTEST[dataset.kind]:
        return None
    game = build(recipe, space_of(dataset), seed)
    match = Match(game, stream_of(dataset, seed, recipe.config.flip), engine, recipe.config, seed=seed, horizon=10**9)
    distance = distance_of(dataset) if dataset.kind == "points" and isinstance(game, Samples) else None

    def besides(view: Match) -> None:
        if distance is not None:
            distance(sample_averaged(view, SAMPLES).numpy())

    cost = cost_of(match, dataset, rate, besides)
    agreed = engine.mean(torch.tensor(dataclasses.astuple(cost), device=engine.device))  # every process plans the same
    return planned(
        Cost(*agreed.tolist()), total=total, rate=rate, train=len(dataset.train), held_out=len(dataset.held_out),
        copies=isinstance(game, Samples), most=most_seen(dataset),
    )  # fmt: skip


def adopted(recipe: Recipe, dataset: Dataset, seed: int, origin: Origin | None) -> tuple[str, ...]:
    """What a run would take over, tried on a copy that is thrown away."""
    if origin is None:
        return ()
    game = build(recipe, space_of(dataset), seed)
    return tuple(transfer.lines(origin, transfer.adopt(game, origin), game))


def open_dataset(request: Request, progress: Callable[..., None] | None = None, asked: Recipe | None = None) -> Dataset:
    """The data of a request, prepared as the recipe that was asked for needs them."""
    needs, small = (asked.kind(Space(())).needs, asked.name in auto.ANY_SIZE) if asked else ((), False)
    return open_data(request.data, request.options, progress=progress, needs=needs, small=small)


def settled(options: Options, dataset: Dataset) -> Options:
    """The options with what the data decided."""
    if dataset.kind != "images":
        return options
    channels, height, width = dataset.shape
    if dataset.given is None:
        return replace(options, size=(height, width), channels=channels, pairs="none")
    return replace(
        options, size=(height, width), channels=dataset.train.shape[3], given_channels=dataset.given.train.shape[3],
        pairs=dataset.report.pairs or "none", into=dataset.report.also or None,
    )  # fmt: skip


def remembered(recipe: Recipe, space: Space) -> tuple[str, ...]:
    """The captions that the game would remember, if it is one that can be asked for a text."""
    return space.texts if issubclass(recipe.kind(space), SamplesByText) else ()


def make_engine(recipe: Recipe, device: torch.device, rank: int = 0, size: int = 1) -> Engine:
    if device.type == "cuda" and device.index is None and size > 1:
        device = torch.device("cuda", local_rank())
    return Engine(device, recipe.config.precision, LAYOUTS[recipe.config.memory_format], rank, size)


def space_of(dataset: Dataset) -> Space:
    """What a game is told of its data."""
    given = dataset.given
    return Space(
        dataset.shape, len(dataset.classes), dataset.captions is not None,
        condition=given.shape if given is not None else None,
        paired=given is None or given.paired,
        legend=dataset.legend,
        condition_legend=given.legend if given is not None else (),
        texts=chosen(dataset.captions),
    )  # fmt: skip


def space_of_document(document: dict[str, Any]) -> Space:
    """The same from recipe.yaml; runs from before there were classes have none."""
    data = document["data"]
    space = Space(tuple(data["shape"]), len(data.get("classes") or ()), bool(data.get("captions")),
                  texts=tuple(data.get("texts") or ()))  # fmt: skip
    if not data.get("sides"):
        return space
    given, made = SideSpec.of_document(data), SideSpec.of_document(data, made=True)
    return dataclasses.replace(
        space, condition=(given.seen, *space.shape[1:]), paired=data["pairs"] != "unpaired", legend=made.legend,
        condition_legend=given.legend,
    )  # fmt: skip


def game_of(document: Mapping[str, Any]) -> type[Game]:
    """The class of the game of a run, from what its recipe.yaml says: it says what the game can do."""
    game = game_class(str(document["recipe"]))
    if game.kind.__func__ is Game.kind.__func__:  # type: ignore[attr-defined]
        return game
    return game.kind(configure(game, document["config"], where="recipe.yaml"), space_of_document(dict(document)))


def check_needs(recipe: Recipe, space: Space, data: str) -> None:
    """`UsageError` where the recipe needs labels, captions or pairs that the data does not have."""
    needs = recipe.kind(space).needs
    if "label" in needs and not space.classes:
        raise UsageError(
            "DATA-UNLABELLED",
            f"recipe {recipe.name} needs the class of every image, and the data has no labels",
            where=data,
            fix="--labels folders, if each class has a folder of its own; or metadata.jsonl with file_name and label "
            "beside the images; or idx labels; or another --recipe",
        )
    if "text" in needs and not space.captions:
        raise UsageError(
            "DATA-UNCAPTIONED",
            f"recipe {recipe.name} needs a caption for every image, and the data has none",
            where=data,
            fix="put metadata.jsonl with file_name and text beside the images; or take another --recipe",
        )
    compatible.check_pairs(recipe, space, data)


def unused(recipe: Recipe, space: Space) -> list[str]:
    """What the data brings and the recipe does not use, a line each."""
    game = recipe.kind(space)
    by_class = "label" in game.needs or issubclass(game, SamplesByClass)
    labels = [f"labels ({space.classes} classes)"] * bool(space.classes and not by_class)
    by_text = "text" in game.needs or issubclass(game, SamplesByText)
    captions = ["captions"] * bool(space.captions and not by_text)
    found = " and ".join([*labels, *captions])
    if not found:
        return []
    for_labels = "cgan" if len(space.shape) == 3 else "cgan-points"
    settled = by_text and any(field.name == "conditioning" for field in fields(recipe.config))
    uses = "--set conditioning=class" if settled else f"--recipe {for_labels}"
    hint = f"; {uses} uses the labels" if labels and space.condition is None else ""
    return [f"{found} are kept with the images; recipe {recipe.name} does not use them{hint}"]


def build(
    recipe: Recipe, space: Space, seed: int, *, begins: bool = True, document: Mapping[str, Any] | None = None
) -> Game:
    """The game, its weights a function of the seed. begins: whether it starts with these weights; else others follow
    from a checkpoint.   document: the recipe.yaml of its run, if there is one, which says what other runs it is built
    upon; without, its settings say so."""
    if recipe.game.others and not space.others:
        said = None if document is None else document.get("others", {})
        space = replace(space, others=others.games(recipe, said, weights=begins))
    game = seeded(seed, lambda: recipe.game.build(recipe.config, space))
    assert isinstance(game, Game)
    if begins:
        game.begin()
    return game


def rehearse(
    recipe: Recipe, dataset: Dataset, engine: Engine, seed: int, *, images: int | None = None
) -> tuple[float, int, dict[str, int]]:
    """Play a few rounds on a copy that is thrown away: images/s, bytes of memory at the peak, parameters by player.

    images: how many the run will see, if that is known: then half a second is enough, and no more rounds than its own.
    It also finds what would fail at the first step, before a run directory exists.
    """
    game = build(recipe, space_of(dataset), seed)
    stream, warm = stream_of(dataset, seed, recipe.config.flip), 3 if images is None else 1
    if dataset.captions is not None:  # each is read once in a run, when it first comes, which takes longer
        stream = _Again(stream, warm * recipe.config.batch)
    match = Match(game, stream, engine, recipe.config, seed=seed, horizon=10**9)
    for _ in range(warm):
        match.step()
    _finish(engine)
    limit, most = (6.0, math.inf) if images is None else (0.5, images)
    began, before = time.perf_counter(), match.images
    rounds = 0
    while rounds < 4 or (
        match.images - before < most
        and (rounds < 24 if engine.size > 1 else time.perf_counter() - began < limit)  # together, equally many
    ):
        match.step()
        rounds += 1
    _finish(engine)
    rate = (match.images - before) / (time.perf_counter() - began)
    rate = float(engine.mean(torch.tensor(rate, device=engine.device)))
    parameters = {name: sum(p.numel() for p in player.parameters()) for name, player in game.players.items()}
    return rate, _memory(engine), parameters


@dataclass(frozen=True)
class _Again:
    """The first `count` samples of a stream again and again."""

    stream: Stream
    count: int

    @property
    def fingerprint(self) -> str:
        return self.stream.fingerprint

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        return self.stream.take(start % self.count, count)

    def news(self) -> Sequence[News]:
        return self.stream.news()


def _finish(engine: Engine) -> None:
    if engine.device.type == "cuda":
        torch.cuda.synchronize(engine.device)


def _memory(engine: Engine) -> int:
    if engine.device.type == "cuda":
        return torch.cuda.max_memory_allocated(engine.device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def images_of(budget: Budget, rate: float, batch: int) -> int:
    """A budget as a number of images, a multiple of the batch, at least one batch."""
    wanted = budget.images if budget.images is not None else (budget.seconds or 0.0) * rate * _OVERHEAD
    return max(1, round(wanted / batch)) * batch


def _by_time(budget: Budget | None) -> bool:
    return budget is None or budget.images is None


def set_threads(threads: int | None) -> int:
    """Use `threads` threads for arithmetic, or what torch would; returns how many."""
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return torch.get_num_threads()
