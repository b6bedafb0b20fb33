"""FCN scores as a table for people."""

from __future__ import annotations

from typing import Any

from sparring.metrics.segmentation import NAMES

_HEADS = ("per-pixel accuracy", "per-class accuracy", "class IoU")


def lines(record: dict[str, Any]) -> list[str]:
    """What `fcn.score` or `fcn.maps_score` found, as a table with what is to be known about it."""
    judge, n = record["judge"], record["n"]
    pairs = f"{n} {'held-out' if record['held_out'] else 'training'} pairs at {record['size'][1]}x{record['size'][0]}"
    if judge is None:
        said = [f"label maps of {pairs}, against the true ones"]
    else:
        said = [f"FCN score of {pairs}, by {judge['of']} ({judge['name']} {judge['version']}; {judge['protocol']})"]
    said += [f"  ! {warning}" for warning in record["warnings"]]
    table = [("", *_HEADS)]
    for row in record["rows"]:
        table.append((row["name"], *(_cell(row["scores"][name]) for name in NAMES)))
    widths = [max(len(line[k]) for line in table) for k in range(4)]
    said += ["  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table]
    if judge is not None and record["shown"]:
        least = min(record["ahead"].values())
        said.append(f"  on real photos the judge beats the majority class by {least:.0f} standard errors or more")
    said += [f"  {record['why']}"] * bool(record["why"])
    if record["not_judged"]:
        said.append(f"  not judged: {', '.join(record['not_judged'])}")
    if record["left_out"]:
        said.append(f"  left out: {record['left_out']} pairs whose photos the judge was trained on")
    return said


def _cell(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "–"
    bounds = figure["interval"]
    return f"{figure['value']:.3f}" + (f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "")
