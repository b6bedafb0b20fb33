"""Verdicts about variety: does G make all kinds of samples there are, and does its average keep up?"""

from __future__ import annotations

from sparring.health import advice, trend
from sparring.health.history import History
from sparring.health.verdict import Verdict
from sparring.health.words import number, percent

# ── signs at one probe ────────────────────────────────────────────────────────────────────────────────────────────


def _fallen(h: History, index: int, name: str) -> bool | None:
    """Whether a signal has fallen below a share of its own best. More variety than the data has is noise, and no best
    to fall from."""
    value, best = h.at(index, name), h.best_before(index, name)
    if value is None:
        return None
    best = None if best is None else min(1.0, best)
    return best is not None and best >= h.t.fallen_from and value < h.t.fallen * best and not h.rising(name, index)


def _below(h: History, index: int, name: str, bound: float | None) -> bool | None:
    """Whether a signal lies below `bound` and is not on its way up."""
    value = h.at(index, name)
    if value is None or bound is None:
        return None
    return value < bound and not h.rising(name, index)


def _any(*signs: bool | None) -> bool | None:
    """Whether one of the signs that were measured shows; None if none was."""
    known = [sign for sign in signs if sign is not None]
    return any(known) if known else None


def _self(h: History, index: int, share: float) -> float | None:
    """A share of what real data cover of each other."""
    whole = h.at(index, "coverage_self")
    return None if whole is None else share * whole


def diversity_gone(h: History, index: int) -> bool | None:
    """Few different samples among those of the averaged G."""
    return _any(_below(h, index, "diversity", h.t.collapse_diversity), _fallen(h, index, "diversity"))


def coverage_gone(h: History, index: int) -> bool | None:
    """Much of what the data cover is not covered (any more). How much is usual late in a run is known of points, and
    is asked of them once they get no better; on images a young generator covers little and yet all kinds, so that there
    only a fall counts."""
    level = None
    if h.context.kind == "points" and not trend.improving(h, index) and not elsewhere(h, index):
        level = _below(h, index, "coverage", _self(h, index, h.t.collapse_coverage))
    return _any(level, _fallen(h, index, "coverage"))


def elsewhere(h: History, index: int) -> bool | None:
    """Whether points lie where no data are: next to nothing is covered, by samples more various than the data, and that
    gets no better. That is no collapse."""
    lost = _below(h, index, "coverage", _self(h, index, h.t.lost_coverage))
    diversity, better = h.at(index, "diversity"), trend.improving(h, index)
    if h.context.kind != "points" or lost is None or diversity is None or better is None:
        return None
    return lost and diversity > 1 and not better


def averaged_gone(h: History, index: int) -> bool | None:
    """Either of them."""
    return _any(diversity_gone(h, index), coverage_gone(h, index))


def raw_gone(h: History, index: int) -> bool | None:
    """Whether the players as they are confirm it: else it is the average that is at fault."""
    t = h.t
    diversity = _below(h, index, "diversity_raw", t.raw_diversity)
    if diversity is not None:
        return _any(diversity, _fallen(h, index, "diversity_raw"), _raw_coverage(h, index))
    return _any(_raw_coverage(h, index), _below(h, index, "coverage_raw", _self(h, index, t.raw_coverage)))


def _raw_coverage(h: History, index: int) -> bool | None:
    value, best = h.at(index, "coverage_raw"), h.best_before(index, "coverage_raw")
    if value is None:
        return None
    fell = best is not None and best >= h.t.fallen_from and value < h.t.raw_coverage * best
    lacks = (level := _self(h, index, h.t.raw_coverage)) is not None and value < level
    return fell or (h.context.kind == "points" and lacks)


def _collapsed(h: History, index: int) -> bool | None:
    averaged, raw = averaged_gone(h, index), raw_gone(h, index)
    if averaged is None or raw is None:
        return None  # a collapse is confirmed on both, or not at all
    return averaged and raw


def doubles(h: History, index: int) -> bool | None:
    value, real = h.at(index, "duplicates"), h.at(index, "duplicates_real")
    if value is None:
        return None
    return value > h.t.duplicates and value > h.t.duplicates_times * (real or 0.0)


def _poor(h: History, index: int) -> bool | None:
    late = h.context.alone or h.probes[index][0] >= h.t.late * h.context.planned
    covered = _below(h, index, "coverage", _self(h, index, h.t.low_coverage)) if late else None
    return _any(
        _below(h, index, "diversity", h.t.low_diversity), covered, doubles(h, index), averaged_gone(h, index)
    )  # fmt: skip


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def mode_collapse(h: History) -> Verdict | None:
    """Diversity or coverage gone, on the averaged and on the raw players."""
    streak = h.streak(lambda index: _collapsed(h, index), h.t.probes)
    if not streak.begun:
        return _classes_gone(h)
    last = len(h.probes) - 1
    diversity = h.at(last, "diversity")
    if h.context.alone and h.context.kind == "images" and not _unmistakable(h, last):
        return _classes_gone(h)  # one look cannot tell a G that has collapsed from one that is young: `low_diversity`
    extreme = diversity is not None and diversity < h.t.extreme
    confirmed = streak.confirmed or (extreme and streak.length >= h.asked(h.t.probes_sure))
    both = bool(diversity_gone(h, last)) and bool(coverage_gone(h, last))
    return Verdict(
        "MODE-COLLAPSE", "hard" if confirmed else "note", streak.since,
        "possible" if not confirmed else "certain" if both and not h.context.alone else "likely",
        variety(h, last, h.t.collapse_diversity),
        f"G has found a few {h.context.what} that D accepts, and makes little else. It seldom recovers by itself.",
        f"a new run with {advice.spread_out(h.context)}",
    )  # fmt: skip


def _unmistakable(h: History, index: int) -> bool:
    """Samples that repeat each other, or next to no variety: what no young G shows."""
    diversity = h.at(index, "diversity")
    return bool(doubles(h, index)) or (diversity is not None and diversity < h.t.alone_diversity)


def _classes_gone(h: History) -> Verdict | None:
    """Whole classes of the data hardly ever come, as a classifier reads the samples: the collapse of a G whose samples
    each look right. Only an evaluation has a classifier."""

    def gone(index: int) -> bool | None:
        apart, rarest = h.at(index, "share_kl"), h.at(index, "share_least")
        if apart is None or rarest is None:
            return None
        return apart > h.t.class_shares and rarest < h.t.class_rare

    streak = h.streak(gone, h.t.probes)
    apart, rarest = h.now("share_kl"), h.now("share_least")
    if not streak.confirmed or apart is None or rarest is None:
        return None
    seen = variety(h, len(h.probes) - 1, h.t.low_diversity)
    return Verdict(
        "MODE-COLLAPSE", "hard", streak.since, "likely",
        f"as a classifier reads the samples, one class comes {percent(rarest)} as often as in the data (healthy: above "
        f"{percent(h.t.class_rare)}), and the classes differ by {number(apart)} nats beyond chance (healthy: below "
        f"{number(h.t.class_shares)})" + (f"; {seen}" if seen else ""),
        f"G makes some kinds of {h.context.what} far too often and others hardly ever, however right each looks.",
        f"a new run with {advice.spread_out(h.context)}",
    )  # fmt: skip


def low_diversity(h: History) -> Verdict | None:
    """Less variety than the data has, but short of a collapse that both players confirm."""
    streak = h.streak(lambda index: _poor(h, index), h.t.probes)
    if not streak.confirmed:
        return None
    last = len(h.probes) - 1
    confirmed = _any(raw_gone(h, last))
    return Verdict(
        "LOW-DIVERSITY", "warn", streak.since, "likely" if confirmed and not h.context.alone else "possible",
        variety(h, last, h.t.low_diversity),
        "Some kinds of samples are missing or too alike. It may be the beginning of a collapse, or a G that is too "
        "small or too young.",
        f"a new run with {advice.spread_out(h.context)}",
    )  # fmt: skip


def variety(h: History, index: int, healthy: float) -> str:
    """What is seen of variety, in numbers."""
    parts = []
    coverage, real = h.at(index, "coverage"), h.at(index, "coverage_self")
    if (diversity := h.at(index, "diversity")) is not None:
        parts.append(f"G's samples have {percent(diversity)} of the variety of the data (healthy: above "
                     f"{percent(healthy)})")  # fmt: skip
    if coverage is not None and real:
        best = h.best_before(index, "coverage")
        was = f", it was {percent(best / real)}" if best is not None and best > coverage / h.t.fallen else ""
        usual = h.t.collapse_coverage if h.context.kind == "points" else h.t.low_coverage
        parts.append(f"G covers {percent(min(1.0, coverage / real))} of what the data covers (healthy: above "
                     f"{percent(usual)}{was})")  # fmt: skip
    if doubles(h, index):
        value, usual_share = h.at(index, "duplicates") or 0.0, h.at(index, "duplicates_real") or 0.0
        parts.append(f"{percent(value)} of the samples have a near-double (in the data: {percent(usual_share)})")
    return "; ".join(parts)


def class_collapse(h: History) -> Verdict | None:
    """One class of a conditional game has far less variety than the others."""
    streak = h.shown("class_diversity", lambda value: value < h.t.class_diversity, h.t.probes)
    value = h.now("class_diversity")
    if not streak.confirmed or value is None:
        return None
    return Verdict(
        "CLASS-COLLAPSE", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"the poorest of the {h.context.classes} classes has {percent(value)} of the variety of the middle one "
        f"(healthy: above {percent(h.t.class_diversity)})",
        "G makes nearly the same sample for one class. Often that class has few examples.",
        f"more examples of the rare classes, or a new run with {advice.spread_out(h.context)}",
    )  # fmt: skip


def average_lags(h: History) -> Verdict | None:
    """The averaged players cover much less than the players as they are."""

    def lags(index: int) -> bool | None:
        averaged, raw = h.at(index, "coverage"), h.at(index, "coverage_raw")
        if averaged is None or raw is None:
            return None
        return raw >= h.t.fallen_from and averaged < h.t.ema_lag * raw

    streak = h.streak(lags, h.t.probes)
    averaged, raw = h.now("coverage"), h.now("coverage_raw")
    if not streak.confirmed or averaged is None or raw is None:
        return None
    return Verdict(
        "EMA-LAG", "warn", streak.since, "possible" if h.context.alone else "likely",
        f"the averaged G covers {percent(averaged)} of the data, G as it is {percent(raw)} (healthy: the average "
        f"covers more than {percent(h.t.ema_lag)} of what G covers)",
        "The average remembers too much of the past for a run of this length, and samples are made by the average.",
        f"a new run with {advice.average(h.context)}",
    )  # fmt: skip


def average_frozen(h: History) -> Verdict | None:
    """The distance of the averaged samples is the same number again and again while the raw players move."""
    scores = h.scores
    asked = max(2, round(h.t.probes))
    if h.context.alone or len(scores) <= asked:
        return None
    last = scores[-1 - asked :]
    values = [score.value for _, score in last]
    still = max(values) - min(values) <= h.t.ema_frozen * max(abs(value) for value in values)
    first, end = last[0][0], last[-1][0]
    moved = any(
        (was := h.at(first, name)) is not None and (now := h.at(end, name)) is not None and was != now
        for name in ("auc", "coverage_raw", "diversity_raw", "d_fake")
    )
    if not (still and moved):
        return None
    return Verdict(
        "EMA-FROZEN", "warn", h.probes[first][0], "certain",
        f"the distance of the averaged G's samples from held-out data is {number(values[-1])} at each of the last "
        f"{len(last)} probes, to the last digit (healthy: it changes at every probe), while G itself moves",
        "Samples come from the averaged G, and nothing that is learnt reaches it: the average is hardly ever renewed.",
        f"a new run with {advice.average(h.context)}",
    )  # fmt: skip
