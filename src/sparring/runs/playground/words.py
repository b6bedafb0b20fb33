"""What is seen of a live game, in plain words: first of G, then of D, then what follows."""

from __future__ import annotations

from dataclasses import dataclass

FAR, MOST = 0.2, 0.8
"""Share of samples near a mode below which G has not found the data, and from which it has."""
STARVED = 0.25
"""A mode with less than this share of its due is starved."""
HEAP = 0.9
"""Share of the near samples in one mode that is a collapse."""
GUESSING, SURE = 0.6, 0.95
"""How often D finds the real one of two, up to which it guesses and from which it is sure."""
CLOSE, APART = 0.004, 0.04
"""Energy distances at unit scale: what chance leaves of 500 samples, and what one sees at a glance."""
WEAK = 0.02
"""A pull on G's samples, in cost per unit of the plane, that moves nothing."""
LONG = 1000
"""Rounds after which a collapse that has healed is no news."""


@dataclass(frozen=True)
class Sight:
    """What words are found for.

    measured: of `scene.measure`.   modes: of the data, 0 where there are none.   right: how often D finds the real one
    of a real and a generated point.   strength: median |−∇ₓ| of what G pays at its samples.   round: rounds played.
    collapsed: the round in which a collapse was put in by hand.   trouble: why the game is over.
    """

    measured: dict[str, float]
    modes: int
    right: float
    strength: float
    round: int
    collapsed: int | None = None
    trouble: str = ""


def sentences(sight: Sight) -> tuple[str, ...]:
    """
    >>> near = {"modes": 8.0, "near": 0.97, "top": 1.2, "least": 0.8, "high_quality": 0.4}
    >>> sentences(Sight(near, 8, 0.52, 0.5, 900))[-1]
    'Close to the equilibrium: G is nearly right, and D can only guess.'
    """
    if sight.trouble:
        return ("The numbers ran away, and the game is over.", "Lower a learning rate or raise γ, then start again.")
    found = [of_g(sight), of_d(sight)]
    follows = _follows(sight)
    return tuple(text for text in (*found, follows) if text)


def of_g(sight: Sight) -> str:
    """What G makes."""
    seen = sight.measured
    if not sight.modes:
        return _of_shape(seen["energy_distance"])
    count, near, top, k = int(seen["modes"]), seen["near"], seen["top"], sight.modes
    if near < FAR:
        return f"G's points are not where the data are: {near:.0%} of them are near one of the {k} modes."
    if top >= HEAP * k:
        return f"Mode collapse: nearly all of G's points lie at one of the {k} modes."
    share = f"{near:.0%} of its points are near a mode"
    if count < k:
        return f"G makes {count} of the {k} modes; {share}."
    if seen["least"] < STARVED:
        return f"G reaches all {k} modes, but one gets only {seen['least']:.0%} of its due; {share}."
    if near < MOST:
        return f"G reaches all {k} modes; {share}, the others lie between."
    return f"G makes all {k} modes, about evenly; {share}."


def _of_shape(distance: float) -> str:
    if distance < CLOSE:
        return "G's points can hardly be told from the data by their place."
    if distance < APART:
        return f"G's points have the shape of the data, not quite its details (energy distance {distance:.3f})."
    return f"G's points do not have the shape of the data yet (energy distance {distance:.2f})."


def of_d(sight: Sight) -> str:
    """How well D tells real from generated."""
    finds = f"f a real and a generated point, it finds the real one {sight.right:.0%} of the time"
    if sight.right >= SURE:
        return f"D is sure of itself: o{finds}."
    if sight.right > GUESSING:
        return f"D tells them apart: o{finds}."
    if sight.right >= 1 - GUESSING:
        return f"D can only guess: o{finds}."
    return f"D is mistaken: o{finds}. G has moved, and D must follow."


def _follows(sight: Sight) -> str:
    right, since = sight.right, sight.collapsed
    if since is not None and sight.modes:
        ago, count = sight.round - since, int(sight.measured["modes"])
        back = count == sight.modes and sight.measured["near"] >= FAR
        rounds = f"{ago} round{'s' * (ago != 1)} ago"
        if ago == 0:
            return "A collapse was put in just now. Play on: does G recover?"
        if count <= 1:
            return f"A collapse was put in {rounds}; so far no other mode is back."
        if not back:
            return f"A collapse was put in {rounds}; {count} of {sight.modes} modes are back so far."
        if ago <= LONG:
            return f"A collapse was put in {rounds}; all modes are back."
    if right >= SURE and sight.strength < WEAK:
        return "Where G's points lie, D is so sure that its slope is gone: nothing draws G."
    if right <= GUESSING and right >= 1 - GUESSING and _good(sight):
        return "Close to the equilibrium: G is nearly right, and D can only guess."
    return ""


def _good(sight: Sight) -> bool:
    seen = sight.measured
    if not sight.modes:
        return seen["energy_distance"] < CLOSE
    return seen["near"] >= MOST and seen["modes"] == sight.modes and seen["least"] >= STARVED
