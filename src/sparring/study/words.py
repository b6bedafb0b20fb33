"""What a study found, for people."""

from __future__ import annotations

from typing import Any

from sparring.study.plan import headed


def lines(record: dict[str, Any]) -> list[str]:
    """The record of `analyse.result` as text: the table, what it means, who was not counted."""
    study, raters, answers = record["study"], record["raters"], record["answers"]
    said = [headed(study["title"], study["question"])]
    said.append(
        f"{_many(raters['counted'], 'rater')}, {_many(answers['counted'], 'answer')}"
        + (f"; pictures seen for {study['seconds']:g} s" if study["seconds"] else "")
    )
    said += ["", *_table(record), ""]
    for one in record["differences"]:
        said.append(_difference(one))
    said += [""] * bool(record["differences"])
    said += _reliability(record["reliability"])
    if record["milliseconds"]:
        time = record["milliseconds"]
        said.append(f"time         {time['median']:,.0f} ms in the middle, half between {time['low']:,.0f} and "
                    f"{time['high']:,.0f}")  # fmt: skip
    said += _left_out(record)
    return said + [f"! {warning}" for warning in record["warnings"]]


def _table(record: dict[str, Any]) -> list[str]:
    protocol = record["study"]["protocol"]
    what = "preferred" if protocol == "preference" else "fooled"
    head = ["", "raters", "answers", f"{what}, 95 % over raters", "d′", "50 % by raters", "binomial"]
    rows = [head]
    for one in record["conditions"]:
        found, d, half = one[what], one.get("d_prime"), one["against_half"]
        label, counts = f"{one['condition']}  {one['name']}", [f"{one['raters']}", f"{one['answers']:,}"]
        if not one["raters"]:
            rows.append([label, *counts, "no answers", "", "", ""])
            continue
        between = f" [{100 * found['low']:.1f}, {100 * found['high']:.1f}]" if found["low"] is not None else ""
        tests = [p_value(half["raters"]), p_value(half["answers"])]
        rows.append([label, *counts, one["row"] + between, _interval(d) if d else "", *tests])
    shown = [k for k in range(len(head)) if k != 4 or protocol != "preference"]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    return [
        "  ".join(row[k].rjust(widths[k]) if k in (1, 2) else row[k].ljust(widths[k]) for k in shown).rstrip()
        for row in rows
    ]


def _interval(found: dict[str, Any]) -> str:
    ends = f" [{found['low']:.2f}, {found['high']:.2f}]" if found["low"] is not None else ""
    return _minus(f"{found['value']:.2f}{ends}")


def _two(number: float) -> str:
    return _minus(f"{round(number, 2) + 0.0:.2f}")


def _minus(numbers: str) -> str:
    return numbers.replace("-", "−")


def _difference(one: dict[str, Any]) -> str:
    a, b = (f"{letter} {name}" for letter, name in zip((one["a"], one["b"]), one["names"]))
    if one["value"] is None:
        of = "one of them" if one["test"].startswith("Welch") else "both"
        return f"{a} against {b}: nothing to compare yet, there is no rater who counts for {of}"
    if one["low"] is None:
        return (
            f"{a} against {b}: nothing to compare yet, {_many(one['raters'], 'rater')} of whom answers count: too few"
        )
    clear = "" if one["low"] <= 0 <= one["high"] else f"; {a if one['value'] > 0 else b} fools more"
    ends = _minus(f"{100 * one['value']:+.1f} % [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]")
    return (
        f"{a} − {b}: {ends}, "
        f"{p_value(one['p_holm'])} ({one['test']}{'; corrected by Holm' if one['p_holm'] != one['p'] else ''}){clear}"
    )


def _reliability(found: dict[str, Any]) -> list[str]:
    if found["alpha"] is None:
        return []
    said = f"agreement    Krippendorff's alpha {_two(found['alpha'])}"
    if found["split_half"] is not None:
        said += f"; two halves of the raters agree about pictures at {_two(found['split_half'])}"
    return [said]


def _left_out(record: dict[str, Any]) -> list[str]:
    """What the rules took out, by rule."""
    excluded, answers = record["raters"]["excluded"], record["answers"]
    said = [f"left out     rater {one['rater']}: {one['why']}" for one in excluded[:10]]
    said += [f"             and {len(excluded) - 10} more raters"] if len(excluded) > 10 else []
    for name, words in (("too_fast", "too fast"), ("too_late", "to pictures that were seen too long or twice")):
        if answers[name]:
            said.append(f"left out     {_many(answers[name], 'answer')} {words}")
    return said


def p_value(p: float) -> str:
    """
    >>> p_value(0.0321), p_value(0.00002)
    ('p = 0.032', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
