"""One live game on the plane. Runs in a worker of its own, which is the memory of one session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sparring.errors import UsageError

if TYPE_CHECKING:
    from sparring.runs.playground.table import Playground

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: the game is small, and one core is the page's

_tables: list[Playground] = []  # none, or the one of this process


def start(settings: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    """A new game, and the first look at it: ``{"about": …, "frame": …}``."""
    from sparring import api

    _tables[:] = [api.open_playground(**settings)]
    return _all(_tables[0], look)


def play(do: str, player: str | None, rounds: int, seconds: float, look: dict[str, Any]) -> dict[str, Any]:
    """Do something, then look: ``{"frame": …, "moved": who made the turn}``."""
    from sparring import api

    table, moved = _table(), ""
    match do:
        case "turn":
            moved = table.turn(player)
        case "round":
            table.round()
        case "advance":
            table.advance(rounds, seconds)
        case "collapse":
            table.collapse()
        case "start":
            table.start()
    return {"frame": api.playground_frame(table, **look), "moved": moved}


def change(settings: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    """Go on with other settings: ``{"about": …, "frame": …}``."""
    table = _table()
    table.change(**settings)
    return _all(table, look)


def _all(table: Playground, look: dict[str, Any]) -> dict[str, Any]:
    from sparring import api

    return {"about": api.playground_about(table), "frame": api.playground_frame(table, **look)}


def _table() -> Playground:
    if not _tables:
        raise UsageError("PLAYGROUND-GONE", "this game is over: the process that played it died", fix="begin anew")
    return _tables[0]
