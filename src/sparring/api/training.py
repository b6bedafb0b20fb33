"""Plan, train, resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.api.preparing import options
from sparring.api.using import load, trust
from sparring.budget import Budget, parse_budget
from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.runs.plan import Plan, Request
    from sparring.runs.run import Run
    from sparring.runs.session import Session


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


def resume(path: str | Path, **settings: Any) -> Run:
    """Go on with a run as if it had never stopped, to the end of its budget, and return the `Run`.

    budget: in place of the planned one, "+10m" for longer.   device: another one, "cpu" or "cuda".
    rescue, stop, log: from now on, as of `train`; not given: as it was.

    Raises what `train` raises; a run that was at its end already is opened as it is.
    """
    return finish(resume_steps(path, **settings))


def resume_steps(
    path: str | Path, *, budget: str | Budget | None = None, device: str | None = None,
    rescue: bool | None = None, stop: str | None = None, log: str | Sequence[str] | None = None,
    progress: Callable[..., None] | None = None,
) -> Session:  # fmt: skip
    """Resume step by step: ``for event in sparring.resume_steps("runs/photos")``. Takes the arguments of `resume`."""
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


def polite(stop: Callable[[], None]) -> AbstractContextManager[None]:
    """Inside, the first Ctrl-C calls `stop`; the second one leaves at once."""
    from sparring.runs.session import polite

    return polite(stop)


def free_directory(data: str | Path) -> Path:
    """Where `train` puts a run on `data` when it is not told: a directory that does not exist yet."""
    from sparring.runs.directory import free_directory

    return free_directory(str(data))


def recipes() -> dict[str, str]:
    """Every recipe and preset by name, with its first line of description."""
    from sparring.runs.recipe import describe

    return describe()


def settings(name: str) -> list[tuple[str, str, str]]:
    """Every setting of a recipe or preset: (name, value, what it is)."""
    from sparring.runs.recipe import load
    from sparring.runs.settings import explained

    return explained(load(name).config)
