"""An evaluation from beginning to end: open both sides, show them to the judge, measure, say what came of it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparring.chance import permutation
from sparring.data import Options
from sparring.errors import UsageError
from sparring.metrics.extractors import DEFAULT, ClassifierFeatures
from sparring.metrics.features import Extractor, identity
from sparring.metrics.figure import Figure
from sparring.metrics.likelihood import SAMPLES as WEIGHTS
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.evaluate import likelihood, memorisation, remarks, retrieval, segmented, translations, verdicts
from sparring.runs.evaluate.judges import open_judge
from sparring.runs.evaluate.measures import MEASURES, OF_CYCLES, OF_PAIRS, Scene, frequencies, usual
from sparring.runs.evaluate.memorisation import Library
from sparring.runs.evaluate.opening import (
    Place,
    Progress,
    Wanted,
    at_least,
    open_side,
    options_of_run,
    place,
    refuse_absent,
    refuse_points,
    translates,
)
from sparring.runs.evaluate.pairs import Translated
from sparring.runs.evaluate.seen import Seen
from sparring.runs.evaluate.sides import Drawn, Rows, Side
from sparring.runs.evaluate.stream import seen_of
from sparring.runs.release import is_release
from sparring.runs.values import unknown


@dataclass(frozen=True)
class Ask:
    """What is to be evaluated, in plain values: the flags of ``sparring evaluate``.

    real:  data; or a run, which then stands for the data that it was trained on.
    fake:  data; or a run or a checkpoint, which stands for its samples. None: those of `real`.
    metrics: names; none: the usual ones.   null: also measure what two halves of the real side give.
    fcn, segmenter: a run of fcn8s, or a published network, that judges photos made of label maps (`fcn`).
    fcn_against: other runs that it judges too.   importance: weights of each image, for a likelihood.
    scorer: who says which text a picture is of, for retrieval.
    """

    real: str
    fake: str | None = None
    features: str = DEFAULT
    metrics: tuple[str, ...] = ()
    n: int | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    crop: str = "center"
    split: str = "auto"
    which: str = "best"
    weights: str = "ema"
    processes: int = 1
    device: str = "auto"
    null: bool = False
    fcn: str | None = None
    fcn_against: tuple[str, ...] = ()
    segmenter: str | None = None
    importance: int = WEIGHTS
    scorer: str | None = None
    out: str | None = None

    def command(self) -> str:
        """The command line that asks the same."""
        usual = Ask(self.real)
        words = ["sparring", "evaluate", self.real, *([self.fake] if self.fake is not None else [])]
        for name, flag in (
            ("features", "--features"), ("n", "--n"), ("seed", "--seed"), ("crop", "--crop"), ("split", "--split"),
            ("which", "--which"), ("weights", "--weights"), ("fcn", "--fcn"), ("segmenter", "--segmenter"),
            ("importance", "--importance"), ("scorer", "--scorer"),
        ):  # fmt: skip
            if getattr(self, name) != getattr(usual, name):
                words += [flag, str(getattr(self, name))]
        words += ["--metrics", ",".join(self.metrics)] if self.metrics else []
        words += [word for run in self.fcn_against for word in ("--fcn-against", run)]
        words += ["--size", f"{self.size[1]}x{self.size[0]}"] if self.size else []
        return shlex.join([*words, *(["--null"] if self.null else [])])


def asked(**settings: Any) -> Ask:
    """An `Ask` from arguments by name; `UsageError`, with the nearest one, for a name that there is not."""
    known = [field.name for field in fields(Ask)]
    for name in settings:
        if name not in known:
            raise unknown("ARGUMENT", "there is no such argument", name, known)
    return Ask(**settings)


def evaluate(ask: Ask, progress: Progress | None = None) -> dict[str, Any]:
    """Do it; returns the record that ``--json`` prints. Of a run alone it is also written to the run, with a picture of
    samples beside the training images that are nearest to them.

    Raises `UsageError`, `DataError`, `CheckpointError`, each of which says what to mend.
    """
    began = time.monotonic()
    _check(ask)
    real_place, fake_place = place(ask.real), place(ask.fake if ask.fake is not None else ask.real)
    _refuse_exported(ask, real_place, fake_place)
    if ask.fake is None and real_place.kind == "data":
        refuse_absent(ask.real)
        refuse_points(ask.real)
        raise UsageError(
            "EVALUATE-ALONE", "data alone are not evaluated: name what is to be held against them", where=ask.real,
            why="a run alone is: it is held against the images that it set aside",
            fix=f"write sparring evaluate {shlex.quote(ask.real)} FAKE, where FAKE is a folder, a zip or a run",
        )  # fmt: skip
    if ask.fake is None and segmented.names_pixels(real_place):
        return segmented.of_maps(ask, real_place, progress)
    if retrieval.alone(ask.metrics):
        return retrieval.evaluate(ask, real_place, progress)
    if likelihood.alone(ask.metrics):
        return likelihood.evaluate(ask, real_place, fake_place, progress)
    segmenter = segmented.judge_of(ask, fake_place)
    with ExitStack() as stack:
        extractor = open_judge(ask.features, ask.device)
        real_wanted, fake_wanted = _wanted(ask, real_place, fake_place)
        sides: list[Side] = []
        for wanted in (real_wanted, fake_wanted):
            side = open_side(wanted, progress)
            stack.callback(side.close)
            at_least(len(side), side)
            sides.append(side)
        real_side, fake_side = sides
        if fake_place.checkpoint is not None:
            fake_side.kind = "checkpoint"
        real, fake = (
            seen_of(side, wanted, extractor, ask.features, processes=ask.processes, progress=progress)
            for side, wanted in ((real_side, real_wanted), (fake_side, fake_wanted))
        )
        for seen, side in ((real, real_side), (fake, fake_side)):
            at_least(seen.n, side)
        if isinstance(fake_side, Translated):
            library = None
        else:
            library = _library(ask, real_wanted, real, real_side, extractor, stack, progress)
        record = _measured(ask, extractor, real, fake, real_side, fake_side, library, progress)
        record["segmentation"] = segmented.of_translations(ask, fake_side, segmenter, progress)
        likely = _likelihoods(ask, real_side, fake_side, progress)
        record["metrics"] |= likelihood.found_metrics(likely, real_side, ask)
        record["likelihood"] = likely.record
        said = remarks.of(real_side, fake_side, real.n, fake.n) + likelihood.greys(real_side, fake_side)
        said += likelihood.idle_weights(ask, likely)
        record |= {"warnings": said, "command": ask.command()}
        rows: list[list[int]] = []
        if library is not None:
            record["neighbours"], rows = memorisation.nearest(library, fake, fake_side)
        record["seconds"] = round(time.monotonic() - began, 1)
        if ask.fake is None:
            _into_run(real_place.path, record, library, fake, fake_side, rows)
        if ask.out is not None:
            write_atomically(Path(ask.out), json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return record


def _refuse_exported(ask: Ask, real: Place, fake: Place) -> None:
    """`UsageError` for an exported folder, which is no data: it draws, and knows none of its data. Some say how likely
    images are."""
    for one in (real, fake):
        if one.kind != "data" or not is_release(one.path) or (one is fake and likelihood.alone(ask.metrics)):
            continue
        raise UsageError(
            "EVALUATE-EXPORTED", "an exported folder is neither data nor a run", where=one.path,
            why="it holds what makes images, and none of its data to hold them against",
            fix=f"sparring evaluate IMAGES {shlex.quote(one.path)} --metrics nll" if likelihood.alone(ask.metrics)
            else f"draw some: sparring sample {shlex.quote(one.path)} -n 5000 --out samples, then sparring evaluate "
            "IMAGES samples; or name the run that it was exported from",
        )  # fmt: skip


def _check(ask: Ask) -> None:
    if ask.fcn_against and ask.fcn is None and ask.segmenter is None:
        raise UsageError("ARGUMENT", "--fcn-against is about an FCN score, and nobody judges", fix="add --fcn FCN_RUN")
    if ask.scorer is not None and retrieval.NAME not in ask.metrics:
        raise UsageError("ARGUMENT", "--scorer is about retrieval, which is not asked for", fix="--metrics retrieval")
    for name in ask.metrics:
        known = [*MEASURES, *likelihood.NAMES, *likelihood.OF_SAMPLES, retrieval.NAME, "all"]
        if name not in known:
            raise unknown("EVALUATE-METRIC", "there is no such measure", name, known)
    for name, value, words in (
        ("split", ask.split, ("auto", "all", "held-out", "train")), ("weights", ask.weights, ("ema", "raw")),
    ):  # fmt: skip
        if value not in words:
            raise UsageError("ARGUMENT", f"{name} is {', '.join(words[:-1])} or {words[-1]}", where=value)
    if ask.which not in ("best", "last") and not ask.which.isdecimal():
        raise UsageError(
            "ARGUMENT", "which is best, last, or how many images a checkpoint had seen", where=f"--which {ask.which}",
            fix="`sparring info RUN` lists the checkpoints; without --which it is the best one",
        )  # fmt: skip
    if ask.n is not None and ask.n < 3 and retrieval.NAME not in ask.metrics:
        raise UsageError("EVALUATE-N", "at least 3 images are needed", where=str(ask.n), fix="-n 5000")
    if not 1 <= ask.importance <= 10**6:
        raise UsageError("EVALUATE-IMPORTANCE", "between 1 and 1,000,000 importance weights are possible",
                         where=str(ask.importance), fix=f"--importance {WEIGHTS}, as is usual")  # fmt: skip
    if ask.processes < 1 or ask.processes > 256:
        raise UsageError("EVALUATE-PROCESSES", "between 1 and 256 processes are possible", where=str(ask.processes))
    if not 0 <= ask.seed < 2**63:
        raise UsageError("SAMPLE-SEED", "a seed is a number from 0 to 2^63 − 1", where=str(ask.seed), fix="--seed 0")
    if ask.out is not None and not Path(ask.out).absolute().parent.is_dir():
        where = str(Path(ask.out).parent)
        raise UsageError("EVALUATE-OUT", "there is no such folder", where=where, fix="make it first")
    if ask.out is not None and Path(ask.out).is_dir():
        raise UsageError("EVALUATE-OUT", "this is a folder, and --out is a file", where=ask.out)


def _wanted(ask: Ask, real: Place, fake: Place) -> tuple[Wanted, Wanted]:
    """How either side is opened. Images that are held against samples of a run are prepared as its data were."""
    run = next((one.path for one in (real, fake) if one.kind != "data"), None)
    if run is not None and ask.size is not None:
        raise UsageError(
            "EVALUATE-SIZE", "--size is for two sets of files: against a run they are prepared as its data were",
            where=f"{ask.size[1]}x{ask.size[0]}", fix="leave --size out",
        )  # fmt: skip
    options = options_of_run(run) if run is not None else None
    if ask.size is not None:
        options = Options(size=ask.size, channels=3, crop=ask.crop, enlarge=True).record()  # type: ignore[arg-type]
    files = Wanted("files", "", options=options, n=ask.n, seed=ask.seed, device=ask.device)
    if real.kind != "data":
        split = "held-out" if ask.split == "auto" else ask.split
        wanted = replace(files, role="rows", text=real.path, split=split, of_run=True)
    elif ask.split in ("auto", "all"):
        wanted = replace(files, text=real.path)
    else:
        wanted = replace(files, role="rows", text=real.path, split=ask.split)
    if fake.kind == "data":
        return wanted, replace(files, text=fake.path)
    which = str(fake.checkpoint) if fake.checkpoint is not None else ask.which
    split = "held-out" if ask.split == "auto" else ask.split  # of what is translated
    drawn = Wanted(
        "drawn", fake.path, n=ask.n, seed=ask.seed, which=which, weights=ask.weights, device=ask.device, split=split
    )  # fmt: skip
    if real.kind != "data" and ask.n is not None and not (real.path == fake.path and translates(fake)):
        wanted = replace(wanted, n=None)  # --n is then about the samples: what is held out is few enough
    return wanted, drawn


def _library(
    ask: Ask, wanted: Wanted, real: Seen, side: Side, extractor: Extractor, stack: ExitStack, progress: Progress | None
) -> Library | None:
    """What samples are held against to find copies: the training part of the real side, and held-out images."""
    if not ({"copies", "all"} & set(ask.metrics) or not ask.metrics):
        return None
    if wanted.role == "files":
        return memorisation.divided(real, side)
    other = replace(wanted, split="held-out" if wanted.split == "train" else "train", n=None)
    if wanted.split == "all":
        return memorisation.divided(real, side)
    rest = open_side(other, progress)
    stack.callback(rest.close)
    if len(rest) < 3:
        return None
    seen = seen_of(rest, other, extractor, ask.features, processes=ask.processes, progress=progress)
    if wanted.split == "train":
        return Library(real, side, seen)
    return Library(seen, rest, real)


def _measured(
    ask: Ask, extractor: Extractor, real: Seen, fake: Seen, real_side: Side, fake_side: Side,
    library: Library | None, progress: Progress | None,
) -> dict[str, Any]:  # fmt: skip
    copies, memorised = memorisation.report(library, fake, fake_side) if library is not None else (None, None)
    of = translations.kind_of(real_side, fake_side)
    names = _names(ask.metrics, extractor, min(len(real.features), len(fake.features)), library is not None, of)
    pairs, cycle = translations.measured(real_side, fake_side, extractor, names, ask.seed, progress)
    scene = Scene(real, fake, extractor, identity(extractor), ask.seed, real_side, fake_side, copies, pairs, cycle)
    figures: list[Figure] = []
    for number, name in enumerate(names):
        if progress is not None:
            progress("measuring", number, len(names))
        figures.append(MEASURES[name].of(scene))
    if progress is not None:
        progress("measuring", len(names), len(names))
    carried = {"split": real_side.split, "seed": ask.seed, "weights": fake_side.weights,
               "resize": extractor.preprocessing}  # fmt: skip
    record: dict[str, Any] = {
        "real": real_side.record(real.n),
        "fake": fake_side.record(fake.n),
        "features": {
            "name": scene.features, "weights_sha256": extractor.weights_sha256, "dimensions": extractor.dimensions,
            "preprocessing": extractor.preprocessing, "kept": [len(real.features), len(fake.features)],
        },
        "metrics": {figure.name: figure.record() | carried | _own_size(figure.name) for figure in figures},
        "null": _null(ask, scene, names, library) if ask.null else {},
        "memorisation": memorised,
        "pairs": pairs.record(ask.seed) if pairs is not None else None,
        "classes": _classes(scene),
        "verdicts": [verdict.record() for verdict in verdicts.of(scene, figures)],
        "neighbours": [],
    }  # fmt: skip
    return record


def _likelihoods(ask: Ask, real: Side, fake: Side, progress: Progress | None) -> likelihood.Likelihoods:
    """How likely the real side is under the run that made the other: what was asked for; else, where it has a
    likelihood, what takes one look at each image."""
    known = (*likelihood.NAMES, *likelihood.OF_SAMPLES)
    named = [name for name in ask.metrics if name in known]
    run = fake.run if isinstance(fake, Drawn | Translated) else None
    if run is not None and isinstance(real, Rows):
        usual = likelihood.usual(run) if not ask.metrics or "all" in ask.metrics else ()
        drawn, most = (fake if isinstance(fake, Drawn) else None), (None if named else likelihood.USUAL)
        return likelihood.measured(
            run, real, drawn, named or usual, importance=ask.importance, seed=ask.seed, most=most, progress=progress
        )
    why = "it is what a run says of data that were read as its own: sparring evaluate RUN --metrics nll"
    return likelihood.Likelihoods({name: Figure(name, None, refused=why) for name in named})


def _own_size(name: str) -> dict[str, str]:
    """What is compared pixel by pixel is compared as it was trained on."""
    mine = name in (*OF_PAIRS, "cycle_error", "cycle_error_back")
    return {"resize": "none: pixel by pixel, at the size of the run"} if mine else {}


def _names(asked: Sequence[str], extractor: Extractor, n: int, trained: bool, of: str) -> tuple[str, ...]:
    """What is to be measured, in the order of the table."""
    if "all" in asked:
        besides = {"pairs": OF_PAIRS, "cycles": OF_CYCLES}
        other = {"fid", *(name for key, names in besides.items() if key != of for name in names)}
        return tuple(name for name in MEASURES if name not in other)
    wanted = set(asked or usual(extractor, n, trained, of))
    if extractor.name == "inception" and {"fid", "fd"} <= wanted:
        wanted.discard("fd")
    return tuple(name for name in MEASURES if name in wanted)


def _null(ask: Ask, scene: Scene, names: Sequence[str], library: Library | None) -> dict[str, Any]:
    """The same measures of real images against real images: held-out ones against as many training images as there are
    samples, or one half of the real side against the other."""
    real = scene.real
    if library is not None and library.held_out is real:
        others = library.train
        n = min(len(others.features), len(scene.fake.features))
        rows = np.sort(permutation(ask.seed, "evaluate/null", 0, len(others.features))[:n])
        a, b = real, others.part(rows)
    else:
        order, half = permutation(ask.seed, "evaluate/null", 0, len(real.features)), len(real.features) // 2
        a, b = real.part(np.sort(order[:half])), real.part(np.sort(order[half : 2 * half]))
    if min(len(a.features), len(b.features)) < 3:
        return {}
    halves = Scene(a, b, scene.extractor, scene.features, ask.seed)
    figures = [MEASURES[name].of(halves) for name in names if MEASURES[name].paired]
    return {figure.name: figure.record() for figure in figures if figure.value is not None}


def _classes(scene: Scene) -> list[dict[str, Any]]:
    """How often each class is seen on either side, where the judge names classes."""
    found = frequencies(scene) if isinstance(scene.extractor, ClassifierFeatures) else None
    if found is None:
        return []
    return [
        {"class": row.name, "fake": round(row.share.value, 6), "real": round(row.of_data, 6), "flag": row.flag,
         "interval": [round(row.share.low, 6), round(row.share.high, 6)]}
        for row in found.classes
    ]  # fmt: skip


def _into_run(
    run: str, record: dict[str, Any], library: Library | None, fake: Seen, fake_side: Side, rows: list[list[int]]
) -> None:
    """evaluation.json, and neighbours.png with neighbours.json, of a run, each whole or not at all."""
    directory = RunDirectory(run)
    if library is not None and rows:
        picture, named = memorisation.picture(library, fake, fake_side, rows), record["neighbours"]
        write_atomically(directory.neighbours, picture)
        names = json.dumps(named, indent=1, ensure_ascii=False) + "\n"
        write_atomically(directory.neighbours.with_suffix(".json"), names)
    write_atomically(directory.path / "evaluation.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
