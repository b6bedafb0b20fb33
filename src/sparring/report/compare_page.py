"""The page of a comparison: who is ahead and how sure that is, the table, what was made, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparring.budget import duration
from sparring.report import compare_images as images
from sparring.report.compare_equal import again, budget, fairness
from sparring.report.compare_plots import axis, curve, dots, span_of
from sparring.report.html import asset, document, head, listed, replaced, section, verdict
from sparring.report.text import escape as _e
from sparring.runs.compare.measures import Measure
from sparring.runs.compare.table import interval, ordered

_STATES = {
    "refused": "cannot be played", "waiting": "not played yet", "killed": "was killed", "failed": "broke off",
    "stopped": "not finished",
}  # fmt: skip


def write(made: Mapping[str, Any], folder: Path, *, name: str = "report.html") -> Path:
    """Write the page of a comparison (`made`: what compare.json says) with the pictures in `folder`; its path."""
    return replaced(folder / name, render(made, folder))


def render(made: Mapping[str, Any], folder: Path) -> str:
    """The page as text."""
    parts = [_head(made), _verdict(made), _table(made), _pictures(made, folder), _curves(made)]
    parts += [_equilibrium(made), fairness(made), again(made)]
    style = asset("page.css") + asset("compare_page.css")
    return document(_e(_title(made)), "\n".join(part for part in parts if part), style=style, script="")


def _title(made: Mapping[str, Any]) -> str:
    return f"Comparison on {Path(str(made['question']['data']['source'])).name or 'data'}"


def _main(made: Mapping[str, Any]) -> Measure:
    return Measure.of(made["measures"][0])


def _played(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in ordered(made) if cell["state"] == "played"]


def _head(made: Mapping[str, Any]) -> str:
    cells, question = made["cells"], made["question"]
    recipes = ", ".join(dict.fromkeys(cell["recipe"] for cell in cells))
    shown = [
        ("Data", Path(str(question["data"]["source"])).name), ("Cells", len(cells)), ("Seeds", question["seeds"]),
        ("Recipe" if "," not in recipes else "Recipes", recipes), ("Budget", budget(made)),
    ]  # fmt: skip
    lead = "The same data, the same seeds, the same budget; only what stands in the first column differs."
    return head(_title(made), lead, shown)


def _verdict(made: Mapping[str, Any]) -> str:
    words = made["verdict"]["words"]
    if not words:
        return ""
    return verdict("noted", words[0], f"<ul>{listed(words[1:])}</ul>")


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(made: Mapping[str, Any]) -> str:
    measures = [Measure.of(m) for m in made["measures"]]
    main = measures[0]
    pairs = {pair["other"]: pair for pair in made["verdict"]["pairs"]}
    several = len({cell["seconds"] for cell in _played(made)}) > 0
    low, high = span_of(made, main)
    head = ["", "Loss", main.title, "", "Behind the first", *[m.title for m in measures[1:]], "Failed", "Images, time"]
    rows = []
    for place, cell in enumerate(ordered(made), 1):
        name = f"<td>{place}</td><th>{_e(cell['label'])}</th>" if cell["state"] == "played" else (
            f"<td></td><th>{_e(cell['label'])}</th>"
        )  # fmt: skip
        if cell["state"] != "played":
            said = _STATES.get(cell["state"], cell["state"]) + (f": {cell['why']}" if cell["why"] else "")
            rows.append(f'<tr class="out">{name}<td colspan="{len(head) - 2}">{_e(said)}</td></tr>')
            continue
        summary = cell["summary"]["averaged"]
        values = [seed["averaged"].get(main.name) for seed in cell["seeds"]]
        failed = [seed["failure"] is not None for seed in cell["seeds"]]
        plot = dots(values, failed, summary[main.name], low, high, made["reference"].get(main.name))
        cells = [
            f'<td class="plot-cell">{plot}</td>',
            f"<td>{_number(summary[main.name], main)}</td>",
            f"<td>{_pair(pairs.get(cell['key']), main, place)}</td>",
            *[f"<td>{_number(summary[m.name], m)}</td>" for m in measures[1:]],
            f"<td>{_failed(cell)}</td><td>{cell['images']:,}<small>{duration(cell['seconds'])}</small></td>",
        ]
        rows.append(f"<tr>{name}{''.join(cells)}</tr>")
    fresh = "".join(f"<td>{measure.show(made['reference'].get(measure.name))}</td>" for measure in measures[1:])
    rows.append(
        f'<tr class="fresh"><td></td><th>fresh data</th><td></td><td>{main.show(made["reference"].get(main.name))}</td>'
        f"<td></td>{fresh}<td></td><td></td></tr>"
    )
    heads = "".join(f"<th>{_e(word)}</th>" for word in head)
    meanings = "".join(f"<dt>{_e(m.title)}</dt><dd>{_e(m.meaning)}</dd>" for m in measures)
    note = (
        "Each dot is a seed (a ring: it failed), the bar the 95 % interval of the mean over seeds, the dashed line "
        "fresh data. Measured on the averaged generator. Behind the first: the mean difference to the first row, seed "
        "by seed, with an interval that holds for all pairs of rows at once (grey where it does not decide), and on "
        "how many seeds the first is better."
    )
    extra = (
        "<dt>Failed</dt><dd>seeds that diverged, or found no mode; they count with what they reached</dd>"
        "<dt>Images, time</dt><dd>seen by each seed, and seconds of play: at equal time a slower game sees fewer</dd>"
    ) * several
    inside = (
        f'<div class="wide"><table class="cells"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'</div><dl class="meanings">{meanings}{extra}</dl>'
    )
    return section("The table", inside, note)


def _number(found: Mapping[str, Any], measure: Measure) -> str:
    value = f"<b>{measure.show(found['mean'])}</b>"
    if found["low"] is not None:
        value += f"<small>{measure.between(found['low'], found['high'])}</small>"
    return value + (f"<small>{found['missing']} without value</small>" if found["missing"] else "")


def _pair(pair: Mapping[str, Any] | None, main: Measure, place: int) -> str:
    if pair is None or pair["mean"] is None:
        return "–" if place > 1 else "<small>the first</small>"
    by = main.between(pair["low"], pair["high"]) if pair["low"] is not None else ""
    mark = "" if pair["clear"] else ' class="open"'
    on = f"on {pair['better']} of {pair['seeds']}"
    return f"<b{mark}>{main.show(pair['mean'])}</b><small>{by}</small><small>{on}</small>"


def _failed(cell: Mapping[str, Any]) -> str:
    count = sum(cell["failures"].values())
    if not count:
        return f"0/{len(cell['seeds'])}"
    why = "".join(f"<small>{number} {_e(reason)}</small>" for reason, number in cell["failures"].items())
    return f'<b class="bad">{count}/{len(cell["seeds"])}</b>{why}'


# ── pictures and curves ───────────────────────────────────────────────────────────────────────────────────────────


def _pictures(made: Mapping[str, Any], folder: Path) -> str:
    main = _main(made)
    figures = []
    allowed = images.allowance(_played(made), folder)
    for cell in _played(made):
        middle = _median(cell, main)
        large = _image(folder, cell, middle, "large", main, allowed)
        small = "".join(_image(folder, cell, seed, "small", main, allowed) for seed in images.shown(cell))
        if len(cell["seeds"]) > images.MOST_SMALL:
            small += f"<small>and {len(cell['seeds']) - images.MOST_SMALL} more seeds</small>"
        value = interval(cell["summary"]["averaged"][main.name], main)
        if large:
            figures.append(
                f"<figure>{large}<figcaption><b>{_e(cell['label'])}</b><span>{main.title} {value}</span></figcaption>"
                f'<div class="seeds">{small}</div></figure>'
            )
    if not figures:
        return ""
    points = made["question"]["data"]["kind"] == "points"
    note = "Samples (blue) over data (orange); what lies outside is drawn on the border. " if points else ""
    note += "Large: the seed in the middle of the row; small: all seeds, a red frame where one failed."
    if allowed is not None:
        note += " Made smaller for this page; as they are they stand in cells/…/seed-0.png and so on."
    return section("What they made", f'<div class="gallery">{"".join(figures)}</div>', note)


def _median(cell: Mapping[str, Any], main: Measure) -> dict[str, Any]:
    """The seed in the middle by the main measure."""
    ranked = sorted(cell["seeds"], key=lambda seed: _worst_first(seed["averaged"].get(main.name), main))
    found: dict[str, Any] = ranked[len(ranked) // 2]
    return found


def _worst_first(value: float | None, main: Measure) -> float:
    if value is None:
        return -float("inf")
    return value if main.up else -value


def _image(
    folder: Path, cell: Mapping[str, Any], seed: Mapping[str, Any], kind: str, main: Measure, allowed: int | None
) -> str:
    source = images.url(images.path_of(folder, cell, seed), kind, allowed)
    if not source:
        return ""
    said = f"{cell['label']}, seed {seed['seed']}: {main.title} {main.show(seed['averaged'].get(main.name))}"
    if seed["failure"]:
        said += f"; {seed['failure']['why']} after {seed['failure']['images']:,} images"
        kind += " broken"
    return f'<img class="{kind}" src="{source}" alt="{_e(said)}" title="{_e(said)}">'


def _curves(made: Mapping[str, Any]) -> str:
    main = _main(made)
    cells = [cell for cell in _played(made) if cell["seeds"][0]["curve"]]
    if not cells:
        return ""
    most = max(point[0] for cell in cells for seed in cell["seeds"] for point in seed["curve"])
    values = [point[1] for cell in cells for seed in cell["seeds"] for point in seed["curve"] if point[1] is not None]
    fresh = made["reference"].get(main.name)
    low, high = axis(values, fresh) if values else (0.0, 1.0)
    if not main.up and values:
        ends = [v for cell in cells for v in [cell["summary"]["averaged"][main.name]["mean"]] if v is not None]
        high = min(high, 3 * max(ends)) if ends else high
    charts = "".join(curve(cell, main, most, low, high, fresh) for cell in cells)
    note = (
        f"{main.title[:1].upper()}{main.title[1:]} of the averaged generator while it was trained: every seed thin, "
        "their mean thick, fresh data dashed. All charts have the same axes; at equal time a slower game sees fewer "
        "images."
    )
    return section("How it went", f'<div class="small-charts">{charts}</div>', note)


def _equilibrium(made: Mapping[str, Any]) -> str:
    cells = _played(made)
    names = list(dict.fromkeys(name for cell in cells for name in cell["final"]))
    if not names:
        return ""
    main = _main(made)
    heads = "".join(f"<th>{_e(word)}</th>" for word in ("Loss", *names, "images/s", f"{main.title}, not averaged"))
    rows = "".join(
        f"<tr><th>{_e(cell['label'])}</th>"
        + "".join(f"<td>{_short(cell['final'].get(name))}</td>" for name in names)
        + f"<td>{cell['rate']:,.0f}</td><td>{_number(cell['summary']['raw'][main.name], main)}</td></tr>"
        for cell in cells
    )
    note = (
        "The last hundredth of each run, mean over seeds. Losses of different objectives are not in the same units. At "
        "the equilibrium D can only guess: D(x) = D(G(z)) = 0.5 where D is a probability."
    )
    inside = (
        f'<div class="wide"><table class="cells"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return section("How the games ended", inside, note)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
