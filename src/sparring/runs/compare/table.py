"""The table of a comparison, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparring.budget import duration
from sparring.runs.compare.measures import Measure


def ordered(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells, best first, then what could not be ranked in the order of the question."""
    place = {key: k for k, key in enumerate(made["verdict"]["ranking"])}
    return sorted(made["cells"], key=lambda cell: place.get(cell["key"], len(place)))


def interval(found: Mapping[str, Any], measure: Measure) -> str:
    """``"98.9 % [98.1 %, 99.3 %]"``."""
    value = measure.show(found["mean"])
    if found["low"] is None:
        return value
    return f"{value} [{measure.show(found['low'])}, {measure.show(found['high'])}]"


def lines(made: Mapping[str, Any]) -> list[str]:
    """The verdict and the table, for a terminal."""
    measures = [Measure.of(m) for m in made["measures"]]
    head = ["", measures[0].title, *[m.title for m in measures[1:]], "failed", "images", "time"]
    rows = []
    for cell in ordered(made):
        if cell["state"] != "played":
            words = {"refused": "cannot be played", "waiting": "not played yet"}.get(cell["state"], cell["state"])
            rows.append([cell["label"], words + (f": {cell['why']}" if cell["why"] else "")])
            continue
        summary = cell["summary"]["averaged"]
        failed = f"{sum(cell['failures'].values())}/{len(cell['seeds'])}"
        shown = [interval(summary[measures[0].name], measures[0])]
        shown += [m.show(summary[m.name]["mean"]) for m in measures[1:]]
        rows.append([cell["label"], *shown, failed, f"{cell['images']:,}", duration(cell["seconds"])])
    fresh = made["reference"]
    rows.append(["(the data themselves)", *[m.show(fresh.get(m.name)) for m in measures]])
    widths = [max(len(row[k]) for row in [head, *rows] if len(row) > max(k, 2)) for k in range(len(head))]
    widths[0] = max(len(row[0]) for row in rows)
    table = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in [head, *rows]]
    return [*made["verdict"]["words"], "", *table]
