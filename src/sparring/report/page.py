"""The page of a run. Everything that came from a file is escaped; a content policy forbids the page any request."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring.health.verdict import HARD
from sparring.report import conclusions, evaluation, panels, translating
from sparring.report.curves import Axes, Panel, Values, chart, short, ticks
from sparring.report.facts import Facts, Told, read
from sparring.report.html import asset, document, flat, head, listed, picture, replaced, rows, section, table
from sparring.report.text import escape as _e
from sparring.types import TEXT_ROWS, Classifies, HasLatents, MatchesText, Samples, Segments

MOST_FRAMES = 40
"""Sample grids on the page; of more, evenly chosen ones with the first and the last."""


def write(run: Path, *, name: str = "report.html") -> Path:
    """Write the page of the run in directory `run` to its file `name`, from the run's files alone; returns the path."""
    run = Path(run)
    return replaced(run / name, render(read(run), run))


def render(facts: Facts, run: Path) -> str:
    """The page as text."""
    made = conclusions.diagnosis(facts, run)
    main, rest = panels.measured(facts)
    paid = panels.paid(facts)
    drawn = [panel for panel in (*main, *paid, *rest) if panel.drawn and panel.at]
    charts = {id(panel): _chart(facts, panel, k) for k, panel in enumerate(drawn)}

    def charted(group: Sequence[Panel]) -> str:
        inside = "".join(charts[id(panel)] for panel in group if id(panel) in charts)
        return f'<div class="charts">{inside}</div>' if inside else ""

    note, figures = evaluation.evaluation(facts)
    more = charted(rest)
    measured = charted(main)
    measured += f"<details><summary>More measures</summary>{more}</details>" if more else ""
    measured += conclusions.last_probe(made)
    parts = [
        _head(facts, conclusions.conclusion(facts, made)),
        _troubles(facts),
        _game(facts),
        _grids(facts),
        section("What was measured", measured, _probes(facts)),
        section("How it went", charted(paid), _UNDONE if facts.backs else ""),
        section("What happened on the way", _alarms(facts)),
        section("Nearest neighbours", _neighbours(facts), _NEIGHBOURS),
        section("Evaluation", figures, note),
        _walk(facts),
        _data(facts),
        section("Settings", table(flat(facts.recipe)) if facts.recipe else "", _SETTINGS),
        section("What to type next", _next(facts, run)),
        f'<script type="application/json" id="curves">{_json(facts, drawn)}</script>',
    ]
    body = "\n".join(part for part in parts if part)
    return document(_e(facts.name), body, style=asset("page.css"), script=asset("page.js"))


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────

_SETTINGS = "The whole of <code>recipe.yaml</code>, which is itself a valid <code>--recipe</code>."
_UNDONE = (
    "On the red stretches something failed: the run went back to where they begin, and played them again. What it did "
    "there first is drawn faintly."
)
_NEIGHBOURS = (
    "Samples in the first row, and below each the training images that are most like it. Alike in kind is good; the "
    "same image again means that it was learnt by heart."
)


def _head(facts: Facts, concluded: str) -> str:
    shown: list[tuple[str, Any]] = [("Recipe", facts.recipe.get("recipe"))]
    shown += [("Trained on", facts.data.get("used")), ("Held out", facts.data.get("held_out"))]
    unit = translating.noun(facts).capitalize()
    if facts.seen:
        shown.append((f"{unit} seen", facts.seen))
    if facts.rate:
        shown.append((f"{unit} per second", short(facts.rate)))
    shown += [("Device", facts.said("run").get("device")), ("Seed", facts.said("run").get("seed"))]
    known = [(label, value) for label, value in shown if value is not None and not isinstance(value, (dict, list))]
    return head(facts.name, conclusions.sentence(facts), known, between=concluded)


def _troubles(facts: Facts) -> str:
    if not facts.troubles:
        return ""
    lines = listed(facts.troubles)
    return f'<div class="trouble"><strong>Not everything could be shown.</strong><ul>{lines}</ul></div>'


def _probes(facts: Facts) -> str:
    """What is measured on what, and what that took."""
    if not facts.probes.images:
        return ""
    plan = facts.said("run").get("probes")
    samples = plan.get("samples") if isinstance(plan, dict) else None
    times = len(facts.probes.images)
    said = f"{translating.measured_on(facts)}, {'once' if times == 1 else f'{times} times'}"
    said += f", by {samples:,} samples each" if isinstance(samples, int) else ""
    share = next((v for v in reversed(facts.probes.lines.get("share", [])) if v is not None), None)
    said += f"; it took {100 * share:.1f} % of the time" if share is not None else ""
    best = " The vertical line is the best checkpoint." if facts.best is not None else ""
    return _e(f"{said}.{best}")


# ── what happened ─────────────────────────────────────────────────────────────────────────────────────────────────


def _alarms(facts: Facts) -> str:
    """Alarms on a line over the run, and in words below."""
    if not facts.alarms:
        return ""
    first, last = facts.span
    first, last = min(0, first), max([last, *(told.images for told in facts.alarms)])
    axes = Axes(first, last, 0.0, 1.0)
    out = ['<div class="timeline"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">']
    for back in facts.backs:
        left = axes.left(back.to)
        out.append(f'<rect class="back" x="{left:.1f}" y="250" width="{max(3.0, axes.left(back.since) - left):.1f}" '
                   'height="500"/>')  # fmt: skip
    out.append('<path class="rule" d="M0 500H1000"/></svg>')
    for told in facts.alarms:
        place = f"left:{axes.left(told.images) / 10:.2f}%"
        out.append(f'<i class="{_tone(told)}" style="{place}" title="{_e(told.code)}"></i>')
    out += [
        f'<span class="x" style="left:{axes.left(x) / 10:.2f}%">{short(x)}</span>'
        for x in (ticks(first, last) if last > first else [float(first)])
    ]
    lines = "".join(
        f'<li class="{_tone(told)}"><span class="code">{_e(told.code)}</span>'
        f"at {told.images:,} {facts.unit}: {_e(told.message)}</li>"
        for told in facts.alarms
    )
    return "".join(out) + f'</div><ul class="findings">{lines}</ul>'


def _tone(told: Told) -> str:
    if told.code in (*HARD, "GIVEN-UP"):
        return "error"
    return "noted" if told.code in ("ROLLBACK", "RESUME", "PLATEAU", "FEW-IMAGES") else "warning"


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _grids(facts: Facts) -> str:
    if not facts.samples:
        return ""
    chosen = facts.samples
    if len(chosen) > MOST_FRAMES:
        picks = {round(i * (len(chosen) - 1) / (MOST_FRAMES - 1)) for i in range(MOST_FRAMES)}
        chosen = [chosen[i] for i in sorted(picks)]
    last = len(chosen) - 1
    pictures = "".join(
        f'<img src="{picture(path)}" alt="Samples after {images:,} {facts.unit}" data-images="{images:,}"'
        f"{'' if k == last else ' hidden'}>"
        for k, (images, path) in enumerate(chosen)
    )
    control = (
        f'<div class="control" hidden><button type="button">Play</button><input type="range" min="0" max="{last}" '
        f'value="{last}" aria-label="{facts.unit.capitalize()} seen"><output>{chosen[-1][0]:,} {facts.unit}</output>'
        "</div>"
    )
    note = "Every grid is made from the same latents, so that one can see the same picture come into being."
    if facts.game is not None:
        note = "The same, moment by moment: every picture is made from the same latents."
    elif told := translating.sides(facts):
        note = told
    note += _e(_row_by_row(facts))
    return section("Samples", f'<div class="frames">{pictures}{control if last else ""}</div>', note)


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
    image = f'<img src="{picture(facts.game)}" alt="The game on the plane, from the first step to the last">'
    return section("The game", f'<div class="frames">{image}</div>', note)


def _row_by_row(facts: Facts) -> str:
    """Which class, or caption, each row of a grid shows, where a game of the package is told any."""
    data, kind = facts.recipe.get("data"), translating.kind(facts)
    names = data.get("classes") if isinstance(data, dict) else None
    config = facts.recipe.get("config")
    alike = isinstance(config, dict) and config.get("conditioning") == "none"  # could be told classes, and is not
    texts = data.get("texts") if isinstance(data, dict) else None
    if isinstance(texts, list) and texts:
        return f" Row by row: {', '.join(map(str, texts[:TEXT_ROWS]))}."
    if not isinstance(names, list) or kind is None or alike:
        return ""
    from sparring.generate.sample import rows_of

    if rows_of(kind, len(names)) is None:
        return ""
    return f" Row by row: {', '.join(map(str, names))}."


def _neighbours(facts: Facts) -> str:
    """The picture, and the names of the training images in it."""
    if facts.neighbours is None and not facts.nearest:
        return ""
    out = ""
    if facts.neighbours is not None:
        image = f'<img src="{picture(facts.neighbours)}" alt="Samples and their nearest training images">'
        out = f'<div class="frames neighbours">{image}</div>'
    return out + evaluation.neighbours(facts)


def _walk(facts: Facts) -> str:
    if facts.walk is None:
        return ""
    note = (
        "Each tile moves through the generator’s latent space and back. Smooth changes between convincing pictures are "
        "a good sign; jumps mean that it learned pictures by heart."
    )
    return section("A walk", f'<div class="walk"><img src="{picture(facts.walk)}" alt="A walk through latent space">'
                   "</div>", note)  # fmt: skip


# ── curves ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _chart(facts: Facts, panel: Panel, number: int) -> str:
    marks = [(float(back.to), float(back.since)) for back in facts.backs]
    measured = panel.at is facts.probes.images
    best = float(facts.best[0]) if facts.best is not None and measured else None
    return chart(panel, number, facts.unit, facts.span, marks, best)


def _json(facts: Facts, drawn: Sequence[Panel]) -> str:
    """The numbers behind the curves, for the page's script; ``<`` is spelt so that no text can close the element."""

    def brief(line: Values) -> list[float | None]:
        return [None if v is None else float(f"{v:.4g}") for v in line]

    axes = [facts.turns.images, facts.probes.images]
    charts = [{"axis": axes.index(panel.at), "lines": [brief(line) for line in panel.drawn.values()]}  # type: ignore[arg-type]
              for panel in drawn]  # fmt: skip
    text = json.dumps({"span": facts.span, "axes": axes, "charts": charts}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


# ── data and commands ─────────────────────────────────────────────────────────────────────────────────────────────


def _data(facts: Facts) -> str:
    if not facts.data:
        return ""
    excluded = facts.data.get("excluded")
    plain = {k: v for k, v in facts.data.items() if k not in ("excluded", "warnings") and v not in (None, {}, [])}
    out = [table(flat(plain))]
    warnings = facts.data.get("warnings")
    if isinstance(warnings, list) and warnings:
        out.insert(0, f'<div class="trouble"><ul>{listed(warnings)}</ul></div>')
    if isinstance(excluded, list) and excluded:
        pairs = [e if isinstance(e, (list, tuple)) and len(e) == 2 else (e, "") for e in excluded]
        more = f"<p>… and {len(pairs) - 200:,} more, in data.json</p>" if len(pairs) > 200 else ""
        named = rows((str(name), reason) for name, reason in pairs[:200])
        out.append(
            f"<details><summary>{len(pairs):,} left out, and why</summary><table>{named}</table>{more}</details>"
        )
    return section("Data", "".join(out))


def _next(facts: Facts, run: Path) -> str:
    """Commands, ready to be copied into a shell."""
    place, kind, turns = shlex.quote(str(run)), translating.kind(facts), translating.translates(facts)
    makes = kind is None or issubclass(kind, Samples)
    older = facts.best is not None and facts.best[0] < facts.seen
    names_pixels = kind is not None and issubclass(kind, Segments)
    lines = [
        (turns, f"sparring translate {place} PICTURE", "a picture, a folder, a zip or a pattern"),
        (makes, f"sparring sample {place} -n 64 --grid", "64 new samples, and a picture of them"),
        (makes and older, f"sparring sample {place} --which last", "of the last checkpoint instead of the best one"),
        (
            kind is None or issubclass(kind, HasLatents),
            f"sparring interpolate {place} --out walk.gif",
            "a walk through latent space",
        ),
        (
            (makes and facts.unit == "images") or (turns and not names_pixels),
            f"sparring evaluate {place}",
            "all measures, by more samples and with intervals",
        ),
        (makes or turns, f"sparring doctor {place}", "what is happening in it, with one fresh look"),
        (
            kind is not None and issubclass(kind, Classifies),
            f"sparring evaluate ANOTHER-RUN --features classifier:{place}",
            "judge another run by its features",
        ),
        (
            kind is not None and issubclass(kind, MatchesText),
            f'sparring edit ANOTHER-RUN --text "…" --scorer {place}',
            "move the pictures of another run by a sentence",
        ),
        (names_pixels, f"sparring evaluate {place}", "how many pixels it names rightly, class by class"),
        (names_pixels, f"sparring evaluate ANOTHER-RUN --fcn {place}", "judge photos that are made of label maps"),
        (True, f"sparring resume {place} --budget +10m", "train for ten more minutes"),
    ]
    text = "\n".join(f"<em># {_e(what)}</em>\n{_e(command)}" for fits, command, what in lines if fits)
    return f'<pre class="commands">{text}</pre>'
