"""Verdicts about what samples look like: their range, patterns, traces of the augmentation."""

from __future__ import annotations

from sparring.health import advice
from sparring.health.advice import ends
from sparring.health.duel import off_scale
from sparring.health.history import History
from sparring.health.verdict import Verdict
from sparring.health.words import number, percent


def output_range(h: History) -> Verdict | None:
    """Contrast, saturation or flatness far from the data's."""

    def shows(index: int) -> bool | None:
        known = [h.at(index, name) for name in ("contrast", "saturated", "constant")]
        if all(value is None for value in known):
            return None
        flat = known[2] is not None and known[2] > h.t.constant
        young = h.rising("contrast", index) and (known[0] or 1.0) < 1.0
        return flat or (bool(off_scale(h, index)) and not young)

    streak = h.streak(shows, h.t.probes)
    if not streak.confirmed:
        return None
    last, flat = len(h.probes) - 1, h.now("constant")
    seen = off_scale(h, last)
    if not seen and flat is not None:
        seen = f"{percent(flat)} of the samples are one flat value (healthy: below {percent(h.t.constant)})"
    return Verdict(
        "OUTPUT-RANGE", "warn", streak.since, "possible" if h.context.alone else "likely", seen,
        "G has left the range of the data: often its steps are too large, or it is only beginning.",
        f"a new run with {advice.slower(h.context)}",
    )  # fmt: skip


def checkerboard(h: History) -> Verdict | None:
    """Too much energy in the finest pattern that pixels can show."""
    streak = h.shown("checkerboard", lambda value: value > h.t.checkerboard, h.t.probes)
    value = h.now("checkerboard")
    if not streak.confirmed or value is None:
        return None
    other = h.context.settings.get("generator") == "dcgan"
    return Verdict(
        "CHECKERBOARD", "note", streak.since, "possible" if h.context.alone else "likely",
        f"the samples have {number(value)} times the energy of the data in the finest pattern that pixels can show "
        f"(healthy: below {number(h.t.checkerboard)} times)",
        "A grid of light and dark pixels, which upsampling layers leave; early in a run it often fades by itself.",
        f"a new run with {advice.setting('generator', 'r3gan')}, which resamples smoothly" if other
        else f"more time, or a new run with {advice.slower(h.context)}",
    )  # fmt: skip


def augment_leak(h: History) -> Verdict | None:
    """Borders or holes that only the augmentation makes."""
    strength = ends(h.context.settings.get("augment"))
    if max(end or 0.0 for end in strength) == 0.0:
        return None  # nothing is augmented, or nobody knows: then nothing leaks
    streak, value = h.shown("leak", lambda value: value > h.t.leak, h.t.probes_sure), h.now("leak")
    if not streak.confirmed or value is None:
        return None
    return Verdict(
        "AUGMENT-LEAK", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"{percent(value)} more of the samples than of the data have borders or holes such as the augmentation makes "
        f"(healthy: below {percent(h.t.leak)})",
        "G imitates the augmentation because D sees it too often to know that it is none of the data.",
        f"a new run with {advice.less_augment(h.context)}",
    )  # fmt: skip
