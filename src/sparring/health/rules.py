"""From what was measured to what it means: every rule is a pure function of the history, and this is the table of them.

A rule speaks about the end of the history it is given. It needs its sign in several probes in a row, spares a generator
that has just begun, compares with the run's own past where levels differ between data sets, and says nothing about what
was not measured. Worse numbers never take a verdict away; at most it becomes a more serious one (`SUPERSEDED`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from sparring.health import coded, collapse, duel, likely, pictures, trend
from sparring.health.history import History
from sparring.health.table import outside
from sparring.health.thresholds import Thresholds, usual
from sparring.health.verdict import HARD, Context, Verdict, order
from sparring.health.words import count, number, of_points, percent, plus_minus, without_g

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
    likely.output_range,
    collapse.average_lags,
    collapse.average_frozen,
    duel.gradient_jump,
    pictures.checkerboard,
    trend.kid_rising,
    trend.plateau,
)
"""Those for a game of one player that makes samples; the others know of a D."""

CODED: tuple[Callable[[History], Verdict | None], ...] = (
    duel.given_up,
    duel.not_finite,
    coded.few_codes,
    trend.kid_rising,
    trend.plateau,
)
"""Those for a game that says images in tokens: its gradients jump where D begins, and nobody asks it for variety."""

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
    table = CODED if context.coded else SOLO if context.solo else RULES
    found = [verdict for rule in table if (verdict := rule(h)) is not None]
    hard = {verdict.code for verdict in found if verdict.level == "hard"}
    found = [verdict for verdict in found if not hard & set(SUPERSEDED.get(verdict.code, ()))]
    found = [_with_kept(verdict, context) for k, verdict in enumerate(found) if not _said(found[:k], verdict)]
    if h.probes and not any(v.level in ("warn", "hard") or v.code in HARD for v in found):
        found += [verdict] if (verdict := healthy(h, {v.code for v in found})) is not None else []
    found = list(map(of_one, found)) if context.solo else found
    found = list(map(of_tokens, found)) if context.coded else found
    return sorted(map(on_points, found) if context.kind == "points" else found, key=order)


def of_one(verdict: Verdict) -> Verdict:
    """The same of a game without G and D."""
    return replace(verdict, seen=without_g(verdict.seen), means=without_g(verdict.means))


def of_tokens(verdict: Verdict) -> Verdict:
    """The same of a game that says images in tokens."""
    advice = verdict.advice.replace("sparring sample", "sparring reconstruct")
    return replace(verdict, seen=coded.of_coded(verdict.seen), means=coded.of_coded(verdict.means), advice=advice)


def on_points(verdict: Verdict) -> Verdict:
    """The same of a run that has seen points."""
    return replace(verdict, seen=of_points(verdict.seen), means=of_points(verdict.means),
                   advice=of_points(verdict.advice), unit="point")  # fmt: skip


SIGN_OF = {
    "auc_train": "D-OVERFITS", "duplicates": "LOW-DIVERSITY", "contrast": "OUTPUT-RANGE", "saturated": "OUTPUT-RANGE",
    "constant": "OUTPUT-RANGE", "checkerboard": "CHECKERBOARD", "copies": "MEMORISING", "leak": "AUGMENT-LEAK",
    "class_diversity": "CLASS-COLLAPSE", "varied": "IGNORES-INPUT", "changed": "COPIES-INPUT", "nll_gap": "OVERFITS",
}  # fmt: skip
"""Which verdict speaks of a signal that is out of its range; what `healthy` says of others it says in other words."""
GROWS = ("LOW-DIVERSITY", "OUTPUT-RANGE", "CHECKERBOARD")
"""Notes of what may want mending."""


def healthy(h: History, told: Collection[str] = ()) -> Verdict | None:
    """Nothing is wrong, with the numbers that say so; nothing where no number says it. What is out of its range, and is
    told by no verdict, is named here: nobody is to find it in the table. told: the codes of the verdicts there are."""
    c, parts, last, young = h.context, [], len(h.probes) - 1, False
    if (auc := h.now("auc")) is not None:
        fine = "" if c.translates else f" (healthy: {percent(h.t.d_fooled)} to {percent(h.t.d_wins)})"
        parts.append(f"D orders {percent(auc)} of the pairs of a held-out and a generated sample rightly{fine}")
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
    if (usage := h.now("usage")) is not None:
        parts.append(f"{percent(usage)} of the codes are used (healthy: above {percent(h.t.codes_used)})")
    if (cost := h.now("nll")) is not None:
        parts.append(f"a held-out sample costs {number(cost)} nats")
    if (score := h.score(last)) is not None:
        parts.append(f"{trend.said(score)}{_way(h)}")
    if not parts:
        return None
    odd = [row for row in outside(h.probes[last][1], c, h.t) if SIGN_OF.get(row.name, "HEALTHY") not in told]
    if odd := [row for row in odd if row.name in SIGN_OF]:
        listed = ", ".join(f"{row.what} {row.now} (healthy: {row.fine})" for row in odd)
        parts.append(f"out of its range, which is told once it lasts: {listed}")
    if c.translates and c.alone and matched is None and auc is None:
        return None  # one distance alone, of images that nobody can call right or wrong, is no sign of health
    once = c.alone or last == 0
    begun = h.probes[last][0] >= h.warm or c.alone
    means = f"It has only begun: what G lacks is judged from image {count(h.warm)} on."
    if begun:
        means = "One look says nothing of where it is going." if once else "Nothing here wants mending."
        if noted := sorted(set(told) & set(GROWS)):
            means = f"Nothing is worse than what is noted as {' and '.join(noted)}."
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
