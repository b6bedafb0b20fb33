"""What is the matter with a run, and how near its samples come to data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.runs.doctor import Diagnosis


def doctor(
    path: str | Path, *, look: bool = True, which: str = "last", progress: Callable[..., None] | None = None
) -> Diagnosis:
    """What is the matter with a run: ``print(*sparring.doctor("runs/cats").verdicts, sep="\\n")``. Changes nothing.

    look: also look once at a checkpoint of it.   which: "last", "best", or the images it has seen.
    """
    from sparring.runs import doctor

    return doctor.diagnose(path, look=look, which=which, progress=progress)


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


def report(path: str | Path) -> Path:
    """Write the page ``report.html`` of the run in `path`; its path."""
    from sparring.report import write

    return write(Path(path))
