"""What does not go together with the data, or goes and is perhaps not meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparring import api
from sparring.data import Options
from sparring.errors import UsageError
from sparring.runs import compatible
from sparring.runs.recipe import load


@pytest.mark.parametrize("recipe", ["vae", "svae"])
@pytest.mark.parametrize("decoder", ["bernoulli", "logistic"])
def test_points_have_a_density_alone(recipe: str, decoder: str) -> None:
    with pytest.raises(UsageError, match="POINTS-DECODER") as told:
        compatible.check_kind("points", Options(), load(recipe, [f"decoder={decoder}"]), "ring")
    assert told.value.fix == "--set decoder=gaussian"
    compatible.check_kind("points", Options(), load(recipe), "ring")
    compatible.check_kind("images", Options(), load(recipe, [f"decoder={decoder}"]), "photos")


@pytest.mark.parametrize(
    ("recipe", "setting", "binarise", "word"),
    [
        ("pixelcnn", "outcome=levels", "static", "outcome=binary is of these images"),
        ("pixelcnn", "outcome=binary", "static", ""), ("pixelcnn", "outcome=levels", "none", ""),
        ("vae", "decoder=gaussian", "dynamic", "decoder=bernoulli is of these images"),
        ("svae", "decoder=logistic", "threshold", "a law of 256 levels"),
        ("vae", "decoder=bernoulli", "static", ""), ("vae", "decoder=gaussian", "none", ""),
        ("vae", "decoder=bernoulli", "none", "gives no likelihood"), ("dcgan", "batch=8", "static", ""),
    ],
)  # fmt: skip
def test_a_law_of_other_values_than_the_data_have_is_told(recipe: str, setting: str, binarise: str, word: str) -> None:
    said = compatible.unlikely(load(recipe, [setting]), binarise)
    assert bool(said) == bool(word) and word in "".join(said)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Pictures that are a little smaller than 32 pixels."""
    rng = np.random.default_rng(0)
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("recipe", "settings", "side"),
    [
        ("vae-mnist", {"hidden": [4], "z": 2}, 28), ("svae-mnist", {"hidden": [4], "sphere": 2}, 28),
        ("pixelcnn-mnist", {"width": 4, "blocks": 1, "batch": 2}, 28), ("vae", {"width": 4, "z": 2}, 28),
        ("dcgan", {"width": 4, "z": 2}, 32),
    ],
)  # fmt: skip
def test_what_takes_any_size_enlarges_nothing(recipe: str, settings: dict[str, Any], side: int, digits: Path) -> None:
    binarise = "static" if recipe.endswith("mnist") else "none"
    plan = api.plan(digits, recipe=recipe, set={"batch": 4} | settings, budget="4", device="cpu", binarise=binarise)
    assert plan.dataset.shape == (1, side, side) and bool(plan.dataset.report.conversions.get("enlarged")) == (
        side > 28
    )
    assert plan.document()["data"]["size"] == (side, side)
