"""From what was measured to what it means: every rule is a pure function of the history, and this is the table of them.

A rule speaks about the end of the history it is given. It needs its sign in several probes in a row, spares a generator
that has just begun, compares with the run's own past where levels differ between data sets, and says nothing about what
was not measured. Worse numbers never take a verdict away; at most it becomes a more serious one (`SUPERSEDED`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sparring.health import collapse, duel, likely, pictures, trend
from sparring.health.history import History
from sparring.health.thresholds import Thresholds, usual
from sparring.health.verdict import HARD, Context, Verdict, order
from sparring.health.words import count, number, percent, plus_minus, without_g

__all__ = ["RULES", "Context", "Verdict", "judge"]

RULES: tuple[Callable[[History], Verdict | None], ...] = (
    duel.given_up,
    duel.not_finite,
    duel.diverged,
    collapse.mode_collapse,
    trend.memorising,
    duel.d_wins,
    duel.d_fooled,
    duel.d_overfits,
    duel.g_starved,
    collapse.low_diversity,
    collapse.class_collapse,
    pictures.ignores_input,
    pictures.copies_input,
    pictures.worse_than_input,
    pictures.output_range,
    collapse.average_lags,
    collapse.average_frozen,
    duel.penalty,
    duel.gradient_jump,
    pictures.checkerboard,
    pictures.augment_leak,
    trend.kid_rising,
    trend.plateau,
    trend.few_images,
)
"""All of them; each answers with a verdict, or with None."""

SOLO: tuple[Callable[[History], Verdict | None], ...] = (
    duel.given_up,
    duel.not_finite,
    trend.memorising,
    likely.overfits,
    likely.code_unused,
    likely.low_variety,
    collapse.average_lags,
    collapse.average_frozen,
    duel.gradient_jump,
    pictures.checkerboard,
    trend.kid_rising,
    trend.plateau,
)
"""Those for a game of one player that makes samples; the others know of a D."""

SUPERSEDED = {
    "LOW-DIVERSITY": ("MODE-COLLAPSE", "DIVERGED"),
    "OUTPUT-RANGE": ("DIVERGED",),
    "GRADIENT-JUMP": ("DIVERGED",),
    "PENALTY": ("DIVERGED",),
}
"""What is not told beside a hard verdict of these codes: it would say the same again."""


def judge(
    probes: Sequence[tuple[int, Mapping[str, float]]],
    turns: Sequence[tuple[int, Mapping[str, float]]],
    context: Context,
    thresholds: Thresholds | None = None,
) -> list[Verdict]:
    """The verdicts on a run, the most serious first; a sentence that says healthy where none is a warning.

    probes, turns: (images seen, values) in any order: what `health.signals` measures, and what a `Turn` says.
    """
    h = History.of(probes, turns, context, thresholds or usual())
    found = [verdict for rule in (SOLO if context.solo else RULES) if (verdict := rule(h)) is not None]
    hard = {verdict.code for verdict in found if verdict.level == "hard"}
    found = [verdict for verdict in found if not hard & set(SUPERSEDED.get(verdict.code, ()))]
    found = [_with_kept(verdict, context) for k, verdict in enumerate(found) if not _said(found[:k], verdict)]
    if h.probes and not any(v.level in ("warn", "hard") or v.code in HARD for v in found):
        found += [verdict] if (verdict := healthy(h)) is not None else []
    return sorted(map(of_one, found) if context.solo else found, key=order)


def of_one(verdict: Verdict) -> Verdict:
    """The same of a game without G and D."""
    return replace(verdict, seen=without_g(verdict.seen), means=without_g(verdict.means))


def healthy(h: History) -> Verdict | None:
    """Nothing is wrong, with the numbers that say so; nothing where no number says it."""
    c, parts, last, young = h.context, [], len(h.probes) - 1, False
    if (auc := h.now("auc")) is not None:
        fine = "any" if c.translates else f"{percent(h.t.d_fooled)} to {percent(h.t.d_wins)}"
        parts.append(f"D orders {percent(auc)} of the pairs of a held-out and a generated sample rightly (healthy: "
                     f"{fine})")  # fmt: skip
    if (diversity := h.now("diversity")) is not None:
        young |= diversity < h.t.low_diversity
        parts.append(f"G's samples have {percent(diversity)} of the variety of the data"
                     f"{_yet(diversity, h.t.low_diversity)}")  # fmt: skip
    coverage, real = h.now("coverage"), h.now("coverage_self")
    if coverage is not None and real:
        low = h.t.collapse_coverage if c.kind == "points" else h.t.low_coverage
        young |= coverage / real < low
        parts.append(
            f"G covers {percent(min(1.0, coverage / real))} of what the data covers{_yet(coverage / real, low)}"
        )
    if (matched := h.now("matched")) is not None:
        young |= matched < h.t.matched
        parts.append(f"in {percent(matched)} of the comparisons a translation is nearer to its own truth than to "
                     f"another one (by chance: 50 %){_yet(matched, h.t.matched)}")  # fmt: skip
    if beside := pictures.beside_input(h):
        sides = [side for name in pictures.AHEAD if (side := pictures.ahead(h, last, name)) is not None]
        young |= min(sides) < 0 or max(sides) == 0
        parts.append(beside)
    if (cost := h.now("nll")) is not None:
        parts.append(f"a held-out sample costs {number(cost)} nats")
    if (score := h.score(last)) is not None:
        parts.append(f"{trend.said(score)}{_way(h)}")
    if not parts:
        return None
    if c.translates and c.alone and matched is None and auc is None:
        return None  # one distance alone, of images that nobody can call right or wrong, is no sign of health
    once = c.alone or last == 0
    begun = h.probes[last][0] >= h.warm or c.alone
    means = f"It has only begun: what G lacks is judged from image {count(h.warm)} on."
    if begun:
        means = "One look says nothing of where it is going." if once else "Nothing here wants mending."
        if young:
            means = f"No sign of a failure, but G is not grown yet: give it more time.{' ' + means if once else ''}"
    return Verdict("HEALTHY", "fine", h.probes[last][0], "likely", "; ".join(parts), means)


def _yet(value: float, grown: float) -> str:
    """What a young generator still lacks, in words."""
    return f", not yet the {percent(grown)} of a grown one" if value < grown else ""


def _way(h: History) -> str:
    """Where the score is going, in words."""
    index = len(h.probes) - 1
    better = trend.improving(h, index)
    if better is None:
        return ""
    found = h.best_score()
    if better or found is None or found[0] == index:
        return " and falling" if better else ""
    return f" (best: {plus_minus(found[1].value, found[1].error)} at image {count(h.probes[found[0]][0])})"


def _said(before: Sequence[Verdict], verdict: Verdict) -> bool:
    """Whether a rule before has given this verdict: the run's own last word comes first."""
    return any(other.code == verdict.code for other in before)


def _with_kept(verdict: Verdict, context: Context) -> Verdict:
    """A hard verdict also says what is not lost."""
    if verdict.level != "hard" or not context.kept:
        return verdict
    kept = context.kept.rstrip(".")
    return replace(verdict, means=f"{verdict.means} {kept[:1].upper()}{kept[1:]}.")


def table(
    values: Mapping[str, float], context: Context, thresholds: Thresholds | None = None
) -> list[tuple[str, str, str]]:
    """(what, now, healthy) in words for what was measured at one probe."""
    t = thresholds or usual()
    rows: list[tuple[str, str, str]] = []

    def add(name: str, what: str, shown: Callable[[float], str], fine: str) -> None:
        if name in values:
            rows.append((what, shown(values[name]), fine))

    if "kid" in values:
        rows.append((trend.NAMES["kid"].replace("G's samples", "samples"),
                     plus_minus(values["kid"], values.get("kid_se")), "falling"))  # fmt: skip
    if "pair_distance" in values:
        rows.append((trend.NAMES["pair_distance"].replace("G's ", ""),
                     plus_minus(values["pair_distance"], values.get("pair_distance_se")), "falling"))  # fmt: skip
    add("l1", "mean difference from the truth, in [0, 1]", number, "falling, then flat")
    add("matched", "comparisons in which a translation is nearest to its own truth", percent,
        f"above {percent(t.matched)}")  # fmt: skip
    for name, how in pictures.AHEAD.items():
        if name in values:
            what = f"how much nearer to the truth than what was given, {how}"
            rows.append((what, plus_minus(values[name], values.get(f"{name}_se")), "above 0, rising"))
    add("varied", "difference of two translations beside that of real images", number, f"above {number(t.varied)}")
    add("changed", "difference from what was given beside that of real images", number, f"above {number(t.changed)}")
    add("pixel_accuracy", "pixels of held-out images that are called by their class", percent, "rising")
    add("pixel_accuracy_train", "the same of training images", percent, "not far above")
    add("energy_distance", trend.NAMES["energy_distance"], number, "falling")
    add("nll", "what a held-out sample costs, in nats", number, "falling")
    add("nll_train", "the same of training samples", number, "not far below")
    add("accuracy", "held-out samples that are called by their class", percent, "rising")
    add("accuracy_train", "the same of training samples", percent, "not far above")
    fine = "above 50 %" if context.translates else f"{percent(t.d_fooled)} to {percent(t.d_wins)}"
    add("auc", "pairs that D orders rightly", percent, fine)
    add("auc_train", "the same with training data", percent, f"at most {percent(t.d_gap)} more")
    add("diversity", "variety of the samples beside the data's", percent, f"above {percent(t.low_diversity)}")
    if "coverage" in values and (real := values.get("coverage_self")):
        low = t.collapse_coverage if context.kind == "points" else t.low_coverage
        shown = percent(min(1.0, values["coverage"] / real))
        rows.append(("data that the samples cover, beside real data", shown, f"above {percent(low)}, rising"))
    add("precision", "samples that lie among the data", percent, "rising")
    add("duplicates", "samples with a near-double", percent,
        f"below {percent(max(t.duplicates, t.duplicates_times * values.get('duplicates_real', 0.0)))}")  # fmt: skip
    add("copies", "copies of training data among the samples", percent, f"below {percent(t.copies)}")
    add("contrast", "contrast beside the data's", number, f"{number(t.contrast_low)} to {number(t.contrast_high)}")
    add("saturated", "more pixels at the limit than in the data", percent, f"below {percent(t.saturated)}")
    add("constant", "samples of one flat value", percent, f"below {percent(t.constant)}")
    add("class_diversity", "variety of the poorest class beside the middle one", percent,
        f"above {percent(t.class_diversity)}")  # fmt: skip
    add("checkerboard", "finest pattern beside the data's", number, f"below {number(t.checkerboard)}")
    add("leak", "more samples with traces of augmentation", percent, f"below {percent(t.leak)}")
    add("modes", "modes that are found", number, "rising")
    add("high_quality", "samples near a mode", percent, "rising")
    return [(without_g(what), now, fine) for what, now, fine in rows] if context.solo else rows
