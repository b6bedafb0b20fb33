"""The settings of a recipe as plain values, and what each means: read from the text under each field, which is where it
is written once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from functools import cache
from typing import Any, Literal, get_args, get_origin

from sparring.train.schedule import Ramp


def plain(config: Any) -> dict[str, Any]:
    """A config as values that YAML can hold; a ramp that does not move is a number."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if isinstance(value, Ramp):
        return value.start if value.start == value.end else dataclasses.asdict(value)
    return list(value) if isinstance(value, tuple) else value


def explained(config: Any) -> list[tuple[str, str, str]]:
    """(name, value, meaning) of every field in the order of definition; the fields of the recipe itself come first."""
    values = plain(config)
    order, meanings = _definition(type(config))
    checked = getattr(type(config), "__pydantic_fields__", {})  # with annotations that are resolved
    words = {name: _choices(field.annotation) for name, field in checked.items()}
    said = {name: f"{meanings.get(name, '')} One of {', '.join(words[name])}.".strip() for name in words if words[name]}
    return [(name, short(values[name]), said.get(name, meanings.get(name, ""))) for name in order if name in values]


def _choices(annotation: Any) -> list[str]:
    """The words of a Literal, wherever it stands in an annotation.

    >>> _choices(Literal["adam", "sgd"] | None), _choices(int)
    (['adam', 'sgd', 'null'], [])
    """
    if get_origin(annotation) is Literal:
        return [short(word) for word in get_args(annotation)]
    parts = get_args(annotation)
    found = [word for part in parts for word in _choices(part)]
    return found + ["null"] * (bool(found) and type(None) in parts)


def meaning(cls: type, name: str) -> str:
    """The text under one field of a config's class; nothing where its source cannot be read."""
    try:
        return _definition(cls)[1].get(name, "")
    except (OSError, TypeError, SyntaxError):
        return ""


def _definition(config: type) -> tuple[list[str], dict[str, str]]:
    """The names of all fields, and the text under each."""
    meanings: dict[str, str] = {}
    order: list[str] = []
    for cls in config.__mro__:  # the recipe's own class comes before the one it extends
        if dataclasses.is_dataclass(cls):
            names, texts = _fields(cls)
            order += [name for name in names if name not in order]
            meanings = texts | meanings
    return order, meanings


@cache
def _fields(cls: type) -> tuple[list[str], dict[str, str]]:
    """The fields that stand in the body of a class, and the string under each."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    names: list[str] = []
    texts: dict[str, str] = {}
    for node, below in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
            if (
                isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                texts[node.target.id] = " ".join(below.value.value.split())
    return names, texts


def short(value: Any) -> str:
    """A value as one would write it after --set; a ramp in its short form.

    >>> short(True), short(None), short({"start": 1, "end": 0.5, "shape": "log", "begin": 0, "until": 0.5})
    ('true', 'null', '1 -> 0.5 log 0..0.5')
    """
    if isinstance(value, dict) and {"start", "end", "shape", "begin", "until"} <= set(value):
        return f"{value['start']:g} -> {value['end']:g} {value['shape']} {value['begin']:g}..{value['until']:g}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
