"""What a picture of samples costs, where samples are drawn step by step."""

from __future__ import annotations

import time

import torch

from sparring.chance import Dice
from sparring.data import Dataset
from sparring.generate.sample import rows_of, shown
from sparring.train.engine import Engine
from sparring.train.game import Game
from sparring.types import HasLikelihood, Samples

PICTURES = 13
"""Pictures of samples that a run draws (`train.loop.Pace`)."""
_FEW = 4


def seconds_of_picture(game: Game, dataset: Dataset, engine: Engine) -> float:
    """Seconds, at most, that drawing the samples of one picture takes on this machine; 0 of games that make a sample in
    one pass. Measured on a few, which take more than their share."""
    if not (isinstance(game, Samples) and isinstance(game, HasLikelihood) and game.exact):
        return 0.0
    engine.settle(game)
    game.eval()
    with torch.no_grad():
        game.sample(Dice(0, "sample", range(1), (), engine.device))  # warm
        each = {}
        for count in (1, 1 + _FEW):
            began = time.perf_counter()
            game.sample(Dice(0, "sample", range(count), (), engine.device))
            each[count] = time.perf_counter() - began
    rising = max(0.0, (each[1 + _FEW] - each[1]) / _FEW)
    seconds = each[1] + rising * shown(rows_of(game, len(dataset.classes)))
    return float(engine.mean(torch.tensor(seconds, device=engine.device)))
