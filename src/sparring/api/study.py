"""Studies: people say which is real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.study.store import Store


def new_study(runs: str | Path | Sequence[str | Path], **settings: Any) -> Path:
    """Make a study of runs: ``sparring.api.new_study("runs/cats", trials=50)``; its directory.

    settings: real, protocol ("paired", "single" or "preference"), trials, seconds, practice, seed, catch, matched,
    one_each, images, which, device, title, rules, out and progress, as of `sparring.study.design.new`.
    """
    from sparring.study import design

    return design.new(runs, **settings)


def open_study(path: str | Path) -> Store:
    """The answers of a study, to ask raters and to keep what they say: see `sparring.study.store.Store`. Close it.

    Loads neither torch nor numpy.
    """
    from sparring.study.store import Store

    return Store(path)


def study_result(path: str | Path) -> dict[str, Any]:
    """What the answers of a study say, in plain values: what ``sparring study result --json`` prints, of which
    `study_lines` makes a table. Loads no torch."""
    from sparring.study.analyse import result
    from sparring.study.store import Store

    with Store(path) as store:
        return result(store.study, store.rows())


def study_lines(record: dict[str, Any]) -> list[str]:
    """The record of `study_result` for people."""
    from sparring.study.words import lines

    return lines(record)
