"""Verdicts about the game between D and G: who wins, what D has learnt by heart, gradients and penalties."""

from __future__ import annotations

from statistics import median

from sparring.health import advice, collapse, trend
from sparring.health.history import History, Jump
from sparring.health.verdict import HARD, Verdict
from sparring.health.words import count, number, part, percent, times

PENALTIES = ("r1", "r2", "gp", "gp-one-sided", "gp-zero", "dragan")
"""Gradient penalties as the log names them, after ``D/``."""


def _told(auc: float, what: str) -> str:
    return f"D orders {percent(auc)} of the pairs of a held-out and a generated sample rightly ({what}; 50 % is chance)"


def d_wins(h: History) -> Verdict | None:
    """D tells nearly all fakes from held-out data; hard where it tells all and G does not get better any more.

    A G that translates is told besides how far it is from the truth, or from the way back: D may win there, and does.
    """
    t, auc = h.t, None if h.context.translates else h.now("auc")
    streak = h.shown("auc", lambda value: value >= t.d_wins, t.probes)

    def saturated(index: int) -> bool | None:
        value, better = h.at(index, "auc"), trend.improving(h, index)
        if value is None:
            return None
        return value >= t.d_saturated and better is False

    hard = h.streak(saturated, t.probes)
    if auc is None or not streak.confirmed:
        return None
    blind = h.now("d_fake")
    beside = f"; to D its samples are real with probability {number(blind)}" if blind is not None else ""
    if hard.confirmed and not h.context.alone:
        return Verdict(
            "D-WINS", "hard", hard.since, "certain",
            _told(auc, f"healthy: below {percent(t.d_wins)}") + beside + ", and G has not got better meanwhile",
            "D has won. What G is told by a D that is never in doubt points nowhere, and G has stopped learning.",
            f"a new run with {advice.hold_d_back(h.context)}",
        )  # fmt: skip
    better = trend.improving(h, len(h.probes) - 1)
    return Verdict(
        "D-WINS", "warn", streak.since, "possible" if better or h.context.alone else "likely",
        _told(auc, f"healthy: below {percent(t.d_wins)}") + beside,
        "G still gets better, so this is no harm yet: a strong D is a good teacher as long as G can follow." if better
        else "D is far ahead of G. G can still learn from it while its penalty keeps it smooth, but it learns slowly.",
        f"a new run with {advice.hold_d_back(h.context)} if the samples stop improving" if better
        else f"a new run with {advice.hold_d_back(h.context)}",
    )  # fmt: skip


def d_fooled(h: History) -> Verdict | None:
    """D orders most pairs wrongly."""
    auc, streak = h.now("auc"), h.shown("auc", lambda value: value <= h.t.d_fooled, h.t.probes)
    if auc is None or not streak.confirmed:
        return None
    return Verdict(
        "D-FOOLED", "warn", streak.since, "possible" if h.context.alone else "likely",
        _told(auc, f"healthy: above {percent(h.t.d_fooled)}"),
        "G moves faster than D can follow, or D is held back too much: it calls fakes real and the data fake.",
        f"a new run with {advice.let_d_go(h.context)}",
    )  # fmt: skip


def d_overfits(h: History) -> Verdict | None:
    """D knows its training data better than held-out data; a warning once samples get worse for it."""

    def gap(index: int) -> float | None:
        train, apart = h.at(index, "auc_train"), h.at(index, "auc")
        return None if train is None or apart is None else train - apart

    def shows(index: int) -> bool | None:
        value = gap(index)
        return None if value is None else value > h.t.d_gap

    streak = h.streak(shows, h.t.probes)
    if not streak.confirmed:
        return None
    train, apart = h.now("auc_train") or 0.0, h.now("auc") or 0.0
    harm = bool(trend.rising(h).begun) and not h.context.alone
    return Verdict(
        "D-OVERFITS", "warn" if harm else "note", streak.since, "certain" if harm else "likely",
        f"D orders {percent(train)} of the pairs rightly with data it was trained on, and {percent(apart)} with "
        f"held-out data (healthy: at most {percent(h.t.d_gap)} apart)",
        f"D knows its {h.context.images:,} training {h.context.what} by heart instead of what they have in common"
        + (", and the samples get worse for it." if harm else "; the samples do not suffer yet."),
        f"a new run with {advice.augment(h.context)}" if "--" in advice.augment(h.context)
        else advice.augment(h.context),
    )  # fmt: skip


# ── gradients and penalties ───────────────────────────────────────────────────────────────────────────────────────


def g_starved(h: History) -> Verdict | None:
    """G's gradient has all but vanished."""
    rows, t = h.heard("G/gradient"), h.t
    first, last = round(t.first_turns), round(t.starved_turns)
    if len(rows) < first + last:
        return None
    usual = median(value for _, value in rows[:first])
    late = rows[-last:]
    if usual <= 0 or any(value >= t.starved * usual for _, value in late):
        return None
    auc = h.now("auc")
    return Verdict(
        "G-STARVED", "warn", late[0][0], "likely" if auc is not None and auc >= t.d_wins else "possible",
        f"the norm of G's gradient is {number(late[-1][1])}, {part(late[-1][1] / usual)} of what it was "
        f"at the beginning (healthy: above 1/{1 / t.starved:,.0f})",
        "D is so sure of itself that its verdict no longer depends on what G changes: G stands still.",
        f"a new run with {advice.hold_d_back(h.context)}",
    )  # fmt: skip


def _gradients(h: History) -> list[str]:
    return sorted({name for _, values in h.turns for name in values if name.endswith("/gradient")})


def _highest(h: History, bound: float) -> Jump | None:
    """The largest jump of a gradient beyond `bound` times its usual size."""
    jumps = [jump for name in _gradients(h) if (jump := h.jump(name, bound)) is not None]
    return max(jumps, key=lambda jump: jump.times, default=None)


def gradient_jump(h: History) -> Verdict | None:
    """A gradient many times its usual size."""
    jump = _highest(h, h.t.jump)
    if jump is None:
        return None
    player = jump.name.split("/")[0]
    return Verdict(
        "GRADIENT-JUMP", "warn", jump.images, "likely" if jump.times > h.t.leap else "possible",
        f"the norm of {player}'s gradient was up to {times(jump.times)} its usual size in {jump.lines} of the last "
        f"lines of the log (healthy: below {h.t.jump:g} times)",
        "A step too far, or a batch unlike all others. Alone it is often harmless; together with worse samples it is "
        "how games fall apart.",
        f"a new run with {advice.slower(h.context)} if the samples suffer",
    )  # fmt: skip


def penalty(h: History) -> Verdict | None:
    """A penalty many times its usual size, or next to nothing of it."""
    found = _penalty_high(h) or _penalty_low(h)
    if found is None:
        return None
    name, factor, since = found
    high = factor > 1
    return Verdict(
        "PENALTY", "warn", since, "likely",
        f"the penalty {name.split('/')[1]} is {times(factor) if high else part(factor)} its "
        f"usual size (healthy: between 1/{1 / h.t.penalty_low:,.0f} and {h.t.penalty_high:g} times)",
        "D has become so steep that its penalty no longer holds it." if high
        else "D has become flat: it tells nothing apart any more, and G learns nothing from it.",
        f"a new run with {advice.slower(h.context) if high else advice.let_d_go(h.context)}",
    )  # fmt: skip


def _penalty_rows(h: History, name: str) -> tuple[float, list[tuple[int, float]]] | None:
    """(its usual size, its latest lines)."""
    rows, last = h.heard(name), round(h.t.penalty_turns)
    before = [value for _, value in rows[:-last]][-round(h.t.median_turns) :]
    if len(before) < 2 * h.t.recent_turns or (usual := median(before)) <= 0:
        return None
    return usual, rows[-last:]


def _penalty_high(h: History) -> tuple[str, float, int] | None:
    for name in (f"D/{kind}" for kind in PENALTIES):
        found = _penalty_rows(h, name)
        if found and all(value > h.t.penalty_high * found[0] for _, value in found[1]):
            return name, min(value for _, value in found[1]) / found[0], found[1][0][0]
        if jump := h.jump(name, h.t.penalty_high):
            return name, jump.times, jump.images
    return None


def _penalty_low(h: History) -> tuple[str, float, int] | None:
    for name in (f"D/{kind}" for kind in PENALTIES):
        found = _penalty_rows(h, name)
        if found and all(value < h.t.penalty_low * found[0] for _, value in found[1]):
            return name, max(value for _, value in found[1]) / found[0], found[1][0][0]
    return None


# ── the end of a game ─────────────────────────────────────────────────────────────────────────────────────────────


def not_finite(h: History) -> Verdict | None:
    """NaN or infinity: in a loss, a gradient, a probe, or in what the run itself has said."""
    since, what = 0, ""
    broken = [(images, name) for images, name in h.broken if images >= h.recently]
    if broken:
        since = broken[0][0]
        names = list(dict.fromkeys(name for _, name in broken))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = f"{', '.join(names[:3])}{more} became NaN or infinite, {len(broken)} times in the last part of the log"
    elif (share := h.now("not_finite")) is not None and share > 0:
        since, what = h.probes[-1][0], f"{percent(share)} of the samples hold values that are not finite"
    elif (told := last_word(h)) is not None and told[1] == "NOT-FINITE":
        since, what = told[0], told[2].rstrip(".")
    if not what:
        return None
    reduced = h.context.settings.get("precision") == "bf16"
    return Verdict(
        "NOT-FINITE", "hard", since, "certain", f"{what} (healthy: never)",
        "The step that would have followed was not made: no checkpoint holds such numbers. Steps that are too large, "
        "or a penalty that explodes, are the usual cause; in reduced precision also overflow.",
        f"a new run with {advice.setting('precision', 'fp32') if reduced else advice.slower(h.context)}",
    )  # fmt: skip


def last_word(h: History) -> tuple[int, str, str] | None:
    """What the run said last, if it was of trouble and nothing came of it: neither a way back nor another line."""
    serious = [alarm for alarm in h.context.alarms if alarm[1] in ("NOT-FINITE", "GIVEN-UP", "ROLLBACK")]
    last = max((images for images, _ in h.turns), default=-1)
    return serious[-1] if serious and serious[-1][1] != "ROLLBACK" and serious[-1][0] >= last else None


def given_up(h: History) -> Verdict | None:
    """The run went back again and again, in vain."""
    told = last_word(h)
    if told is None or told[1] != "GIVEN-UP":
        return None
    images, _, message = told
    code = next((code for code in HARD if code in message), "DIVERGED")
    tries = sum(alarm[1] == "ROLLBACK" for alarm in h.context.alarms)
    seen = f"the run went back {tries} times and ended: {message.rstrip('.')} (healthy: never)"
    return Verdict(
        code, "hard", images, "certain", seen,
        "It met the same trouble with other batches and with a lower learning rate, so it is the settings or the data.",
        f"a new run with {advice.hold_d_back(h.context) if code != 'NOT-FINITE' else advice.slower(h.context)}",
    )  # fmt: skip


def off_scale(h: History, index: int) -> str:
    """Which value of the samples is off the scale of the data at a probe, in words; "" if none is."""
    t = h.t
    contrast, saturated, constant = (h.at(index, name) for name in ("contrast", "saturated", "constant"))
    if constant is not None and constant > t.dead:
        return f"{percent(constant)} of the samples are one flat value (healthy: none)"
    if saturated is not None and saturated > t.saturated:
        return (f"{percent(saturated)} more of the pixels are at the limit of black or white than in the data "
                f"(healthy: below {percent(t.saturated)})")  # fmt: skip
    if contrast is not None and (contrast > t.contrast_high or contrast < t.contrast_low):
        return (f"the contrast of the samples is {number(contrast)} times that of the data (healthy: "
                f"{number(t.contrast_low)} to {number(t.contrast_high)})")  # fmt: skip
    return ""


def damage(h: History, index: int, *, patient: bool = False) -> str:
    """What shows at a probe that the game has suffered, in words; "" if nothing does.

    patient: a D that is always right, or a G that covers next to nothing yet, is no damage while G gets better.
    """
    t, auc = h.t, None if h.context.translates else h.at(index, "auc")
    spared = patient and bool(trend.improving(h, index))
    if auc is not None and (auc >= t.d_wins or auc <= t.d_fooled) and not spared:
        return _told(auc, f"healthy: {percent(t.d_fooled)} to {percent(t.d_wins)}")
    coverage, real, best = h.at(index, "coverage"), h.at(index, "coverage_self"), h.best_before(index, "coverage")
    if coverage is not None and best is not None and best >= t.fallen_from and coverage < t.fallen * best:
        return f"G covers {percent(coverage)} of the data, it was {percent(best)}"
    if coverage is not None and real and coverage < t.lost_coverage * real and not spared:
        return (
            f"G covers {percent(coverage / real)} of what the data covers (healthy: above {percent(t.lost_coverage)})"
        )
    if trend.worse(h, index, t.much_worse - 1):
        now = h.score(index)
        return trend.said(now) + f", more than {t.much_worse:g} times its best" if now is not None else ""
    return ""


def diverged(h: History) -> Verdict | None:
    """A jump of a gradient or of a penalty, or samples off the scale, together with damage."""
    if not h.probes:
        return None
    last = len(h.probes) - 1
    harm = damage(h, last) if h.probes[last][0] >= h.warm else ""
    kept_up = damage(h, last, patient=True) if harm else ""
    leap, high = _highest(h, h.t.leap), _penalty_high(h)
    if kept_up and (leap or high):
        if leap:
            size, since = times(leap.times), leap.images
            cause = f"the norm of {leap.name[0]}'s gradient was {size} its usual size (healthy: below {h.t.jump:g})"
        else:
            assert high is not None
            size, since = times(high[1]), high[2]
            cause = f"the penalty {high[0][2:]} was {size} its usual size (healthy: below {h.t.penalty_high:g})"
        return _diverged(h, "hard", since, "certain", f"{cause} at image {count(since)}, and {kept_up}")

    def lost(index: int) -> bool | None:
        away = collapse.elsewhere(h, index)
        if away or all(h.at(index, name) is None for name in ("contrast", "saturated", "constant")):
            return away
        dead = (h.at(index, "constant") or 0.0) > h.t.dead
        return dead or (bool(off_scale(h, index)) and bool(damage(h, index)) and not _finding(h, index))

    streak = h.streak(lost, h.t.probes_sure)
    if not streak.begun:
        return None
    away = f"G covers {percent(h.now('coverage') or 0.0)} of the data (healthy: most of it), and gets no closer"
    parts = (away if collapse.elsewhere(h, last) else "", off_scale(h, last), harm)
    seen = "; ".join(part for part in parts if part)
    sure = "likely" if h.context.alone else "certain"
    level = "hard" if streak.confirmed else "note"
    return _diverged(h, level, streak.since, sure if streak.confirmed else "possible", seen)


def _finding(h: History, index: int) -> bool:
    """Whether low contrast is, or may be, on its way up: a young generator begins grey."""
    contrast = h.at(index, "contrast")
    if contrast is None or contrast >= h.t.contrast_low:
        return False
    return h.context.alone or h.rising("contrast", index)


def _diverged(h: History, level: str, since: int, sure: str, seen: str) -> Verdict:
    gone = bool(collapse.averaged_gone(h, len(h.probes) - 1))
    return Verdict(
        "DIVERGED", level, since, sure, seen,
        "The game has left the range in which the players learn from each other"
        + (", and the variety of the samples is gone." if gone else "."),
        f"a new run with {advice.slower(h.context)}",
    )  # fmt: skip
