"""Recipes as they are against each other: each is a cell, and its seeds are runs like those of ``sparring train``."""

from __future__ import annotations

from sparring.data import Dataset
from sparring.errors import SparringError, UsageError
from sparring.runs import compatible
from sparring.runs import plan as plans
from sparring.runs.compare.question import Ask, Cell, Nothing, key_of, reason
from sparring.runs.directory import stem
from sparring.runs.recipe import Recipe, load
from sparring.train.engine import choose_device
from sparring.train.match import Match
from sparring.types import Samples


def cells(ask: Ask, dataset: Dataset) -> list[Cell]:
    """A cell for each recipe; what these data cannot be is refused with the reason, and the others go on.

    `UsageError` for a recipe that there is not: a slip of the keyboard must not be found after hours of the others."""
    if dataset.given is not None:
        raise UsageError(
            "COMPARE-PAIRS", "games are compared that make images out of nothing", where=ask.data,
            fix="name one folder, or --pairs none; a recipe of pairs is measured alone: sparring evaluate RUN",
        )  # fmt: skip
    found: list[Cell] = []
    for name in ask.recipes:
        base = load(name)
        try:
            cell = _cell(name, _tried(name, ask, dataset), ask, dataset)
        except SparringError as error:
            cell = Cell("", name, base.config.play, refused=reason(error))
        twin = next((other for other in found if not cell.refused and other.document == cell.document), None)
        if twin is not None:
            cell = Cell("", name, cell.play, refused=f"this is the same game as {twin.recipe}")
        found.append(cell)
    return found


def _tried(name: str, ask: Ask, dataset: Dataset) -> Recipe:
    """The recipe with its settings, its game built once and thrown away."""
    recipe = load(name, ask.set)
    if not issubclass(recipe.kind(plans.space_of(dataset)), Samples):
        raise UsageError("COMPARE-RECIPE", "it makes no images out of nothing")
    plans.check_needs(recipe, plans.space_of(dataset), ask.data)
    compatible.check_batch(recipe, len(dataset.train))
    game = plans.build(recipe, plans.space_of(dataset), 0)
    Match(game, Nothing(), plans.make_engine(recipe, choose_device("cpu")), recipe.config, seed=0, horizon=1)
    return recipe


def _cell(name: str, recipe: Recipe, ask: Ask, dataset: Dataset) -> Cell:
    document = recipe.document()
    key = key_of(stem(name), {**document, "as": "a run"}, ask.count, dataset)
    return Cell("", name, recipe.config.play, document, key=key)
