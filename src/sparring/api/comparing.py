"""Losses, recipes and schedules against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.api.judging import report
from sparring.api.preparing import options
from sparring.budget import Budget, parse_budget

if TYPE_CHECKING:
    from sparring.runs.compare.director import Director
    from sparring.runs.compare.question import Comparison


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
