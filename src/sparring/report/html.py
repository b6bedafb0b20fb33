"""What every page is made of: the document around it, its head, boxes, tables. The pages of a run, of a comparison and
of a check look alike because they are built from these."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparring.report.text import escape

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"
_TYPES = {".png": "image/png", ".apng": "image/apng", ".gif": "image/gif", ".webp": "image/webp"}
TONES = ("good", "noted", "warning", "error")
"""How a box is coloured, the most serious last."""


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


def replaced(path: Path, text: str) -> Path:
    """The page at `path`, whole or as it was before; its path."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
    return path


def picture(path: Path) -> str:
    """A picture as text for an <img>."""
    return f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def head(title: str, lead: str, shown: Iterable[tuple[str, object]], between: str = "") -> str:
    """The top of a page: its title, a sentence, and facts as (label, value) pairs. between: HTML above the facts."""
    cells = "".join(f"<div><dt>{escape(label)}</dt><dd>{count(value)}</dd></div>" for label, value in shown)
    facts = f'<dl class="facts">{cells}</dl>' if cells else ""
    return f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{between}{facts}'


def verdict(tone: str, headline: str, inside: str = "") -> str:
    """The box that says what is concluded. tone: one of `TONES`.   inside: HTML below the headline."""
    return f'<div class="verdict {tone}"><p>{escape(headline)}</p>{inside}</div>'


def section(title: str, inside: str, note: str = "") -> str:
    """A part of a page; nothing where there is nothing inside. note, inside: HTML."""
    if not inside:
        return ""
    return f"<h2>{escape(title)}</h2>" + (f'<p class="note">{note}</p>' if note else "") + inside


def listed(lines: Iterable[object]) -> str:
    """Plain text as the items of a list."""
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def rows(pairs: Iterable[tuple[str, Any]]) -> str:
    """A table's rows, a name and a value each."""
    return "".join(f"<tr><th>{escape(name)}</th><td>{count(value)}</td></tr>" for name, value in pairs)


def table(pairs: Iterable[tuple[str, Any]]) -> str:
    return f"<table>{rows(pairs)}</table>"


def count(value: object) -> str:
    """A value as HTML; whole numbers with separators."""
    return f"{value:,}" if isinstance(value, int) else escape(value)


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
