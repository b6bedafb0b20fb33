"""Data before training: how they are read, looked at and packed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.data.options import Options
    from sparring.runs.check import Checked


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


def save_check(checked: Checked, out: str | Path | None = None) -> Path:
    """Write report.html, report.json and contact.png of a check into `out`, or ``runs/checks/<name of the data>``; the
    path of the page. What an earlier check of the same data wrote is replaced, nothing else is."""
    from sparring.report import data_page
    from sparring.runs.check import place

    return data_page.write(checked, place(checked, Path(out) if out is not None else None))


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
