"""What is measured at a probe: numbers with a meaning, each compared with what the data itself would give.

Pure functions of a `Look` and a `Baseline`: the same for images and points, for any order of the samples. Everything is
finite or left out. Which numbers mean trouble is written elsewhere (`health.rules`, `thresholds.yaml`).
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.health.baseline import CLASS, Baseline, covered, inside, repeated
from sparring.health.look import Logits, Look, Sight
from sparring.health.pairs import of_translations
from sparring.health.pixels import Pixels, worst
from sparring.metrics import diversity, neighbours
from sparring.metrics.kernel import kid

Signals = dict[str, float]


def signals(look: Look, baseline: Baseline | None) -> Signals:
    """Every signal that `look` allows, by name; without a `baseline` those of D alone.

    kid, kid_se: KID of averaged samples against held-out ones (Bińkowski et al. 2018), and its standard error. Of
        points it sees the first three moments only: `energy_distance`, measured by the watch, sees all.
    auc, auc_train, d_real, d_fake: see `of_logits`.
    diversity: Vendi(fake) / Vendi(real) at the same n (Friedman & Dieng 2023), kernel width a fixed quantile of real
        distances. 1 for the law of the data, near 0 after a collapse; noise is diverse too.   `diversity_raw`: of the
        players as they are.
    coverage: share of held-out reals with a fake in the ball that reaches to their 5th nearest other real (Naeem et
        al. 2020).   coverage_self: with training reals in place of fakes, 0.97 where both are equally many.
        coverage_raw: of the players as they are (an average that lags covers less than they do).
    precision: share of fakes inside the manifold of held-out reals, k = 3 (Kynkäänniemi et al. 2019).
    duplicates: share of fakes that are nearer to another fake than the 1st percentile of the distances from reals to
        their nearest other real, at equal n.   duplicates_real: of training reals.
    copies: share of fakes that are copies of training data, beyond what reals show (`health.copies.Copies`): nearer to
        a training sample than the 1st percentile of unseen reals, by thumbnails of (nearly) all training images;
        points by their coordinates.
    contrast: standard deviation of pixels, or coordinates, fake / real, of the channel where it is furthest from 1.
    saturated: share of values that are 0 or 255, minus that of reals.   constant: share of images of one colour.
    class_kl: of labelled data, KL of the classes of fakes against those of reals in nats, 0 on average for equal laws;
        class_least: the least over classes of the share of fakes over the share of reals. A sample is of the class of
        the nearest training sample, in the features of the judge.
    class_match: of a game that is asked for classes, the share of fakes that are of the class asked for;
        class_match_real: of held-out samples and their own class.
    class_diversity: the least over classes of a class's diversity ratio, over the median of all.
    checkerboard: energy of fakes near the highest frequencies over that of reals.
    leak: share of fakes with a border or hole as augmentation leaves, minus that of reals (`health.pixels`).
    Of a game that translates, of all these only `kid` and what pixels look like; and l1, pair_distance, matched,
    varied, changed: see `health.pairs`.
    """
    values: Signals = dict(look.besides)
    if look.logits is not None:
        values |= of_logits(look.logits)
    if baseline is not None and look.fake is not None and look.given is not None:
        values |= of_translations(look.fake, baseline.real, look.given)
        values |= of_pixels(look.fake, baseline)
    elif baseline is not None and look.fake is not None:
        values |= of_law(look.fake, look.raw, baseline)
        values |= of_pixels(look.fake, baseline)
        if baseline.reals.labels is not None:
            values |= of_classes(look.fake, baseline)
        if baseline.copies is not None:
            values["copies"] = baseline.copies.found(look.fake.likeness)
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def of_law(fake: Sight, raw: Sight | None, baseline: Baseline) -> Signals:
    """`kid`, `diversity`, `coverage`, `precision`, `duplicates`, and what reals give in their place."""
    real, made = baseline.real.features, fake.features
    distance = kid(made, real)
    values = {
        "kid": distance.value,
        "kid_se": distance.standard_error,
        "diversity": diversity.vendi(made[: baseline.n], baseline.width) / baseline.variety,
        "coverage": covered(real, made, baseline.ball),
        "coverage_self": baseline.coverage_self,
        "precision": inside(made, real, baseline.manifold),
        "duplicates": repeated(made[: baseline.n], baseline.near),
        "duplicates_real": baseline.duplicates_real,
    }
    if raw is not None:
        values["coverage_raw"] = covered(real, raw.features, baseline.ball)
        values["diversity_raw"] = diversity.vendi(raw.features[: baseline.n], baseline.width) / baseline.variety
    return values


def of_pixels(fake: Sight, baseline: Baseline) -> Signals:
    """`contrast`, and of images `saturated`, `constant`, `checkerboard`, `leak`."""
    if fake.images is not None and baseline.pixels is not None:
        return Pixels.of(fake.images).against(baseline.pixels)
    spread = [x.double().std(0, correction=0) for x in (fake.features, baseline.real.features)]
    return {"contrast": worst([float(f / r) for f, r in zip(*spread, strict=True) if r > 0])}


def of_classes(fake: Sight, baseline: Baseline) -> Signals:
    """Which classes fakes belong to, by the label of the nearest training sample; held-out reals are sorted alike.

    `class_least`, `class_kl`; of a game that was asked for classes also `class_match`, `class_match_real`, and
    `class_diversity` where two classes or more have enough samples: each is compared at the n that both sides have.
    """
    train, real = baseline.train, baseline.real
    if train.labels is None or real.labels is None:
        return {}
    made, true = (train.labels[neighbours.nearest(x.features, train.features)[1]] for x in (fake, real))
    every = int(torch.cat([made, true]).max()) + 1
    counts, usual = torch.bincount(made, minlength=every).double(), torch.bincount(true, minlength=every).double()
    p, q = counts / counts.sum(), usual / usual.sum()
    known = q * len(made) >= CLASS  # of a rarer class none at all may be chance
    values = {"class_kl": divergence(counts.numpy(), usual.numpy())}
    if known.any():
        values["class_least"] = float((p / q)[known].min())
    if fake.labels is not None:
        values["class_match"] = float((made == fake.labels).double().mean())
        values["class_match_real"] = float((true == real.labels).double().mean())
        values |= _diversity_by_class(fake, fake.labels, baseline)
    return values


def _diversity_by_class(fake: Sight, labels: Tensor, baseline: Baseline) -> Signals:
    reals = baseline.reals
    assert reals.labels is not None
    ratios = []
    for k in torch.unique(reals.labels).tolist():
        made, true = fake.features[labels == k], reals.features[reals.labels == k]
        n = min(len(made), len(true))
        if n >= CLASS:
            ratios.append(diversity.vendi(made[:n], baseline.width) / diversity.vendi(true[:n], baseline.width))
    return {"class_diversity": min(ratios) / statistics.median(ratios)} if len(ratios) > 1 else {}


def divergence(counts: NDArray[Any], usual: NDArray[Any]) -> float:
    """KL(p ‖ q) in nats of two histograms (K,), half a sample added to every class, less what it is on average for two
    samples of the same law: (K − 1) / 2 · (1/n + 1/m)."""
    n, m = float(counts.sum()), float(usual.sum())
    p, q = (counts + 0.5) / (n + 0.5 * len(counts)), (usual + 0.5) / (m + 0.5 * len(counts))
    return float((p * np.log(p / q)).sum()) - 0.5 * (len(counts) - 1) * (1 / n + 1 / m)


def of_logits(logits: Logits) -> Signals:
    """`auc`: of all pairs of a held-out real and a fake the share in which D gives the real the higher logit, ties ½.

    ½: D cannot tell them apart; 1: always; 0: always the wrong way. It depends on order alone, so it means the same in
    every objective. `auc_train`: of training reals. `d_real`, `d_fake`: mean σ(s) of held-out reals (of training ones
    where none are held out) and of fakes, where s = 0 means something.
    """
    values = {"auc_train": auc(logits.train, logits.fake)}
    if logits.held_out is not None:
        values["auc"] = auc(logits.held_out, logits.fake)
    if logits.zero:
        real = logits.train if logits.held_out is None else logits.held_out
        values["d_real"] = float(torch.sigmoid(real.double()).mean())
        values["d_fake"] = float(torch.sigmoid(logits.fake.double()).mean())
    return values


def auc(higher: Tensor, lower: Tensor) -> float:
    """P(a > b) + ½ P(a = b) for a of (n,) and b of (m,): the area under the ROC curve (Mann and Whitney 1947).

    >>> auc(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))
    0.875
    """
    apart = higher.double()[:, None] - lower.double()[None, :]
    return float((apart > 0).double().mean() + 0.5 * (apart == 0).double().mean())
