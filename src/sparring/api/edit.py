"""Pictures of a run moved by a sentence, and pictures brought into its latent space."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.edit.editing import Edited, Editing
    from sparring.edit.files import Saved
    from sparring.edit.invert import Inverted
    from sparring.runs.run import Run
    from sparring.runs.scorer import Scorer

Progress = Callable[..., None]


def edit(
    run: Run | str | Path, text: str, *, neutral: str = "", method: str = "optimise", seed: int = 0, n: int = 1,
    image: str | Path | bytes | None = None, strength: float = 1.0, scorer: str | Scorer = "clip",
    beta: float | None = None, space: str = "auto", label: str | int | None = None, steps: int | None = None,
    identity: float = 0.1, l2: float = 0.008, progress: Progress | None = None,
) -> Edited:  # fmt: skip
    """Move pictures of a run (opened, or its directory) towards a sentence: `before`, `after` (n, C, H, W) in [-1, 1],
    and what the scorer says of both.

    text, neutral: what the picture should be like, and what it is like now ("" for nothing in particular).
    method: "optimise", each picture by itself; "mapper", networks that learn this text once; "direction", the same few
    channels of every picture.   seed, n: samples 0 … n − 1 of the seed; or `image`: a picture, which is inverted first.
    strength: 0 stays, 1 is what the method finds.   scorer: "clip", "clip:FOLDER", a run of dualencoder, or a scorer.
    beta: of a direction, the share of the largest relevance below which channels stay.   space: "z", "w", "w+"; "auto"
    is the last one that there is.   label: the class of a run that is told one.   steps: of optimising, of training.
    identity, l2: weights of how different the picture becomes (LPIPS), and of how far its code moves.
    """
    from sparring.edit.wish import Wish

    wish = Wish(text, neutral, strength, l2, identity)
    editing = _editing(run, scorer, space, label, progress)
    return _edited(editing, wish, method, _codes(editing, image, seed, n), steps, beta)


def invert(
    run: Run | str | Path, image: str | Path | bytes, *, space: str = "auto", label: str | int | None = None,
    progress: Progress | None = None, **how: Any,
) -> Inverted:  # fmt: skip
    """The code of a run whose picture is nearest to a given one, by LPIPS and squared difference: `codes`, `images`.

    how: steps, rate, candidates, l2, seed, as of `sparring.edit.invert.invert`.   space, label: as of `edit`.
    """
    editing = _editing(run, None, space, label, progress)
    return editing.invert(_picture(editing, image), **how)


def save_edit(
    run: Run | str | Path, text: str, out: str | Path | None = None, *, image: str | Path | None = None, seed: int = 0,
    method: str = "optimise", neutral: str = "", strength: float = 1.0, scorer: str | Scorer = "clip",
    beta: float | None = None, space: str = "auto", label: str | int | None = None, steps: int | None = None,
    progress: Progress | None = None,
) -> Saved:  # fmt: skip
    """`edit`, into the folder `out` (default: a folder of its own below ``RUN/edits``, called by what was asked for):
    before.png, after.png, strip.png, edit.json.

    In the directory of the run files are replaced; elsewhere `UsageError` names what is there.
    """
    from sparring.edit import files
    from sparring.edit.wish import Wish

    wish = Wish(text, neutral, strength)
    editing = _editing(run, scorer, space, label, progress)
    of = Path(image).stem if image is not None else f"seed{seed}"
    name = "-".join(map(_slug, [text, *(["from", neutral] if neutral else []), method, of]))
    name += f"-x{strength:g}" if strength != 1 else ""
    goal = Path(out).expanduser() if out is not None else editing.run.home / "edits" / name
    files.check_edit(goal, editing.run.home)
    edited = _edited(editing, wish, method, _codes(editing, image, seed, 1), steps, beta)
    said = _said(editing, image, seed) | {"scorer": editing.scorer.identity}
    return files.save_edit(edited, goal, editing.run.home, said)


def save_inversion(
    run: Run | str | Path, image: str | Path, out: str | Path | None = None, *, space: str = "auto",
    label: str | int | None = None, steps: int | None = None, progress: Progress | None = None,
) -> Saved:  # fmt: skip
    """`invert`, into the folder `out` (default: ``RUN/edits/STEM-inverted``): given.png, inverted.png, strip.png,
    edit.json."""
    from sparring.edit import files

    editing = _editing(run, None, space, label, progress)
    goal = Path(out).expanduser() if out is not None else editing.run.home / "edits" / f"{Path(image).stem}-inverted"
    files.check_inversion(goal, editing.run.home)
    given = _picture(editing, image)
    found = editing.invert(given, **({"steps": steps} if steps is not None else {}))
    return files.save_inverted(given, found, goal, editing.run.home, _said(editing, image, 0))


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _editing(
    run: Run | str | Path, scorer: str | Scorer | None, space: str, label: str | int | None, progress: Progress | None
) -> Editing:
    from sparring.api.using import load
    from sparring.edit.editing import Editing
    from sparring.edit.wish import perceptual
    from sparring.runs.scorer import open_scorer

    opened = load(run, progress=progress) if isinstance(run, (str, Path)) else run
    chosen = 0 if label is None else opened.class_of(label)
    device = opened.device
    if isinstance(scorer, str):
        scorer = open_scorer(scorer, device, lambda path: load(path, device=str(device)))
    return Editing(opened, scorer, perceptual(device=device), space=space, label=chosen, progress=progress)


def _edited(editing: Editing, wish: Any, method: str, codes: Any, steps: int | None, beta: float | None) -> Edited:
    from sparring.edit.direction import BETA

    return editing.edit(codes, wish, method, steps=steps, beta=BETA if beta is None else beta)  # type: ignore[arg-type]


def _codes(editing: Editing, image: str | Path | bytes | None, seed: int, n: int) -> Any:
    from sparring.generate.sample import checked

    checked(n, seed)
    return editing.start(seed, range(n)) if image is None else editing.invert(_picture(editing, image)).codes


def _picture(editing: Editing, image: str | Path | bytes) -> Any:
    from sparring.edit.editing import prepared, read

    if isinstance(image, bytes):
        return prepared(editing.run, image)
    return prepared(editing.run, read(Path(image)), str(image))


def _said(editing: Editing, image: str | Path | None, seed: int) -> dict[str, Any]:
    of = {"seed": seed} if image is None else {"image": Path(image).name}
    return {**of, "space": editing.coordinates.name, "checkpoint": editing.run.images}


def _slug(text: str) -> str:
    """What a folder is called that holds an edit.

    >>> _slug("A red heart!")
    'a-red-heart'
    """
    return re.sub(r"[^\w]+", "-", text.casefold()).strip("-")[:40] or "edit"


def check_edit(text: str | None, image: str | Path | None) -> None:
    """`UsageError` where neither a text nor a picture is named."""
    if text is None and image is None:
        raise UsageError(
            "EDIT-WHAT", "there is nothing to edit by", why="--text says what a picture should be like",
            fix='--text "a red heart"; or --image FILE to find a picture in the latent space',
        )  # fmt: skip
