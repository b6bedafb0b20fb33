"""What `sparring evaluate` found of a run, as its page shows it: every figure with all that it depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparring.health.words import number, percent
from sparring.report.facts import Facts
from sparring.report.html import listed, table
from sparring.report.text import escape

MOST_COPIES = 50


def evaluation(facts: Facts) -> tuple[str, str]:
    """(note, table) of what `sparring evaluate` found, as HTML; empty where it has not been run."""
    metrics = facts.evaluation.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return "", ""
    figures = [(str(name), figure) for name, figure in metrics.items() if isinstance(figure, Mapping)]
    null = facts.evaluation.get("null")
    null = null if isinstance(null, dict) else {}
    columns = ("", "value", "95 % interval", "real data", "real, generated", "features")
    heads = "".join(f"<th>{word}</th>" for word in columns)
    body = "".join(_figure(name, figure, null.get(name)) for name, figure in figures)
    note = "; ".join(filter(None, (_side("real", facts.evaluation.get("real")),
                                   _side("generated", facts.evaluation.get("fake")))))  # fmt: skip
    command = facts.evaluation.get("command")
    again = f'<pre class="commands">{escape(command)}</pre>' if isinstance(command, str) and command else ""
    warnings = facts.evaluation.get("warnings")
    said = listed(warnings) if isinstance(warnings, list) else ""
    out = f'<table class="figures"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    out += f'<div class="trouble"><ul>{said}</ul></div>' if said else ""
    compared = " In the column “real data”: the same measure of real images against real ones." if null else ""
    note = (escape(note[:1].upper() + note[1:]) + "." + compared) * bool(note)
    return note, out + _pairs(facts) + _memory(facts) + again


_ROWS = {
    "translations": "translations",
    "input": "what was given",
    "another": "another pair's truth",
    "truth": "the truth itself",
}


def _pairs(facts: Facts) -> str:
    """What the measures of pairs say of translations, and of what could be taken for one."""
    found = facts.evaluation.get("pairs")
    rows = found.get("rows") if isinstance(found, Mapping) else None
    if not isinstance(rows, Mapping) or not isinstance(rows.get("truth"), Mapping) or not rows["truth"]:
        return ""
    names = [str(name) for name in rows["truth"]]
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *names))
    body = ""
    for row, word in _ROWS.items():
        figures = rows.get(row)
        if isinstance(figures, Mapping):
            body += f"<tr><th>{word}</th>{''.join(_cell(name, figures.get(name)) for name in names)}</tr>"
    return f'<table class="figures"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _cell(name: str, figure: Any) -> str:
    value = figure.get("value") if isinstance(figure, Mapping) else None
    shown = number(float(value)) if _finite(value) else "∞" if name == "psnr" and figure else "–"  # type: ignore[arg-type]
    return f'<td data-label="{escape(name)}">{shown}</td>'


_ARROWS = {"lower": "↓", "higher": "↑"}


def _figure(name: str, figure: Mapping[str, Any], null: Any) -> str:
    value, bounds = figure.get("value"), figure.get("interval")
    better = _ARROWS.get(str(figure.get("better")), "")
    mark = f' <small title="better when {escape(figure.get("better"))}">{better}</small>' if better else ""
    between = "–"
    if isinstance(bounds, (list, tuple)) and len(bounds) == 2 and all(_finite(bound) for bound in bounds):
        between = f"{number(bounds[0])} to {number(bounds[1])}"
        between += f" <small>{escape(figure['method'])}</small>" if figure.get("method") else ""
    shown = f"<b>{number(float(value))}</b>" if _finite(value) else "–"  # type: ignore[arg-type]
    sizes = ", ".join(f"{n:,}" for n in (figure.get("n_real"), figure.get("n_fake")) if isinstance(n, int) and n)
    real = null.get("value") if isinstance(null, Mapping) else None
    cells = [("value", shown), ("95 % interval", between),
             ("real data", number(float(real)) if _finite(real) else "–"),  # type: ignore[arg-type]
             ("real, generated", escape(sizes or "–")),
             ("features", escape(figure.get("features") or "–"))]  # fmt: skip
    columns = "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in cells)
    row = f"<tr><th>{escape(name.replace('_', ' '))}{mark}</th>{columns}</tr>"
    said = figure.get("refused") or figure.get("warning")
    return row + (f'<tr class="said"><td colspan="6">{escape(said)}</td></tr>' if said else "")


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _side(name: str, side: Any) -> str:
    if not isinstance(side, Mapping):
        return ""
    n, what = side.get("n"), side.get("what")
    shown = Path(str(what)).name or str(what) if what else ""
    parts = [f"{n:,}" if isinstance(n, int) else "", f"of {shown}" if shown else ""]
    split, weights, images = side.get("split"), side.get("weights"), side.get("images")
    parts += [f"({split})" if split else "", "from averaged weights" if weights == "ema" else ""]
    parts += [f"at image {images:,}" if isinstance(images, int) else ""]
    return f"{name}: " + " ".join(part for part in parts if part)


def _memory(facts: Facts) -> str:
    """Whether samples are copies of training images, and which."""
    found = facts.evaluation.get("memorisation")
    if not isinstance(found, Mapping) or not _finite(found.get("share")):
        return ""
    null, samples = found.get("null"), found.get("samples")
    said = f"{percent(found['share'])} of {samples if isinstance(samples, int) else 'the'} samples are nearer to a "
    said += "training image than 99 % of the images that nobody trained on"
    said += f" (of unseen real ones: {percent(float(null))})" if _finite(null) else ""  # type: ignore[arg-type]
    copies = [pair for pair in found.get("copies") or () if isinstance(pair, Mapping)]
    pairs = [(f"sample {pair.get('fake')}", pair.get("real")) for pair in copies[:MOST_COPIES]]
    more = f"<p>… and {len(copies) - MOST_COPIES:,} more, in evaluation.json</p>" if len(copies) > MOST_COPIES else ""
    names = f"<details><summary>which</summary>{table(pairs)}{more}</details>" if pairs else ""
    return f"<p>{escape(said)}.</p>{names}"


def neighbours(facts: Facts) -> str:
    """The nearest training images of each sample, by name."""
    near: dict[str, list[str]] = {}
    for fake, real, distance in facts.nearest:
        near.setdefault(fake, []).append(real + (f" ({distance:.3g})" if distance is not None else ""))
    rows = ((f"sample {fake}", ", ".join(names)) for fake, names in list(near.items())[:50])
    return f"<details><summary>by name, with their distance</summary>{table(rows)}</details>" if near else ""
