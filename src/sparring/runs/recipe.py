"""From a name, a YAML file and ``--set`` to one checked configuration: preset < YAML < flags."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sparring.errors import UsageError
from sparring.recipes import RECIPES
from sparring.runs import own
from sparring.train.game import Game, Training
from sparring.train.schedule import Ramp

PRESETS = Path(__file__).resolve().parents[1] / "recipes" / "presets"


@dataclass(frozen=True)
class Recipe:
    """A method and its settings. `name` is a key of `RECIPES` or ``file.py:Class``; `preset` is what the user asked
    for; `why` says why."""

    name: str
    config: Training
    preset: str = ""
    why: str = ""

    @property
    def game(self) -> type[Game]:
        return game_class(self.name)

    def document(self) -> dict[str, Any]:
        """``{"recipe": …, "config": {…}}`` in plain values: what a YAML recipe says."""
        return {"recipe": self.name, "config": plain(self.config)}


def game_class(name: str, *, named: bool = False) -> type[Game]:
    """The class behind a name in `RECIPES` or behind ``file.py:Class`` (see `own`; `named`: by the user, just now).

    `UsageError` with the nearest name if there is none.
    """
    if own.is_own(name):
        found = own.find(name, named=named)
    elif name in RECIPES:
        module, _, attribute = RECIPES[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
    else:
        raise unknown("RECIPE-UNKNOWN", "there is no such recipe", name, [*RECIPES, *presets()])
    if not (isinstance(found, type) and issubclass(found, Game)):
        raise UsageError(
            "RECIPE-OWN", "this is not a game", where=name, fix="let the class derive from sparring.train.game.Game"
        )
    return found


def presets() -> dict[str, Path]:
    """Every preset by name."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def load(name: str, changes: Sequence[str] = (), why: str = "") -> Recipe:
    """A recipe by its name, a preset's name, the path of a YAML file, or a game of one's own as ``file.py:Class``, with
    ``key=value`` changes on top.

    >>> load("dcgan", ["lr=1e-3", "batch=16"]).config.batch
    16
    """
    given: dict[str, Any] = {}
    recipe = name
    path = presets().get(name) or (Path(name) if name.endswith((".yaml", ".yml")) else None)
    if path is not None:
        recipe, given = _read(path)
    if own.is_own(name):
        recipe = own.absolute(name)
    cls = game_class(recipe, named=own.is_own(name))
    config = configure(cls, given, where=str(path or recipe))
    if changes:
        config = configure(cls, _changed(plain(config), changes, cls), where="--set")
    return Recipe(recipe, config, name, why)


def configure(cls: type[Game], values: Mapping[str, Any], *, where: str) -> Training:
    """The config of a game from plain values; every mistake becomes one `UsageError` that names key and remedy."""
    fields = [f.name for f in dataclasses.fields(cls.Config)]
    for key in values:
        if key not in fields:
            raise unknown("CONFIG-KEY", "there is no such setting", key, fields, where=where)
    try:
        return cls.Config(**values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in e['loc']) or 'config'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise UsageError(
            "CONFIG-VALUE",
            "a setting cannot have this value",
            where=where,
            why="; ".join(lines),
            fix=f"`sparring recipes {next((n for n, c in RECIPES.items() if c.endswith(':' + cls.__name__)), 'NAME')}` "
            "lists every setting with its meaning and default",
        ) from None


def plain(config: Training) -> dict[str, Any]:
    """A config as values that YAML can hold; a ramp that does not move is a number."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if isinstance(value, Ramp):
        return value.start if value.start == value.end else dataclasses.asdict(value)
    return list(value) if isinstance(value, tuple) else value


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            "RECIPE-FILE", "the recipe cannot be read", where=str(path), why=error.strerror or ""
        ) from None
    except yaml.YAMLError as error:
        raise UsageError(
            "RECIPE-YAML", "this is not valid YAML", where=str(path), why=" ".join(str(error).split())
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("recipe"), str):
        raise UsageError(
            "RECIPE-FORM",
            "a recipe says which method it is",
            where=str(path),
            fix="begin with `recipe: r3gan`, then `config:`",
        )
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise UsageError("RECIPE-FORM", "config is a mapping of settings", where=str(path))
    return document["recipe"], {str(key): value for key, value in config.items()}


def _changed(values: dict[str, Any], changes: Sequence[str], cls: type[Game]) -> dict[str, Any]:
    """`values` with ``key=value`` and ``ramp.end=value`` applied."""
    fields = [f.name for f in dataclasses.fields(cls.Config)]
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UsageError(
                "SET-FORM", "a setting is written key=value", where=change, fix="for example --set lr=1e-4"
            )
        name, _, part = key.strip().partition(".")
        if name not in fields:
            raise unknown("CONFIG-KEY", "there is no such setting", name, fields, where="--set")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if part:
            ramp = values[name] if isinstance(values[name], dict) else {"start": values[name], "end": values[name]}
            values[name] = {**ramp, part: value}
        else:
            values[name] = value
    return values


def unknown(code: str, what: str, name: str, known: Sequence[str], where: str = "") -> UsageError:
    """An error about a name, with the nearest known ones."""
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    fix = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(code, what, where=f"{name} (in {where})" if where else name, fix=fix)


def describe() -> dict[str, str]:
    """Every recipe and preset by name, with one line about it."""
    lines = {name: (game_class(name).__doc__ or "").strip().splitlines()[0] for name in RECIPES}
    for name, path in presets().items():
        lines[name] = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return lines
