"""Verdicts about a game that says images in tokens: D sharpens it, and its truth is what it was given.

Nobody asks such a game for variety, and D may tell its reconstructions from images: what can go wrong is that it uses
few of its codes.
"""

from __future__ import annotations

from sparring.health.advice import setting
from sparring.health.history import History
from sparring.health.verdict import Context, Verdict
from sparring.health.words import percent, without_g


def few_codes(h: History) -> Verdict | None:
    """A small share of the codes says all images."""
    streak, now = h.shown("usage", lambda value: value < h.t.codes_used, h.t.probes), h.now("usage")
    if now is None or not streak.confirmed:
        return None
    total = int(h.context.settings.get("codes", 0))
    return Verdict(
        "FEW-CODES", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"{percent(now)} of the {total:,} codes say all images that were looked at (healthy: above "
        f"{percent(h.t.codes_used)})",
        "The codebook has collapsed: most codes are never the nearest one, so that tokens say less than they could.",
        f"a new run with {more_codes_used(h.context, now)}",
    )  # fmt: skip


def more_codes_used(context: Context, usage: float) -> str:
    """The setting that brings more codes into use, of those that are not in use yet; at last fewer codes."""
    said = context.settings
    if said.get("revive") == 0:
        return setting("revive", 100)
    if said.get("codebook") == "gradient":
        return setting("codebook", "ema")
    if said.get("normalised") is False:
        return setting("normalised", "true")
    if int(said.get("dimensions", 0)) > 8:
        return setting("dimensions", 8)
    codes = int(said.get("codes", 2))
    return setting("codes", max(2, 2 ** max(1, int(codes * usage).bit_length())))


def of_coded(text: str) -> str:
    """The words for samples, of a game that makes none of its own.

    >>> of_coded("the KID of G's samples is 0.1: G's samples are getting worse")
    'the KID of the reconstructions is 0.1: the reconstructions are getting worse'
    """
    return without_g(text).replace("samples", "reconstructions")
