"""The page itself. Everything that came from a file is escaped; a content policy forbids the page any request."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparring.recipes import RECIPES
from sparring.report.curves import Panel, Values, chart, short
from sparring.report.facts import Facts, read
from sparring.report.text import escape as _e

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"
_TYPES = {".png": "image/png", ".apng": "image/apng", ".gif": "image/gif", ".webp": "image/webp"}
MOST_FRAMES = 40
"""Sample grids on the page; of more, evenly chosen ones with the first and the last."""


def write(run: Path, *, name: str = "report.html") -> Path:
    """Write the page of the run in directory `run` to its file `name`, from the run's files alone; returns the path."""
    run = Path(run)
    path = run / name
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(render(read(run), run), "utf-8")
    fresh.replace(path)
    return path


def render(facts: Facts, run: Path) -> str:
    """The page as text."""
    panels = _panels(facts)
    charts = [chart(panel, facts.images, k, unit(facts)) for k, panel in enumerate(panels)]
    parts = [
        _head(facts),
        _troubles(facts),
        _game(facts),
        _grids(facts),
        _walk(facts),
        _curves(charts),
        _alarms(facts),
        _data(facts),
        _settings(facts),
    ]
    parts += [_next(run), f'<script type="application/json" id="curves">{_json(facts, panels)}</script>']
    body = "\n".join(part for part in parts if part)
    return document(_e(facts.name), body, style=asset("page.css"), script=asset("page.js"))


def document(title: str, body: str, *, style: str, script: str) -> str:
    """A page around `body` (HTML, as is `title`): one file, whose content policy forbids it any request."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{title} · sparring</title><style>{style}</style></head>\n<body><main>\n{body}\n"
        "<footer>Written by sparring. This page is one file and loads nothing from anywhere.</footer>"
        f"</main>\n<script>{script}</script></body></html>\n"
    )


def asset(name: str) -> str:
    """A file that lies beside this module, as text."""
    return files("sparring.report").joinpath(name).read_text("utf-8")


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else _e(value)


def _picture(path: Path) -> str:
    return f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────


def find(mapping: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of `names` that the mapping, or a mapping inside it, has; None without any."""
    for name in names:
        if name in mapping:
            return mapping[name]
    for value in mapping.values():
        if isinstance(value, Mapping) and (found := find(value, *names)) is not None:
            return found
    return None


def unit(facts: Facts) -> str:
    """What was trained on: "points" if the data have one axis, else "images"."""
    data = facts.recipe.get("data")
    shape = data.get("shape") if isinstance(data, dict) else None
    return "points" if isinstance(shape, list) and len(shape) == 1 else "images"


def _head(facts: Facts) -> str:
    recipe = find(facts.recipe, "recipe", "name")
    source = find(facts.data, "name", "source") or find(facts.recipe, "source")
    data = Path(source).name if isinstance(source, str) else None
    shown = [("Recipe", recipe), ("Data", data)]
    shown += [("Trained on", facts.data.get("used")), ("Held out", facts.data.get("held_out"))]
    if facts.images:
        shown.append((f"{unit(facts).capitalize()} seen", facts.images[-1]))
    if facts.rate:
        shown.append((f"{unit(facts).capitalize()} per second", short(facts.rate)))
    shown.append(("Seed", find(facts.recipe, "seed")))
    cells = "".join(
        f"<div><dt>{_e(label)}</dt><dd>{_count(value)}</dd></div>"
        for label, value in shown
        if value is not None and not isinstance(value, (Mapping, list))
    )
    lead = "What was trained, how it went, and what to do next."
    return f'<h1>{_e(facts.name)}</h1><p class="lead">{lead}</p><dl class="facts">{cells}</dl>'


def _troubles(facts: Facts) -> str:
    if not facts.troubles:
        return ""
    lines = "".join(f"<li>{_e(line)}</li>" for line in facts.troubles)
    return f'<div class="trouble"><strong>Not everything could be shown.</strong><ul>{lines}</ul></div>'


def _alarms(facts: Facts) -> str:
    if not facts.alarms:
        return ""
    lines = "".join(f"<li>at {images:,} {unit(facts)}: {_e(text)}</li>" for images, text in facts.alarms)
    return f'<h2>What happened on the way</h2><div class="trouble"><ul>{lines}</ul></div>'


def _grids(facts: Facts) -> str:
    if not facts.samples:
        return ""
    chosen = facts.samples
    if len(chosen) > MOST_FRAMES:
        picks = {round(i * (len(chosen) - 1) / (MOST_FRAMES - 1)) for i in range(MOST_FRAMES)}
        chosen = [chosen[i] for i in sorted(picks)]
    last = len(chosen) - 1
    pictures = "".join(
        f'<img src="{_picture(path)}" alt="Samples after {images:,} {unit(facts)}" data-images="{images:,}"'
        f"{'' if k == last else ' hidden'}>"
        for k, (images, path) in enumerate(chosen)
    )
    control = (
        f'<div class="control" hidden><button type="button">Play</button><input type="range" min="0" max="{last}" '
        f'value="{last}" aria-label="{unit(facts).capitalize()} seen"><output>{chosen[-1][0]:,} {unit(facts)}</output>'
        "</div>"
    )
    note = "Every grid is made from the same latents, so that one can see the same picture come into being."
    if facts.game is not None:
        note = "The same, moment by moment: every picture is made from the same latents."
    note += _e(_row_by_row(facts))
    return f'<h2>Samples</h2><p class="note">{note}</p><div class="frames">{pictures}{control if last else ""}</div>'


def _game(facts: Facts) -> str:
    if facts.game is None:
        return ""
    note = (
        "The game from above. Orange is what is real, or what D takes for real; blue what is generated, or taken for "
        "it; where D is undecided it is white, and on the black line D is ½. In a relativistic game only differences "
        "of D’s logits s mean something: there its median over data and samples is taken off first. Arrows point "
        "where G’s samples are drawn, −∇ₓ of what G pays; their length grows with the square root of the strength. "
        "Dashed lines are where theory puts the equilibrium. Samples are those of the averaged G, D is as it was."
    )
    image = f'<img src="{_picture(facts.game)}" alt="The game on the plane, from the first step to the last">'
    return f'<h2>The game</h2><p class="note">{note}</p><div class="frames">{image}</div>'


def _row_by_row(facts: Facts) -> str:
    """Which class each row of a grid shows, where a game of the package is told classes."""
    data, recipe = facts.recipe.get("data"), facts.recipe.get("recipe")
    names = data.get("classes") if isinstance(data, dict) else None
    if not (isinstance(names, list) and isinstance(recipe, str) and recipe in RECIPES):
        return ""
    from sparring.generate.sample import rows_of  # here: the page of a check needs no torch
    from sparring.runs.recipe import game_class

    if rows_of(game_class(recipe), len(names)) is None:
        return ""
    return f" Row by row: {', '.join(map(str, names))}."


def _walk(facts: Facts) -> str:
    if facts.walk is None:
        return ""
    note = (
        "Each tile moves through the generator’s latent space and back. Smooth changes between convincing pictures are "
        "a good sign; jumps mean that it learned pictures by heart."
    )
    image = f'<img src="{_picture(facts.walk)}" alt="A walk through latent space">'
    return f'<h2>A walk</h2><p class="note">{note}</p><div class="walk">{image}</div>'


def _curves(charts: list[str]) -> str:
    drawn = "".join(charts)
    return f'<h2>How it went</h2><div class="charts">{drawn}</div>' if drawn else ""


SKILL = {  # the first line is blue, the second orange: generated and real, as in pictures of points
    "D(G(z))": "D(G(z)), generated",
    "D(x)": "D(x), real",
}
RATES = {"true_negative": "generated called generated (TNR)", "true_positive": "real called real (TPR)"}
MIXTURE = {"high_quality": "high quality", "smallest_share": "smallest share"}
OTHERS = {
    "modes": ("Modes", "With at least one of 2,500 samples within three standard deviations."),
    "reverse_kl": ("Reverse KL", "Of the high-quality samples over the modes, to equal shares; 0 is even, in nats."),
    "energy_distance": ("Energy distance", "Of samples to held-out data, in their units; about 0 for equal laws."),
    "r1": ("Gradient penalty on real {unit}", "R1 before its weight: the mean squared slope of D there."),
    "r2": ("Gradient penalty on generated {unit}", "R2 before its weight: the mean squared slope of D there."),
    "gradient": ("Gradients", "The norm of each player’s gradient."),
}


def _panels(facts: Facts) -> list[Panel]:
    """Which curves belong together. A term is named ``player/term``; what no panel claims goes to the last one."""
    left = dict(facts.curves)

    def take(names: Mapping[str, str]) -> dict[str, Values]:
        found = {label: key for name, label in names.items() for key in list(left) if key.split("/")[-1] == name}
        return {label: left.pop(key) for label, key in found.items()}

    probabilities, rates, shares = take(SKILL), take(RATES), take(MIXTURE)
    paid = sorted(key for key in left if key.split("/")[-1] in ("real", "fake", "pair", "loss"))
    losses = {key: left.pop(key) for key in sorted(paid, key=lambda key: not key.startswith("G/"))}
    panels = [
        Panel("Losses", "Each player lowers its own. Neither goes to zero in a healthy game.", losses),
        Panel(
            "What D believes", "Mean probability of being real. At 0.5 D is only guessing.", probabilities, (0, 1), 0.5
        ),
        Panel(
            "How often D is right",
            f"On real and on generated {unit(facts)}. Both at 1 for long: D has won.",
            rates,
            (0, 1),
            0.5,
        ),
        Panel(
            "Quality and evenness",
            "Share of samples within three standard deviations of a mode (98.9 % is perfect), and what the rarest mode "
            "has of its share.",
            shares,
            (0, 1),
            0.989,
        ),
    ]
    groups: dict[str, dict[str, Values]] = {}
    for key, line in left.items():
        groups.setdefault(key.split("/")[-1], {})[key] = line
    for name, lines in groups.items():
        title, note = OTHERS.get(name, (name, ""))
        ordered = dict(sorted(lines.items(), key=lambda line: not line[0].startswith("G/")))  # G blue, D orange
        panels.append(Panel(title.replace("{unit}", unit(facts)), note, ordered))
    return panels


def _json(facts: Facts, panels: list[Panel]) -> str:
    """The numbers behind the curves, for the page's script; ``<`` is spelt so that no text can close the element."""

    def brief(line: Values) -> list[float | None]:
        return [None if v is None else float(f"{v:.4g}") for v in line]

    charts = [[brief(line) for line in panel.lines.values() if any(v is not None for v in line)] for panel in panels]
    text = json.dumps({"images": facts.images, "charts": charts}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _rows(pairs: Iterator[tuple[str, Any]]) -> str:
    return "".join(f"<tr><th>{_e(name)}</th><td>{_count(value)}</td></tr>" for name, value in pairs)


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A nested mapping as (``a.b.c``, value) pairs.

    >>> list(flat({"a": {"b": 1}, "c": [2, 3]}))
    [('a.b', 1), ('c', '2, 3')]
    """
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(str(v) for v in value[:20]) + (" …" if len(value) > 20 else "")
        else:
            yield f"{prefix}{key}", value


def _data(facts: Facts) -> str:
    if not facts.data:
        return ""
    excluded = facts.data.get("excluded")
    plain = {k: v for k, v in facts.data.items() if k not in ("excluded", "warnings") and v not in (None, {}, [])}
    out = [f"<h2>Data</h2><table>{_rows(flat(plain))}</table>"]
    warnings = facts.data.get("warnings")
    if isinstance(warnings, list) and warnings:
        out.insert(1, '<div class="trouble"><ul>' + "".join(f"<li>{_e(w)}</li>" for w in warnings) + "</ul></div>")
    if isinstance(excluded, list) and excluded:
        pairs = [e if isinstance(e, (list, tuple)) and len(e) == 2 else (e, "") for e in excluded]
        more = f"<p>… and {len(pairs) - 200:,} more, in data.json</p>" if len(pairs) > 200 else ""
        table = _rows((str(name), reason) for name, reason in pairs[:200])
        out.append(
            f"<details><summary>{len(pairs):,} left out, and why</summary><table>{table}</table>{more}</details>"
        )
    return "".join(out)


def _settings(facts: Facts) -> str:
    if not facts.recipe:
        return ""
    note = "The whole of <code>recipe.yaml</code>, which is itself a valid <code>--recipe</code>."
    return f'<h2>Settings</h2><p class="note">{note}</p><table>{_rows(flat(facts.recipe))}</table>'


def _next(run: Path) -> str:
    """Commands, ready to be copied into a shell."""
    place = shlex.quote(str(run))
    lines = [
        (f"sparring sample {place} -n 64 --grid", "64 new pictures, and a grid of them"),
        (f"sparring interpolate {place} --out walk.gif", "a walk through latent space"),
        (f"sparring resume {place} --budget +10m", "train for ten more minutes"),
    ]
    text = "\n".join(f"{_e(command)}   <em># {_e(what)}</em>" for command, what in lines)
    return f"<h2>What to type next</h2><pre>{text}</pre>"
