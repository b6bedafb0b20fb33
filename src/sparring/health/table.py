"""What was measured at one probe as a table in words: what, now, and what is healthy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sparring.health import pictures, trend
from sparring.health.advice import ends
from sparring.health.coded import of_coded
from sparring.health.thresholds import Thresholds, usual
from sparring.health.verdict import Context
from sparring.health.words import number, percent, plus_minus, times, without_g

Test = Callable[[float], bool]


@dataclass(frozen=True)
class Row:
    """One signal. name: of the signal.   what, now, fine: in words.   outside: whether it is out of its range."""

    name: str
    what: str
    now: str
    fine: str
    outside: bool = False


def table(
    values: Mapping[str, float], context: Context, thresholds: Thresholds | None = None
) -> list[tuple[str, str, str]]:
    """(what, now, healthy) in words for what was measured at one probe; what is out of its range says so."""
    return [(row.what, row.now, row.fine + ": outside" * row.outside) for row in rows(values, context, thresholds)]


def outside(values: Mapping[str, float], context: Context, thresholds: Thresholds | None = None) -> list[Row]:
    """The rows that are out of their range."""
    return [row for row in rows(values, context, thresholds) if row.outside]


def rows(values: Mapping[str, float], context: Context, thresholds: Thresholds | None = None) -> list[Row]:
    """Every signal that was measured and means something in this game."""
    t = thresholds or usual()
    found: list[Row] = []

    def add(name: str, what: str, shown: Callable[[float], str], fine: str, healthy: Test = lambda value: True) -> None:
        if name in values:
            found.append(Row(name, what, shown(values[name]), fine, not healthy(values[name])))

    def scored(name: str, what: str, fine: str = "falling") -> None:
        add(name, what, lambda value: plus_minus(value, values.get(f"{name}_se")), fine)

    def above(name: str, what: str, bound: float, shown: Callable[[float], str] = percent) -> None:
        add(name, what, shown, f"above {shown(bound)}", lambda value: value >= bound)

    def below(name: str, what: str, bound: float, shown: Callable[[float], str] = percent) -> None:
        add(name, what, shown, f"below {shown(bound)}", lambda value: value <= bound)

    scored("kid", trend.NAMES["kid"].replace("G's samples", "samples"))
    scored("pair_distance", trend.NAMES["pair_distance"].replace("G's ", ""))
    add("l1", "mean difference from the truth, in [0, 1]", number, "falling, then flat")
    above("matched", "comparisons in which a translation is nearest to its own truth", t.matched)
    for name, how in pictures.AHEAD.items():
        scored(name, f"how much nearer to the truth than what was given, {how}", "above 0, rising")
    above("varied", "difference of two translations beside that of real images", t.varied, number)
    changed = t.changed if "l1" in values else t.changed_unpaired
    above("changed", "difference from what was given beside that of real images", changed, number)
    add("psnr", "PSNR of held-out images and their reconstructions, in dB", number, "rising, then flat")
    above("usage", "codes that say the images that were looked at", t.codes_used)
    add("perplexity", "codes that would say as much, if all were used equally", number, "rising, then flat")
    add("pixel_accuracy", "pixels of held-out images that are called by their class", percent, "rising")
    add("pixel_accuracy_train", "the same of training images", percent, "not far above")
    add("energy_distance", trend.NAMES["energy_distance"], number, "falling")
    scored("nll", "what a held-out sample costs, in nats")
    scored("nll_train", "the same of training samples", "not far below")
    below("nll_gap", "how much less they cost, in standard deviations", t.nll_gap, number)
    add("accuracy", "held-out samples that are called by their class", percent, "rising")
    add("accuracy_train", "the same of training samples", percent, "not far above")
    fine = "above 50 %" if context.translates else f"{percent(t.d_fooled)} to {percent(t.d_wins)}"
    add("retrieval", "held-out images whose caption is among the nearest tenth", percent, "above 10 %, rising")
    add("retrieval_train", "the same of training images", percent, "not far above")
    add("auc", "pairs that D orders rightly", percent, fine)
    apart = values.get("auc", 1.0) + t.d_gap
    add("auc_train", "the same with training data", percent, f"at most {percent(t.d_gap)} more",
        lambda value: value <= apart)  # fmt: skip
    add("diversity", "different samples, beside those among as many real ones", _variety,
        f"above {percent(t.low_diversity)}, near 100 %",
        lambda value: value >= t.low_diversity)  # fmt: skip
    if "coverage" in values and (real := values.get("coverage_self")):
        low = t.collapse_coverage if context.kind == "points" else t.low_coverage
        share = values["coverage"] / real
        found.append(Row("coverage", "data that the samples cover, beside real data", percent(min(1.0, share)),
                         f"above {percent(low)}, rising", share < low))  # fmt: skip
    add("precision", "samples that lie among the data", percent, "rising")
    below("duplicates", "samples with a near-double", max(t.duplicates, t.duplicates_times * _real(values)))
    below("copies", "copies of training data among the samples", t.copies)
    add("contrast", "contrast beside the data's", number, f"{number(t.contrast_low)} to {number(t.contrast_high)}",
        lambda value: t.contrast_low <= value <= t.contrast_high)  # fmt: skip
    below("saturated", "more pixels at the limit than in the data", t.saturated)
    below("constant", "samples of one flat value", t.constant)
    above("class_diversity", "variety of the poorest class beside the middle one", t.class_diversity)
    below("checkerboard", "finest pattern beside the data's", t.checkerboard, number)
    if max(end or 0.0 for end in ends(context.settings.get("augment"))) > 0:  # nothing leaks where nothing is augmented
        below("leak", "more samples with traces of augmentation", t.leak)
    add("modes", "modes that are found", number, "rising")
    add("high_quality", "samples near a mode", percent, "rising")
    if context.coded:
        return [Row(row.name, of_coded(row.what), row.now, row.fine, row.outside) for row in found]
    if not context.solo:
        return found
    return [Row(row.name, without_g(row.what), row.now, row.fine, row.outside) for row in found]


def _real(values: Mapping[str, float]) -> float:
    return values.get("duplicates_real", 0.0)


def _variety(value: float) -> str:
    """An effective number of samples over that of the data: many times as much is no percentage that says anything.

    >>> _variety(0.41), _variety(25.93)
    ('41 %', '26 times: scattered')
    """
    return percent(value) if value < 2 else f"{times(value)}: scattered"
