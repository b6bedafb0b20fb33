"""The page of recipes that were compared as they are: what each made, side by side, the table, how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparring.budget import duration
from sparring.report.compare_equal import again, budget
from sparring.report.compare_plots import bar
from sparring.report.html import asset, document, head, listed, picture, replaced, section, verdict
from sparring.report.text import escape as _e
from sparring.runs.compare.measures import Measure
from sparring.runs.compare.standing import REAL, likelihood, played, small

_STATES = {
    "refused": "cannot be played", "waiting": "not finished", "killed": "was killed", "failed": "broke off",
    "stopped": "not finished",
}  # fmt: skip


def write(made: Mapping[str, Any], folder: Path, *, name: str = "report.html") -> Path:
    """Write the page of a comparison (`made`: what compare.json says) with the pictures in `folder`; its path."""
    return replaced(folder / name, render(made, folder))


def render(made: Mapping[str, Any], folder: Path) -> str:
    """The page as text."""
    parts = [_head(made), _verdict(made), _samples(made, folder), _table(made), _texture(made, folder)]
    parts += [_equal(made), again(made)]
    style = asset("page.css") + asset("compare_page.css") + asset("lineup_page.css")
    return document(_e(_title(made)), "\n".join(part for part in parts if part), style=style, script="")


def _title(made: Mapping[str, Any]) -> str:
    return f"Recipes on {Path(str(made['question']['data']['source'])).name or 'data'}"


def _head(made: Mapping[str, Any]) -> str:
    data = made["question"]["data"]
    shown = [
        ("Data", Path(str(data["source"])).name), ("Images of", " × ".join(str(side) for side in data["shape"])),
        ("Recipes", len(made["cells"])), ("Seeds", made["question"]["seeds"]), ("Budget", budget(made)),
    ]  # fmt: skip
    same = "number of images" if made["question"]["budget"]["images"] else "time of computing"
    return head(_title(made), f"The same data and the same {same}; each recipe as it is.", shown)


def _verdict(made: Mapping[str, Any]) -> str:
    words = made["words"]
    return verdict("noted", words[0], f"<ul>{listed(words[1:])}</ul>") if words else ""


# ── what they made ────────────────────────────────────────────────────────────────────────────────────────────────


def _samples(made: Mapping[str, Any], folder: Path) -> str:
    note = "The first samples of seed 0 of every recipe, none chosen, over images that were held out."
    return section("What they made", _strips(made, folder, ""), note)


def _texture(made: Mapping[str, Any], folder: Path) -> str:
    note = (
        "The same images: the standard deviation inside each square of 4 × 4 pixels, white where it is large. What a "
        "model averages is dark; noise is bright where real images are dark."
    )
    return section("Where there is texture", _strips(made, folder, "-texture"), note)


def _strips(made: Mapping[str, Any], folder: Path, kind: str) -> str:
    rows = [(_strip(folder / f"{REAL}{kind}.png", "held out"), "held out", "real images")]
    for cell in played(made):
        found = cell["summary"].get("background_texture" if kind else "kid")
        title = "in backgrounds" if kind else "KID"
        said = f"{title} {found['mean']:.2f}" if found is not None and found["mean"] is not None else ""
        strip = _strip(folder / cell["folder"] / f"seed-{cell['seeds'][0]['seed']}{kind}.png", cell["label"])
        rows.append((strip, cell["label"], said))
    shown = "".join(
        f"<figure>{strip}<figcaption><b>{_e(label)}</b><span>{_e(said)}</span></figcaption></figure>"
        for strip, label, said in rows
        if strip
    )
    return f'<div class="strips">{shown}</div>' if len(rows) > 1 and shown else ""


def _strip(path: Path, label: str) -> str:
    try:
        source = picture(path)
    except OSError:
        return ""
    return f'<img src="{source}" alt="{_e(f"samples: {label}")}">'


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(made: Mapping[str, Any]) -> str:
    measures = [Measure.of(m) for m in made["measures"]]
    main, others = measures[0], measures[1:]
    columns = ["", "Recipe", main.title, "", *[m.title for m in others], "−log p(x)", "A sample", "Parameters",
               "Images, time"]  # fmt: skip
    rows = played(made)
    most = max(
        (cell["summary"][main.name]["mean"] or 0.0 for cell in rows if main.name in cell["summary"]), default=0.0
    )
    body = [_row(place, cell, measures, most) for place, cell in enumerate(rows, 1)]
    for cell in made["cells"]:
        if cell["state"] != "played":
            said = _STATES.get(cell["state"], cell["state"]) + (f": {cell['why']}" if cell["why"] else "")
            rest = f'<td colspan="{len(columns) - 2}">{_e(said)}</td>'
            body.append(f'<tr class="out"><td></td><th>{_e(cell["label"])}</th>{rest}</tr>')
    fresh = {name: figure["value"] for name, figure in made["reference"].items()}
    shown = "".join(f"<td>{m.show(fresh.get(m.name))}</td>" for m in others)
    body.append(
        f'<tr class="fresh"><td></td><th>fresh data</th><td></td><td>{main.show(fresh.get(main.name))}</td>'
        f'{shown}<td colspan="4"></td></tr>'
    )
    heads = "".join(f"<th>{_e(word)}</th>" for word in columns)
    meanings = "".join(f"<dt>{_e(m.title)}</dt><dd>{_e(m.meaning)}</dd>" for m in measures)
    inside = (
        f'<div class="wide"><table class="cells"><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table>'
        f'</div><dl class="meanings">{meanings}{_EXTRA}</dl>'
    )
    return section("The table", inside, _note(made))


_EXTRA = (
    "<dt>−log p(x)</dt><dd>what held-out images cost by the model, lower is better; of what, stands below it, and "
    "numbers of different things cannot be ranked against each other; a model that only samples has none</dd>"
    "<dt>A sample</dt><dd>seconds of computing for each, by one thread where it is a processor</dd>"
    "<dt>Parameters</dt><dd>what a sample needs; below it what was trained, where that is more</dd>"
    "<dt>Images, time</dt><dd>seen in training, and seconds of computing that this took, with pictures and looks on "
    "the way</dd>"
)


def _note(made: Mapping[str, Any]) -> str:
    seeds = made["question"]["seeds"]
    over = "over images: what another seed would change is not in them" if seeds == 1 else "of the mean over seeds"
    batch = next((cell["sampling"]["batch"] for cell in played(made) if cell["sampling"]), None)
    return (
        f"{made['samples']:,} samples of each, from averaged weights, against held-out images. Intervals are of 95 %, "
        f"{over}." + f" Samples are timed in batches of {batch}." * (batch is not None)
    )


def _row(place: int, cell: Mapping[str, Any], measures: Sequence[Measure], most: float) -> str:
    main = measures[0]
    found = cell["summary"].get(main.name) or {"mean": None, "low": None, "high": None}
    trained, needed = cell["parameters"]["trained"], cell["parameters"]["sampling"]
    cost = cell["sampling"]
    time = f"<small>{duration(cell['seconds'])}</small>" if cell["seconds"] is not None else ""
    return (
        f"<tr><td>{place}</td><th>{_e(cell['label'])}</th>"
        f'<td class="plot-cell">{bar(found, 0.0, most)}</td><td>{_number(found, main)}</td>'
        + "".join(f"<td>{_number(cell['summary'].get(m.name), m)}</td>" for m in measures[1:])
        + f"<td>{_likelihood(cell)}</td><td>{small(cost['seconds']) if cost else '–'}</td>"
        f"<td>{_short(needed)}{f'<small>of {_short(trained)}</small>' if trained != needed else ''}</td>"
        f"<td>{cell['images']:,}{time}</td></tr>"
    )


def _number(found: Mapping[str, Any] | None, measure: Measure) -> str:
    if found is None or found["mean"] is None:
        why = (found or {}).get("refused", "")
        return f'<span title="{_e(why)}">–</span>'
    said = f"<b>{measure.show(found['mean'])}</b>"
    return said + (f"<small>{measure.between(found['low'], found['high'])}</small>" if found["low"] is not None else "")


def _likelihood(cell: Mapping[str, Any]) -> str:
    of = (cell["likelihood"] or {}).get("of", "")
    return _e(likelihood(cell)) + (f"<small>of {_e(of)}</small>" if of else "")


def _short(count: int) -> str:
    """A number of parameters.

    >>> _short(1_234_567), _short(12_345), _short(99)
    ('1.2 M', '12 k', '99')
    """
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1000 else str(count)


# ── what is equal ─────────────────────────────────────────────────────────────────────────────────────────────────


def _equal(made: Mapping[str, Any]) -> str:
    rows = played(made)
    timed = (
        " The time is turned into a number of images once, by timing a copy that is thrown away: in seconds of the "
        "processor for each of its threads, so that what else runs on the machine does not count; on a GPU by the "
        "clock."
    ) * (not made["question"]["budget"]["images"])
    lines = [
        "Every recipe saw the same training images and was judged by the same held-out ones.",
        f"Budget: {budget(made)}.{timed} Measuring, and the pictures on the way, are not counted in it.",
        "Not equal: parameters, batch and learning rate are each recipe’s own, and nothing was tuned for this budget. "
        "A recipe that is made for hours is at a disadvantage in minutes.",
    ]
    links = "".join(
        f'<li><a href="{_e(cell["folder"])}/seed-{seed["seed"]}/report.html">'
        f"{_e(cell['label'])}, seed {seed['seed']}</a></li>"
        for cell in rows
        for seed in cell["seeds"]
    )
    runs = f"<h3>The runs</h3><ul>{links}</ul>" if links else ""
    return section("What is equal", f"<ul>{listed(lines)}</ul>{runs}")
