"""The words of a page that fit a game which turns one image into another."""

from __future__ import annotations

from sparring.recipes import RECIPES
from sparring.report.facts import Facts
from sparring.types import Translates


def kind(facts: Facts) -> type | None:
    """The class of the game, if it is one of the package."""
    recipe = facts.recipe.get("recipe")
    if not (isinstance(recipe, str) and recipe in RECIPES):
        return None
    from sparring.errors import SparringError  # here: the page of a check needs no torch
    from sparring.runs.plan import game_of
    from sparring.runs.recipe import game_class

    try:
        return game_of(facts.recipe)
    except (SparringError, KeyError, TypeError, ValueError):  # a page is made of what there is
        return game_class(recipe)


def translates(facts: Facts) -> bool:
    """Whether the game turns images into others."""
    found = kind(facts)
    return found is not None and issubclass(found, Translates)


def noun(facts: Facts) -> str:
    """What a run has seen so many of: "pairs", or `Facts.unit`."""
    return "pairs" if translates(facts) and facts.said("data").get("pairs") != "unpaired" else facts.unit


def sides(facts: Facts) -> str:
    """What stands side by side in a grid, and whether the game has learned of it; "" of other games."""
    if not translates(facts):
        return ""
    from sparring.runs.exhibits import FEWEST

    what = noun(facts)
    truth = ", what it should be" if what == "pairs" else ""
    said = f"Every grid shows the same {what}. Side by side: what is given, what is made of it{truth}. "
    held = facts.data.get("held_out")
    if isinstance(held, int) and held < FEWEST:
        return f"{said}They are training {what}, since fewer than {FEWEST} are held out: it may know them by heart."
    return f"{said}They are held out: it was never trained on them."


def measured_on(facts: Facts) -> str:
    """What measures are taken on."""
    from sparring.health.baseline import FEWEST

    held = facts.data.get("held_out")
    if isinstance(held, int) and held < FEWEST:
        return f"On training data, since fewer than {FEWEST} {noun(facts)} are held out"
    return "On held-out data"
