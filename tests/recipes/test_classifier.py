"""Laws of the game of one player, and a run of it from the data to a judge."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.contract.check_game import check_game
from tests.train.arena import ALONE, TinyImages, match_of
from torch import Tensor

import sparring
from sparring import api
from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.losses.auxiliary import class_cross_entropy
from sparring.metrics import extractors, features
from sparring.recipes.classifier import Classifier, ClassifierConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, Classifies, Sampled, Samples, Space

NOW = Now(0, images=100, horizon=400, round=4, turn=0, samples=range(8))
SMALL = {"width": 4, "batch": 16, "augment": 0.0, "memory_format": "contiguous"}


def game_of(classes: int = 5, **settings: object) -> Classifier:
    game = seeded(0, lambda: Classifier.build(ClassifierConfig(**(SMALL | settings)), Space((3, 16, 16), classes)))
    assert isinstance(game, Classifier)
    return game


# ── the game ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [{}, {"augment": 1.0, "smoothing": 0.1}, {"memory_format": "channels_last"}])
def test_it_is_a_game(settings: dict[str, object]) -> None:
    check_game(Classifier, Space((3, 16, 16), 5), TinyImages(), coupled=True, width=4, **settings)


def test_it_is_one_player_that_makes_nothing() -> None:
    game = game_of()
    assert list(game.players) == ["C"] == list(game.averaged)
    assert isinstance(game, Classifies) and not isinstance(game, Samples)
    assert list(match_of("classifier").tensors()) == ["C", "C-ema", "optimiser"]


def test_it_pays_cross_entropy() -> None:
    """At equal logits log K; its gradient with respect to them is softmax − one-hot."""
    logits, label = torch.zeros(4, 7, dtype=torch.float64, requires_grad=True), torch.tensor([0, 3, 6, 3])
    paid = class_cross_entropy(logits, label)
    torch.testing.assert_close(paid, torch.full((4,), math.log(7), dtype=torch.float64))
    (slope,) = torch.autograd.grad(paid.sum(), logits)
    torch.testing.assert_close(slope, 1 / 7 - torch.nn.functional.one_hot(label, 7).double())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_has_its_optimum_at_smoothed_labels(smoothing: float) -> None:
    """The least value is the entropy of (1 − α) e_y + α/K, at logits that are its logarithm."""
    k, label = 5, torch.tensor([2])
    target = torch.full((1, k), smoothing / k, dtype=torch.float64)
    target[0, 2] += 1 - smoothing
    best = class_cross_entropy(target.clamp_min(1e-30).log(), label, smoothing)
    entropy = -(target * target.clamp_min(1e-300).log()).sum()
    assert float(best) == pytest.approx(float(entropy), abs=1e-9)
    chance = torch.Generator().manual_seed(0)
    for _ in range(20):
        other = torch.randn(1, k, generator=chance, dtype=torch.float64)
        assert float(class_cross_entropy(other, label, smoothing)) >= float(entropy)


def test_terms_are_of_each_image() -> None:
    """What is paid is the cross entropy of the logits; right says whether the largest is at the label."""
    game, batch = game_of().eval(), TinyImages().take(0, 8)
    x = batch.x.float() / 127.5 - 1
    terms = game.losses("C", Batch(x, label=batch.label), {}, NOW)
    logits = game.classify(x)
    assert batch.label is not None
    torch.testing.assert_close(terms["loss"], torch.nn.functional.cross_entropy(logits, batch.label, reduction="none"))
    assert terms["right"].tolist() == (logits.argmax(1) == batch.label).float().tolist()
    assert game.weights("C", terms, NOW) == {"loss": 1.0}  # right is only observed


def test_images_are_moved_and_their_frame_goes_on() -> None:
    """A square on black, or on any colour, is moved whole: what comes in is of the colour of the frame."""
    game = game_of(augment=1.0)
    x = torch.full((64, 3, 16, 16), -1.0)
    x[32:] = 0.25
    x[:, :, 6:10, 6:10] = 1.0
    now = Now(0, images=0, horizon=400, round=0, turn=0, samples=range(64))
    moved = game.view(x, now)
    assert not torch.equal(moved, x)
    for before, after in zip(x, moved, strict=True):
        assert sorted(before.flatten().tolist()) == pytest.approx(sorted(after.flatten().tolist()), abs=1e-6)
    assert torch.equal(game_of(augment=0.0).view(x, now), x)


def test_labels_are_needed_and_images_of_some_size(tmp_path: Path) -> None:
    assert Classifier.needs == {"label"}
    for space in (Space((3, 16, 16)), Space((3, 16, 16), 1), Space((3, 8, 8), 5), Space((2,), 5)):
        with pytest.raises(UsageError, match="NET-SHAPE|NET-CLASSES"):
            Classifier.build(ClassifierConfig(), space)
    with pytest.raises(UsageError, match="POINTS-RECIPE"):
        api.plan("ring", recipe="classifier", budget="64")
    for k in range(12):
        Image.new("RGB", (20, 20), (20 * k, 0, 0)).save(tmp_path / f"{k}.png")
    with pytest.raises(UsageError, match="DATA-UNLABELLED"):
        api.plan(tmp_path, recipe="classifier", budget="64", size=16)


def test_play_names_its_player() -> None:
    with pytest.raises(UsageError, match="PLAY-PLAYER"):
        match_of("classifier", play="D:1,G:1")
    assert load("classifier").config.play == "C:1"
    assert "classifier" in ALONE


# ── what it learns ────────────────────────────────────────────────────────────────────────────────────────────────


class Bars:
    """Images of noise with a bright bar at one of four places: the class."""

    fingerprint = "bars"

    def __len__(self) -> int:
        return 4096

    def take(self, start: int, count: int) -> Batch:
        noise = Dice(3, "bars", range(start, start + count)).uniform(1, 16, 16)
        label = torch.arange(start, start + count) * 7 % 4
        x = 120 * noise
        for row in range(count):
            x[row, 0, 4 * int(label[row]) : 4 * int(label[row]) + 4] += 60
        return Batch(x.to(torch.uint8), label=label)

    def news(self) -> tuple[()]:
        return ()


def accuracy(game: Classifier, x: Tensor, label: Tensor) -> float:
    with torch.no_grad():
        return float((game.eval().classify(x.float() / 127.5 - 1).argmax(1) == label).float().mean())


def test_it_learns_and_its_average_too() -> None:
    config = ClassifierConfig(width=4, batch=16, memory_format="contiguous", ema_images=300)
    game = seeded(0, lambda: Classifier.build(config, Space((1, 16, 16), 4)))
    match = Match(game, Bars(), Engine(torch.device("cpu")), config, seed=0, horizon=1920)
    apart = Bars().take(100_000, 200)
    assert apart.label is not None and accuracy(game, apart.x, apart.label) < 0.5
    game.train()
    for _ in range(120):
        means = match.step()
    assert float(means["C/right"]) > 0.9 and float(means["C/loss"]) < 0.7
    with match.averages.applied():
        assert accuracy(game, apart.x, apart.label) > 0.95


# ── a run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


RUN: dict[str, Any] = {
    "recipe": "classifier", "size": 28, "set": {"width": 4, "batch": 16}, "budget": "1280", "device": "cpu",
    "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    out = tmp_path_factory.mktemp("runs") / "clothes"
    return sparring.train("fashion", out=out, **RUN)


def test_a_run_ends_with_a_judge_and_no_pictures(run: sparring.Run) -> None:
    game = run.game
    assert isinstance(game, Classifies) and run.images == 1280 and not list(run.directory.samples.glob("*"))
    judge = extractors.ClassifierFeatures(game, tuple(run.document["data"]["shape"]), run.classes, of=str(run.path))
    clothes = api.plan("fashion", recipe="classifier", size=28, budget="64", set={"width": 4}).dataset
    x = torch.from_numpy(clothes.held_out.copy()).permute(0, 3, 1, 2)
    found = judge.probabilities(x).argmax(1)
    share = float((found == torch.from_numpy(clothes.held_out_labels.copy())).float().mean())
    assert 0.3 < share < 0.95  # it has seen 1,280 images
    assert features.embed(judge, x).shape == (len(x), 16)


def test_its_log_says_how_often_it_is_right(run: sparring.Run) -> None:
    records = [json.loads(line) for line in run.directory.log.read_text("utf-8").splitlines()]
    turns = [record["values"] for record in records if record["event"] == "turn"]
    assert turns and all({"C/loss", "C/right", "C/gradient"} <= set(values) for values in turns)
    assert turns[-1]["C/right"] > turns[0]["C/right"]


def test_it_cannot_be_asked_for_samples(run: sparring.Run) -> None:
    with pytest.raises(UsageError, match="SAMPLE-CANNOT"):
        run.sample(4)
    with pytest.raises(UsageError):
        run.interpolate(4)


def test_its_page_is_written(run: sparring.Run) -> None:
    page = api.report(run.path).read_text("utf-8")
    assert "classifier" in page and "sparring sample" not in page and "<img" not in page


def test_it_is_resumed(run: sparring.Run, tmp_path: Path) -> None:
    """Stopped half way and resumed: the same weights as of a run that was not."""
    out = tmp_path / "again"
    events = api.steps("fashion", out=out, **RUN)
    for event in events:
        assert not isinstance(event, Sampled)
        if event.images >= 640:
            events.stop()
    for event in api.resume_steps(out):
        assert not isinstance(event, Sampled)
    again = sparring.load(out, device="cpu")
    assert again.images == 1280
    for name, tensor in run.game.state_dict().items():
        assert torch.equal(tensor, again.game.state_dict()[name]), name
