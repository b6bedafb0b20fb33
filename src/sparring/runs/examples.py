"""What a page needs of a run that translates: what it turns into what, and pictures to begin with."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL.Image import Image

from sparring.errors import DataError, UsageError
from sparring.generate.grid import to_picture
from sparring.generate.translate import Translator, able
from sparring.runs.evaluate.opening import data_of
from sparring.runs.run import Run
from sparring.runs.translation import sides
from sparring.types import TranslatesBack


def translates(run: Run) -> dict[str, Any]:
    """What an opened run turns into what, in plain values: given and made (channels, and of label maps the names,
    colours and values of classes), size (H, W) that it was trained at, back (whether it knows the way back), noise
    (whether chance has a part in it), names of the two sides, images seen. `UsageError` where it does not translate."""
    game = able(run.game)
    data = run.document["data"]
    given, made = sides(data)
    height, width = (int(n) for n in data["shape"][1:])
    probe = np.random.default_rng(0).random((height, width, given.seen), np.float32)
    calm, loud = (Translator(game, deterministic=calm, tile=max(height, width))(probe) for calm in (True, False))
    back = isinstance(game, TranslatesBack)
    if back:
        try:
            Translator(game, back=True)(np.zeros((height, width, made.seen), np.float32))
        except UsageError:  # a model from elsewhere may hold one way only
            back = False
    return {
        "given": given.record(), "made": made.record(), "size": [height, width], "back": back,
        "noise": bool(np.abs(calm - loud).max() > 1 / 255), "names": list(names(data)), "images": run.images,
    }  # fmt: skip


def names(data: dict[str, Any]) -> tuple[str, str]:
    """What to call (what is given, what is made), from what recipe.yaml says under ``data``: the folders of the two
    sides where each has its own, else A and B.

    >>> names({"source": "/photos/horses", "into": "/photos/zebras", "direction": "AtoB"})
    ('horses', 'zebras')
    >>> names({"source": "emoji", "into": None, "direction": "BtoA"})
    ('B', 'A')
    """
    a, b = (PurePath(str(data.get(key) or "")).name for key in ("source", "into"))
    two = (a, b) if a and b and a != b else ("A", "B")
    return two if data.get("direction") != "BtoA" else (two[1], two[0])


def given(path: Path | str, number: int) -> Image:
    """Held-out picture `number`, counted round, as the run is given it; a label map in the colours of its classes.

    Raises `DataError` where nothing was held out or the data are gone, `UsageError` for a run that does not translate.
    """
    dataset, _, _ = data_of(path)
    try:
        if dataset.given is None:
            raise UsageError("EXAMPLE-GIVEN", "the pictures of this run are made of nothing", where=str(path))
        many = len(dataset.given.held_out)
        if not many:
            raise DataError("EXAMPLE-NONE", "the run held no pictures out", where=str(path), fix="load one of your own")
        pixels = np.array(dataset.given.held_out[number % many : number % many + 1])[0]
        if dataset.given.palette is not None:
            pixels = dataset.given.palette[pixels[..., 0]]
        return to_picture(pixels)
    finally:
        dataset.close()
