"""Trained runs at work: samples, walks, translations, reconstructions; and what leaves the house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.export.folder import Exported
    from sparring.export.foreign.plan import Converted
    from sparring.export.hub import Pushed
    from sparring.runs.reconstruction_files import Reconstructed
    from sparring.runs.run import Run
    from sparring.runs.translation_files import Translated


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


def save_samples(
    run: Run | str | Path, out: str | Path, *, n: int = 64, seed: int = 0, truncation: float = 1.0, grid: bool = False,
    label: str | int | None = None, text: str | None = None,
) -> list[Path]:  # fmt: skip
    """n samples of a run (opened, or its directory) as files in `out`, or one picture ``out/grid.png``; the paths.

    label: only of this class of the run, by its name or number. Without it a picture of a conditional run has a row for
    each class, where there are at most 16, and file k is of class k mod classes.
    text: what all of them shall show, of a run that is told texts. Without it a picture has a row for each of the first
    captions that the run remembers (`Run.texts`), and file k is of caption k mod so many.
    Files of an earlier call are replaced in the directory of the run; elsewhere nothing is, and `UsageError` names it.
    """
    from sparring.generate import sample
    from sparring.generate.grid import picture

    run = _opened(run)
    asked = sample.wording(run, text, label)
    chosen = None if label is None else run.class_of(label)
    sample.checked(n, seed, truncation)
    out = Path(out)
    points = run.document["data"]["kind"] == "points"
    sample.refuse_taken([out / "grid.png"] if grid else sample.files(out, n, points=points), run.home)
    one = chosen is not None or asked is not None
    samples = sample.draw(run, n, seed=seed, truncation=truncation, label=chosen, text=asked, rows=grid and not one)
    if not grid:
        return sample.save(samples, out)
    out.mkdir(parents=True, exist_ok=True)
    rows = None if one else sample.rows_of(run.game, len(run.classes))
    picture(samples, rows=rows).save(out / "grid.png")
    return [out / "grid.png"]


def save_walk(
    run: Run | str | Path, out: str | Path, *, frames: int = 60, seed: int = 0, label: str | int | None = None,
    text: str | None = None,
) -> Path:  # fmt: skip
    """A walk through the latent space of a run (opened, or its directory) as a .gif, .webp or .png; its path.

    Every picture in it keeps its class: `label`, by name or number, or each one of its own. So with texts: `text`, of
    a run that is told them, or the first captions that it remembers. A file outside of the directory of the run is
    never overwritten: `UsageError`.
    """
    from sparring.generate import interpolate, sample

    interpolate.check_format(Path(out))
    run = _opened(run)
    sample.refuse_taken([Path(out)], run.home)
    asked = sample.wording(run, text, label)
    chosen = None if label is None else run.class_of(label)
    walkers = 8 if run.document["data"]["kind"] == "images" else 500
    if chosen is None and asked is None and walkers == 8:
        walkers = sample.rows_of(run.game, len(run.classes)) or walkers  # one for each class
    moments = interpolate.walk(run, frames, seed=seed, walkers=walkers, label=chosen, text=asked)
    return interpolate.save_film(interpolate.film(moments), Path(out))


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


def translated(run: Run | str | Path, picture: bytes, **how: Any) -> tuple[bytes, Translated]:
    """The bytes of a picture, translated, as the bytes of a PNG; and how fast it was. how: as of
    `save_translations`."""
    from sparring.runs.translation import Translation
    from sparring.runs.translation_files import one

    return one(Translation(_opened(run), **how), picture)


def save_reconstructions(
    run: Run | str | Path, images: Sequence[str | Path] = (), out: str | Path | None = None, *, n: int | None = None,
    seed: int = 0, progress: Callable[..., None] | None = None,
) -> Reconstructed:  # fmt: skip
    """Encode and decode pictures with a run (opened, or its directory): a PNG for each in the folder `out` (default:
    ``RUN/reconstructed``), of the same stem, and ``sheet.png``: given | reconstruction.

    images: files, folders, zips, patterns, anything that data are opened from; none: held-out pictures of the run.
    n: the first so many; default: all that are named, 64 held-out ones.   seed: as of `Run.reconstruct`. Returns the
    paths, what was skipped, and how near each came. In the directory of the run what an earlier call wrote is replaced.
    """
    from sparring.runs.reconstruction import Reconstruction
    from sparring.runs.reconstruction_files import HELD_OUT, reconstruct

    goal = Path(out).expanduser() if out is not None else None
    sources = [str(image) for image in images]
    if n is not None and n < 1:
        raise UsageError("RECONSTRUCT-N", "at least one picture", where=str(n), fix=f"-n {HELD_OUT}")
    return reconstruct(Reconstruction(_opened(run), seed), sources, goal, most=n, progress=progress)


def _opened(run: Run | str | Path) -> Run:
    return load(run) if isinstance(run, (str, Path)) else run


def convert(
    checkpoint: str | Path,
    method: str | None = None,
    *,
    back: str | Path | None = None,
    out: str | Path | None = None,
    size: int | None = None,
    dropout: str = "auto",
) -> Converted:
    """Make a run of what another program trained: a snapshot (.pkl) of stylegan2-ada-pytorch, of stylegan3 (its
    StyleGAN2) or of R3GAN, or a generator's checkpoint of pytorch-CycleGAN-and-pix2pix (``latest_net_G.pth``).

    method: "stylegan2", "r3gan", "pix2pix" or "cyclegan"; None: what the file says.   out: a new directory.   Of
    classic ones: back: of a cyclegan the generator of the way back, ``latest_net_G_B.pth``.   size: side of the images
    that it was trained on.   dropout: "on", "off", or "auto".
    Returns what was found, in `lines`, the `recipe`, and the `path` of the run. Nothing that the file says is executed.
    """
    from sparring.export.foreign import convert as foreign

    if method not in (None, "stylegan2", "r3gan", "pix2pix", "cyclegan") or dropout not in ("auto", "on", "off"):
        raise UsageError("ARGUMENT", "there is no such way to convert", where=f"{method}, dropout {dropout}",
                         fix="stylegan2, r3gan, pix2pix or cyclegan; dropout auto, on or off")  # fmt: skip
    return foreign.convert(
        Path(checkpoint), method, back=Path(back) if back is not None else None,  # type: ignore[arg-type]
        out=Path(out) if out is not None else None, size=size, dropout=dropout,  # type: ignore[arg-type]
    )  # fmt: skip


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
