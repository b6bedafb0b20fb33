"""What a person writes after a flag, checked for form before anything is loaded: ``20m``, ``500k``, ``+10m``; sizes,
seeds, shares, ``key=value``. Imports neither torch nor numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparring.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WORDS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"), **dict.fromkeys(("day", "days"), "d"),
}  # fmt: skip
_PARTS = re.compile(r"\s*(\+?)\s*(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?\s*", re.ASCII)  # 1h30m
_IMAGES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_FORM = re.compile(r"\s*(\+?)\s*([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*")
_LONGEST = 10**12 - 1  # images; or 10 years below: more than that is a slip of the finger


@dataclass(frozen=True)
class Budget:
    """How long to train: `seconds` of wall-clock time or a number of `images` seen; exactly one of the two is set.

    `more` says that it is counted from where the run stands now (``+10m``), not from its beginning.
    """

    seconds: float | None = None
    images: int | None = None
    more: bool = False

    def __str__(self) -> str:
        amount = f"{self.images}" if self.images is not None else f"{self.seconds:g}s"
        return ("+" if self.more else "") + amount


def parse_budget(text: str) -> Budget:
    """``"20m"``, ``"2h"``, ``"90s"``, ``"1.5d"``, ``"1h30m"``, ``"10min"`` are time; ``"500k"``, ``"2M"``, ``"12000"``
    are images; m is minutes, M is millions. A leading ``+`` counts from where the run stands. Anything else is a
    `UsageError`.

    >>> parse_budget("20m")
    Budget(seconds=1200.0, images=None, more=False)
    >>> parse_budget("+1.5k")
    Budget(seconds=None, images=1500, more=True)
    """
    match = _FORM.fullmatch(text)
    parts = None if match else _PARTS.fullmatch(text)
    if parts is not None and any(parts.groups()[1:]):
        amounts = zip(parts.groups()[1:], (86400, 3600, 60, 1), strict=True)
        sign, number, unit = parts[1], str(sum(int(count) * size for count, size in amounts if count)), "s"
        match = parts
    else:
        sign, number, unit = match.groups() if match else ("", "", "?")
    unit = "k" if unit == "K" else _WORDS.get(unit.lower(), unit)
    if not match or unit not in {**_SECONDS, **_IMAGES}:
        raise UsageError(
            "BUDGET-FORM",
            "this is no budget",
            where=repr(text),
            why="a budget is a time (90s, 20m, 2h, 1d) or a number of images (12000, 500k, 2M)",
            fix=f"write {text.strip().replace(',', '')}, without commas; or for example --budget 20m"
            if re.fullmatch(r"\s*\+?[0-9]{1,3}(,[0-9]{3})+[A-Za-z]*\s*", text)
            else "for example --budget 20m; m is minutes, M is millions of images",
        )
    amount = float(number.replace("_", ""))
    if unit in _SECONDS:
        seconds, images = amount * _SECONDS[unit], None
        sensible = 0 < seconds <= 10 * 366 * 86400
    else:
        seconds, images = None, round(min(amount * _IMAGES[unit], 2 * _LONGEST))
        sensible = 0 < images <= _LONGEST
    if not sensible:
        raise UsageError(
            "BUDGET-RANGE",
            "this budget is out of range",
            where=repr(text),
            fix="above zero, at most ten years, below 10^12 images",
        )
    return Budget(seconds, images, more=bool(sign))


def check_begins(budget: Budget | None) -> None:
    """`UsageError` for the budget of a new run that adds to something."""
    if budget is not None and budget.more:
        raise UsageError(
            "BUDGET-MORE", "a new run has nothing to add to", where=str(budget), fix="write the budget without +"
        )


def check_seed(seed: int) -> None:
    """`UsageError` unless 0 ≤ seed < 2^63."""
    if not isinstance(seed, int) or not 0 <= seed < 2**63:  # from Python it may be anything
        raise UsageError(
            "SEED", "a seed is a whole number from 0 to 2^63 − 1", where=str(seed)[:60], fix="for example --seed 0"
        )


def parse_change(text: str) -> tuple[str, str]:
    """``"lr=1e-4"`` → ("lr", "1e-4"); `UsageError` if it has another form.

    >>> parse_change("play = D:2,G:1")
    ('play', 'D:2,G:1')
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError("SET-FORM", "a setting is written key=value", where=text, fix="for example --set lr=1e-4")
    return key.strip(), value.strip()


def parse_size(text: str) -> tuple[int, int]:
    """``"64"`` or ``"96x64"`` (width x height, as cameras and screens say it) → (height, width), as tensors say it.

    >>> parse_size("96x64")
    (64, 96)
    """
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:[xX×]\s*([0-9]{1,6}))?\s*", text)
    if not match:
        raise UsageError(
            "SIZE-FORM",
            "this is no size",
            where=repr(text),
            fix="--size 64 for a square, --size 96x64 for width x height",
        )
    width, height = int(match[1]), int(match[2] or match[1])
    if not (8 <= width <= 2048 and 8 <= height <= 2048):
        raise UsageError(
            "SIZE-RANGE", "a side of 8 to 2048 pixels is possible", where=repr(text), fix="for example --size 64"
        )
    return height, width


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> [duration(s) for s in (4.2, 75, 3700, 200_000)]
    ['4s', '1m15s', '1h01m', '2d07h']
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"
