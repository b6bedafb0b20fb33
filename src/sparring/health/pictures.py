"""Verdicts about what samples look like: their range, patterns, traces of the augmentation."""

from __future__ import annotations

from sparring.health import advice
from sparring.health.advice import ends
from sparring.health.duel import off_scale
from sparring.health.history import History
from sparring.health.verdict import Verdict
from sparring.health.words import number, percent, times


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


def ignores_input(h: History) -> Verdict | None:
    """A game that translates makes nearly the same of everything."""
    streak, value = h.shown("varied", lambda value: value < h.t.varied, h.t.probes), h.now("varied")
    if not streak.confirmed or value is None:
        return None
    game = h.context.settings
    alone = game.get("conditional") is False and (game.get("reconstruction") == "none" or game.get("faithful") == 0)
    return Verdict(
        "IGNORES-INPUT", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"two translations differ by {percent(value)} of what two real images differ by (healthy: above "
        f"{percent(h.t.varied)})",
        "Whatever it is given, G makes the same image: one that D accepts, or a mean of all.",
        f"a new run in which D sees what was given ({advice.setting('conditional', 'true')})" if alone
        else f"a new run with {advice.slower(h.context)}",
    )  # fmt: skip


def copies_input(h: History) -> Verdict | None:
    """A game that translates changes next to nothing."""
    bound = h.t.changed if h.now("l1") is not None else h.t.changed_unpaired
    streak, value = h.shown("changed", lambda value: value < bound, h.t.probes), h.now("changed")
    if not streak.confirmed or value is None:
        return None
    return Verdict(
        "COPIES-INPUT", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"translations differ from what was given by {percent(value)} of what real images differ from it (healthy: "
        f"above {percent(bound)})",
        "G has found that handing back its input costs it little.",
        f"a new run with {advice.change_more(h.context)}",
    )  # fmt: skip


AHEAD = {"ahead": "in the judge's features", "ahead_l1": "in pixels"}
"""What says whether translations are nearer to the truth than what was given."""


def worse_than_input(h: History) -> Verdict | None:
    """Translations that are further from the truth than what was given, to the judge or in pixels, and nearer in
    neither. (A blurred image may be near in pixels alone, one of other colours to the judge alone.)"""
    over = h.context.ended or h.context.alone or 0 < h.context.planned <= h.images

    def shows(index: int) -> bool | None:
        sides = [side for name in AHEAD if (side := ahead(h, index, name)) is not None]
        young = not over and any(h.rising(name, index) for name in AHEAD)
        return min(sides) < 0 and max(sides) <= 0 and not young if sides else None

    streak = h.streak(shows, 1 if over else h.t.probes)
    if not streak.confirmed:
        return None
    return Verdict(
        "WORSE-THAN-INPUT", "warn", streak.since, "likely", f"{beside_input(h)} (healthy: below 1)",
        "A copy of the input would be nearer: G has not learnt enough yet, or the pairs do not belong together.",
        f"{advice.more_time(h.context, 1.0)}, and a look at `pairs.png` in the run",
    )  # fmt: skip


def ahead(h: History, index: int, name: str) -> int | None:
    """1 where translations are nearer to the truth than what was given, −1 where they are further, 0 where chance
    decides; None where that is not measured."""
    value, error = h.at(index, name), h.at(index, f"{name}_se")
    if value is None or error is None:
        return None
    return 0 if abs(value) <= h.t.behind * error else 1 if value > 0 else -1


def beside_input(h: History) -> str:
    """How far from the truth translations are beside what was given, in words; "" where that is not known."""
    said: list[str] = []
    for name, how in AHEAD.items():
        side, value = ahead(h, len(h.probes) - 1, name), h.now(name)
        if side is not None and value is not None:
            far = "" if said else " as far from the truth as what was given"
            said.append(f"{times(1 - value)}{far} {how}" + " (which may be chance)" * (side == 0))
    return f"translations are {', and '.join(said)}" if said else ""


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
        else f"a new run with {advice.setting('up', 'resize')}" if h.context.settings.get("up") == "transposed"
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
