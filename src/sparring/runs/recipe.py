"""From a name, a YAML file and ``--set`` to one checked configuration: preset < YAML < flags."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sparring
from sparring.budget import parse_change
from sparring.errors import UsageError
from sparring.recipes import RECIPES
from sparring.runs import own
from sparring.runs.document import Document, parse, read
from sparring.runs.settings import plain
from sparring.runs.values import configure, unknown
from sparring.train.game import Game, Training
from sparring.types import Space

__all__ = ["Recipe", "configure", "describe", "game_class", "load", "of_document", "plain", "presets", "unknown"]

PRESETS = Path(__file__).resolve().parents[1] / "recipes" / "presets"
PARTS = ("recipe", "config", "sparring", "data", "run", "others")
"""What a recipe file may say: the method, its settings, the version it was written for; and what a run adds."""


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

    def kind(self, space: Space) -> type[Game]:
        """The class of its game on such data, which says what that can do."""
        return self.game.kind(self.config, space)

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
    if not any("Config" in vars(base) for base in found.__mro__):
        raise UsageError("RECIPE-OWN", "the game has no settings", where=name, fix="give the class `Config = Training`")
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
    path = presets().get(name) or (Path(name) if name.endswith((".yaml", ".yml", ".json")) else None)
    if path is not None:
        recipe, config = of_document(read(path))
    else:
        recipe = own.absolute(name) if own.is_own(name) else name
        config = configure(game_class(recipe, named=True), {}, where=recipe)
    if changes:
        cls = game_class(recipe)
        flags = {change: f"--set {change}" for change in changes}
        places = {tuple(parse_change(change)[0].split(".")[:1]): flag for change, flag in flags.items()}
        config = configure(cls, _changed(plain(config), changes, cls), where=" ".join(flags.values()), places=places)
    return Recipe(recipe, config, name, why)


def of_document(document: Document) -> tuple[str, Training]:
    """(name, config) of a recipe file, or of the recipe.yaml of a run, which says more.

    What is not known stops it, and a file that another version of sparring wrote says so.
    """
    values = document.values
    if not isinstance(values, dict) or not isinstance(values.get("recipe"), str):
        raise UsageError(
            "RECIPE-FORM",
            "a recipe says which method it is" if values is not None else "the recipe is empty",
            where=document.where("recipe"),
            fix="begin with `recipe: r3gan`, then `config:`",
        )
    with _written_by(values):
        for key in values:
            if key not in PARTS:
                raise unknown("RECIPE-KEY", "a recipe has no such part", key, PARTS, where=document.where(key))
        config = values.get("config")
        if config is not None and not isinstance(config, dict):
            raise UsageError("RECIPE-FORM", "config is a mapping of settings", where=document.where("config"))
        places = {path[1:]: document.where(*path) for path in document.lines if path[0] == "config" and path[1:]}
        cls = game_class(values["recipe"])
        return values["recipe"], configure(cls, config or {}, where=document.name, places=places)


@contextmanager
def _written_by(values: Mapping[str, Any]) -> Iterator[None]:
    """Inside, an error about a recipe that another version wrote says so."""
    try:
        yield
    except UsageError as error:
        version = version_of(values)
        theirs, ours = _order(version), _order(sparring.__version__)
        if theirs > ours:
            hint = f"this was written by sparring {version}, and here is {sparring.__version__}: upgrade sparring"
        elif version and theirs < ours:
            hint = (
                f"this was written by sparring {version}, and here is {sparring.__version__}: CHANGELOG.md says what "
            )
            hint += "became of it; leave it out, or use that version"
        else:
            raise
        fix = f"{hint}; {error.fix}" if error.fix else hint
        raise UsageError(error.code, error.what, where=error.where, why=error.why, fix=fix) from None


def version_of(values: Mapping[str, Any]) -> str:
    """The version of sparring that a recipe was written by, if it says so: ``sparring: 0.2.0``, in a run below run."""
    run = values.get("run")
    said = values.get("sparring") or (run.get("sparring") if isinstance(run, dict) else None)
    return str(said) if said is not None else ""


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", version)[:3])


def _changed(values: dict[str, Any], changes: Sequence[str], cls: type[Game]) -> dict[str, Any]:
    """`values` with ``key=value`` and ``ramp.end=value`` applied."""
    fields = [f.name for f in dataclasses.fields(cls.Config)]
    for change in changes:
        key, text = parse_change(change)
        name, _, part = key.partition(".")
        if name not in fields:
            raise unknown("CONFIG-KEY", "there is no such setting", name, fields, where=f"--set {change}")
        try:
            value = parse(text, "--set").values
        except UsageError:
            value = text
        if part:
            ramp = values[name] if isinstance(values[name], dict) else {"start": values[name], "end": values[name]}
            values[name] = {**ramp, part: value}
        else:
            values[name] = value
    return values


def describe() -> dict[str, str]:
    """Every recipe and preset by name, with one line about it."""
    lines = {name: (game_class(name).__doc__ or "").strip().splitlines()[0] for name in RECIPES}
    for name, path in presets().items():
        lines[name] = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return lines
