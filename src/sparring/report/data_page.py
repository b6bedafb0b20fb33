"""The page of a check: one file that shows the data, what is wrong with them, and how to train on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image

from sparring.data.inspection import Finding, Inspection
from sparring.data.pair_sheet import pair_sheet
from sparring.data.report import shown
from sparring.data.tiles import TILE, sheet
from sparring.report.data_figures import escaped as _e
from sparring.report.data_figures import legend, one, pairs, several
from sparring.report.data_pictures import Pictures, url
from sparring.report.html import asset, document, head, section, verdict
from sparring.report.html import table as tabled
from sparring.runs.check import FILES, Checked
from sparring.runs.directory import write_atomically

_CLASSES = 24  # that get a row of images of their own
_PAIRS, _GROUPS, _EMPTY = 24, 12, 12
_SHOWN = 12  # images of one finding
_NAMED = 500  # files left out that are named on the page


def write(checked: Checked, folder: Path) -> Path:
    """Write report.json, contact.png and report.html into `folder`; the path of the last. Where the same are there
    already they are left as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    report, page, contact = (folder / name for name in FILES)
    text = json.dumps(checked.record(), ensure_ascii=True, indent=1)
    if page.exists() and contact.exists() and report.exists() and report.read_text("utf-8") == text:
        return page
    write_atomically(report, text)
    with Pictures(checked) as pictures:
        if checked.inspection.kind == "images":
            fresh = contact.with_name(f".{contact.name}.new")
            _sheet(checked, pictures).save(fresh, "PNG")
            fresh.replace(contact)
        write_atomically(page, render(checked, pictures))
    return page


def _sheet(checked: Checked, pictures: Pictures) -> Image:
    """What contact.png shows: many images, or eight pairs."""
    if checked.dataset.given is not None:
        return pair_sheet(checked.dataset, direction=checked.options.direction)
    tiles = pictures.tiles(pictures.some(96))
    return sheet(tiles, _columns(tiles[0].size))


def render(checked: Checked, pictures: Pictures) -> str:
    """The page as text."""
    made = checked.inspection
    parts = [_head(checked), _findings(made.findings, pictures)]
    if made.kind == "images":
        shows = [_contact(checked, pictures), _crops(checked, pictures)]
        if made.pairs:
            shows = [pairs(checked, pictures), legend(made)]
        parts += [_proposal(checked), *shows, _shapes(made)]
        parts += [_classes(made), _near(made, pictures), _equal(made, pictures), _empty(made, pictures)]
        parts += [_captions(checked, pictures), _left_out(made), _rest(made)]
    else:
        parts.append(_proposal(checked))
    body = "\n".join(part for part in parts if part)
    kind = "smooth" if max(checked.dataset.shape[1:], default=0) > TILE else ""
    return document(
        f"{_e(made.name)}: data check", f'<div class="{kind}">{body}</div>',
        style=asset("page.css") + asset("data_page.css"), script=asset("data_page.js"),
    )  # fmt: skip


def _columns(size: tuple[int, int]) -> int:
    return max(2, round(1180 / (size[0] + 3)))


# ── the head, problems, proposal ──────────────────────────────────────────────────────────────────────────────────


def _head(checked: Checked) -> str:
    made = checked.inspection
    worst = next((level for level in ("error", "warning") if any(f.level == level for f in made.findings)), "good")
    what = "Pairs" if made.pairs not in ("", "unpaired") else "Files"
    facts: list[tuple[str, object]] = [(what, f"{made.found:,}"), ("Usable", f"{made.usable:,}")]
    if made.excluded:
        facts.append(("Left out", f"{len(made.excluded):,}"))
    facts += [("For training", f"{made.used:,}"), ("Held out", f"{made.held_out:,}")]
    if made.classes:
        facts.append(("Classes", f"{len(made.classes):,}"))
    if made.captions:
        facts.append(("With a caption", f"{made.captioned:.0%}"))
    if made.median:
        facts.append(("Median size", "×".join(map(str, made.median))))
    lead = "Every file was opened and decoded: what is in the data, what to look at, and how to train on it."
    said = [(label, shown(str(value))) for label, value in facts]
    return head(shown(made.name), lead, said, between=verdict(worst, shown(checked.verdict())))


_TONES = {"error": "error", "warning": "warning", "note": "noted"}


def _findings(findings: Sequence[Finding], pictures: Pictures) -> str:
    if not findings:
        return section("What to look at", '<p class="note">Nothing: no problem was found.</p>')
    items = "".join(_finding(finding, pictures) for finding in findings)
    return section("What to look at", f'<ul class="findings">{items}</ul>')


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name such as metadata.jsonl."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text


def _finding(finding: Finding, pictures: Pictures) -> str:
    files = ""
    if finding.files and finding.count > len(finding.rows[:_SHOWN]):  # else all of them are shown
        rows = "".join(_row(name, reason) for name, reason in finding.files[:50])
        more = finding.count - min(50, len(finding.files))
        rest = f"<p>… and {more:,} more, in report.json</p>" if more > 0 else ""
        opened = " open" if finding.count <= 3 else ""
        files = f"<details{opened}><summary>which</summary><table>{rows}</table>{rest}</details>"
    lines = finding.why.splitlines()
    why = f'<div class="why">{"".join(f"<p>{_e(line)}</p>" for line in lines)}</div>' if lines else ""
    figures = "".join(one(row, _e(pictures.checked.dataset.file(row)), pictures) for row in finding.rows[:_SHOWN])
    images = f'<div class="thumbs captioned">{figures}</div>' if figures else ""
    fix = f'<p class="fix"><b>fix:</b> {_e(finding.fix)}</p>' if finding.fix else ""
    return (
        f'<li class="{_TONES[finding.level]}"><p class="what"><span class="code">{_e(finding.code)}</span>'
        f"<span>{_e(_sentence(finding.what))}</span></p>{why}{fix}{images}{files}</li>"
    )


def _row(name: str, reason: str) -> str:
    if not reason:
        return f"<tr><th colspan='2'>{_e(name)}</th></tr>"
    return f"<tr><th>{_e(name)}</th><td>{_e(reason)}</td></tr>"


def _proposal(checked: Checked) -> str:
    rows = "".join(
        f"<tr><th>{_e(choice.name)}</th><td>{_e(choice.value)}</td><td>{_e(choice.why)}</td></tr>"
        for choice in checked.proposal.choices
    )
    made = checked.proposal
    note = f'<p class="note">{_e(_sentence(made.note))}</p>' if made.note else ""
    command = (
        f'<div class="command"><pre><code>{_e(shlex.join(made.command))}</code></pre>'
        '<button type="button" hidden>Copy</button></div>'
        if made.command
        else ""
    )
    return section("How to train on it", f'{note}{command}<table class="choices">{rows}</table>')


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _contact(checked: Checked, pictures: Pictures) -> str:
    height, width = pictures.recipe.size
    made = checked.inspection
    note = (
        f'<p class="note">As they would be trained on: {width}×{height} pixels. Evenly chosen from {made.used:,}.</p>'
    )
    labels = checked.dataset.labels
    if labels is not None and 1 < len(made.classes) <= _CLASSES:
        first = len(checked.dataset.held_out)
        rows = "".join(
            _class_row(name, made.classes[name], np.flatnonzero(labels == number) + first, pictures)
            for number, name in enumerate(checked.dataset.classes)
        )
        return f'<h2>The images, by class</h2>{note}<div class="byclass">{rows}</div>'
    columns = _columns((round(TILE * width / height), TILE))
    tiles = pictures.tiles(pictures.some(8 * columns))
    whole = tiles[: max(columns, len(tiles) // columns * columns)]
    joined = sheet(whole, columns)
    width = joined.width if len(whole) < columns else 1200
    image = f'<img src="{url(joined)}" alt="{len(whole)} of the prepared images" style="max-width:{width}px">'
    return f'<h2>The images</h2>{note}<div class="sheet">{image}</div>'


def _class_row(name: str, count: int, rows: np.ndarray, pictures: Pictures) -> str:
    caption = f"<figcaption>{_e(name)}<small>{count:,} image{'s' if count != 1 else ''}</small></figcaption>"
    if not len(rows):
        return f"<figure>{caption}<p class='note'>none for training</p></figure>"
    size = pictures.recipe.size
    tiles = pictures.tiles(pictures.some(max(2, round(10 * size[0] / size[1])), rows), 72)
    strip = sheet(tiles, len(tiles))
    image = f'<img src="{url(strip)}" alt="" style="width:{strip.width}px;max-width:100%">'
    return f'<figure>{caption}<div class="sheet">{image}</div></figure>'


def _crops(checked: Checked, pictures: Pictures) -> str:
    made, (height, width) = checked.inspection, pictures.recipe.size
    shape = f"{width}×{height}"
    target = width / height
    if made.even is not None and abs(made.even / target - 1.0) <= 0.02:
        return ""  # all images have this shape: nothing to decide
    crop = pictures.recipe.crop
    said = {
        "center": f"Fitted to {shape} by cutting off what is pale.",
        "pad": f"Fitted to {shape} whole, with a border.",
        "squeeze": f"Fitted to {shape} by distorting.",
    }[crop]
    figures = []
    for example in pictures.examples():
        cut = f", {example.cut:.0%} cut off" if example.cut else ""
        before, after = url(example.before), url(example.after)
        figures.append(
            f'<figure><div class="beside"><span class="before"><img src="{before}" alt="original"></span>'
            f'<span aria-hidden="true">→</span><span class="after"><img src="{after}" alt="prepared"></span>'
            f"</div><figcaption>{_e(example.name)}<br>{example.size[0]}×{example.size[1]}{cut}</figcaption></figure>"
        )
    others = " Other ways: --crop center, pad or squeeze; --size WxH for another shape."
    return section("What the crop does", f'<div class="crops">{"".join(figures)}</div>', said + others)


def _near(made: Inspection, pictures: Pictures) -> str:
    if not made.near:
        return ""
    step = max(1, len(made.near) // _PAIRS)
    figures = "".join(
        several(
            pair.rows,
            f"{_e(pair.files[0])}<br>{_e(pair.files[1])}" + (f"<br><b>{_e(pair.remark)}</b>" if pair.remark else ""),
            pictures,
        )
        for pair in made.near[::step][:_PAIRS]
    )
    more = f" {_PAIRS} of {made.near_count:,} pairs." if made.near_count > _PAIRS else ""
    note = f"Other files, nearly the same picture: another copy, compression, crop or brightness, or mirrored.{more}"
    return section("Almost the same", f'<div class="thumbs">{figures}</div>', note)


def _equal(made: Inspection, pictures: Pictures) -> str:
    if not made.equal:
        return ""
    figures = "".join(
        one(
            group.rows[0],
            "<br>".join(_e(name) for name in group.files[:4]) + ("<br>…" if len(group.files) > 4 else ""),
            pictures,
        )
        for group in made.equal[:_GROUPS]
    )
    have = "images have" if made.repeated > 1 else "image has"
    note = f"{made.repeated:,} {have} the very pixels of another one, once prepared; the largest groups:"
    return section("Exact duplicates", f'<div class="thumbs">{figures}</div>', note)


def _empty(made: Inspection, pictures: Pictures) -> str:
    if not made.blank:
        return ""
    figures = "".join(
        one(row, _e(name), pictures) for row, name in list(zip(made.empty.rows, made.empty.files, strict=True))[:_EMPTY]
    )
    note = f"{made.blank:,} image{'s' if made.blank > 1 else ''} in which there is nothing to see."
    return section("Blank", f'<div class="thumbs captioned">{figures}</div>', note)


def _captions(checked: Checked, pictures: Pictures) -> str:
    made = checked.inspection
    if not made.examples:
        return ""
    numbers = {name: number for number, name in enumerate(checked.dataset.names)}
    rows = {int(number): row for row, number in enumerate(checked.dataset.index)}
    first = len(checked.dataset.held_out)
    figures = "".join(
        one(first + rows[numbers[name]], f"{_e(text[:160])}", pictures)
        for name, text in made.examples
        if numbers.get(name) in rows
    )
    note = f"{made.captions:,} of {made.usable:,} images have one."
    return section("Captions", f'<div class="thumbs captioned">{figures}</div>', note)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def bars(counts: Iterable[tuple[str, int]]) -> str:
    """A bar for each name, as long as its count."""
    counts = list(counts)
    most = max((count for _, count in counts), default=1) or 1
    rows = "".join(
        f'<dt>{_e(name)}</dt><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="ground" width="100" height="10"/><rect width="{max(0.6, 100 * count / most):.1f}" height="10"/>'
        f"</svg><dd>{count:,}</dd>"
        for name, count in counts
    )
    return f'<dl class="bars">{rows}</dl>'


def _shapes(made: Inspection) -> str:
    assert made.smallest and made.median and made.largest
    small, middle, large = ("×".join(map(str, size)) for size in (made.smallest, made.median, made.largest))
    spread = f"All are {small} pixels." if small == large else f"From {small} to {large}; {middle} in the middle."
    parts = [f"<div><h3>Kind of pixels</h3>{bars(made.modes.items())}</div>"]
    if small != large:
        parts.insert(0, f"<div><h3>Shorter side, in pixels</h3>{bars(made.sides)}</div>")
        parts.insert(1, f"<div><h3>Width to height</h3>{bars(made.aspects)}</div>")
    if len(made.sizes) > 1:
        parts.append(f"<div><h3>Most frequent sizes</h3>{bars(made.sizes.items())}</div>")
    return section("Sizes and colours", f'<div class="columns">{"".join(parts)}</div>', spread)


def _classes(made: Inspection) -> str:
    if not made.classes:
        return ""
    ordered = sorted(made.classes.items(), key=lambda pair: -pair[1])
    note = f"From {_e(made.labels)}. The largest has {made.imbalance:,.1f} times as many images as the smallest."
    if len(ordered) > 60:
        ordered = [*ordered[:40], *ordered[-20:]]
        note += " The 40 largest and the 20 smallest:"
    return section("Classes", bars(ordered), note)


def _left_out(made: Inspection) -> str:
    if not made.excluded:
        return ""
    rows = "".join(f"<tr><th>{_e(name)}</th><td>{_e(reason)}</td></tr>" for name, reason in made.excluded[:_NAMED])
    more = len(made.excluded) - _NAMED
    rest = f"<p>… and {more:,} more, in report.json</p>" if more > 0 else ""
    count = f"{len(made.excluded):,} file{'s' if len(made.excluded) > 1 else ''}, and why"
    opened = " open" if len(made.excluded) <= 20 else ""
    return section("Left out", f"<details{opened}><summary>{count}</summary><table>{rows}</table>{rest}</details>")


def _rest(made: Inspection) -> str:
    out = []
    if made.conversions:
        out.append(f"<div><h3>What was done to them</h3>{tabled(_named(made.conversions))}</div>")
    if made.ignored:
        out.append(f"<div><h3>Ignored</h3>{tabled(_named(made.ignored))}</div>")
    return section("Preparation", f'<div class="columns">{"".join(out)}</div>' if out else "")


def _named(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(shown(name), count) for name, count in counts.items()]
