"""Verdicts about a game of one player that makes samples and says how likely data are: nobody judges it but its data.

What the other rules say of variety, range and memory holds of it too; what they say of D does not, and how a collapse
looks is another matter: such a game shows means of what is possible, which are alike and of little contrast, from its
first image on and in the best of health.
"""

from __future__ import annotations

import math

from sparring.health import advice
from sparring.health.history import History
from sparring.health.verdict import Verdict
from sparring.health.words import count, number, percent


def overfits(h: History) -> Verdict | None:
    """Held-out data have become less likely than they were, while training data have not."""

    def shows(index: int) -> bool | None:
        now, best, train = h.at(index, "nll"), _best(h, index), h.at(index, "nll_train")
        if now is None or train is None:
            return None
        error = math.hypot(h.at(index, "nll_se") or 0.0, h.at(best[0], "nll_se") or 0.0) if best else 0.0
        return best is not None and now - best[1] > h.t.noise * error and now - train > h.t.noise * error

    streak = h.streak(shows, h.t.probes)
    now, found = h.now("nll"), _best(h, len(h.probes) - 1) if h.probes else None
    if not streak.confirmed or now is None or found is None:
        return None
    return Verdict(
        "OVERFITS", "warn", streak.since, "likely",
        f"a held-out sample costs {number(now)} nats, and cost {number(found[1])} at image "
        f"{count(h.probes[found[0]][0])}; one it was trained on costs {number(h.now('nll_train') or 0.0)} (healthy: "
        "held-out ones cost no more than before)",
        f"The model learns its {h.context.images:,} training {h.context.what} by heart.",
        f"more {h.context.what}, or a new run with {advice.smaller(h.context) or advice.slower(h.context)}",
    )  # fmt: skip


def _best(h: History, index: int) -> tuple[int, float] | None:
    """(index, value) of the lowest cost of held-out data at an earlier probe."""
    before = [(k, value) for k in range(index) if (value := h.at(k, "nll")) is not None]
    return min(before, key=lambda pair: pair[1], default=None)


def code_unused(h: History) -> Verdict | None:
    """The posterior is the prior: latents say nothing of the samples."""
    rows = h.heard("M/kl")
    late = rows[-round(h.t.penalty_turns) :]
    if not late or late[0][0] < h.warm or len(rows) <= len(late) or any(value > h.t.code_unused for _, value in late):
        return None
    return Verdict(
        "CODE-UNUSED", "warn", late[0][0], "likely",
        f"the latents of a sample hold {number(late[-1][1])} nats of it (healthy: above {number(h.t.code_unused)})",
        "The encoder has given up saying anything, and the decoder makes the same of every latent: posterior collapse.",
        f"a new run with {advice.say_more(h.context)}",
    )  # fmt: skip


def low_variety(h: History) -> Verdict | None:
    """Far less variety than the data have."""
    streak = h.shown("diversity", lambda value: value < h.t.low_diversity, h.t.probes)
    value = h.now("diversity")
    if not streak.confirmed or value is None:
        return None
    return Verdict(
        "LOW-DIVERSITY", "note", streak.since, "possible",
        f"the samples have {percent(value)} of the variety of the data (healthy: above {percent(h.t.low_diversity)})",
        "What is shown of each latent is the mean of all that it may stand for: blurred, and alike. More time and "
        "larger networks sharpen it.",
        f"{advice.more_time(h.context)}, or a new run with {advice.larger(h.context)}",
    )  # fmt: skip
