"""What people read of retrieval."""

from __future__ import annotations

from typing import Any

_WORDS = {"": "made of the text", "_real": "the real picture", "_shuffled": "made of another"}


def lines(record: dict[str, Any]) -> list[str]:
    """The record of `retrieval.evaluate` as a table, a line each."""
    found, metrics = record["retrieval"], record["metrics"]
    said = [
        f"run     {record['fake']['what']}, {record['fake']['images']:,} images seen",
        f"texts   {found['texts']:,} held-out captions, {found['each']} samples of each",
        f"scorer  {found['scorer']}", "",
        f"{'':18}{'found':>7}  {'95 % interval':<18}{'cosine':>7}  95 % interval",
    ]  # fmt: skip
    for ending, words in _WORDS.items():
        share, cosine = metrics[f"retrieval{ending}"], metrics[f"similarity{ending}"]
        said.append(f"{words:<18}{_percent(share['value']):>7}  {_between(share, _percent):<18}"
                    f"{cosine['value']:>7.3f}  {_between(cosine, '{:.3f}'.format)}")  # fmt: skip
    said.append(f"{'by chance':<18}{_percent(found['chance']):>7}")
    said += ["", f"found: the own caption is among the {found['nearest']} nearest of {found['candidates']}"]
    best = sorted(found["by_text"].items(), key=lambda pair: -pair[1])
    said.append(f"best: {', '.join(text for text, _ in best[:5])}; worst: {', '.join(text for text, _ in best[-5:])}")
    return [*said, *(f"! {text}" for text in record["warnings"])]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _between(figure: dict[str, Any], form: Any) -> str:
    return " to ".join(form(end) for end in figure["interval"])
