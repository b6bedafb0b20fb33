"""What every setting of a recipe means: read from the text under each field, which is where it is written once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

from sparring.runs.recipe import plain


def explained(config: Any) -> list[tuple[str, str, str]]:
    """(name, value, meaning) of every field in the order of definition; the fields of the recipe itself come first."""
    values = plain(config)
    meanings: dict[str, str] = {}
    order: list[str] = []
    for cls in type(config).__mro__:  # the recipe's own class comes before the one it extends
        if dataclasses.is_dataclass(cls):
            names, texts = _fields(cls)
            order += [name for name in names if name not in order]
            meanings = texts | meanings
    return [(name, _short(values[name]), meanings.get(name, "")) for name in order if name in values]


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


def _short(value: Any) -> str:
    """A value as one would write it after --set; a ramp in its short form."""
    if isinstance(value, dict) and {"start", "end"} <= set(value):
        return f"{value['start']:g} -> {value['end']:g} {value['shape']} {value['begin']:g}..{value['until']:g}"
    return str(value)
