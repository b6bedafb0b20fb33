"""What people use from Python: the same as the command line, with the same defaults."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.budget import Budget, parse_budget
from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.data.options import Options
    from sparring.export.classic import Converted
    from sparring.export.folder import Exported
    from sparring.export.hub import Pushed
    from sparring.runs.check import Checked
    from sparring.runs.compare.director import Director
    from sparring.runs.compare.question import Comparison
    from sparring.runs.doctor import Diagnosis
    from sparring.runs.plan import Plan, Request
    from sparring.runs.reconstruction import Reconstructed
    from sparring.runs.run import Run
    from sparring.runs.session import Session
    from sparring.runs.translation_files import Translated


def request(
    data: str | Path,
    *,
    recipe: str = "auto",
    out: str | Path | None = None,
    budget: str | Budget | None = None,
    seed: int = 0,
    device: str = "auto",
    set: Sequence[str] | dict[str, Any] = (),
    threads: int | None = None,
    begin: str | Path | None = None,
    freeze_d: int | None = None,
    rescue: bool = True,
    stop: str = "budget",
    log: str | Sequence[str] = (),
    **preparation: Any,
) -> Request:
    """The arguments of `train`, checked for form; `preparation`: see `options`."""
    from sparring.runs.loggers import names_of
    from sparring.runs.plan import Request

    _check_stop(stop)
    changes = tuple(f"{k}={v}" for k, v in set.items()) if isinstance(set, dict) else tuple(set)
    return Request(
        data=str(data),
        recipe=str(recipe),
        options=options(**preparation),
        out=Path(out) if out is not None else None,
        budget=parse_budget(budget) if isinstance(budget, str) else budget,
        seed=seed,
        device=device,
        set=changes,
        threads=threads,
        begin=Path(begin) if begin is not None else None,
        freeze_d=freeze_d,
        rescue=rescue,
        stop=stop,
        log=names_of(log),
    )


def _check_stop(stop: str | None) -> None:
    if stop not in (None, "auto", "budget"):
        raise UsageError("ARGUMENT", "stop is budget or auto", where=str(stop), fix='stop="auto" ends a run early')


def options(
    *,
    size: int | tuple[int, int] | None = None,
    columns: dict[str, str] | Sequence[tuple[str, str]] = (),
    min_side: int = 8,
    max_aspect: float = 4.0,
    max_megapixels: float = 134.0,
    into: str | Path | None = None,
    **others: Any,
) -> Options:
    """How data are read and prepared, in plain values: the fields of `sparring.data.Options`.

    size: pixels, or (height, width).   columns: ``{"label": "breed"}``.   min_side, max_aspect, max_megapixels: what is
    too small, too long or too large.   into: the second folder of pairs.   The others are channels, crop, background,
    held_out, labels, levels, frames, enlarge, on_bad, keep and binarise; of pairs also pairs, direction, drop_unpaired,
    given_channels, maps and palette.
    """
    import dataclasses

    from sparring.data.decode import Limits
    from sparring.data.options import Options

    known = [field.name for field in dataclasses.fields(Options)]
    for name in others:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2) or known
            raise UsageError("ARGUMENT", "there is no such argument", where=name, fix=f"there is {', '.join(near)}")
    for name, value, fine, possible in (
        ("min_side", min_side, min_side >= 1, "at least 1 pixel; 8 is usual"),
        ("max_aspect", max_aspect, max_aspect >= 1, "at least 1, which is a square; 4 is usual"),
        ("max_megapixels", max_megapixels, max_megapixels > 0, "above 0; 134 is usual"),
    ):
        if not fine:
            raise UsageError(
                "DATA-LIMITS", f"--{name.replace('_', '-')} cannot be this, or no image is left", where=str(value),
                fix=f"{name} is {possible}",
            )  # fmt: skip
    return Options(
        size=(size, size) if isinstance(size, int) else size,
        columns=tuple(columns.items()) if isinstance(columns, dict) else tuple(columns),
        limits=Limits(min_side, max_aspect, round(max_megapixels * 1e6)),
        into=str(into) if into is not None else None,
        **others,
    )


def check(data: str | Path, *, progress: Callable[..., None] | None = None, **preparation: Any) -> Checked:
    """Look at all of the data before anything is trained: what is in it, what is wrong, how to train on it.

    ``print("\\n".join(sparring.check("photos/").lines()))``; `save_check` writes the page. preparation: see `options`.
    """
    from sparring.runs import check as checks

    return checks.check(data, options(**preparation), progress=progress)


def refuse_check(data: str | Path, out: str | Path | None = None, into: str | None = None) -> None:
    """Raise what `save_check` would say against this place for a check of `data` (and of the second folder `into`),
    before anything is looked at."""
    from sparring.runs import check as checks

    checks.refuse(str(data), Path(out) if out is not None else None, into)


def plan(data: str | Path, *, progress: Callable[..., None] | None = None, **settings: Any) -> Plan:
    """What `train` would do, without doing it: the data, the recipe, the time. Takes the arguments of `train`."""
    from sparring.runs import plan as plans

    return plans.make(request(data, **settings), progress=progress)


def steps(data: str | Path, *, progress: Callable[..., None] | None = None, **settings: Any) -> Session:
    """Train step by step: ``for event in sparring.steps("photos/", size=64)``. Takes the arguments of `train`."""
    return start(plan(data, progress=progress, **settings))


def start(made: Plan) -> Session:
    """Begin a planned run; iterate what is returned."""
    from sparring.runs import session

    return session.start(made)


def train(data: str | Path, **settings: Any) -> Run:
    """Train on `data` (a folder, a zip, idx files or a built-in name) and return the `Run`.

    recipe: a recipe, a preset, a YAML file, or "auto".   size: pixels, or (height, width).   out: a new directory.
    budget: "20m" of time or "500k" images.   seed: of everything random.   device: "auto", "cpu", "cuda", "mps".
    into: image to image: a second folder, of what is to be made of the images in `data`; more under `options`.
    set: changed settings, ``{"lr": 1e-4}``.   held_out: share of the images kept aside for measuring.
    begin: another run whose networks this one begins with.   freeze_d: how many of D's lowest layers then never move.
    rescue: go back to the newest healthy checkpoint when numbers run away or the watch says that the run failed.
    stop: "budget", or "auto": end as soon as no more progress is to be expected.
    log: other programs that are told what happens: "tensorboard", "wandb", or both with a comma.

    Raises a `SparringError` that says what to mend. A stop (Ctrl-C) saves and raises `Interrupted`.
    """
    return finish(steps(data, **settings))


def resume(
    path: str | Path, *, budget: str | Budget | None = None, device: str | None = None,
    rescue: bool | None = None, stop: str | None = None, log: str | Sequence[str] | None = None,
    progress: Callable[..., None] | None = None,
) -> Session:  # fmt: skip
    """Go on with a run as if it had never stopped; iterate what is returned, or give it to `finish`.

    rescue, stop, log: from now on, as of `train`; None: as it was."""
    from sparring.runs import session
    from sparring.runs.loggers import names_of

    _check_stop(stop)
    given = parse_budget(budget) if isinstance(budget, str) else budget
    told = names_of(log) if log is not None else None
    return session.resume(path, budget=given, device=device, progress=progress, rescue=rescue, stop=stop, log=told)


def finish(session: Session) -> Run:
    """Play a session to its end and open the run."""
    from sparring.errors import Interrupted

    for _ in session:
        pass
    path = session.directory.path
    if session.finished is not None and session.finished.reason == "stopped":
        first = f"{trust(path)} " if trust(path) else ""
        raise Interrupted(
            "STOPPED", "stopped on request; everything is saved", fix=f"go on with: {first}sparring resume {path}"
        )
    for trouble in (session.lost, session.trouble):
        if trouble is not None:
            raise trouble
    return load(path)


def load(
    path: str | Path, *, which: str | int = "best", device: str = "auto", lopped: bool = False,
    progress: Callable[..., None] | None = None,
) -> Run:  # fmt: skip
    """Open a run for use: ``sparring.load("runs/cats").sample(16, seed=0)`` is a float tensor in [0, 1].

    path: of a run, or of a folder that `export` wrote; or a model of the hub, ``"hf:owner/name"`` (the extra [hub]; its
    `remarks` say which commit it is).   which: "best" (by what was measured on held-out data; the newest where nothing
    was), "last", or the images seen by the checkpoint.   lopped: without what samples do not need, such as the encoder
    of a VAE; exported folders always are.
    """
    from sparring.export.opening import open_trained

    return open_trained(path, which=which, device=device, lopped=lopped, progress=progress)


def doctor(
    path: str | Path, *, look: bool = True, which: str = "last", progress: Callable[..., None] | None = None
) -> Diagnosis:
    """What is the matter with a run: ``print(*sparring.doctor("runs/cats").verdicts, sep="\\n")``. Changes nothing.

    look: also look once at a checkpoint of it.   which: "last", "best", or the images it has seen.
    """
    from sparring.runs import doctor

    return doctor.diagnose(path, look=look, which=which, progress=progress)


def trust(path: str | Path) -> str:
    """What must be in the environment before the command line uses the run in `path`: ``SPARRING_GAMES=…`` for a game
    in a file of one's own, else nothing."""
    from sparring.errors import SparringError
    from sparring.runs import own
    from sparring.runs.directory import RunDirectory

    try:
        return own.trust(str(RunDirectory(path).document()["recipe"]))
    except (SparringError, OSError):
        return ""


def info(path: str | Path) -> dict[str, Any]:
    """What a run is, in plain values, from its recipe.yaml alone: for a run whose checkpoints cannot be opened."""
    from sparring.runs.directory import RunDirectory
    from sparring.runs.run import described

    directory = RunDirectory(path)
    return described(directory, directory.document())


def pack(
    data: str | Path,
    out: str | Path,
    *,
    shard_mib: int = 256,
    progress: Callable[..., None] | None = None,
    **preparation: Any,
) -> dict[str, Any]:
    """Write the usable images of `data`, with labels and captions, as parquet files of about `shard_mib` MiB to `out`.

    preparation: see `options`; labels and columns say what goes along, the limits what is left out. `out` is then data
    like any other: the same stream as from `data`. Returns what it also writes to ``out/sparring.json``.
    """
    from sparring.data.pack import pack_data

    return pack_data(str(data), Path(out), options(**preparation), shard_bytes=shard_mib << 20, progress=progress)


def convert(
    checkpoint: str | Path,
    method: str,
    *,
    back: str | Path | None = None,
    out: str | Path | None = None,
    size: int | None = None,
    dropout: str = "auto",
) -> Converted:
    """Make a run of a generator that the classic pytorch-CycleGAN-and-pix2pix trained (``latest_net_G.pth``).

    method: "pix2pix" or "cyclegan".   back: of a cyclegan the generator of the way back, ``latest_net_G_B.pth``.
    out: a new directory.   size: side of the images that it was trained on.   dropout: "on", "off", or "auto".
    Returns what was found, in `lines`, and the `path` of the run. Nothing that the file says is executed.
    """
    from sparring.export import classic

    if method not in ("pix2pix", "cyclegan") or dropout not in ("auto", "on", "off"):
        raise UsageError("ARGUMENT", "there is no such way to convert", where=f"{method}, dropout {dropout}",
                         fix="pix2pix or cyclegan; dropout auto, on or off")  # fmt: skip
    return classic.convert(
        Path(checkpoint), method, back=Path(back) if back is not None else None,  # type: ignore[arg-type]
        out=Path(out) if out is not None else None, size=size, dropout=dropout,  # type: ignore[arg-type]
    )  # fmt: skip


def recipes() -> dict[str, str]:
    """Every recipe and preset by name, with its first line of description."""
    from sparring.runs.recipe import describe

    return describe()


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────────────────────


def comparison(
    data: str | Path,
    *,
    losses: str | Sequence[str] = (),
    recipes: str | Sequence[str] = (),
    schedules: str | Sequence[str] = (),
    seeds: int | None = None,
    budget: str | int | Budget | None = None,
    out: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    set: Sequence[str] | dict[str, Any] = (),
    progress: Callable[..., None] | None = None,
    **preparation: Any,
) -> Comparison:
    """What `compare` would play, without playing it: every cell tried, those that cannot be played with the reason."""
    from sparring.runs.compare import entries, plan, question

    changes = tuple(f"{k}={v}" for k, v in set.items()) if isinstance(set, dict) else tuple(set)
    names = [recipes] if isinstance(recipes, str) else recipes
    asked = question.Ask(
        data=str(data),
        losses=entries.parse_losses(losses if isinstance(losses, str) else ",".join(losses)) if losses else (),
        recipes=tuple(dict.fromkeys(name.strip() for part in names for name in part.split(",") if name.strip())),
        schedules=entries.parse_schedules(schedules if isinstance(schedules, str) else ";".join(schedules)),
        seeds=seeds,
        budget=parse_budget(str(budget)) if isinstance(budget, str | int) else budget,
        options=options(**preparation),
        out=Path(out) if out is not None else None,
        device=device,
        set=changes,
        jobs=jobs,
    )
    return plan.make(asked, progress=progress)


def refuse_comparison(made: Comparison) -> None:
    """Raise what `play` would say against the directory of a comparison, before anything is played."""
    from sparring.runs.compare import director

    director.refuse(made)


def play(made: Comparison) -> Director:
    """Play what is not yet finished of a comparison; iterate what is returned, then call `save_comparison`."""
    from sparring.runs.compare.director import Director

    return Director(made)


def save_comparison(made: Comparison) -> tuple[dict[str, Any], Path]:
    """Write compare.json and report.html of a comparison, as far as it is played; what the first says, and the page.
    Where recipes are compared as they are, each run gets its own page too."""
    from sparring.report import compare_page, lineup_page
    from sparring.runs.compare import standing, verdict

    if not made.whole:
        record = verdict.save(made)
        return record, compare_page.write(record, made.out)
    record = standing.save(made)
    for run in standing.runs(record, made.out):
        report(run)
    return record, lineup_page.write(record, made.out)


def comparison_lines(record: dict[str, Any]) -> list[str]:
    """The verdict and the table of a comparison, for people."""
    from sparring.runs.compare import standing, table

    return standing.lines(record) if record["format"] == standing.FORMAT else table.lines(record)


def compare(data: str | Path, **settings: Any) -> dict[str, Any]:
    """Play losses, recipes and schedules against each other; what ``compare.json`` says. Arguments of `comparison`.

    losses: ``"minimax,hinge+sn,relativistic+r1+r2"``; without them, on images, recipes are compared as they are:
    ``sparring.compare("photos/", recipes="vae,r3gan-minutes,pixelcnn")``.   seeds: 0 … seeds − 1.   budget: "2m" of
    each cell (points) or of each seed (images), or a number of images of each seed.   out: what is finished there is
    not played again.
    """
    made = comparison(data, **settings)
    for _ in play(made):
        pass
    return save_comparison(made)[0]


# ── measures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def evaluate(
    real: str | Path,
    fake: str | Path | None = None,
    *,
    features: str = "efficientnet-lite0",
    metrics: str | Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
    which: str | int = "best",
    out: str | Path | None = None,
    progress: Callable[..., None] | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Measure how near samples come to data: ``sparring.evaluate("photos/", "runs/cats")["metrics"]["kid"]["value"]``.

    real: data, or a run, which stands for the data that it was trained on.   fake: data; or a run or checkpoint, which
    stands for its samples; None: those of `real`.   metrics: names, separated by commas or in a list.   others: n,
    seed, crop, split, weights, processes, device, null and importance, as on the command line.   Returns what
    ``--json`` prints, of which `evaluation_lines` makes a table.
    """
    from sparring.runs.evaluate import evaluation

    asked = metrics.split(",") if isinstance(metrics, str) else (metrics or ())
    ask = evaluation.asked(
        real=str(real),
        fake=str(fake) if fake is not None else None,
        features=features,
        metrics=tuple(name.strip() for name in asked if name.strip()),
        size=(size, size) if isinstance(size, int) else size,
        which=str(which),
        out=str(out) if out is not None else None,
        **others,
    )
    return evaluation.evaluate(ask, progress)


def evaluation_lines(record: dict[str, Any]) -> list[str]:
    """The record of `evaluate` as a table for people, with what is to be known about it."""
    from sparring.runs.evaluate.remarks import lines

    return lines(record)


def polite(stop: Callable[[], None]) -> AbstractContextManager[None]:
    """Inside, the first Ctrl-C calls `stop`; the second one leaves at once."""
    from sparring.runs.session import polite

    return polite(stop)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def save_samples(
    run: Run | str | Path, out: str | Path, *, n: int = 64, seed: int = 0, truncation: float = 1.0, grid: bool = False,
    label: str | int | None = None,
) -> list[Path]:  # fmt: skip
    """n samples of a run (opened, or its directory) as files in `out`, or one picture ``out/grid.png``; the paths.

    label: only of this class of the run, by its name or number. Without it a picture of a conditional run has a row for
    each class, where there are at most 16, and file k is of class k mod classes.
    Files of an earlier call are replaced in the directory of the run; elsewhere nothing is, and `UsageError` names it.
    """
    from sparring.generate import sample
    from sparring.generate.grid import picture

    run = _opened(run)
    chosen = None if label is None else run.class_of(label)
    sample.checked(n, seed, truncation)
    out = Path(out)
    points = run.document["data"]["kind"] == "points"
    sample.refuse_taken([out / "grid.png"] if grid else sample.files(out, n, points=points), run.home)
    samples = sample.draw(run, n, seed=seed, truncation=truncation, label=chosen)
    if not grid:
        return sample.save(samples, out)
    out.mkdir(parents=True, exist_ok=True)
    rows = sample.rows_of(run.game, len(run.classes)) if chosen is None else None
    picture(samples, rows=rows).save(out / "grid.png")
    return [out / "grid.png"]


def save_walk(
    run: Run | str | Path, out: str | Path, *, frames: int = 60, seed: int = 0, label: str | int | None = None
) -> Path:
    """A walk through the latent space of a run (opened, or its directory) as a .gif, .webp or .png; its path.

    Every picture in it keeps its class: `label`, by name or number, or each one of its own. A file outside of the
    directory of the run is never overwritten: `UsageError`.
    """
    from sparring.generate import interpolate, sample

    interpolate.check_format(Path(out))
    run = _opened(run)
    sample.refuse_taken([Path(out)], run.home)
    chosen = None if label is None else run.class_of(label)
    walkers = 8 if run.document["data"]["kind"] == "images" else 500
    if chosen is None and walkers == 8:
        walkers = sample.rows_of(run.game, len(run.classes)) or walkers  # one for each class
    moments = interpolate.walk(run, frames, seed=seed, walkers=walkers, label=chosen)
    return interpolate.save_film(interpolate.film(moments), Path(out))


def export(
    run: Run | str | Path, to: str | Sequence[str] = "safetensors", *, out: str | Path | None = None,
    license: str = "", show_inputs: bool = False, progress: Callable[..., None] | None = None,
) -> Exported:  # fmt: skip
    """Write a run (opened, or its directory) as a folder that works without it, with a model card.

    to: "safetensors" (what `load` opens), "onnx" (the extra [onnx]), "hub" (as the first, with a card for the hub), or
    several with commas.   out: a new folder, by default ``RUN/export``.   license: of the model, for its card, such as
    "apache-2.0".   show_inputs: beside translations show the held-out pictures that they were made from, which
    publishes those.
    """
    from sparring.export import folder

    run = _opened(run)
    goal = Path(out) if out is not None else run.home / "export"
    return folder.export(run, folder.forms(to), goal, licence=license, inputs=show_inputs, progress=progress)


def push(
    run: Run | str | Path, name: str, *, private: bool = False, revision: str = "", license: str = "",
    show_inputs: bool = False, progress: Callable[..., None] | None = None,
) -> Pushed:  # fmt: skip
    """Publish a run, or a folder that `export` wrote, as the model ``owner/name`` of the hub (the extra [hub]).

    private: only you see it.   revision: a branch.   license, show_inputs: as of `export`. Returns where it is.
    """
    from sparring.export import hub

    return hub.push(_opened(run), name, private=private, revision=revision, licence=license, inputs=show_inputs,
                    progress=progress)  # fmt: skip


def save_translations(
    run: Run | str | Path, source: str | Path | bytes, out: str | Path | None = None, *,
    progress: Callable[..., None] | None = None, **how: Any,
) -> Translated:  # fmt: skip
    """Translate what `source` names (a picture or its bytes, a folder, a zip, a pattern) with a run (opened, or its
    directory) into `out`, a file or a folder; default: ``RUN/translated``. What was written, what was skipped, and how
    fast it was.

    how: seed, deterministic, back, tile, size, compile and half, as of `Run.translate`. Names, sizes and, where they
    can hold the result, formats are kept. Outside of the directory of the run no file is overwritten: `UsageError`.
    """
    from sparring.runs.translation import Translation
    from sparring.runs.translation_files import translate

    run = _opened(run)
    goal = Path(out).expanduser() if out is not None else None
    named = source if isinstance(source, bytes) else str(source)
    return translate(Translation(run, **how), named, goal, run.home, progress)


def save_reconstructions(
    run: Run | str | Path, images: Sequence[str | Path] = (), out: str | Path | None = None, *, n: int | None = None,
    seed: int = 0, progress: Callable[..., None] | None = None,
) -> Reconstructed:  # fmt: skip
    """Encode and decode pictures with a run (opened, or its directory): a PNG for each in the folder `out` (default:
    ``RUN/reconstructed``), of the same stem, and ``sheet.png``: given | reconstruction.

    images: files, folders, zips, patterns, anything that data are opened from; none: the first n held-out pictures of
    the run (64).   seed: as of `Run.reconstruct`. Returns the paths, what was skipped, and how near each came.
    """
    from sparring.runs.reconstruction import HELD_OUT, Reconstruction, reconstruct

    goal = Path(out).expanduser() if out is not None else None
    sources = [str(image) for image in images]
    most = HELD_OUT if n is None else n
    if most < 1:
        raise UsageError("RECONSTRUCT-N", "at least one picture", where=str(n), fix=f"-n {HELD_OUT}")
    return reconstruct(Reconstruction(_opened(run), seed), sources, goal, most=most, progress=progress)


def translated(run: Run | str | Path, picture: bytes, **how: Any) -> tuple[bytes, Translated]:
    """The bytes of a picture, translated, as the bytes of a PNG; and how fast it was. how: as of
    `save_translations`."""
    from sparring.runs.translation import Translation
    from sparring.runs.translation_files import one

    return one(Translation(_opened(run), **how), picture)


def _opened(run: Run | str | Path) -> Run:
    return load(run) if isinstance(run, (str, Path)) else run


def save_check(checked: Checked, out: str | Path | None = None) -> Path:
    """Write report.html, report.json and contact.png of a check into `out`, or ``runs/checks/<name of the data>``; the
    path of the page. What an earlier check of the same data wrote is replaced, nothing else is."""
    from sparring.report import data_page
    from sparring.runs.check import place

    return data_page.write(checked, place(checked, Path(out) if out is not None else None))


def report(path: str | Path) -> Path:
    """Write the page ``report.html`` of the run in `path`; its path."""
    from sparring.report import write

    return write(Path(path))


def free_directory(data: str | Path) -> Path:
    """Where `train` puts a run on `data` when it is not told: a directory that does not exist yet."""
    from sparring.runs.directory import free_directory

    return free_directory(str(data))


def settings(name: str) -> list[tuple[str, str, str]]:
    """Every setting of a recipe or preset: (name, value, what it is)."""
    from sparring.runs.recipe import load
    from sparring.runs.settings import explained

    return explained(load(name).config)


# ── theory ────────────────────────────────────────────────────────────────────────────────────────────────────────


def figures(
    out: str | Path = "runs/figures", *, only: Sequence[str] = (), progress: Callable[..., None] | None = None
) -> list[Path]:
    """Draw the figures of the founding notes as PNGs into `out`, with a page index.html; the paths, the page last.

    only: names out of `figure_names`.   Files of the same names are replaced, nothing else is touched.
    """
    from sparring.report.figures import write

    return write(Path(out), tuple(only), progress=progress)


def figure_names() -> dict[str, str]:
    """Every figure by name, with its title."""
    from sparring.report.figures import DRAWINGS

    return {name: drawing.title for name, drawing in DRAWINGS.items()}
