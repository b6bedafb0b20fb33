"""The frame of every page: its head, and the body around what is its own."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Page:
    """A page: the file below static/ with its ``<main>``, and what its head needs.

    title: before "· sparring"; "" for that alone.   styles, scripts: names below static/, after app.css.
    look: the class of its body.   wakes: the module of the worker that its script will ask for more.
    """

    main: str = ""
    title: str = ""
    styles: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    look: str = ""
    wakes: str = ""


def _shared(name: str, *styles: str, look: str = "", wakes: str = "") -> Page:
    """One of the pages that have a way between them."""
    return Page(f"{name}.html", name.capitalize(), styles, ("js/frame.js", f"js/{name}.js"), look, wakes)


_CHARTS = "vendor/uPlot.min.css"
PAGES = {
    "/": _shared("runs", _CHARTS, "runs.css"),
    "/play": _shared("play", "play.css", wakes="trained"),
    "/translate": _shared("translate", "play.css", wakes="trained"),
    "/playground": _shared("playground", _CHARTS, "playground.css"),
    "/study": _shared("study", "study.css", look="study", wakes="trained"),
    "/take/{study}": Page("take.html", "A study", ("take.css",), ("js/take.js",), "take"),
}
FOR_RATERS = ("/take/{study}",)
"""Pages that exist where a study is served alone."""


def framed(page: Page, main: str, token: str = "") -> str:
    """A whole page as HTML.

    main: its ``<main>``, HTML of ours.   token: what its scripts send with what changes something (`Desk.page_token`).

    >>> framed(Page(title="Play", look="wide"), "<main>…</main>").count("<main>")
    1
    """
    title = f"{page.title} · sparring" if page.title else "sparring"
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="sparring-token" content="{escape(token)}">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        '<link rel="icon" href="data:,">',
        *(f'<link rel="stylesheet" href="/static/{name}">' for name in ("app.css", *page.styles)),
        *(f'<script type="module" src="/static/{name}"></script>' for name in page.scripts),
    ]
    body = f'<body class="{escape(page.look)}">' if page.look else "<body>"
    begin, end = ["<!doctype html>", '<html lang="en">', "<head>"], ["</body>", "</html>", ""]
    return "\n".join([*begin, *head, "</head>", body, main.strip(), *end])
