"""What an observer sees of models that say how likely data are."""

from __future__ import annotations

import pytest
import torch

from sparring.chance import Dice
from sparring.data import Options, open_data, stream_of
from sparring.metrics.extractors import PixelFeatures
from sparring.runs import plan as plans
from sparring.runs.observe import Observer
from sparring.runs.recipe import load
from sparring.train.engine import choose_device
from sparring.train.match import Match

SETTINGS = ["network=mlp", "hidden=[8]", "z=2", "batch=16"]


def looked(binarise: str, *changes: str) -> tuple[Match, Observer]:
    """A VAE of small emoji that has just begun, and what looks at it."""
    dataset = open_data("emoji", Options(size=(8, 8), channels=1, binarise=binarise, held_out=0.1))
    recipe = load("vae", [*SETTINGS, *changes])
    game = plans.build(recipe, plans.space_of(dataset), 0)
    engine = plans.make_engine(recipe, choose_device("cpu"))
    match = Match(game, stream_of(dataset, 0, False), engine, recipe.config, seed=0, horizon=100)
    return match, Observer(dataset, samples=32, judge=PixelFeatures())


@pytest.mark.parametrize("binarise", ["threshold", "dynamic"])
def test_beside_black_and_white_data_samples_are_black_and_white(binarise):
    """Drawn from the greys that a decoder of black and white shows: in the mean those, and the same at every look."""
    match, observer = looked(binarise, "decoder=bernoulli")
    made = observer.look(match).fake.images
    assert set(made.unique().tolist()) == {0, 255}
    assert torch.equal(made, observer.look(match).fake.images)
    grey = match.game.sample(Dice(0, "sample", range(32))).detach()
    assert len(grey.unique()) > 2
    assert float(made.float().mean() / 127.5 - 1) == pytest.approx(float(grey.mean()), abs=0.1)


def test_greys_stay_greys():
    for binarise, decoder in (("none", "bernoulli"), ("none", "gaussian"), ("threshold", "gaussian")):
        match, observer = looked(binarise, f"decoder={decoder}")
        assert len(observer.look(match).fake.images.unique()) > 2, (binarise, decoder)


def test_the_gap_is_in_standard_deviations_of_held_out_samples():
    match, observer = looked("none")
    found = observer.look(match).besides
    assert {"nll", "nll_se", "nll_train", "nll_train_se", "nll_gap"} <= set(found)
    spread = (found["nll"] - found["nll_train"]) / found["nll_gap"]
    assert 16 <= (spread / found["nll_se"]) ** 2 <= 256.5  # as many samples were looked at
