"""From answers to what they say: who is counted by the rules of the study, and what those who are were fooled by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.study import statistics
from sparring.study.plan import Study

FORMAT = "study-result 1"
Rows = Sequence[dict[str, Any]]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counted:
    """What is left when the rules were applied.

    rows: scored answers that count.   raters: who counts, in order.   excluded: who does not, and by which rule.
    fast, late: scored answers of raters who count that do not.   answered: raters with an answer to a scored trial.
    """

    rows: list[dict[str, Any]]
    raters: list[int]
    excluded: dict[int, str]
    fast: int
    late: int
    answered: int


def counted(study: Study, rows: Rows) -> Counted:
    """Apply the rules that the study states. An answer that is too fast or too late is taken out, never guessed."""
    by_rater: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] != "practice":
            by_rater[row["rater"]].append(row)
    kept: list[dict[str, Any]] = []
    excluded: dict[int, str] = {}
    fast = late = 0
    for rater, mine in sorted(by_rater.items()):
        why = _why_not(study, mine)
        if why:
            excluded[rater] = why
            continue
        for row in (row for row in mine if row["kind"] == "scored"):
            hasty, slow = _too_fast(study, row), _too_late(study, row)
            fast, late = fast + hasty, late + (slow and not hasty)
            kept += [] if hasty or slow else [row]
    raters = sorted({row["rater"] for row in kept})
    excluded |= {r: "none of the answers counts" for r in by_rater if r not in raters and r not in excluded}
    return Counted(kept, raters, excluded, fast, late, len(by_rater))


def _why_not(study: Study, rows: Rows) -> str:
    """By which rule a rater is not counted; "" for one who is."""
    rules = study.rules
    scored = sum(row["kind"] == "scored" for row in rows)
    wrong = sum(row["kind"] == "catch" and row["answer"] != row["truth"] for row in rows)
    fast = sum(_too_fast(study, row) for row in rows)
    if scored < rules.least * study.scored:
        return f"answered {scored} of {study.scored} scored trials"
    if wrong > rules.catch_wrong:
        return f"{wrong} of {study.catch} catch trials wrong"
    if fast > rules.fast_share * len(rows):
        return f"{fast} of {len(rows)} answers too fast"
    return ""


def _too_fast(study: Study, row: dict[str, Any]) -> bool:
    return bool(row["milliseconds"] < study.rules.fast_ms)


def _too_late(study: Study, row: dict[str, Any]) -> bool:
    """Its pictures were to be seen for longer than the study says: too long at once, or more than once."""
    if not study.seconds:
        return False
    seen = row.get("seen")
    longer = seen is not None and seen > 1000 * study.seconds + study.rules.late_ms
    return bool(longer or row.get("looks", 0) > 1)


# ── the result ────────────────────────────────────────────────────────────────────────────────────────────────────


def result(study: Study, rows: Rows) -> dict[str, Any]:
    """What the answers say, in plain values: ``sparring study result --json``.

    rows: as of `Store.rows`. By condition: "fooled" (of a preference "preferred"), d_prime, tests; between conditions:
    differences; over all: reliability, times, who was excluded and why.
    """
    kept = counted(study, rows)
    by_condition = {name: [row for row in kept.rows if row["condition"] == name] for name in study.conditions}
    reals = [row for row in kept.rows if row["left_of"] == "real" and row["right_of"] is None]
    conditions = [_condition(study, name, mine, reals) for name, mine in by_condition.items()]
    return {
        "format": FORMAT,
        "study": study.model_dump(mode="json", exclude={"pictures"}) | {"question": study.question},
        "rules": study.rules.lines(),
        "raters": {
            "answered": kept.answered,
            "counted": len(kept.raters),
            "excluded": [{"rater": rater, "why": why} for rater, why in sorted(kept.excluded.items())],
        },
        "answers": {"counted": len(kept.rows), "too_fast": kept.fast, "too_late": kept.late},
        "conditions": conditions,
        "differences": _differences(study, by_condition) if study.protocol != "preference" else [],
        "reliability": _reliability(study, by_condition),
        "milliseconds": _times(kept.rows),
        "warnings": _warnings(study, kept),
    }


def yes(study: Study, row: dict[str, Any]) -> int:
    """Whether a rater was fooled: took the made picture for the real one. Of a preference: chose the first model."""
    if study.protocol == "preference":
        return int((row["answer"] == "left") == (row["left_of"] == row["condition"][0]))
    return int(row["answer"] != row["truth"])


def _by_rater(study: Study, rows: Rows) -> dict[int, tuple[int, int]]:
    """(yes, of how many) of each rater."""
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[row["rater"]].append(yes(study, row))
    return {rater: (sum(said), len(said)) for rater, said in sorted(found.items())}


def _condition(study: Study, name: str, rows: Rows, reals: Rows) -> dict[str, Any]:
    said = _by_rater(study, rows)
    k, n = sum(a for a, _ in said.values()), sum(b for _, b in said.values())
    shares = np.array([a / b for a, b in said.values()], np.float64)
    share = statistics.mean(shares, bounds=(0, 1), answers=n)
    what = "preferred" if study.protocol == "preference" else "fooled"
    made = [study.model(letter).name for letter in name]
    record: dict[str, Any] = {
        "condition": name, "name": " over ".join(made), "raters": len(said), "answers": n, "yes": k,
        what: share.record(), "row": row_of(what, share),
        "against_half": {"answers": statistics.binomial(k, n), "raters": statistics.flipped(shares - 0.5)},
        "milliseconds": _times(rows),
    }  # fmt: skip
    if study.protocol == "paired":
        right = np.array([(b - a, b) for a, b in said.values()], np.float64).reshape(-1, 2)
        record["d_prime"] = statistics.mean(statistics.d_prime_paired(right[:, 0], right[:, 1])).record()
    elif study.protocol == "single":
        record |= _single(study, said, reals)
    return record


def _single(study: Study, made: dict[int, tuple[int, int]], reals: Rows) -> dict[str, Any]:
    """d′ and c of raters who saw real pictures alone and made ones alone."""
    missed = _by_rater(study, reals)  # of a real picture "yes" is a wrong answer too: called fake
    both = [rater for rater in made if rater in missed]
    table = np.array([(missed[r][1] - missed[r][0], missed[r][1], *made[r]) for r in both], np.float64).reshape(-1, 4)
    d, c = statistics.d_prime_single(*table.T)
    real = np.array([b - a for a, b in missed.values()]) / np.array([max(1, b) for _, b in missed.values()])
    called = statistics.mean(real, bounds=(0, 1), answers=sum(b for _, b in missed.values()))
    return {
        "d_prime": statistics.mean(d).record(),
        "criterion": statistics.mean(c).record(),
        "real_called_real": called.record(),
    }


def row_of(what: str, share: statistics.Estimate) -> str:
    """A share as papers print it: ``fooled 18.9 % ± 2.5 %``, half the width of the 95 % interval over raters.

    >>> row_of("fooled", statistics.Estimate(0.189, 0.164, 0.214, 50, ""))
    'fooled 18.9 % ± 2.5 %'
    """
    if share.value is None:
        return f"{what}: no answers"
    return f"{what} {100 * share.value:.1f} %" + (f" ± {100 * share.half:.1f} %" if share.half is not None else "")


# ── between models ────────────────────────────────────────────────────────────────────────────────────────────────


def _differences(study: Study, by_condition: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every two models: by the differences of the raters who saw both, or between those who saw one each."""
    shares = {
        name: {rater: a / b for rater, (a, b) in _by_rater(study, rows).items()} for name, rows in by_condition.items()
    }
    found = [_difference(study, a, b, shares[a], shares[b]) for a, b in combinations(study.conditions, 2)]
    for one, p in zip(found, statistics.holm([one["p"] for one in found])):
        one["p_holm"] = p
    return found


def _difference(study: Study, a: str, b: str, of_a: dict[int, float], of_b: dict[int, float]) -> dict[str, Any]:
    record: dict[str, Any] = {"a": a, "b": b, "names": [study.model(a).name, study.model(b).name]}
    if study.one_each:
        x, y = np.array(list(of_a.values())), np.array(list(of_b.values()))
        low, high, p = statistics.welch(x, y)
        value = float(x.mean() - y.mean()) if len(x) and len(y) else None
        return record | {"value": value, "low": low, "high": high, "p": p, "raters": len(x) + len(y),
                         "test": "Welch's t, different raters"}  # fmt: skip
    both = [of_a[rater] - of_b[rater] for rater in of_a if rater in of_b]
    mean = statistics.mean(both, bounds=(-1, 1))
    value = mean.value if both else None
    return record | {"value": value, "low": mean.low, "high": mean.high, "p": statistics.flipped(both),
                     "raters": len(both), "test": "signs exchanged, the same raters"}  # fmt: skip


# ── agreement, times, warnings ────────────────────────────────────────────────────────────────────────────────────


def _reliability(study: Study, by_condition: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Whether raters are fooled by the same pictures. alpha: Krippendorff's.   split_half: of the pictures' shares."""
    rows = [row for mine in by_condition.values() for row in mine]
    pictures = sorted({(row["condition"], row["item"]) for row in rows})
    raters = sorted({row["rater"] for row in rows})
    table = np.full((len(raters), len(pictures)), np.nan)
    row_at, column_at = ({what: k for k, what in enumerate(all_)} for all_ in (raters, pictures))
    for row in rows:
        table[row_at[row["rater"]], column_at[row["condition"], row["item"]]] = yes(study, row)
    count = (~np.isnan(table)).sum(0)
    return {
        "alpha": statistics.alpha(np.nansum(table, axis=0), count),
        "split_half": statistics.split_half(table),
        "pictures": len(pictures),
        "raters_per_picture": float(count.mean()) if len(pictures) else 0.0,
    }


def _times(rows: Rows) -> dict[str, float] | None:
    """Median and quartiles of response times, in milliseconds."""
    if not rows:
        return None
    low, middle, high = np.quantile([row["milliseconds"] for row in rows], [0.25, 0.5, 0.75])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def _warnings(study: Study, kept: Counted) -> list[str]:
    found = []
    raters = min(sum(1 for _ in group) for group in _groups(study, kept)) if kept.rows else 0
    if not kept.rows:
        found.append("there are no answers yet that count")
    elif raters < statistics.SURE:
        found.append(f"{raters} raters: intervals hold what they promise from {statistics.SURE} raters on")
    if len(kept.excluded) > max(1, kept.answered) / 5:
        found.append(f"{_left_out(kept)}: look at the instructions")
    if study.catch < 4:
        found.append("with fewer than 4 catch trials, who presses any key is hardly found")
    return found


def _left_out(kept: Counted) -> str:
    """Raters who stopped within practice are none that could count."""
    if kept.answered == 1:
        return "the only rater who got past practice is not counted"
    are = "is" if len(kept.excluded) == 1 else "are"
    return f"{len(kept.excluded)} of {kept.answered} raters who got past practice {are} not counted"


def _groups(study: Study, kept: Counted) -> Iterable[set[int]]:
    """The raters of each condition."""
    return ({row["rater"] for row in kept.rows if row["condition"] == name} for name in study.conditions)
