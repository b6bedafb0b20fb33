"""What looking at a run costs on this machine: measured on a small piece of each part, before the run begins."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from sparring.data import Dataset
from sparring.health.baseline import Baseline
from sparring.health.look import Look, Sight
from sparring.health.pixels import Pixels
from sparring.health.signals import signals
from sparring.runs.observe import Observer, judge_of, makes
from sparring.runs.probes import SIZES, Cost
from sparring.train.match import Match

_FEW = 32  # samples of the piece by which the cost is measured


def cost_of(match: Match, dataset: Dataset, rate: float, besides: Callable[[Match], object] | None = None) -> Cost:
    """What probing this game costs on this machine, from one small piece of each part: a second or two on a CPU.

    match: will have been played for some rounds.   besides: what is measured at every probe, whatever its size.
    rate: images per second of training. On a CPU everything is timed by the time of the process, training too, which
    does not count waiting on a machine that is busy with other things; the rate says how much slower the clock is.
    """
    alone = match.engine.device.type == "cpu"

    def seconds(act: Callable[[], object]) -> float:
        clock = time.process_time if alone else time.perf_counter
        began = clock()
        act()
        return clock() - began

    count = max(1, min(_FEW, len(dataset.train)))
    eyes = Observer(dataset, samples=_FEW, held_out=_FEW, judge=judge_of(match.game, dataset))
    compared = makes(match.game, dataset)
    with eyes._on(match.engine.device):
        fixed = seconds(lambda: eyes._sight(np.arange(count)))  # the judge is loaded
        real = seconds(lambda: eyes._trained)
        thumbnail = seconds(lambda: eyes._thumbnails(np.arange(count)))
    _ = eyes.baseline if compared else None  # so that it is no part of the look
    seen: list[Look] = []
    match.step()
    fake = seconds(lambda: seen.append(eyes.look(match)))
    if seen[0].fake is not None and (images := seen[0].fake.images) is not None:
        fake += seconds(lambda: Pixels.of(images))
    n, width = SIZES[-1], eyes._trained.features.shape[1]
    spots = torch.from_numpy(np.random.Generator(np.random.Philox(0)).standard_normal((3 * n, width))).float()
    made, real_, train = (Sight(part) for part in spots.split(n))
    algebra = seconds(lambda: signals(Look(made, made), Baseline.of(real_, train, n))) if compared else 0.0
    each = seconds(lambda: besides(match)) if besides is not None else 0.0
    slower = _slower(match, rate) if alone else 1.0
    parts = (max(0.0, fixed - real), real / count, fake / max(1, eyes.samples), thumbnail / count, algebra, each)
    return Cost(*(slower * part for part in parts))


def _slower(match: Match, rate: float) -> float:
    """Seconds of the clock in which training gets one second of the processors: 1 on one thread of an idle machine."""
    began, before, rounds = time.process_time(), match.images, 0
    while rounds < 4 or (match.engine.size == 1 and time.process_time() - began < 0.3):  # together, equally many
        match.step()
        rounds += 1
    return (match.images - before) / max(rate, 1e-9) / max(time.process_time() - began, 1e-9)
