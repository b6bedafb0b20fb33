"""The one thing to try next: a setting that the recipe at hand has, with a value that follows from the present one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sparring.health.verdict import Context
from sparring.health.words import count

_ZERO_CENTRED = ("r1", "r2", "gp-zero")
_STRONGEST_AUGMENT = 0.8
"""Beyond, what augmentation does shows in the samples (Karras et al. 2020, section 3)."""


def setting(name: str, value: float | str) -> str:
    """``--set name=value``, quoted where a shell would part it.

    >>> setting("gamma", 20.0), setting("lr", "1e-3 -> 1e-4 linear 0.5..1")
    ('`--set gamma=20`', "`--set 'lr=1e-3 -> 1e-4 linear 0.5..1'`")
    """
    text = value if isinstance(value, str) else _short(value)
    return f"`--set '{name}={text}'`" if " " in text else f"`--set {name}={text}`"


def scaled(context: Context, name: str, factor: float, *, most: float = math.inf) -> str | None:
    """The setting `name` times `factor`, a ramp at both ends; None if the recipe lacks it, it is 0 or cannot grow.

    >>> scaled(Context(settings={"gamma": {"start": 5, "end": 0.5, "shape": "cosine", "begin": 0, "until": 0.8}}),
    ...        "gamma", 4)
    "`--set 'gamma=20 -> 2 cosine 0..0.8'`"
    """
    start, end = ends(context.settings.get(name))
    if start is None or end is None or (start <= 0 and end <= 0):
        return None
    first, last = min(start * factor, most), min(end * factor, most)
    if (first, last) == (start, end):
        return None
    value = context.settings[name]
    if isinstance(value, Mapping):
        shape = f"{value['shape']} {value['begin']:g}..{value['until']:g}"
        return setting(name, f"{_short(first)} -> {_short(last)} {shape}")
    return setting(name, first)


def ends(value: Any) -> tuple[float | None, float | None]:
    """The first and the last value of a setting that is a number or a ramp."""
    if isinstance(value, Mapping) and {"start", "end", "shape", "begin", "until"} <= set(value):
        return float(value["start"]), float(value["end"])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), float(value)
    return None, None


def penalised(context: Context) -> bool:
    """Whether D pays any gradient penalty."""
    names = str(context.settings.get("penalty", "")).split("+")
    gamma = max(end or 0.0 for name in ("gamma", "gamma_rule") for end in ends(context.settings.get(name)))
    zero = any(name in _ZERO_CENTRED for name in names) and gamma > 0
    return zero or any(name in ("gp", "gp-one-sided", "dragan", "matching") for name in names)


def _strength(context: Context) -> str:
    """What the weight of the penalty is called."""
    return "slope" if context.settings.get("penalty") == "matching" else "gamma"


def hold_d_back(context: Context) -> str:
    """A stronger penalty on D, or one at all."""
    settings = context.settings
    if "penalty" not in settings and "gamma" not in settings:
        return slow_d(context)
    if penalised(context):
        more = scaled(context, _strength(context), 4.0, most=1e4) or scaled(context, "gamma_rule", 4.0, most=1e4)
        return more or scaled(context, "slope", 2.0) or slow_d(context)
    parts = [setting("gamma", 1.0 if context.kind == "images" else 0.3)]
    if settings.get("penalty") not in (None, "r1+r2"):
        parts.insert(0, setting("penalty", "r1+r2"))
    if settings.get("d_norm") == "batch":
        parts.append(setting("d_norm", "none"))  # penalties need samples that are not coupled
    return " ".join(parts)


def let_d_go(context: Context) -> str:
    """A weaker penalty on D, or a faster D."""
    less = scaled(context, _strength(context), 0.25) if penalised(context) else None
    return less or _ratio(context, 2.0) or slower(context)


def slow_d(context: Context) -> str:
    """D's steps half as large beside G's."""
    return _ratio(context, 0.5) or slower(context)


def _ratio(context: Context, factor: float) -> str | None:
    """D's steps beside G's; in a game of three players all learn at one rate."""
    return None if "cycle" in context.settings else scaled(context, "lr_ratio", factor)


def change_more(context: Context) -> str:
    """Ask less of a G that translates that it leave alone what it is given."""
    return scaled(context, "identity", 0.5) or scaled(context, "faithful", 0.5) or slower(context)


def slower(context: Context, factor: float = 0.5) -> str:
    """A smaller learning rate."""
    return scaled(context, "lr", factor) or "a smaller learning rate"


def spread_out(context: Context) -> str:
    """Against collapse: a penalty if there is none, the paired game if it is not played, else a stronger penalty."""
    settings = context.settings
    if not penalised(context):
        return hold_d_back(context)
    if not context.relative and "objective" in settings and settings.get("smoothing", 1.0) == 1.0:
        paired = setting("objective", "relativistic")  # in which adaptive augmentation has nothing to go by
        return f"{paired} {setting('ada_target', 0)}" if settings.get("ada_target") else paired
    return hold_d_back(context)


def augment(context: Context) -> str:
    """More augmentation, or a recipe that has it; points have none: then more of them."""
    if context.kind == "points":
        return f"more points: there are {count(context.images)}"
    if context.solo:
        return smaller(context) or slower(context)
    if context.settings.get("ada_target"):
        return scaled(context, "ada_kimg", 0.25) or "more images"
    start, end = ends(context.settings.get("augment"))
    if context.translates and (start is None or end is None or context.settings.get("jitter") is False):
        return setting("jitter", "true") if context.settings.get("jitter") is False else "more images"
    if start is None or end is None:
        return "`--recipe r3gan-minutes --set augment=0.2`" if not context.classes else "more images"
    now = max(start, end)
    if now >= _STRONGEST_AUGMENT:
        return "more images: the augmentation is at its limit"
    return setting("augment", min(_STRONGEST_AUGMENT, max(0.2, 2 * now)))


def less_augment(context: Context) -> str:
    """Half the augmentation."""
    return scaled(context, "augment", 0.5) or "less augmentation"


def average(context: Context) -> str:
    """A shorter memory of the averaged players."""
    return scaled(context, "ema_images", 0.25) or scaled(context, "ema_share", 0.5) or "a shorter average"


def smaller(context: Context) -> str:
    """Both players at half width: fewer numbers in which data can be learnt by heart."""
    if context.settings.get("network") == "mlp" and (half := _hidden(context, 0.5)):
        return half
    parts = []
    for name in ("width", "d_width", "base"):
        value = context.settings.get(name)
        fixed = context.settings.get("network") == "pacgan"  # whose sizes are those of the paper
        if isinstance(value, int) and value >= 16 and not fixed:
            parts.append(setting(name, str(value // 2)))
    return " ".join(parts)


def larger(context: Context) -> str:
    """Networks of twice the width."""
    if context.settings.get("network") == "mlp" and (twice := _hidden(context, 2)):
        return twice
    for name in ("width", "base"):
        width = context.settings.get(name)
        if isinstance(width, int) and context.settings.get("network") != "mlp":
            return setting(name, str(2 * width))
    return slower(context)


def _hidden(context: Context, factor: float) -> str:
    """Hidden layers of other sizes; "" if the recipe says none."""
    sizes = context.settings.get("hidden")
    if not isinstance(sizes, list | tuple) or not sizes or min(sizes) < 2:
        return ""
    return setting("hidden", f"[{','.join(str(round(factor * size)) for size in sizes)}]")


def say_more(context: Context) -> str:
    """Make latents that say something cost less."""
    if context.settings.get("free_bits") == 0:
        return setting("free_bits", 0.1)
    return scaled(context, "beta", 0.5) or slower(context)


def more_time(context: Context, share: float = 0.5) -> str:
    """Go on for `share` of what was planned."""
    return f"`sparring resume {context.run} --budget +{count(max(1000, round(share * context.planned, -3)))}`"


def best(context: Context) -> str:
    """Use the best checkpoint."""
    return f"`sparring sample {context.run} --which best`"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:g}"
