"""From what a person typed to the sides of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparring.data import BUILT_IN, Options, SideSpec, cache, open_data, points
from sparring.data.dataset import Dataset, recipe_of
from sparring.data.prepare import Preparation
from sparring.data.prepare import recipe_of as recipe_of_scan
from sparring.data.report import DataReport
from sparring.data.sources import ArraySource, Source, ZipSource, open_source
from sparring.data.sources.shards import ParquetSource
from sparring.errors import CheckpointError, DataError, UsageError
from sparring.generate.sample import MOST
from sparring.runs import session
from sparring.runs.directory import RunDirectory
from sparring.runs.evaluate import pairs
from sparring.runs.evaluate.point_rows import PointRows
from sparring.runs.evaluate.sides import Drawn, Files, Rows, Side
from sparring.runs.plan import game_of
from sparring.runs.run import Run
from sparring.types import HasTokens, Samples, Segments, Translates, of_exhibits

SAMPLES = 5000
"""Samples of a run that are drawn unless a number is asked for."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Place:
    """What a word on the command line names. path: of the run, or the word itself.   checkpoint: images seen, where a
    checkpoint is named."""

    kind: str  # "run", "checkpoint" or "data"
    path: str
    checkpoint: int | None = None


@dataclass(frozen=True)
class Wanted:
    """One side, in plain values, so that another process can open the same.

    role:    "files" (of a source), "rows" (of the data of a run, or of a source divided as for training), "drawn".
    text:    the source, or the directory of the run.   options: how images are prepared; None: as they are.
    split:   "all", "held-out", "train".   of_run: whether `text` is a run.
    n:       how many; None: all.   seed: of the choice, or of the samples.
    which, weights, device: of the run that draws.
    """

    role: str
    text: str
    kind: str = ""
    options: dict[str, Any] | None = None
    split: str = "all"
    of_run: bool = False
    n: int | None = None
    seed: int = 0
    which: str = "best"
    weights: str = "ema"
    device: str = "auto"

    def record(self) -> dict[str, Any]:
        """Plain JSON values; ``Wanted(**record)`` undoes it."""
        return asdict(self)


def place(text: str) -> Place:
    """A run, a checkpoint of one, or data. A path wins over a built-in name only if it is written as one (./emoji)."""
    path = Path(text).expanduser()
    if text in BUILT_IN or text.startswith("hf:") or "://" in text:
        return Place("data", text)
    if (path / "recipe.yaml").is_file():
        return Place("run", str(path))
    if path.name == "recipe.yaml" and path.is_file():
        return Place("run", str(path.parent))
    if path.is_dir() and path.resolve().parent.name == "checkpoints" and path.name.isdecimal():
        run = path.resolve().parent.parent
        if not (run / "recipe.yaml").is_file():
            raise CheckpointError(
                "EVALUATE-CHECKPOINT", "a checkpoint is used with the run around it", where=text,
                why=f"there is no recipe.yaml in {run}", fix="copy the whole run, and name its directory",
            )  # fmt: skip
        return Place("checkpoint", str(run), int(path.name))
    return Place("data", text)


def refuse_absent(text: str) -> None:
    """`CheckpointError` that names the runs nearby, where what is named alone is neither a run nor data."""
    if text not in BUILT_IN and ":" not in text and not Path(text).expanduser().exists():
        RunDirectory(text).document()


def open_side(wanted: Wanted, progress: Progress | None = None) -> Side:
    """Open what is wanted. Raises the errors of data and of runs, each of which names its place."""
    side = {"files": _files, "rows": _rows, "drawn": _drawn}[wanted.role](wanted, progress)
    side.kind = wanted.kind or side.kind
    return side


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(wanted: Wanted, progress: Progress | None) -> Side:
    refuse_points(wanted.text)
    options = Options.of(wanted.options) if wanted.options is not None else Options()
    root, _ = cache.directory(None)
    source = open_source(wanted.text, options, root, progress)
    try:
        scan = Preparation(source, root, options, progress).scan()
        recipe = recipe_of_scan(scan, options) if wanted.options is not None else None
        side = Files(source, scan, recipe, wanted.n, wanted.seed)
    except BaseException:
        source.close()
        raise
    side.what, side.kind = wanted.text, kind_of(source)
    return side


def kind_of(source: Source) -> str:
    """What a person calls it."""
    if isinstance(source, ZipSource):
        return "zip"
    if isinstance(source, ParquetSource):
        return "shards"
    return "data" if isinstance(source, ArraySource) else "folder"


def refuse_points(text: str) -> None:
    """`UsageError` for data of 2-D points."""
    if text in points.NAMES:
        raise _points("this is data of 2-D points", text)


def _points(what: str, where: str) -> UsageError:
    return UsageError(
        "EVALUATE-POINTS", f"{what}, and evaluate judges images", where=where,
        why="points need no judge network: what is wrong with samples of them can be counted",
        fix="a run on points measures itself: see its report.html, or `sparring doctor RUN`; how likely its held-out "
        "points are: sparring evaluate RUN --metrics nll",
    )  # fmt: skip


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(wanted: Wanted, progress: Progress | None) -> Side:
    hashes, changes = None, list[str]()
    if wanted.of_run:
        dataset, hashes, changes = data_of(wanted.text, progress)
        if dataset.kind == "points":
            points_side = PointRows(dataset, wanted.split, wanted.n, wanted.seed)
            points_side.what, points_side.kind, points_side.changes = dataset.report.source, "points", changes
            return points_side
        options = _options_of(RunDirectory(wanted.text).document())
    else:
        refuse_points(wanted.text)
        options = Options.of(wanted.options) if wanted.options is not None else Options()
        dataset = open_data(wanted.text, options, progress=progress)
    if dataset.survey is not None:
        hashes = dataset.survey.hashes
    side = Rows(dataset, wanted.split, recipe_of(dataset.report, options), hashes, wanted.n, wanted.seed)
    side.what, side.kind, side.changes = _place_of(dataset.report, options), "data", changes
    if wanted.split == "all" and wanted.n is None:
        side.excluded = list(dataset.report.excluded)
    return side


def _place_of(report: DataReport, options: Options) -> str:
    """Where the images lie that are evaluated; of pairs those that are to be made."""
    if report.other:
        return str(report.other["made"]["source"])
    return report.also if report.also and options.direction == "AtoB" else report.source


def data_of(run: str | Path, progress: Progress | None = None) -> tuple[Dataset, np.ndarray | None, list[str]]:
    """The data of a run as they were when it began, the hashes of their contents, and what has changed meanwhile.
    Raises `DataError` where they are not there any more, `UsageError` for points."""
    directory = RunDirectory(run)
    document = directory.document()
    dataset, manifest, changes = session.data_of(directory, session.request_of(document), progress)
    if manifest is not None:
        return dataset, manifest.hashes, changes
    changed = dataset.fingerprint != document["data"]["fingerprint"]
    said = "the data, or how they are read, are not as the run recorded them: held-out images may have been trained on"
    return dataset, None, [said] if changed else []


def _options_of(document: dict[str, Any]) -> Options:
    return Options.of(document["data"])


def options_of_run(run: str | Path) -> dict[str, Any]:
    """How images are prepared to be held against samples of a run: as its training data were."""
    return options_of(RunDirectory(run).document(), str(run))


def options_of(document: dict[str, Any], where: str) -> dict[str, Any]:
    """The same, of what a run or an exported folder says of itself."""
    if document["data"]["kind"] != "images":
        raise _points("this is a run on 2-D points", where)
    data = document["data"]
    options = replace(_options_of(document), channels=int(data["shape"][0]))
    if data.get("sides"):  # files that are held against what it makes are no pairs
        made = SideSpec.of_document(data, made=True)
        channels = 3 if made.legend else made.channels
        options = replace(options, channels=channels, into=None, pairs="none", maps="none", palette=None)
    return options.record()


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _drawn(wanted: Wanted, progress: Progress | None) -> Side:
    n = SAMPLES if wanted.n is None else wanted.n
    if not 3 <= n <= MOST:
        raise UsageError("EVALUATE-N", f"between 3 and {MOST:,} samples are possible", where=str(n), fix="-n 5000")
    run = Run(wanted.text, which=wanted.which, device=wanted.device)
    if of_exhibits(run.game):
        return _translated(wanted, run, progress)
    if not isinstance(run.game, Samples):
        raise UsageError(
            "EVALUATE-CANNOT", f"a run of {run.document['recipe']} makes no samples of its own", where=wanted.text,
            fix="evaluate a run that generates images",
        )  # fmt: skip
    if wanted.weights == "raw":
        use_raw(run)
    side = Drawn(run, n, wanted.seed, wanted.weights, class_shares(run))
    side.kind, side.changes = "run", run.remarks
    return side


def _translated(wanted: Wanted, run: Run, progress: Progress | None) -> Side:
    """The translations, or reconstructions, of images of the run's own data: of those held out, unless others are asked
    for."""
    truth = _rows(replace(wanted, role="rows", of_run=True), progress)
    assert isinstance(truth, Rows)
    if wanted.weights == "raw":
        use_raw(run)
    side = pairs.opened(run, truth, wanted.weights, wanted.n, wanted.seed)
    side.kind, side.changes = "run", [*run.remarks, *truth.changes]
    return side


def translates(place: Place) -> bool:
    """Whether a word names a run that makes images of images, or names what their pixels are."""
    if place.kind == "data":
        return False
    game = game_of(RunDirectory(place.path).document())
    return issubclass(game, Translates | Segments | HasTokens)


@torch.no_grad()
def use_raw(run: Run) -> None:
    """Put the players in place as they were trained, instead of their averages."""
    for name, player in run.game.players.items():
        if f"{name}-ema" in run.checkpoint.stems:
            player.load_state_dict(run.checkpoint.tensors(name))
    run.game.eval().requires_grad_(False)


def class_shares(run: Run) -> np.ndarray | None:
    """How often the data of a run show each of its classes, as its data.json says; None where it does not."""
    counts = RunDirectory(run.path).report().get("classes") or {}
    shares = np.array([float(counts.get(name, 0)) for name in run.classes])
    return shares if len(shares) and shares.sum() > 0 else None


def at_least(n: int, side: Side) -> None:
    """`DataError` where a side has fewer than the three usable images that every measure needs."""
    if n < 3:
        held_out = side.split == "held-out"
        raise DataError(
            "EVALUATE-FEW", f"{n} usable image{'s' * (n != 1)}, and at least 3 are needed",
            where=f"{side.what}, {side.split}" if held_out else side.what,
            why=("left out: " + "; ".join(f"{name}: {why}" for name, why in side.excluded[:5])) * bool(side.excluded),
            fix="nothing was held out: take --split train" if held_out and not n
            else "give more images; some hundreds say something, some thousands say it surely",
        )  # fmt: skip
