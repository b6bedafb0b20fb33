"""Verdicts about a game of one player that makes samples and says how likely data are: nobody judges it but its data.

What the other rules say of variety, range and memory holds of it too; what they say of D does not, and how a collapse
looks is another matter: such a game shows means of what is possible, which are alike and of little contrast, from its
first image on and in the best of health.
"""

from __future__ import annotations

import math

from sparring.health import advice, collapse
from sparring.health.duel import off_scale
from sparring.health.history import History, Streak
from sparring.health.verdict import Verdict
from sparring.health.words import count, number, percent, plus_minus

_MEANS = "What is made of each latent comes from the mean of all that it may stand for: blurred, and alike"
"""Why samples of a VAE are as they are."""


def overfits(h: History) -> Verdict | None:
    """Held-out data have become less likely than they were, while training data have not; or they are far less likely
    than training data, beyond chance, which one look can tell."""
    turned, apart = _turned(h), h.streak(lambda index: _apart(h, index), 1)
    now, gap = h.now("nll"), h.now("nll_gap")
    if now is None or not (turned.confirmed or apart.confirmed):
        return None
    best, train = _best(h, len(h.probes) - 1), h.now("nll_train") or 0.0
    seen = [f"a held-out sample costs {plus_minus(now, h.now('nll_se'))} nats"]
    if turned.confirmed and best is not None:
        seen[0] += f", and cost {number(best[1])} at image {count(h.probes[best[0]][0])}"
        fine = "healthy: held-out ones cost no more than before"
    else:
        fine = f"healthy: at most {number(h.t.nll_gap)} apart"
    seen.append(f"one it was trained on costs {plus_minus(train, h.now('nll_train_se'))}")
    if gap is not None:
        seen[1] += f", {number(gap)} standard deviations less"
    tips = [f"more {h.context.what}", _stop_earlier(h, best if turned.confirmed else None)]
    tips.append(f"a new run with {advice.smaller(h.context) or advice.slower(h.context)}")
    return Verdict(
        "OVERFITS", "warn", (turned if turned.confirmed else apart).since, "likely",
        f"{'; '.join(seen)} ({fine})",
        f"The model learns its {h.context.images:,} training {h.context.what} by heart: what it knows of them it does "
        "not know of others.",
        ", or ".join(tips),
    )  # fmt: skip


def _stop_earlier(h: History, best: tuple[int, float] | None) -> str:
    """How long a run may be, as far as it is known."""
    if best is not None and h.probes[best[0]][0] > 0:
        return f"stopping earlier (`--budget {h.probes[best[0]][0]}`)"
    return f"stopping earlier (`--budget {max(1, h.images // 2)}`)" if h.images else "stopping earlier"


def _apart(h: History, index: int) -> bool | None:
    """Whether held-out samples cost clearly more than training ones, beyond chance, at a probe."""
    now, train, gap = h.at(index, "nll"), h.at(index, "nll_train"), h.at(index, "nll_gap")
    if now is None or train is None or gap is None:
        return None
    error = math.hypot(h.at(index, "nll_se") or 0.0, h.at(index, "nll_train_se") or 0.0)
    return gap > h.t.nll_gap and now - train > h.t.noise * error


def _turned(h: History) -> Streak:
    """For how many probes in a row held-out samples have cost more than once before, and than training ones."""

    def shows(index: int) -> bool | None:
        now, best, train = h.at(index, "nll"), _best(h, index), h.at(index, "nll_train")
        if now is None or train is None:
            return None
        error = math.hypot(h.at(index, "nll_se") or 0.0, h.at(best[0], "nll_se") or 0.0) if best else 0.0
        return best is not None and now - best[1] > h.t.noise * error and now - train > h.t.noise * error

    return h.streak(shows, h.t.probes)


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
    """Far less variety than the data have, little of the data covered, or many near-doubles."""
    streak = h.streak(lambda index: _poor(h, index), h.t.probes)
    if not streak.confirmed:
        return None
    return Verdict(
        "LOW-DIVERSITY", "note", streak.since, "possible",
        collapse.variety(h, len(h.probes) - 1, h.t.low_diversity),
        f"{_MEANS}. More time and larger networks sharpen it." if "beta" in h.context.settings
        else "Some kinds of samples are missing or too alike: the model is young, or too small.",
        f"{advice.more_time(h.context)}, or a new run with {advice.larger(h.context)}",
    )  # fmt: skip


def _poor(h: History, index: int) -> bool | None:
    """Whether samples are too alike, or cover little of the data late in a run; points that lie everywhere are not."""
    diversity, covered = h.at(index, "diversity"), h.at(index, "coverage")
    signs = [] if diversity is None else [diversity < h.t.low_diversity]
    if (doubles := collapse.doubles(h, index)) is not None:
        signs.append(doubles)
    late = h.context.alone or h.probes[index][0] >= h.t.late * h.context.planned
    whole = h.at(index, "coverage_self")
    if h.context.kind == "images" and late and covered is not None and whole:
        signs.append(covered < h.t.low_coverage * whole and not h.rising("coverage", index))
    return any(signs) if signs else None


def output_range(h: History) -> Verdict | None:
    """Contrast, saturation or flatness far from the data's. What is shown of each latent begins as the mean of all data
    in the best of health, and says little of the steps."""

    def shows(index: int) -> bool | None:
        if all(h.at(index, name) is None for name in ("contrast", "saturated", "constant")):
            return None
        return bool(off_scale(h, index)) or (h.at(index, "constant") or 0.0) > h.t.constant

    streak, last = h.streak(shows, h.t.probes), len(h.probes) - 1
    if not streak.confirmed:
        return None
    flat = h.now("constant") or 0.0
    return Verdict(
        "OUTPUT-RANGE", "note", streak.since, "possible", off_scale(h, last)
        or f"{percent(flat)} of the samples are one flat value (healthy: below {percent(h.t.constant)})",
        f"{_MEANS}." if "beta" in h.context.settings
        else "The model is young, or its steps are too large.",
        f"{advice.more_time(h.context)}, or a new run with {advice.larger(h.context)}",
    )  # fmt: skip
