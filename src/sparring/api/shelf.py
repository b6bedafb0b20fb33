"""Runs on a shelf: seen again and again while they train, begun, stopped and resumed as processes of their own.

Nothing but `run_verdicts` and `run_page` loads torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.report.curves import Panel
    from sparring.runs.shelf import Shelf

_DIGITS = 5


def open_shelf() -> Shelf:
    """Something that looks at runs and remembers how far it has read: ``open_shelf().glance(Path("runs/cats"))``."""
    from sparring.runs.shelf import Shelf

    return Shelf()


def shelf_glance(shelf: Shelf, run: Path) -> dict[str, Any]:
    """A run in a few plain JSON values: state, images seen, budget, losses, the last measure with its interval."""
    return plain(shelf.glance(run))


def shelf_story(shelf: Shelf, run: Path) -> dict[str, Any]:
    """All that a page shows of a run, in plain JSON values: the glance, charts, sample grids, what happened, the ends
    of its log and of what its process says, and what could not be read."""
    from sparring.report import panels
    from sparring.report.facts import read
    from sparring.runs.errands import Errand
    from sparring.runs.shelf import log_lines, pictures, samples

    glance = shelf.glance(run)
    with shelf.reading(run) as tail:
        facts = read(run, tail)
    main, rest = panels.measured(facts)
    groups = {"game": panels.paid(facts), "measured": main, "more": rest}
    charts = [_chart(panel, group) for group, found in groups.items() for panel in found if panel.drawn and panel.at]
    troubles = facts.troubles if (run / "recipe.yaml").exists() else []
    settings, classes = facts.said("run"), facts.said("data").get("classes")
    known = {
        "Recipe": glance["recipe"], "Data": facts.said("data").get("source"), "Trained on": facts.data.get("used"),
        "Held out": facts.data.get("held_out"), "Device": settings.get("device"), "Seed": settings.get("seed"),
        "Classes": ", ".join(map(str, classes[:20])) + " …" * (len(classes) > 20) if isinstance(classes, list) else "",
    }  # fmt: skip
    best = {"images": facts.best[0], "value": facts.best[1], "measure": facts.best[2]} if facts.best else None
    return plain(
        {
            **glance, "charts": charts, "span": facts.span, "best": best,
            "backs": [{"since": back.since, "to": back.to} for back in facts.backs],
            "alarms": [{"images": told.images, "code": told.code, "message": told.message} for told in facts.alarms],
            "samples": samples(run), "pictures": pictures(run), "troubles": troubles,
            "facts": [[name, value] for name, value in known.items() if isinstance(value, (str, int)) and value != ""],
            "log": log_lines(run), "console": Errand(run).said(),
        }
    )  # fmt: skip


def _chart(panel: Panel, group: str) -> dict[str, Any]:
    from sparring.report.curves import Axes, bounds, cut, logarithmic

    log = logarithmic(panel)
    low, high = bounds(panel, log)
    note = " ".join(part for part in (panel.note, cut(panel, Axes(0, 1, low, high, log))) if part)
    lines = [
        {
            "label": label, "values": values, "aside": label in panel.aside,
            "band": panel.bands.get(label), "undone": panel.undone.get(label, ()),
        }
        for label, values in panel.drawn.items()
    ]  # fmt: skip
    return {
        "title": panel.title, "note": note, "group": group, "at": panel.at, "lines": lines,
        "hints": panel.hints, "bounds": (low, high), "log": log,
    }  # fmt: skip


def shelf_picture(run: Path, which: int | str) -> tuple[bytes, str]:
    """(bytes, media type) of the sample grid of so many images, or of "game", "walk", "pairs" or "neighbours"."""
    from sparring.runs.shelf import picture

    return picture(run, which)


def pending_runs(roots: Iterable[Path]) -> list[Path]:
    """Directories of runs that were begun from a page and have no recipe.yaml: beginning, or failed before that."""
    from sparring.runs.shelf import pending

    return pending(roots)


# ── what is concluded (with torch) ────────────────────────────────────────────────────────────────────────────────


def run_verdicts(path: str | Path) -> dict[str, Any]:
    """What the doctor concludes from the log of a run, with its table, in plain JSON values; in "sentence" what was
    trained on what, in "unjudged" what is said where there is no verdict, and in
    "equilibrium" what each term costs where G is right and D can only guess."""
    from sparring.report.conclusions import not_judged, sentence
    from sparring.report.facts import read
    from sparring.runs.board import equilibrium_terms
    from sparring.runs.doctor import diagnose
    from sparring.runs.tail import Tail

    run = Path(path)
    found = diagnose(run, look=False)
    facts = read(run, Tail(run / "log.jsonl", 1 << 20))
    rest = equilibrium_terms(facts.said("config"))
    verdicts = [{**verdict.record(), "title": verdict.title} for verdict in found.verdicts]
    more = {"verdicts": verdicts, "table": found.table, "sentence": sentence(facts), "equilibrium": rest}
    more["unjudged"] = "" if found.verdicts else not_judged(facts)
    return plain({**found.record(), **more})


def run_page(path: str | Path) -> str:
    """The page of a run as HTML, made anew from its files; nothing is written."""
    from sparring.report.facts import read
    from sparring.report.page import render
    from sparring.runs.tail import Tail

    run = Path(path)
    return render(read(run, Tail(run / "log.jsonl", 1 << 24)), run)


# ── begin, stop, go on ────────────────────────────────────────────────────────────────────────────────────────────


def begin_run(
    root: Path, data: str | Path, *, into: str | Path | None = None, recipe: str = "auto", budget: str = "10m",
    size: int | None = None, seed: int = 0, name: str = "", key: str = "", check: str = "",
) -> Path:  # fmt: skip
    """Begin ``sparring train`` below `root` in a process of its own, which outlives this one; the run's directory.

    name: of the run, else one that is free.   key: of the wish; with the same key nothing is begun twice.   check: the
    id of a check of these data, whose proposed flags are taken.
    """
    from sparring.runs.offers import Wish, begin, check_place, proposed

    more = proposed(check_place(root, check)) if check else ()
    wish = Wish(str(data), None if into is None else str(into), recipe, budget, size, seed, name, more)
    return begin(root, wish, key)


def begin_demo(root: Path, key: str = "") -> Path:
    """Begin ``sparring demo`` below `root`, if there is none; its directory."""
    from sparring.runs.offers import demo

    return demo(root, key)


def stop_run(run: Path) -> dict[str, Any]:
    """Ask the process that trains a run to save and end, once; how it stands. Raises `UsageError` if it is not ours."""
    from dataclasses import asdict

    from sparring.runs.keeper import stop

    return asdict(stop(run))


def go_on(run: Path, budget: str = "", key: str = "") -> bool:
    """Begin ``sparring resume`` of a run in a process of its own; False if somebody trains it already.
    `CheckpointError` where all that it learnt is gone: it would begin anew.

    budget: "+10m" or "+100k", as after ``--budget``; "": as planned.
    """
    from sparring.budget import parse_budget
    from sparring.errors import CheckpointError
    from sparring.runs.directory import RunDirectory
    from sparring.runs.errands import Errand
    from sparring.runs.keeper import keeper, kept
    from sparring.runs.tail import Tail

    more = ["--budget", str(parse_budget(budget))] if budget else []
    if keeper(run) is not None:
        return False
    tail = Tail(run / "log.jsonl", 1 << 20)
    tail.catch_up()
    if tail.seen and not kept(run):
        raise CheckpointError("RUN-EMPTY", "no checkpoint is left, so nothing can be gone on with", where=run.name,
                              fix="begin a new run, or put its checkpoints back")  # fmt: skip
    RunDirectory(run).document()
    return Errand(run).send(["resume", str(run), *more], key)


def forget_run(run: Path) -> None:
    """Remove what a run has left that never began. `SparringError` for one that is there, or is beginning."""
    from sparring.runs.errands import Errand

    if (run / "recipe.yaml").exists() or Errand(run).process is not None:
        raise SparringError("RUN-THERE", "this run is there", where=run.name, fix="nothing was removed")
    Errand(run).forget()


# ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def built_in_data() -> dict[str, str]:
    """Data that ship with the package, by name, with a word about each."""
    from sparring.runs.offers import BUILT_IN

    return dict(BUILT_IN)


def data_offer(path: Path) -> dict[str, Any] | None:
    """What may be trained on here: {"kind", "count", "more"}, by a short look at names; None if nothing is seen."""
    from sparring.runs.offers import offer

    return offer(path)


def begin_check(root: Path, name: str, data: str | Path, into: str | Path | None = None, key: str = "") -> bool:
    """Begin ``sparring check`` of data in a process of its own; False if it is under way. name: an id of the data."""
    from sparring.runs.offers import check_place, look

    return look(check_place(root, name), str(data), None if into is None else str(into), key)


def check_result(root: Path, name: str) -> dict[str, Any]:
    """What a check has found so far: {"running", "said", "report"}; report: what ``report.json`` says, or None."""
    from sparring.runs.offers import check_place, looked

    return plain(looked(check_place(root, name)))


def check_page(root: Path, name: str) -> bytes:
    """The page of a check as HTML. `DataError` where there is none yet."""
    from sparring.errors import DataError
    from sparring.runs.offers import check_place
    from sparring.runs.shelf import LARGEST_PAGE, plain_file

    place = check_place(root, name)
    try:
        return plain_file(place / "report.html", place, LARGEST_PAGE)
    except OSError:
        raise DataError(
            "CHECK-PAGE", "there is no page of this check", where=name, fix="check the data first"
        ) from None


def plain(value: Any) -> Any:
    """The value as JSON can say it: what is not finite becomes null, numbers have five digits, and texts can be encoded
    and have no control characters.

    >>> plain({"kid": (0.123456789, float("nan")), "name": "a\\x1b[1m\\udcff"})
    {'kid': [0.12346, None], 'name': 'a\\\\udcff'}
    """
    from sparring.runs.errands import plain as text

    if isinstance(value, Mapping):
        return {plain(str(key)): plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    if isinstance(value, float):
        whole = abs(value) >= 10**_DIGITS
        return (round(value, 1) if whole else float(f"{value:.{_DIGITS}g}")) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return text(str(value)).encode("utf-8", "backslashreplace").decode()
