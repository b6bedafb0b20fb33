"""From plain values to the checked settings of a game: every mistake becomes one error that says where and what may be.

What is meant is taken where there is one meaning (``"1e-4"`` is a number where a number belongs, ``yes`` is true where
a truth value belongs); nothing is rounded, cut or guessed.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sparring.errors import UsageError
from sparring.recipes import RECIPES
from sparring.runs.document import entries
from sparring.runs.settings import meaning
from sparring.train.game import Game, Training
from sparring.train.schedule import Ramp

Path = tuple[str, ...]

_ODD_NUMBER = re.compile(r"\s*[-+]?([0-9][0-9_]*_[0-9_]*|0[0-9]+|0[xob][0-9a-f]+|[0-9]+:[0-9:]+)(\.[0-9_]*)?\s*", re.I)
_NOT_FINITE = re.compile(r"\s*[-+]?\.?(nan|inf|infinity)\s*", re.I)


def configure(
    cls: type[Game], values: Mapping[str, Any], *, where: str, places: Mapping[Path, str] | None = None
) -> Training:
    """The config of a game from plain values. where: the file or flag they come from; places: of single keys, by path,
    for example ``{("lr",): "recipe.yaml, line 3"}``.

    Raises one `UsageError` that names the keys with their places, what is wrong, and what is allowed.
    """
    fields = [f.name for f in dataclasses.fields(cls.Config)]
    known = places or {}
    for key in values:
        if key not in fields:
            place = _place((key,), known)
            raise unknown("CONFIG-KEY", "there is no such setting", key, fields, where=place or where)
    wrong = _misread(cls.Config, values)
    if not wrong:
        try:
            return cls.Config(**values)
        except ValidationError as error:
            wrong = [_said(cls.Config, dict(detail)) for detail in error.errors()]
    raise _refused(cls, wrong, where, known)


def _refused(cls: type[Game], wrong: list[tuple[Path, str]], where: str, places: Mapping[Path, str]) -> UsageError:
    """All that is wrong as one error; where all stands in one place it is named once."""
    found = [_place(path, places) or where for path, _ in wrong]
    one = len(set(found)) == 1
    lines = [
        ("" if one else f"{place}: ") + (f"{'.'.join(path)}: " if path else "") + text
        for place, (path, text) in zip(found, wrong, strict=True)
    ]
    first = wrong[0][0]
    if first and (text := meaning(cls.Config, first[0])):
        lines[-1] += f"\n       ({first[0]}: {text})"
    name = next((name for name, target in RECIPES.items() if target == f"{cls.__module__}:{cls.__name__}"), "")
    return UsageError(
        "CONFIG-VALUE",
        "a setting cannot have this value",
        where=found[0] if one else where,
        why="; ".join(lines),
        fix=f"`sparring recipes {name}` lists every setting and its default" if name else "",
    )


def _place(path: Path, places: Mapping[Path, str]) -> str:
    """Where a key stands, or the nearest one around it."""
    return next((places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in places), "")


def _misread(config: type[Training], values: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """What would be taken for something else: truth values for numbers, numbers that can be read in two ways."""
    wrong = []
    for path, value in entries(values):
        kinds = _kinds(_field(config, path[0]).annotation)
        if isinstance(value, bool) and bool not in kinds:
            wrong.append((path, f"{str(value).lower()} is true or false, and {_wanted(kinds)} belongs here"))
        elif isinstance(value, str) and str not in kinds and _ODD_NUMBER.fullmatch(value):
            wrong.append((path, f"{value.strip()} can be read in two ways; write plain digits"))
        elif str not in kinds and (_not_finite(value)):
            wrong.append((path, f"{value} is not finite{_allowed(config, path[0])}"))
    return wrong


def _not_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, str) and _NOT_FINITE.fullmatch(value) is not None


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of; the words of a Literal count as text."""
    parts = get_args(annotation)
    if not parts:
        return {str} if isinstance(annotation, str) else {annotation}
    return {kind for part in parts for kind in _kinds(part)}


def _wanted(kinds: set[Any]) -> str:
    return "a word" if str in kinds else "a number"


def _field(config: type[Training], name: str) -> FieldInfo:
    """What pydantic knows of a field; nothing of one in a class that is no pydantic dataclass."""
    known: dict[str, FieldInfo] = getattr(config, "__pydantic_fields__", {})
    return known.get(name, FieldInfo(annotation=str))


def _allowed(config: type[Training], name: str) -> str:
    """``"; from 1 to 64 is possible"`` by the bounds that a field is annotated with; nothing where it has none."""
    low, high = "", ""
    for bound in _field(config, name).metadata:
        match type(bound).__name__:
            case "Ge":
                low = f"from {bound.ge:,}"
            case "Gt":
                low = f"above {bound.gt:,}"
            case "Le":
                high = f"up to {bound.le:,}"
            case "Lt":
                high = f"below {bound.lt:,}"
            case "AfterValidator":
                low = str(bound.func) if dataclasses.is_dataclass(bound.func) else low
    text = " ".join(part for part in (low, high) if part)
    return f"; possible is {text}" if text else ""


def _said(config: type[Training], error: dict[str, Any]) -> tuple[Path, str]:
    """What pydantic found, in plain words."""
    path = tuple(str(part) for part in error["loc"] if not str(part).startswith(("function-", "Ramp")))
    given = _shown(error.get("input"))
    allowed = _allowed(config, path[0]) if path else ""
    match error["type"]:
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            bound = ", ".join(f"{sign} {value:g}" for sign, value in error.get("ctx", {}).items())
            return path, f"{given} is out of range{allowed or f' ({bound})'}"
        case "int_from_float":
            return path, f"{given} is not a whole number{allowed}"
        case "int_parsing" | "int_type" | "int_parsing_size":
            return path, f"{given} is not a whole number{allowed}"
        case "float_parsing" | "float_type":
            return path, f"{given} is not a number{allowed}"
        case "bool_parsing" | "bool_type":
            return path, f"{given} is neither true nor false"
        case "literal_error":
            words = re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))
            near = difflib.get_close_matches(str(error.get("input")), words, n=1, cutoff=0.5)
            said = f"{given} is not one of {str(error['ctx']['expected']).replace(' or ', ', ')}"
            return path, said + (f"; did you mean {near[0]}?" if near else "")
        case "dataclass_type":
            return path, f"{given} is neither a number nor a ramp such as '1e-3 -> 2e-4 linear 0.5..1'"
        case "unexpected_keyword_argument":
            return path, "a ramp has start, end, shape, begin and until"
        case "missing":
            return path, "this is missing"
        case "value_error":
            return path, str(error["msg"]).removeprefix("Value error, ") + _nearest_ramp(error.get("input"))
    message = str(error["msg"])
    return path, f"{given}: {message[:1].lower()}{message[1:]}"


def _nearest_ramp(text: Any) -> str:
    """``"; did you mean …?"`` for a text that is nearly a ramp: a misspelt shape, or no second value.

    >>> _nearest_ramp("1e-3 -> 1e-5 cosin 0.5..1"), _nearest_ramp("1e-5 cosin 0.5..1")
    ("; did you mean '1e-3 -> 1e-5 cosine 0.5..1'?", "; did you mean '1e-5 -> 0 cosine 0.5..1'?")
    """
    match = (
        re.fullmatch(r"\s*(\S+?)\s*(?:(?:->|→)\s*(\S+))?\s+([A-Za-z]+)(\s.*)?", text) if isinstance(text, str) else None
    )
    near = difflib.get_close_matches(match[3].lower(), ("cosine", "linear", "log"), n=1, cutoff=0.5) if match else []
    if not match or not near:
        return ""
    meant = f"{match[1]} -> {match[2] or 0} {near[0]}{(match[4] or '').rstrip()}"
    try:
        Ramp.parse(meant)
    except ValueError:
        return ""
    return f"; did you mean '{meant}'?"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def unknown(code: str, what: str, name: str, known: Sequence[str], where: str = "") -> UsageError:
    """An error about a name, with the nearest known ones."""
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    fix = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(code, what, where=f"{name} (in {where})" if where else name, fix=fix)
