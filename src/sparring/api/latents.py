"""What the page Play asks of a run: what it can do, and pictures of places in its latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.generate.latents import Place
    from sparring.runs.run import Run

CLOUD = 2_000
"""Points in the picture of a game of points."""


def powers(run: Run) -> dict[str, Any]:
    """What can be played with on an opened run, in plain values: kind ("images", "points"), shape, images seen, latents
    (coordinates), sphere, classes (names), truncates, mixes, and `why` not. `UsageError` where it makes no samples."""
    from dataclasses import asdict

    from sparring.generate import latents

    found = asdict(latents.powers(run, len(run.classes)))
    data = run.document["data"]
    points = data["kind"] == "points"
    if points and found["latents"]:
        found["latents"], found["why"]["latents"] = 0, "its samples are points: a single one is no picture"
    return found | {
        "kind": data["kind"], "shape": list(data["shape"]), "images": run.images,
        "classes": list(run.classes) if found["classes"] else [],
    }  # fmt: skip


def spot_picture(
    run: Run, spots: Sequence[tuple[int, int]], places: Sequence[Place] = ((0.0, 0.0),), *, columns: int = 1,
    label: str | int | None = None, truncation: float = 1.0,
) -> bytes:  # fmt: skip
    """A PNG of what an opened run makes at places (u, v) of the plane through one to three of its samples, each named
    by (seed, number), in rows of `columns` without space between them; of one spot the sample itself, as `sparring
    sample --seed` makes it. Of points it is a cloud of them.

    label: a class, by its name or number.   truncation: below 1 nearer to the middle of the latents.
    """
    import io

    from sparring.generate import latents, sample
    from sparring.generate.grid import grid, scatter

    chosen = None if label is None else run.class_of(label)
    named = [latents.Spot(int(seed), int(number)) for seed, number in spots]
    if not 1 <= len(named) <= 3:
        raise UsageError("PLAY-CORNERS", "a plane goes through one to three latents", where=str(len(named)))
    if run.document["data"]["kind"] == "points":
        sheet = scatter(sample.draw(run, CLOUD, seed=named[0].seed, truncation=truncation, label=chosen))
    else:
        made = latents.show(
            run, named, places, label=chosen, classes=len(run.classes), truncation=truncation
        )  # fmt: skip
        sheet = grid(made, columns=columns, padding=0)
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=1)
    return file.getvalue()
