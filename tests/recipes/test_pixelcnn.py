"""The game of one player with an exact likelihood, and a run of it from the data to samples and a number."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.contract.check_game import check_game
from tests.train.arena import TinyImages, match_of
from torch import Tensor

import sparring
from sparring import api, cli
from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.recipes.pixelcnn import PixelCNN, PixelCNNByClass, PixelCNNConfig
from sparring.runs.recipe import load
from sparring.train.game import Now, seeded
from sparring.types import Batch, HasLikelihood, Samples, SamplesByClass, Space

SMALL: dict[str, Any] = {"width": 4, "blocks": 1, "mixtures": 2, "batch": 8}
NOW = Now(0, images=100, horizon=400, round=4, turn=0, samples=range(8))


class Binary(TinyImages):
    """The same stripes, black and white."""

    def take(self, start: int, count: int) -> Batch:
        batch = super().take(start, count)
        return Batch((batch.x > 127).to(torch.uint8) * 255, batch.label)


def game_of(shape: tuple[int, ...] = (1, 2, 2), classes: int = 0, **settings: Any) -> PixelCNN:
    config = PixelCNNConfig(**(SMALL | {"outcome": "binary"} | settings))
    game = seeded(0, lambda: PixelCNN.build(config, Space(shape, classes))).double()
    for number, parameter in enumerate(game.parameters()):
        parameter.data.add_(0.3 * Dice(1, f"weight {number}", range(1)).normal(*parameter.shape)[0].double())
    assert isinstance(game, PixelCNN)
    return game.requires_grad_(False)


def every(channels: int = 1) -> Tensor:
    """All binary 2×2 images."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4 * channels))).double().view(-1, channels, 2, 2)


# ── the game ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("space", "settings", "stream"),
    [
        (Space((3, 8, 8), 5), {}, TinyImages(8)),
        (Space((3, 8, 8)), {"kernel": 5}, TinyImages(8)),
        (Space((3, 8, 8), 5), {"outcome": "binary", "conditioning": "none"}, Binary(8)),
    ],
    ids=["levels by class", "levels", "binary"],
)
def test_it_is_a_game(space: Space, settings: dict[str, Any], stream: TinyImages) -> None:
    cls = PixelCNNByClass if space.classes and settings.get("conditioning") != "none" else PixelCNN
    check_game(cls, space, stream, **(SMALL | settings))


def test_it_is_told_classes_where_the_data_have_them() -> None:
    assert type(game_of(classes=3)) is PixelCNNByClass
    for plain in (game_of(), game_of(classes=3, conditioning="none")):
        assert type(plain) is PixelCNN
        assert isinstance(plain, Samples) and isinstance(plain, HasLikelihood) and not isinstance(plain, SamplesByClass)
    assert load("pixelcnn").game is PixelCNNByClass
    assert list(match_of("pixelcnn").tensors()) == ["M", "M-ema", "optimiser"]


@pytest.mark.parametrize(("channels", "classes"), [(1, 0), (2, 0), (1, 3)])
def test_probabilities_of_all_2_by_2_images_sum_to_one(channels: int, classes: int) -> None:
    """Of the whole game, in float64: of p(x | y) for each y, and of p(x), their mean."""
    game, x, dice = game_of((channels, 2, 2), classes), every(channels), Dice(0, "", range(16**channels))
    assert game.exact and game.outcome == "binary"
    p = game.log_likelihood(x, dice).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-12)
    if classes:
        by_class = []
        for y in range(classes):
            terms = game.losses("M", Batch(x, torch.full((16,), y)), {}, NOW)
            by_class.append((-terms["nats"]).exp())
            assert float(by_class[-1].sum()) == pytest.approx(1.0, abs=1e-12)
        torch.testing.assert_close(torch.stack(by_class).mean(0), p, rtol=1e-12, atol=0)


def test_it_pays_bits_per_value_and_says_nats() -> None:
    game = game_of((3, 4, 4), outcome="levels")
    x = (Dice(0, "x", range(5)).integers(256, 3, 4, 4).double() / 127.5) - 1
    terms = game.losses("M", Batch(x), {}, NOW)
    assert list(game.weights("M", terms, NOW)) == ["loss"] and terms["nats"].shape == (5,)
    torch.testing.assert_close(terms["loss"] * 48 * math.log(2), terms["nats"])
    torch.testing.assert_close(game.log_likelihood(x, Dice(0, "", range(5))), -terms["nats"])
    assert 6 < float(terms["loss"].mean()) < 20  # noise has 8 bits; narrower laws pay more


def test_samples_have_the_probabilities_that_the_game_says() -> None:
    """Shares of 4,000 samples; a temperature near 0 draws the likeliest value of each pixel."""
    game, x, n = game_of(classes=3), every(), 4000
    made = game.sample(Dice(0, "sample", range(n)))
    shares = (made[:, None] == x[None]).flatten(2).all(2).double().mean(0)
    p = game.log_likelihood(x, Dice(0, "", range(16))).exp()
    assert float((shares - p).abs().max()) < 4 * 0.5 / n**0.5
    assert isinstance(game, PixelCNNByClass)
    cold = game.sample(Dice(0, "sample", range(30)), truncation=1e-3, label=torch.ones(30, dtype=torch.int64))
    assert len(cold.flatten(1).unique(dim=0)) == 1


def test_samples_are_levels_and_do_not_depend_on_the_batch() -> None:
    game = game_of((3, 5, 4), outcome="levels").float()
    many = game.sample(Dice(0, "sample", range(9)))
    levels = (many.double() + 1) * 127.5
    assert float((levels - levels.round()).abs().max()) < 1e-4 and levels.min() >= -1e-4 and levels.max() <= 255.0001
    assert torch.equal(game.sample(Dice(0, "sample", range(4, 6))), many[4:6])


def test_greys_are_refused_where_values_are_black_or_white() -> None:
    game = game_of((1, 4, 4))
    first = Now(0, images=0, horizon=400, round=0, turn=0, samples=range(2))
    with pytest.raises(UsageError, match=r"(?s)PIXELCNN-BINARY.*--binarise"):
        game.losses("M", Batch(torch.zeros(2, 1, 4, 4).double()), {}, first)
    game.losses("M", Batch(torch.ones(2, 1, 4, 4).double()), {}, first)


def test_large_images_and_points_are_refused() -> None:
    for shape, fix in (((3, 129, 128), "--size 32"), ((2,), "gan-points")):
        with pytest.raises(UsageError, match=rf"(?s)PIXELCNN-SIZE.*{fix}"):
            PixelCNN.build(PixelCNNConfig(), Space(shape))


# ── a run of it ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 grey 8×8 images of stripes that lie across or stand, a folder for each kind."""
    root, random = tmp_path_factory.mktemp("data") / "stripes", np.random.default_rng(0)
    for name in ("across", "standing"):
        (root / name).mkdir(parents=True)
        for k in range(30):
            lines = np.where(np.arange(8) // 2 % 2 == int(random.integers(2)), 255, 0).astype(np.uint8)
            picture = np.tile(lines, (8, 1))
            Image.fromarray(picture if name == "standing" else picture.T).save(root / name / f"{k}.png")
    return root


def test_from_files_to_samples_of_a_class_and_a_likelihood(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It learns two kinds of stripes nearly surely: what is drawn of a class has its stripes, and a held-out image
    costs little more than the bit that says which of the two phases it has."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    settings = {"width": 8, "blocks": 1, "batch": 16, "lr": "2e-2 -> 1e-3 cosine"}
    lines = api.plan(stripes, recipe="pixelcnn", size=8, set=settings, budget="160", out=tmp_path / "run", device="cpu",
                     labels="folders", binarise="threshold").lines()  # fmt: skip
    assert any("outcome=binary" in line for line in lines)  # as suits these data
    assert any(line.startswith("pictures") and "pixel after pixel" in line for line in lines)
    run = sparring.train(
        stripes, recipe="pixelcnn", size=8, set=settings, budget="1600", out=tmp_path / "run", device="cpu", threads=1,
        labels="folders", binarise="threshold",
    )  # fmt: skip
    assert run.classes == ("across", "standing")
    across = run.sample(8, label="across")
    assert set(across.flatten().tolist()) == {0.0, 1.0}
    assert float((across == across[:, :, :, :1]).float().mean()) > 0.95  # rows of one colour
    found = api.evaluate(tmp_path / "run", metrics="nll")
    print(found)
    capsys.readouterr()
    assert cli.main(["sample", str(tmp_path / "run"), "-n", "4", "--grid"]) == 0
    assert cli.main(["evaluate", str(tmp_path / "run"), "--metrics", "nll"]) == 0
    assert "nats" in capsys.readouterr().out
