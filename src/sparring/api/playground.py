"""The game on the plane, played by hand: what the page of the playground, and a notebook, do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.runs.playground.table import Playground


def open_playground(**settings: Any) -> Playground:
    """A live game on 2-D points: `turn`, `round`, `advance`, `change`, `collapse`, `start` play it. The settings are
    those of `runs.playground.table.Settings`; `UsageError` where one is none.

    >>> table = open_playground(data="grid", objective="hinge", seed=3)
    >>> table.turn(), table.turn(), table.match.round
    ('D', 'G', 1)
    """
    from sparring.errors import UsageError
    from sparring.runs.playground.table import Playground, Settings

    try:
        chosen = Settings(**settings)
    except TypeError as error:
        raise UsageError("PLAYGROUND-SETTING", "there is no such setting here", why=str(error)) from None
    return Playground(chosen)


def playground_about(table: Playground) -> dict[str, Any]:
    """What stays while the settings do, in plain values: the data, the frame, what theory says."""
    from sparring.runs.playground.record import about

    return about(table)


def playground_frame(
    table: Playground, *, since: int = 0, field: str = "plane", averaged: bool = False
) -> dict[str, Any]:  # fmt: skip
    """What is seen now, in plain values: D's belief, G's samples, the field, costs since a round, and words for it."""
    from sparring.runs.playground.record import frame
    from sparring.runs.playground.scene import scene

    return frame(table, scene(table, field=field, averaged=averaged), since)
