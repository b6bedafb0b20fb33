"""Playing a session to its end on the command line: what is shown, what is said at the end, the exit code."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sparring.budget import duration
from sparring.cli.live import Live
from sparring.cli.talk import Talk
from sparring.cli.trouble import record
from sparring.errors import MachineError, SparringError
from sparring.types import (
    Classifies,
    HasLatents,
    HasLikelihood,
    HasTokens,
    MatchesText,
    Reconstructs,
    Samples,
    SamplesByText,
    Segments,
    Translates,
)

if TYPE_CHECKING:
    from sparring.runs.session import Session

STOPPED = 75
"""The exit code of a run that was stopped and can be resumed (EX_TEMPFAIL of sysexits)."""


def follow(session: Session, talk: Talk, *, as_json: bool) -> int:
    """Show the session's events until it ends; write its page; say where everything is and what to type next."""
    path = session.directory.path
    live = Live(talk, lambda: session.loop.total if session.loop is not None else 0, as_json=as_json)
    try:
        with live:
            for event in session:
                live.show(event)
        return _end(session, talk, live.seconds, as_json=as_json)
    except KeyboardInterrupt:
        talk.say("\n".join(["left at once; what was saved last is safe", *following(path, True)]))
        return STOPPED
    except Exception as error:
        error.add_note(f"while: {session.loop.phase if session.loop is not None else 'start'}")
        raise


def _end(session: Session, talk: Talk, seconds: float, *, as_json: bool) -> int:
    """The page, and the last words; returns the exit code."""
    path, done = session.directory.path, session.finished
    stopped = done is not None and done.reason in ("stopped", "data")
    leads = int(os.environ.get("RANK", "0")) == 0
    if leads:
        page = write_page(path, talk)
        images = done.images if done is not None else 0
        talk.say(f"{_ended(session)} at {images:,} images after {duration(seconds)}")
        for sentence in concluded(path):
            talk.say(f"! {sentence}")
        game = session.loop.match.game if session.loop is not None else None
        failed = session.lost is not None or session.trouble is not None
        next_ = [] if failed else following(path, stopped, game, session.directory.document()["data"]["kind"])
        talk.say("\n".join(places(path, page) + next_))
    if session.trouble is not None:
        if leads:
            talk.trouble(str(session.trouble))
            if as_json:
                talk.record(record(session.trouble))
        return session.trouble.exit_code if leads else STOPPED  # the others leave without a word to torchrun
    if session.lost is not None:
        talk.trouble(str(session.lost))
        if leads:
            talk.say("once the files are back, " + "\n".join(following(path, True)))
            if as_json:
                talk.record(record(session.lost))
        return session.lost.exit_code if leads else STOPPED  # the others leave without a word to torchrun
    return STOPPED if stopped else 0


def _ended(session: Session) -> str:
    """How a run ended, in a word or two."""
    reason = session.finished.reason if session.finished is not None else ""
    if session.trouble is not None:
        return "given up; the run is as it was"
    if reason == "watch":
        advice = session.loop.advice if session.loop is not None else ""
        return f"ended early (--stop auto){': ' + advice if advice else ''}\ndone"
    return "stopped" if reason in ("stopped", "data") else "done"


def concluded(path: Path) -> list[str]:
    """What the doctor finds wrong in the log of a run that ended, the most serious first; nothing where it is well."""
    from sparring import api

    try:
        found = api.doctor(path, look=False)
    except (OSError, SparringError):
        return []
    return [verdict.sentence() for verdict in found.verdicts if verdict.level in ("warn", "hard")][:2]


def write_page(path: Path, talk: Talk) -> Path | None:
    """The run's report.html; a full disk costs the page, not the run."""
    from sparring import api

    try:
        return api.report(path)
    except (OSError, MachineError) as error:
        talk.say(f"the page could not be written: {error}")
        return None


def places(path: Path, page: Path | None) -> list[str]:
    """Where things are."""
    grids = []
    with suppress(OSError):
        grids = sorted((path / "samples").glob("*.png"))
    films = {"game": path / "game.gif", "walk": path / "walk.gif"}
    found = {"grid": grids[-1] if grids else None, **films, "page": page, "run": path}
    return [f"  {name:<5} {place}" for name, place in found.items() if place is not None and place.exists()]


def following(path: Path, stopped: bool, game: object = None, kind: str = "images") -> list[str]:
    """What to type next, for a run of this game; None: one that makes samples. kind: of its data."""
    from sparring import api

    run, trust = quote(str(path)), api.trust(path)
    first = [f"  export {trust}      # the game is a file of yours; another process runs it only when told to"] * bool(
        trust
    )
    if stopped:
        return ["go on with:", *first, f"  sparring resume {run}"]
    match game:
        case None | Samples():
            walk = [f"  sparring interpolate {run}"] * (game is None or isinstance(game, HasLatents))
            use = [f"  sparring sample {run} -n 64 --grid", *walk]
            use += [f"  sparring reconstruct {run}"] * (isinstance(game, Reconstructs) and kind == "images")
            use += [f"  sparring evaluate {run} --metrics nll"] * isinstance(game, HasLikelihood)
        case Segments():
            use = [f"  sparring evaluate {run}", f"  sparring evaluate ANOTHER-RUN --fcn {run}"]
        case Translates():
            use = [f"  sparring translate {run} PICTURE", f"  sparring evaluate {run}"]
        case MatchesText():
            use = [f'  sparring edit ANOTHER-RUN --text "…" --scorer {run}']
        case HasTokens():
            use = [f"  sparring reconstruct {run}", f"  sparring evaluate {run}"]
        case Classifies():
            use = [f"  sparring evaluate ANOTHER-RUN --features classifier:{run}"]
        case _:
            use = []
    return ["next:", *first, *use, f"  sparring resume {run} --budget +10m"]


def unread(game: object, text: str | None) -> list[str]:
    """A remark where a game does not hear all of a text that it was asked for."""
    if text is None or not isinstance(game, SamplesByText) or game.hears(text):
        return []
    return ["the text is longer than its encoder reads: what its end says changes nothing"]
