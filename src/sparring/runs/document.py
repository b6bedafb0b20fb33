"""YAML (or JSON, which is YAML) that a person wrote, read strictly: what it says and on which line.

Only plain values: no tags, so no Python objects; a key occurs once; what is copied with anchors counts in full, so a
"bomb" is refused by its size. Numbers and truth values are those that every version of YAML reads alike; everything
else (``1e-4``, ``yes``, ``010``) stays text, and the setting it is given to decides what it means.
"""

from __future__ import annotations

import codecs
import copy
import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml import events

from sparring.errors import UsageError

LARGEST = 1_000_000
"""Bytes in a file; a recipe has about a thousand."""
_NODES, _DEPTH = 10_000, 20
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_QUICK: Any = getattr(yaml, "CSafeLoader", None)
_ODD = re.compile(r"[^\n -~\u00a0-\u2027\u2030-\ud7ff]|[!?]|[|>]\S*#")
"""Where the quick parser (libyaml) may read something else than PyYAML's own: tabs, odd line breaks, tags, ``|#``."""


@dataclass(frozen=True)
class Document:
    """What a file says. name: as the user wrote it.   lines: of each key, by its path: ``("config", "lr")`` → 3."""

    name: str
    values: Any
    lines: Mapping[tuple[str, ...], int]

    def where(self, *keys: str) -> str:
        """The place of a key, or of the nearest one around it: ``"recipe.yaml, line 3"``."""
        for end in range(len(keys), 0, -1):
            if keys[:end] in self.lines:
                return f"{self.name}, line {self.lines[keys[:end]]}"
        return self.name


def read(path: Path) -> Document:
    """The document in a file; `UsageError` with line and column if it cannot be read as one."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError("RECIPE-FILE", "this is not a file", where=str(path), fix="name a YAML file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        fix = "check the path" + _files_near(path) + "; `sparring recipes` lists the recipes that need no file"
        raise UsageError("RECIPE-FILE", "the recipe cannot be read", where=str(path), why=why, fix=fix) from None
    if len(data) > LARGEST:
        raise UsageError(
            "RECIPE-SIZE", f"a recipe has at most {LARGEST:,} bytes", where=str(path), fix="name the recipe.yaml itself"
        )
    return parse(_decoded(data, str(path)), str(path))


def _files_near(path: Path) -> str:
    """The recipe file beside `path` whose name is nearest, as words to add to a sentence."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml", ".json")]
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (there is {path.with_name(near[0])})" if near else ""


def parse(text: str, name: str) -> Document:
    """The document in a text.

    >>> parse("recipe: gan\\nconfig: {lr: 1e-4, batch: 16}", "r.yaml").values
    {'recipe': 'gan', 'config': {'lr': '1e-4', 'batch': 16}}
    """
    found = _parsed(text, name)
    return replace(found, values=copy.deepcopy(found.values))


@lru_cache(16)
def _parsed(text: str, name: str) -> Document:
    """The same, once: while a run begins or is opened its recipe is read six times."""
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented with tabs, and has none in its strings
    if _QUICK is not None and not _ODD.search(text):
        with suppress(yaml.YAMLError, ValueError):  # the other one says what is wrong
            return _built(text, name, _QUICK)
    try:
        return _built(text, name, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        tab = "indent with spaces, not with tabs" if "'\\t'" in problem else ""
        raise _wrong(problem, name, mark, fix=tab) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        place, found = f"{name}, line {line}", text[error.position : error.position + 1]
        raise UsageError(
            "RECIPE-YAML",
            "this YAML cannot be used",
            where=place,
            why=f"a character that YAML does not allow: {found!a}",
        ) from None
    except (ValueError, OverflowError) as error:  # an escape such as \UFFFFFFFF
        raise UsageError("RECIPE-YAML", "this YAML cannot be used", where=name, why=str(error)) from None


def _built(text: str, name: str, loader: Any) -> Document:
    builder = _Builder(name)
    for event in yaml.parse(text, Loader=loader):
        builder.take(event)
    return Document(name, builder.root, builder.lines)


def scalar(text: str) -> Any:
    """A plain word as a value: what every version of YAML reads alike, else the text itself.

    >>> [scalar(word) for word in ("16", "1.5", "true", "", "1e-4", "yes", "010", "1_000", "1:30")]
    [16, 1.5, True, None, '1e-4', 'yes', '010', '1_000', '1:30']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    return text


def _decoded(data: bytes, name: str) -> str:
    """Text from UTF-8 or UTF-16, with or without the mark at its beginning."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            "RECIPE-YAML", "this is not text in UTF-8", where=f"{name}, line {line}", why=error.reason,
            fix="save the file as UTF-8",
        ) from None  # fmt: skip


def _wrong(problem: str, name: str, mark: Any, *, fix: str = "") -> UsageError:
    place = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark is not None else name
    return UsageError("RECIPE-YAML", "this YAML cannot be used", where=place, why=problem, fix=fix)


@dataclass
class _Open:
    """A mapping or list that is being read. key: of the entry that comes next in a mapping."""

    value: Any
    path: tuple[str, ...]
    mark: Any
    anchor: str | None
    before: int
    key: str | None = None


@dataclass
class _Builder:
    """Makes values of YAML's events, without recursion."""

    name: str
    root: Any = None
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _nodes: int = 0
    _documents: int = 0

    def take(self, event: events.Event) -> None:
        mark = event.start_mark
        if isinstance(event, events.NodeEvent):
            self._count(1, mark)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise _wrong(f"tags such as {tag} are not used here", self.name, mark, fix="write the plain value")
        match event:
            case events.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _wrong("there is a second document after ---", self.name, mark, fix="one file, one recipe")
            case events.AliasEvent():
                self._alias(event.anchor or "", mark)
            case events.ScalarEvent():
                self._scalar(event, mark)
            case events.MappingStartEvent() | events.SequenceStartEvent():
                self._begin({} if isinstance(event, events.MappingStartEvent) else [], event.anchor, mark)
            case events.MappingEndEvent() | events.SequenceEndEvent():
                ended = self._open.pop()
                self._add(ended.value, ended.anchor, self._nodes - ended.before, ended.mark)

    def _count(self, nodes: int, mark: Any) -> None:
        self._nodes += nodes
        if self._nodes > _NODES:
            raise _wrong(f"a recipe has at most {_NODES:,} values, what is copied with * included", self.name, mark)

    def _alias(self, anchor: str, mark: Any) -> None:
        if anchor not in self._anchors:
            raise _wrong(f"*{anchor} refers to nothing before it, or to itself", self.name, mark)
        value, nodes = self._anchors[anchor]
        self._count(nodes, mark)
        self._add(value, None, nodes, mark)

    def _scalar(self, event: events.ScalarEvent, mark: Any) -> None:
        plain = event.implicit[0]
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            self._key(str(event.value), mark)
        else:
            self._add(scalar(event.value) if plain else event.value, event.anchor, 1, mark)

    def _begin(self, value: Any, anchor: str | None, mark: Any) -> None:
        if len(self._open) == _DEPTH:
            raise _wrong(f"values are nested more than {_DEPTH} deep", self.name, mark)
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            raise _wrong("a list or mapping cannot be the name of a setting", self.name, mark)
        self._open.append(_Open(value, self._path(), mark, anchor, self._nodes))

    def _key(self, key: str, mark: Any) -> None:
        within = self._open[-1]
        within.key = key
        path = self._path()
        if key in within.value:
            why = f"{key} stands here and on line {self.lines[path]}"
            raise _wrong(why, self.name, mark, fix="keep one of the two")
        self.lines[path] = mark.line + 1

    def _path(self) -> tuple[str, ...]:
        """Where the value that comes next belongs."""
        if not self._open:
            return ()
        within = self._open[-1]
        return (*within.path, within.key or "" if isinstance(within.value, dict) else str(len(within.value)))

    def _add(self, value: Any, anchor: str | None, nodes: int, mark: Any) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, nodes)
        if not self._open:
            self.root = value
            return
        within = self._open[-1]
        if isinstance(within.value, list):
            self.lines[self._path()] = mark.line + 1
            within.value.append(value)
        elif within.key is None:
            raise _wrong("an alias cannot be the name of a setting", self.name, mark)
        else:
            within.value[within.key] = value
            within.key = None


def entries(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every single value in nested mappings and lists, with its path.

    >>> list(entries({"a": [1, {"b": 2}]}))
    [(('a', '0'), 1), (('a', '1', 'b'), 2)]
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from entries(inner, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from entries(inner, (*path, str(number)))
    else:
        yield path, value
