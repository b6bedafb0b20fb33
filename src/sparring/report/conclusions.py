"""The top of a run's page: what was trained on what, what is concluded about it, and which checkpoint is best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import SparringError
from sparring.health.verdict import Verdict
from sparring.health.words import number, percent
from sparring.report.facts import Facts
from sparring.report.html import verdict as box
from sparring.report.panels import NORMAL
from sparring.report.text import escape
from sparring.report.translating import noun, translates

if TYPE_CHECKING:
    from sparring.runs.doctor import Diagnosis

TONE = {"fine": "good", "note": "noted", "warn": "warning", "hard": "error"}
RIGHT = 0.97
"""From which share of right answers on D is said to be right about nearly all; no verdict, for which one must look."""
LATE = 3
"""Lines of the second half of a log below which nothing is said of it."""
_CHANNELS = {1: "grey", 3: "colour", 4: "transparent"}


def sentence(facts: Facts) -> str:
    """What was trained on what, in one plain sentence."""
    data, run = facts.said("data"), facts.said("run")
    recipe = facts.recipe.get("recipe")
    source = next((found for found in (facts.data.get("name"), data.get("source"), facts.data.get("source"))
                   if isinstance(found, str) and found), "")  # fmt: skip
    used, held = facts.data.get("used"), facts.data.get("held_out")
    unit = noun(facts)
    what = f"{used:,} {_kind(data.get('shape'), unit)}" if isinstance(used, int) else unit
    who = "A network that turns images into others" if translates(facts) else "A generator"
    who += f" (recipe {recipe})" if isinstance(recipe, str) else ""
    told = f"{who} was trained on {what}" + (f" of “{Path(source).name or source}”" if source else "")
    told += f"; {held:,} more were held out for measuring" if isinstance(held, int) and held else ""
    if not facts.seen:
        return f"{told}. It has not begun yet."
    times = f", each about {facts.seen / used:.3g} times" if isinstance(used, int) and 0 < used <= facts.seen else ""
    planned = run.get("images")
    end = f" of the planned {planned:,}" if isinstance(planned, int) and facts.seen < planned else ""
    return f"{told}. It has seen {facts.seen:,}{end} {unit}{times}."


def _kind(shape: Any, unit: str) -> str:
    if not (isinstance(shape, list) and all(isinstance(side, int) for side in shape)):
        return unit
    if len(shape) == 3:
        if unit == "pairs":
            return f"pairs of images of {shape[2]}×{shape[1]} pixels"
        colour = _CHANNELS.get(shape[0])
        return f"{colour + ' ' if colour else ''}images of {shape[2]}×{shape[1]} pixels"
    return f"points of {shape[0]} numbers" if len(shape) == 1 else unit


# ── what is wrong, or that nothing is ─────────────────────────────────────────────────────────────────────────────


def diagnosis(facts: Facts, run: Path) -> Diagnosis | None:
    """What `sparring doctor` concludes from the files alone; nothing where they are too strange to be judged."""
    if not facts.seen:
        return None
    from sparring.runs.doctor import diagnose  # here: the page of a check needs no torch

    try:
        return diagnose(run, look=False)
    except (SparringError, OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        why = error.what if isinstance(error, SparringError) else error  # of files that were edited by hand
        facts.troubles.append(f"the run could not be judged: {why}")
        return None


def not_judged(facts: Facts) -> str:
    """What is said of a run on which there is no verdict: what could be judged at all, and what its log shows of D."""
    if not facts.seen:
        return "It has not begun yet."
    much = "too little" if facts.probes.images else "nothing"
    told = f"Only its log could be judged, which says little: {much} was measured of its samples."
    lowest = _right_of_late(facts)
    if lowest < RIGHT:
        return told
    return (
        f"{told} One remark: through the second half of it D was right about {percent(lowest)} or more of the real and "
        f"of the generated {facts.unit}. If that lasts, D has won, and G learns little from it."
    )


def _right_of_late(facts: Facts) -> float:
    """The least share of real, or of generated, samples that D was right about in the second half of a log; 0 where
    that is not known."""
    names = {"true_positive", "true_negative"}
    lines = [line for key, line in facts.turns.lines.items() if key.split("/")[-1] in names]
    late = [k for k, images in enumerate(facts.turns.images) if 2 * images > facts.seen]
    values = [value for line in lines for k in late if (value := line[k]) is not None]
    return min(values) if len(lines) > 1 and len(late) >= LATE else 0.0


def conclusion(facts: Facts, made: Diagnosis | None) -> str:
    """The box at the top."""
    found = made.verdicts if made is not None else ()
    kept = "".join(f'<p class="kept">{_marked(line)}</p>' for line in _checkpoint(facts, made))
    if not found:
        if not facts.seen:
            return ""
        said = f"{not_judged(facts)} A run must be long enough to pay for a look: `sparring doctor` looks at it now."
        return box("noted", "Not judged", f"<p>{_marked(said)}</p>{kept}")
    first = found[0]
    items = "".join(_item(verdict, alone=len(found) == 1) for verdict in found)
    how = "" if first.level == "fine" or first.sure == "certain" else f" ({first.sure})"
    headline = first.title[:1].upper() + first.title[1:] + how
    if first.level == "note" and len(found) == 1 and not facts.probes.images:
        headline = f"Not judged, but to know: {first.title}"
    return box(TONE.get(first.level, "noted"), headline, f"<ul>{items}</ul>{kept}")


def _item(verdict: Verdict, *, alone: bool) -> str:
    """What is seen, what it means, what to try."""
    seen = verdict.seen[:1].upper() + verdict.seen[1:]
    name = "" if alone else f"<b>{escape(verdict.title[:1].upper() + verdict.title[1:])}.</b> "
    known = verdict.level in ("warn", "hard") and verdict.since > 0
    since = f", since {verdict.unit} {verdict.since:,}" if known else ""
    means = f" {verdict.means}" if verdict.means else ""
    advice = f'<span class="fix"><b>Try</b> {_marked(verdict.advice)}.</span>' if verdict.advice else ""
    tone = TONE.get(verdict.level, "noted")
    code = f'<span class="code">{escape(verdict.code)}</span>'
    return f'<li class="{tone}">{code}{name}{_marked(seen + since)}.{_marked(means)}{advice}</li>'


def _marked(text: str) -> str:
    """Text whose `commands` are set as code."""
    pieces = escape(text).split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    return "".join(f"<code>{piece}</code>" if k % 2 else piece for k, piece in enumerate(pieces))


def _checkpoint(facts: Facts, made: Diagnosis | None) -> list[str]:
    """Which checkpoint is best, and when to stop."""
    lines = [best] if (best := best_of(facts)) else []
    if made is not None and made.stop and facts.probes.images:
        lines.append(f"When to stop: {made.stop}" + "." * (made.stop[-1:] not in ".!?"))
    return lines


def best_of(facts: Facts) -> str:
    """Which checkpoint is best, and by what; "" where none is marked."""
    if facts.best is None:
        return ""
    images, value, measure = facts.best
    said = percent(value) if measure in ("errors", "wrong pixels") else number(value)
    text = f"Best checkpoint: {facts.unit[:-1]} {images:,}, {measure or 'score'} {said}{_interval(facts, images)}."
    last = facts.seen
    if images >= last:
        return f"{text} It is the last one too."
    command = "translate" if translates(facts) else "sample"
    return f"{text} It is what `sparring {command}` takes; `--which last` takes the last one."


def _interval(facts: Facts, images: int) -> str:
    """The 95 % interval of the score of the probe at `images`: the distance of pairs, else KID."""
    for at, values in facts.probes.rows():
        name = "pair_distance" if "pair_distance" in values else "kid"
        if at == images and name in values and f"{name}_se" in values:
            reach = NORMAL * values[f"{name}_se"]
            return f" (95 % interval {number(values[name] - reach)} to {number(values[name] + reach)})"
    return ""


def last_probe(made: Diagnosis | None) -> str:
    """What the last probe found, beside what is healthy, as a table."""
    if made is None or not made.table:
        return ""
    body = "".join(
        f'<tr><th>{escape(what[:1].upper() + what[1:])}</th><td data-label="now"><b>{escape(now)}</b></td>'
        f'<td data-label="healthy">{escape(fine)}</td></tr>'
        for what, now, fine in made.table
    )
    head = "<thead><tr><th></th><th>now</th><th>healthy</th></tr></thead>"
    return (
        f"<details><summary>In numbers, {escape(made.looked)}</summary>"
        f'<table class="figures">{head}<tbody>{body}</tbody></table></details>'
    )
