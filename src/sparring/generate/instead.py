"""What to do with a game that cannot do what was asked of it."""

from __future__ import annotations

from sparring.types import HasTokens, Translates

NEXT = (
    "let a transformer learn its tokens: sparring train DATA --recipe taming --set tokens=RUN; or: "
    "sparring reconstruct RUN"
)


def instead_of_samples(game: object) -> str:
    """For a game that makes no samples of its own; "" where there is nothing to say."""
    if isinstance(game, Translates):
        return "it turns pictures into others: sparring translate RUN IN"
    return NEXT if isinstance(game, HasTokens) else ""


def why_no_samples(game: object) -> str:
    """Why it makes none; "" where that needs no word."""
    return "it says pictures in tokens, and has no law to draw tokens from" if isinstance(game, HasTokens) else ""
