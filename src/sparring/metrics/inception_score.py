"""The inception score (Salimans et al. 2016, "Improved techniques for training GANs", section 4).

IS = exp(E KL(p(y|x) ‖ p(y))) of a classifier's probabilities: from 1 (all samples look alike to it, or it is never
sure) to K (sure of every sample, and all K classes equally often). It never sees the data. Where the classifier's
classes are not what the data shows it measures nothing (Barratt & Sharma 2018, "A note on the inception score"), so
whether they fit must be said by whoever asks: `refusal`.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.figure import Figure
from sparring.metrics.uncertainty import Measured, influence_error


def score(probabilities: Tensor, splits: int = 1) -> Measured:
    """The score of probabilities (n, K), rows that sum to 1; in [1, K].

    splits: the mean over so many consecutive parts, as papers print it with 10 parts of 5,000; of few samples each part
    is too small to show all classes, so the default is one part. The interval is from the influence of every sample on
    the logarithm, KL(p(y|x) ‖ p(y)); the bias of few samples (too low) is not in it.

    >>> score(torch.eye(10).repeat(5, 1)).value, score(torch.full((50, 10), 0.1)).value
    (10.0..., 1.0)
    """
    if probabilities.dim() != 2 or not 1 <= splits <= len(probabilities) // 2:
        raise SparringError(
            "METRIC-SHAPE", f"no inception score of probabilities {tuple(probabilities.shape)} in {splits} parts"
        )
    p = probabilities.detach().double()
    if float(p.min()) < 0 or float((p.sum(1) - 1).abs().max()) > 1e-3:
        raise SparringError("METRIC-PROBABILITIES", "rows must be probabilities", fix="apply softmax to logits first")
    value = sum(math.exp(float(_divergences(part).mean())) for part in torch.tensor_split(p, splits)) / splits
    error = influence_error(_divergences(p))
    low, high = max(1.0, value * math.exp(-1.96 * error)), min(float(p.shape[1]), value * math.exp(1.96 * error))
    return Measured(value, min(low, value), max(high, value), "infinitesimal jackknife")


def refusal(judge: Collection[str], data: Collection[str], sets: str = "the data") -> str:
    """Why there is no inception score; empty where it can be measured.

    judge: names of the classes that the classifier knows.   data: names of the classes that the data shows, as its
    labels, its card or a person says; none where the data has no classes.   sets: what to call the data.

    >>> refusal(["tench", "goldfish"], [], "cat faces")
    'cat faces has no classes: a higher score would not mean better samples; read kid, precision and recall instead'
    >>> refusal(["0", "1", "2"], ["0", "1"])
    ''
    """
    instead = "read kid, precision and recall instead"
    if not data:
        return f"{sets} has no classes: a higher score would not mean better samples; {instead}"
    known = {name.casefold().strip() for name in judge}
    unknown = [name for name in data if name.casefold().strip() not in known]
    if unknown:
        few = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
        return f"the classifier does not know {len(unknown)} of {len(data)} classes of {sets} ({few}); {instead}"
    if len(data) < 2:
        return f"{sets} has one class only: the score would fall as samples get better; {instead}"
    return ""


def figure(
    probabilities: Tensor,
    judge: Collection[str],
    data: Collection[str],
    features: str = "",
    splits: int = 1,
    sets: str = "the data",
) -> Figure:
    """The score of probabilities (n, K) as a figure, or the refusal."""
    n, k = probabilities.shape
    reason = refusal(judge, data, sets)
    if reason:
        return Figure("inception_score", None, better="higher", n_fake=n, features=features, refused=reason)
    few = f"{n} samples of {k} classes: too low by a bias; compare at equal n" if n < 20 * k * splits else ""
    return Figure.of("inception_score", score(probabilities, splits), "higher", 0, n, features, few)


def _divergences(p: Tensor) -> Tensor:
    """KL(pᵢ ‖ p̄) of every row, (n,), in nats; 0 log 0 = 0."""
    mean = p.mean(0)
    return (torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(1)
