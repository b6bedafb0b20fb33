"""What an evaluation means, in the doctor's words: the rules of `health` applied to the one look that it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from sparring.health.pairs import FEWEST
from sparring.health.rules import Context, Verdict, judge
from sparring.health.signals import Signals, divergence
from sparring.losses.adversarial import OBJECTIVES
from sparring.metrics.figure import Figure
from sparring.runs.coding import of_codes
from sparring.runs.evaluate.measures import Scene, predicted
from sparring.runs.evaluate.pairs import CodedScene, Translated
from sparring.runs.evaluate.sides import Drawn, Rows
from sparring.runs.evaluate.translations import kind_of
from sparring.runs.evaluate.translations import signals as of_translations
from sparring.runs.observe import solo
from sparring.types import HasTokens

JUDGES = ("efficientnet-lite0", "classifier")
"""Judges whose numbers the thresholds are about."""
_LIKE_REAL = 1 - 0.5**5
"""Coverage that two equal laws have at equal n, with k = 5 (Naeem et al. 2020, section 3)."""
_EXPECTED = 8
"""Samples of a class that a fair sampler would make, below which its absence is chance."""


def of(scene: Scene, figures: list[Figure]) -> list[Verdict]:
    """The verdicts, the most serious first; none with a judge that they were not calibrated on."""
    side, other = scene.fake_side, scene.real_side
    if isinstance(side, Translated) and isinstance(other, Rows) and kind_of(other, side):
        if scene.extractor.name not in JUDGES or side.scene.dataset.legend:
            return []
        if side.scene.paired and len(side) < FEWEST:
            return []
        if isinstance(side.scene, CodedScene):
            found = {figure.name: figure.value for figure in figures if figure.value is not None}
            values = coded(found, side.scene.counts())
        else:
            values = of_translations(side, other, scene.fake, scene.real, scene.extractor)
        return judge([(side.images or 0, values)], [], context_of(scene))
    values = {} if isinstance(side, Translated) else signals(scene, figures)
    if scene.extractor.name not in JUDGES or not values:
        return []
    seen = scene.fake_side.images if isinstance(scene.fake_side, Drawn) else None
    verdicts = judge([(seen or 0, values)], [], context_of(scene))
    return verdicts if seen is not None else [_of_files(verdict) for verdict in verdicts]


def coded(found: Signals, counts: Tensor) -> Signals:
    """What the doctor knows of reconstructions: the figures `found`, and how often each code says the images, (K,)."""
    return {name: found[name] for name in ("kid", "psnr") if name in found} | of_codes(counts)


def _of_files(verdict: Verdict) -> Verdict:
    """Without what is true of a run only: files are not trained any more, and nothing is known of what made them."""
    return replace(verdict, means="" if verdict.level == "fine" else verdict.means, advice="")


def signals(scene: Scene, figures: list[Figure]) -> Signals:
    """The figures by the names that rules know them by, and how the classes lie, where the judge names any.

    share_kl: KL of the classes seen in fakes against those seen in reals, in nats, beyond what chance gives.
    share_least: the least over classes of the share of fakes over the share of reals.
    There is no average to doubt: what holds of the samples holds of the players, raw or averaged.
    """
    found = {figure.name: figure.value for figure in figures if figure.value is not None}
    values: Signals = {}
    if "vendi_ratio" in found:
        values["diversity"] = values["diversity_raw"] = found["vendi_ratio"]
    if "coverage" in found:
        values["coverage"] = values["coverage_raw"] = found["coverage"]
        values["coverage_self"] = _LIKE_REAL
    if "precision" in found:
        values["precision"] = found["precision"]
    if scene.copies is not None:
        values["copies"] = max(0.0, scene.copies.excess)
    fake, real = predicted(scene.fake), predicted(scene.real)
    if fake is not None and real is not None:
        values["share_kl"] = divergence(fake, real)
        p, q = fake / fake.sum(), real / real.sum()
        known = q * fake.sum() >= _EXPECTED
        if known.any():
            values["share_least"] = float(np.min(p[known] / q[known]))
    return values


def context_of(scene: Scene) -> Context:
    """What is known of where the samples come from: all of a run, nothing of files."""
    side = scene.fake_side
    if not isinstance(side, Drawn | Translated):
        return Context(alone=True, ended=True)
    document = side.run.document
    config, data = document["config"], document["data"]
    objective = str(config.get("objective", ""))
    return Context(
        recipe=str(document["recipe"]), objective=objective, settings=config,
        relative=objective in OBJECTIVES and OBJECTIVES[objective].relative,
        classes=len(data.get("classes") or ()), planned=int(document["run"]["images"]), run=str(side.run.path),
        data=str(data["source"]), alone=True, ended=True, translates=isinstance(side, Translated),
        solo=solo(type(side.run.game)), coded=isinstance(side.run.game, HasTokens),
    )  # fmt: skip
