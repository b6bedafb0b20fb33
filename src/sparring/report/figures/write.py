"""The table of figures, their files, and the page around them."""

from __future__ import annotations

import base64
import difflib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sparring.errors import UsageError
from sparring.report.figures import collapse, costs, dirac, equilibrium, family, joined, two_modes
from sparring.report.figures.style import Drawing, encoded, styled
from sparring.report.html import asset, document
from sparring.report.text import escape
from sparring.runs.directory import write_atomically

DRAWINGS: dict[str, Drawing] = {
    each.name: each
    for each in (
        *costs.DRAWINGS,
        *two_modes.DRAWINGS,
        *family.DRAWINGS,
        *collapse.DRAWINGS,
        *equilibrium.DRAWINGS,
        *joined.DRAWINGS,
        *dirac.DRAWINGS,
    )
}
"""Name → figure, in the order of the page."""

PAGE = "index.html"
_STYLE = """
figure { margin: 1rem 0 0; } figcaption { margin-top: .7rem; } figcaption p { color: var(--ink); }
figure img { display: block; width: 100%; height: auto; border-radius: .4rem; background: #fff; }
figcaption .found { border-left: 3px solid var(--c0); padding-left: .8rem; margin: .7rem 0; }
.calls { font-size: .85rem; color: var(--soft); padding-left: 1.1rem; margin: .5rem 0 0; }
.contents { padding-left: 1.3rem; } a { color: var(--c0); }
h2 small { font-weight: 400; color: var(--soft); font-size: .8rem; }
"""


def chosen(only: Sequence[str] = ()) -> list[Drawing]:
    """The figures of these names in the order of the page, or all; `UsageError` with the nearest name."""
    for name in only:
        if name not in DRAWINGS:
            near = difflib.get_close_matches(name, DRAWINGS, n=1, cutoff=0.6)
            fix = (f"did you mean {near[0]}? " if near else "") + f"there are {', '.join(DRAWINGS)}"
            fix += "; several are written with spaces between" * ("," in name)
            raise UsageError("FIGURE", "there is no such figure", where=name, fix=fix)
    return [drawing for name, drawing in DRAWINGS.items() if not only or name in only]


def write(
    out: Path, only: Sequence[str] = (), *, kind: str = "png", progress: Callable[[str, int, int], None] | None = None
) -> list[Path]:
    """Draw the figures named in `only` (default: all) as ``out/NAME.png`` and the page ``out/index.html`` of them.

    kind: "png" or "webp".   Files of these names are replaced, nothing else in `out` is touched. Returns what was
    written, the page last.
    """
    drawings = chosen(only)
    out.mkdir(parents=True, exist_ok=True)
    written, sections = [], []
    for k, drawing in enumerate(drawings):
        if progress is not None:
            progress("drawing", k, len(drawings))
        began = time.perf_counter()
        with styled():
            figure, found = drawing.draw()
            picture = encoded(figure, kind)
        path = out / f"{drawing.name}.{kind}"
        write_atomically(path, picture)
        written.append(path)
        sections.append(_section(drawing, found, picture, kind, time.perf_counter() - began))
    if progress is not None:
        progress("drawing", len(drawings), len(drawings))
    page = out / PAGE
    write_atomically(page, _page(drawings, sections))
    return [*written, page]


def _section(drawing: Drawing, found: str, picture: bytes, kind: str, seconds: float) -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    calls = "".join(f"<li><code>{escape(call)}</code>: {escape(what)}</li>" for call, what in drawing.calls)
    return (
        f'<h2 id="{drawing.name}">{escape(drawing.title)} <small>notes {drawing.notes}</small></h2>'
        f'<figure><img src="{source}" alt="{escape(drawing.title)}"><figcaption><p>{escape(drawing.caption)}</p>'
        f'<p class="found">{escape(found)}</p><ul class="calls">{calls}</ul>'
        f'<p class="note">Drawn in {seconds:.1f} s; again with <code>sparring figures --only {drawing.name}</code></p>'
        "</figcaption></figure>"
    )


def _page(drawings: Sequence[Drawing], sections: Sequence[str]) -> str:
    links = "".join(f'<li><a href="#{d.name}">{escape(d.title)}</a></li>' for d in drawings)
    head = (
        '<h1>The figures of the notes, drawn by the code</h1><p class="lead">Every curve is what a function of the '
        "library returns; no formula is written twice. Under each figure: what to see, what came out, and which "
        f'function drew what.</p><ol class="contents">{links}</ol>'
    )
    return document("Figures", "\n".join([head, *sections]), style=asset("page.css") + _STYLE, script="")
