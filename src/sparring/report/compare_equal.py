"""The end of the page of a comparison: what is equal and what is not, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparring.budget import duration
from sparring.report.html import listed, section
from sparring.report.html import table as tabled
from sparring.report.text import escape as _e
from sparring.runs.compare.verdict import equal_beginnings


def budget(made: Mapping[str, Any]) -> str:
    """How long, and for what, in words."""
    given = made["question"]["budget"]
    amount = f"{given['images']:,} images" if given["images"] else duration(given["seconds"])
    return f"{amount} {given['per']}"


def fairness(made: Mapping[str, Any]) -> str:
    """What is equal between the cells, and what is not."""
    odd = {player: labels for player, labels in equal_beginnings(made).items() if labels}
    lines = [
        "Every cell of a seed sees the same data in the same order, and draws the same latents.",
        f"Budget: {budget(made)}. Measuring is not counted.",
    ]
    if not odd:
        lines.append("Every player of every cell of a recipe began with the same weights (their hashes are equal).")
    for player, labels in odd.items():
        lines.append(
            f"{player} began with other weights in {', '.join(labels)}: its network is another one there, or its "
            "weights were drawn after those of such a network. Elsewhere they were the same, seed by seed."
        )
    lines.append(
        "Nothing was tuned for any of them: learning rates and widths are the recipe’s, strengths the usual ones."
    )
    lines += [
        f"Not equal: the settings of {recipe} were chosen with {home}, which plays at home here; others may do better "
        "with settings of their own (--set, --recipes)."
        for recipe, home in made["tuned_with"].items()
        if home
    ]
    return section("What is equal", f"<ul>{listed(lines)}</ul>{_settings(made)}")


def _settings(made: Mapping[str, Any]) -> str:
    """What differs between the settings of the cells, and what they share."""
    cells = [cell for cell in made["cells"] if cell["settings"]]
    flat = [{"recipe": cell["settings"]["recipe"], **cell["settings"]["config"]} for cell in cells]
    if not flat:
        return ""
    names = list(dict.fromkeys(name for row in flat for name in row))
    differing = [name for name in names if len({str(_paid(row, name)) for row in flat}) > 1]
    head = "".join(f"<th>{_e(word)}</th>" for word in ("", *differing))
    rows = "".join(
        f"<tr><th>{_e(cell['label'])}</th>"
        + "".join(f"<td>{_e(_plain(_paid(row, name)))}</td>" for name in differing)
        + "</tr>"
        for cell, row in zip(cells, flat, strict=True)
    )
    same = tabled((name, _plain(flat[0].get(name))) for name in names if name not in differing)
    return (
        f'<h3>Settings that differ</h3><div class="wide"><table class="cells"><thead><tr>{head}</tr></thead><tbody>'
        f"{rows}</tbody></table></div><details><summary>Settings that all have</summary>{same}</details>"
    )


def _paid(row: Mapping[str, Any], name: str) -> Any:
    """A setting of a cell; None for the weight of penalties that it does not pay."""
    penalties = str(row.get("penalty", "none")).split("+")
    kinds = {"gamma": ("r1", "r2", "gp-zero"), "slope": ("gp", "gp-one-sided", "dragan")}
    return None if name in kinds and not set(penalties) & set(kinds[name]) else row.get(name)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping) and "start" in value:
        return f"{value['start']:g} → {value['end']:g} {value['shape']} {value['begin']:g}..{value['until']:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def again(made: Mapping[str, Any]) -> str:
    """The command, the machine, the versions."""
    machine = made["machine"]
    seeds = made["question"]["seeds"]
    rows = [
        ("Seeds", f"0 to {seeds - 1}" if seeds > 1 else "0"),
        ("Machine", f"{machine['processor']}, {machine['cores']} cores; {machine['system']}"),
        ("Played on", f"{machine['device']}; {machine['jobs']} at a time, threads of each: {machine['threads']}"),
        ("Versions", f"sparring {made['sparring']}, torch {machine['torch']}, Python {machine['python']}"),
        ("Data", made["question"]["data"]["fingerprint"]),
    ]  # fmt: skip
    note = (
        "The same command goes on where it was stopped, and plays only what is missing. All numbers are in "
        "<code>compare.json</code>; the settings of a cell are in its <code>recipe.yaml</code>, which "
        "<code>sparring train --recipe</code> takes."
    )
    return section("How to repeat it", f'<pre>{_e(made["command"])}</pre><p class="note">{note}</p>{tabled(rows)}')
