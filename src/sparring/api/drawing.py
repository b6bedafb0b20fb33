"""The figures of the founding notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


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
