"""Verdicts about where a run is going: better, worse, or nowhere; and what it has learnt by heart."""

from __future__ import annotations

import math
from dataclasses import replace

from sparring.health import advice
from sparring.health.advice import ends
from sparring.health.history import History, Score, Streak
from sparring.health.verdict import Verdict
from sparring.health.words import count, number, percent, plus_minus, times

NAMES = {
    "kid": "distance of G's samples from held-out data (KID)",
    "energy_distance": "energy distance of G's samples from the data",
    "pair_distance": "distance of G's translations from the truth (in the judge's features)",
    "errors": "share of held-out samples that are called by the wrong class",
    "wrong_pixels": "share of pixels of held-out images that are called by the wrong class",
    "captions_not_found": "share of held-out images whose caption is not among the nearest tenth",
}
"""What a score is, in words."""


def said(score: Score) -> str:
    """A score with its name and its standard error."""
    return f"the {NAMES[score.name]} is {plus_minus(score.value, score.error)}"


def difference_error(a: Score, b: Score) -> float:
    """The standard error of the difference of two scores; 0 where none is known."""
    return math.hypot(a.error or 0.0, b.error or 0.0)


def worse(h: History, index: int, share: float) -> bool | None:
    """Whether a probe scores worse than the best before it, beyond noise and by more than `share` of the best. Where
    more of the data are covered since then, samples are not worse, only otherwise."""
    now, best = h.score(index), h.best_score(index)
    if now is None:
        return None
    if best is None:
        return False
    if h.risen("coverage", best[0], index):
        return False
    margin = max(h.t.noise * difference_error(now, best[1]), share * abs(best[1].value))
    return now.value > best[1].value + margin


def rising(h: History) -> Streak:
    """For how many probes in a row the score has been worse than the best before."""
    return _worse_since(h, h.t.worse, h.t.probes)


def _worse_since(h: History, share: float, asked: float) -> Streak:
    """Probes are compared here, so that as many are asked for where a look is all there is beside them."""
    return replace(h.streak(lambda index: worse(h, index, share), asked), asked=max(1, round(asked)))


def improving(h: History, index: int) -> bool | None:
    """Whether the score at a probe is better than some probes before, beyond noise; None where that cannot be known."""
    now = h.score(index)
    earlier = [score for k, score in h.scores if k < index]
    if now is None or not earlier:
        return None
    back = earlier[-min(len(earlier), round(h.t.probes))]
    return back.value - now.value > _noise(h, back, now)


def _noise(h: History, was: Score, now: Score) -> float:
    """What an improvement must exceed to be one."""
    error = difference_error(was, now)
    share = h.t.plateau_gain if error else h.t.gain_unsure
    return max(h.t.plateau_noise * error, share * abs(was.value))


def kid_rising(h: History) -> Verdict | None:
    """The score has turned."""
    streak = rising(h)
    much = _worse_since(h, h.t.much_worse - 1, h.t.probes_sure)
    found, now = h.best_score(), h.score(len(h.probes) - 1) if h.probes else None
    if not (streak.confirmed or much.confirmed) or found is None or now is None:
        return None
    index, best = found
    longest = streak if streak.length >= much.length else much
    factor = f", {times(now.value / best.value)} the best" if best.value > 0 else ""
    return Verdict(
        "KID-RISING", "warn", longest.since, "certain" if much.confirmed else "likely",
        f"{said(now)}{factor}: that was {plus_minus(best.value, best.error)} at image {count(h.probes[index][0])} "
        f"(healthy: it falls, or stays within {h.t.noise:g} standard errors and {percent(h.t.worse)} of the best)",
        "The best is past: the training data have been learnt by heart, or the steps have become too large.",
        f"a new run with {advice.augment(h.context)}" if now.name in ("errors", "wrong_pixels", "captions_not_found")
        else f"{advice.best(h.context)}, and a new run with {advice.slower(h.context)}",
    )  # fmt: skip


def window(h: History) -> tuple[list[tuple[int, Score]], list[tuple[int, Score]]]:
    """(scores before, scores in) the last part of the run, over which progress is asked for."""
    begin = h.images * (1 - h.t.plateau_window)
    before = [pair for pair in h.scores if h.probes[pair[0]][0] < begin]
    return before, h.scores[len(before) :]


def gained(h: History) -> tuple[float, float, Score, Score] | None:
    """(improvement of the best, what it must exceed, best before, best in the window); None where little is known."""
    before, within = window(h)
    if not before or len(within) < h.t.plateau_probes or h.images < h.warm:
        return None
    was = min((score for _, score in before), key=lambda score: score.value)
    now = min((score for _, score in within), key=lambda score: score.value)
    return was.value - now.value, _noise(h, was, now), was, now


def settles_at(h: History) -> int:
    """Images at which the learning rate has come to rest: a run is not stopped before, for its fall often helps."""
    value = h.context.settings.get("lr")
    start, end = ends(value)
    if not isinstance(value, dict) or start is None or end is None or end >= start:
        return 0
    return round(float(value["until"]) * h.context.planned)


def plateau(h: History) -> Verdict | None:
    """Nothing has improved beyond noise over the last part of the run."""
    found = gained(h)
    if found is None:
        return None
    gain, noise, was, now = found
    if gain > noise:
        return None
    _, within = window(h)
    since = h.probes[within[0][0]][0]
    rest = settles_at(h)
    waits = h.images < rest and not h.context.ended
    means = (
        f"The learning rate still falls until image {count(rest)}, and that often brings the next improvement."
        if waits
        else "More time with these settings will hardly help. The best checkpoint is kept, and it is what is used."
    )
    return Verdict(
        "PLATEAU", "note", since, "possible" if waits else "likely",
        f"the {NAMES[now.name]} was {plus_minus(was.value, was.error)} at best before image {count(since)} and "
        f"{plus_minus(now.value, now.error)} at best since, over {len(within)} probes (healthy while it learns: better "
        f"by more than {number(noise)})",
        means,
        f"waiting until image {count(rest)}" if waits
        else "stopping here: larger networks, more images or other settings will do more than more time"
    )  # fmt: skip


def memorising(h: History) -> Verdict | None:
    """More samples lie right beside training data than held-out data do."""
    hard = h.shown("copies", lambda value: value > h.t.copies_hard, h.t.probes_sure)
    soft = h.shown("copies", lambda value: value > h.t.copies, h.t.probes)
    value = h.now("copies")
    if value is None or not (hard.begun or soft.confirmed):
        return None
    level = "hard" if hard.confirmed else "warn" if soft.confirmed else "note"
    few = f" there are {h.context.images:,}" if h.context.images else ""
    return Verdict(
        "MEMORISING", level, (hard if hard.begun else soft).since,
        {"hard": "likely" if h.context.alone else "certain", "warn": "likely", "note": "possible"}[level],
        f"{percent(value)} of G's samples are copies of training {h.context.what}: nearer to one than 99 % of the data "
        f"that was kept aside (healthy: hardly any, below {percent(h.t.copies)})",
        f"G repeats what it was shown instead of making new {h.context.what}; what it makes may show training data.",
        f"more training data (now{few}), {advice.augment(h.context)}, or an earlier checkpoint" if few
        else f"a new run with {advice.augment(h.context)}, or an earlier checkpoint",
    )  # fmt: skip


def few_images(h: History) -> Verdict | None:
    """So few images that what usually goes wrong should be known beforehand."""
    c = h.context
    other = c.recipe in ("classifier", "dualencoder") or c.translates
    if c.kind != "images" or other or not 0 < c.images < h.t.few_images:
        return None
    tips = [advice.augment(c)] if max(end or 0.0 for end in ends(c.settings.get("augment"))) <= 0 else []
    if narrow := advice.smaller(c):
        tips.append(f"half the width ({narrow})")
    tips.append(f"starting from a run on many similar images (`sparring train {c.data} --from ANOTHER --freeze-d 1`)")
    return Verdict(
        "FEW-IMAGES", "note", 0, "certain",
        f"there are {c.images:,} training images (from {h.t.few_images:,.0f} on this is no concern)",
        "D learns so few by heart within minutes; then what it tells G is worth nothing, and G may copy them. Stop "
        "when the distance from held-out images stops falling: `--stop auto`.",
        ", or ".join(tips),
    )  # fmt: skip


# ── when to stop ──────────────────────────────────────────────────────────────────────────────────────────────────


def when_to_stop(h: History) -> str:
    """What the trend says about more time, in a sentence or two; "" of a run that goes on and was not looked at yet."""
    scores = h.scores
    if not scores and not h.context.ended:
        return ""
    if not scores:
        return "nothing was measured that could say it: short runs have no probes, nor have those of older versions"
    streak, best = rising(h), h.best_score()
    assert best is not None
    at = count(h.probes[best[0]][0])
    if streak.confirmed:
        value = plus_minus(best[1].value, best[1].error)
        return (
            f"stop: the {NAMES[best[1].name]} was best at image {at} ({value}), and worse since {count(streak.since)}"
        )
    found = gained(h)
    if found is None:
        if len(scores) == 1:
            return "one look cannot say it: it takes probes while the run goes on"
        return f"{len(scores)} probes are too few to say it; best so far: image {at}"
    gain, noise, was, now = found
    best_of = f"{NAMES[now.name]} went from {number(was.value)} to {number(now.value)} at best"
    part = f"over the last {percent(h.t.plateau_window)} of the run the {best_of}; noise is {number(noise)}"
    if gain > noise:
        go = f"more time helps: {advice.more_time(h.context)}" if h.context.ended else "let it go on"
        return f"not yet: {part}. {go[0].upper()}{go[1:]}"
    if h.images < (rest := settles_at(h)) and not h.context.ended:
        return f"wait until image {count(rest)}, where the learning rate comes to rest: {part}"
    return f"now: {part}. More time with these settings will hardly help"
