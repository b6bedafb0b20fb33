"""What the pages Play and Translate ask of a run: what it can do, pictures of places in its latent space, examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from sparring.generate.latents import Place
    from sparring.runs.run import Run

CLOUD = 2_000
"""Points in the picture of a game of points."""


def prepare() -> None:
    """Load all that the functions here need, torch above all: seconds, which the first of them else would take."""
    from importlib import import_module

    for module in ("interpolate", "latents", "sample"):
        import_module(f"sparring.generate.{module}")
    for module in ("examples", "run", "uses"):
        import_module(f"sparring.runs.{module}")


def uses(path: str | Path) -> dict[str, Any]:
    """What a run is good for, from its recipe.yaml alone, in plain values: recipe, kind ("images", "points"), shape,
    classes (how many), samples, latents, translates, back (the way back too), ready (there is a checkpoint)."""
    from dataclasses import asdict

    from sparring.runs import uses as of_runs

    found = asdict(of_runs.uses(path))
    return {**found, "shape": list(found["shape"])}


def powers(run: Run) -> dict[str, Any]:
    """What can be played with on an opened run, in plain values: kind ("images", "points"), shape, images seen, latents
    (coordinates), sphere, classes (names), texts (whether it is told any), captions (some that it knows), truncates,
    mixes, and `why` not. `UsageError` where it makes no samples."""
    from dataclasses import asdict

    from sparring.generate import latents

    found = asdict(latents.powers(run, len(run.classes)))
    data = run.document["data"]
    if data["kind"] == "points" and found["latents"]:
        found["latents"], found["why"]["latents"] = 0, "its samples are points, and a single point is no picture"
    return found | {
        "kind": data["kind"], "shape": list(data["shape"]), "images": run.images,
        "classes": list(run.classes) if found["classes"] else [],
        "captions": list(run.texts) if found["texts"] else [],
    }  # fmt: skip


def sample_sheet(
    run: Run, n: int, *, seed: int = 0, first: int = 0, columns: int = 8, label: int | None = None,
    text: str | None = None, truncation: float = 1.0,
) -> bytes:  # fmt: skip
    """A PNG of samples number first … first + n − 1 of a seed, those of ``sparring sample --seed``, in rows of
    `columns` without space between them; of points one cloud of many.

    label: the number of a class.   text: what all of them shall show.
    """
    from sparring.generate import sample
    from sparring.generate.grid import grid, scatter

    chosen, asked = _class(run, label), sample.wording(run, text, label)
    if run.document["data"]["kind"] == "points":
        return _png(scatter(sample.draw(run, CLOUD, seed=seed, truncation=truncation, label=chosen)))
    made = sample.draw(run, n, seed=seed, first=first, truncation=truncation, label=chosen, text=asked)
    return _png(grid(made, columns=columns, padding=0))


def spot_picture(
    run: Run, spots: Sequence[tuple[int, int]], places: Sequence[Place] = ((0.0, 0.0),), *, columns: int = 1,
    label: int | None = None, text: str | None = None, truncation: float = 1.0,
) -> bytes:  # fmt: skip
    """A PNG of what an opened run makes at places (u, v) of the plane through one to three of its samples, each named
    by (seed, number), in rows of `columns` without space between them; of one spot the sample itself, as
    ``sparring sample --seed`` makes it.

    label: the number of a class; None: that of the first spot.   text: so too.   truncation: below 1 nearer to the
    middle.
    """
    from sparring.generate import latents, sample
    from sparring.generate.grid import grid

    made = latents.show(
        run, _spots(run, spots), places, label=_class(run, label), classes=len(run.classes),
        text=sample.wording(run, text, label), truncation=truncation,
    )  # fmt: skip
    return _png(grid(made, columns=columns, padding=0))


def mix_picture(
    run: Run, coarse: Sequence[tuple[int, int]], fine: Sequence[tuple[int, int]], *, level: float = 0.5,
    truncation: float = 1.0,
) -> bytes:  # fmt: skip
    """A PNG of the coarse levels of some samples with the fine ones of others, in rows of the `fine` ones without space
    between them. level: up to which share of the layers the coarse sample decides."""
    from sparring.generate import latents
    from sparring.generate.grid import grid

    made = latents.mix(run, _spots(run, coarse), _spots(run, fine), level=level, truncation=truncation)
    return _png(grid(made, columns=len(fine), padding=0))


def spot_film(
    run: Run, spots: Sequence[tuple[int, int]], *, frames: int = 60, label: int | None = None,
    text: str | None = None, truncation: float = 1.0,
) -> bytes:  # fmt: skip
    """An endless animated PNG: from each of two or three samples to the next along a great arc, and back."""
    import tempfile
    from pathlib import Path

    from sparring.generate import latents, sample
    from sparring.generate.interpolate import film, save_film

    named, told, asked = _spots(run, spots), _class(run, label), sample.wording(run, text, label)
    if asked is None and run.texts:
        asked = run.texts[named[0].number % len(run.texts)]
    first = named[0].number % max(1, len(run.classes)) if told is None and _classes(run) else told
    each = -(-frames // len(named))
    legs = [
        latents.show(
            run, [a, b], [(k / each, 0.0) for k in range(each)], label=first, text=asked, truncation=truncation
        )
        for a, b in zip(named, [*named[1:], named[0]], strict=True)
    ]
    pictures = film([moment[None] for leg in legs for moment in leg])
    with tempfile.TemporaryDirectory() as folder:
        return save_film(pictures, Path(folder) / "film.png").read_bytes()


def translates(run: Run) -> dict[str, Any]:
    """What an opened run turns into what, in plain values: given and made (channels, and of label maps their legend,
    colours and values), size (H, W) that it was trained at, back (the way back too), noise, names of the
    sides, images seen."""
    from sparring.runs import examples

    return examples.translates(run)


def given_example(path: str | Path, number: int) -> bytes:
    """A PNG of held-out picture `number` (counted round) of a run that translates, as the run is given it; a label map
    in the colours of its classes. `DataError` where its data are not there any more, or nothing was held out."""
    from sparring.runs.examples import given

    return _png(given(path, number))


def _spots(run: Run, spots: Sequence[tuple[int, int]]) -> Any:
    from sparring.generate.latents import Spot

    if not 1 <= len(spots) <= 3:
        raise UsageError("PLAY-CORNERS", "a plane goes through one to three latents", where=str(len(spots)))
    if run.document["data"]["kind"] != "images":
        raise UsageError("PLAY-POINTS", "the samples of this run are points, and a single point is no picture")
    return [Spot(int(seed), int(number)) for seed, number in spots]


def _classes(run: Run) -> bool:
    from sparring.types import SamplesByClass

    return bool(run.classes) and isinstance(run.game, SamplesByClass)


def _class(run: Run, label: int | None) -> int | None:
    """The number of a class, checked."""
    if label is None:
        return None
    if not _classes(run):
        raise UsageError("SAMPLE-LABEL", "this run was not told classes, so it cannot be asked for one")
    if not 0 <= label < len(run.classes):
        raise UsageError("SAMPLE-LABEL", "the run has no such class", where=str(label))
    return label


def _png(sheet: Image) -> bytes:
    """Packed less tightly than `to_file` packs what is kept: a hand is moving, and waits for it."""
    import io

    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=1)
    return file.getvalue()
