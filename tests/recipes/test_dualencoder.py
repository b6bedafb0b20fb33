"""Laws of the dual encoder, and what it learns of captions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import TinyImages, match_of

from sparring import api
from sparring.chance import Dice
from sparring.data import open_data
from sparring.errors import UsageError
from sparring.networks.dual_encoder import SHARPEST, DualEncoder
from sparring.recipes.dualencoder import DualEncoderGame, DualEncoderGameConfig
from sparring.runs.observe import Observer
from sparring.runs.watch import score
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, MatchesText, Samples, Space

NOW = Now(0, images=100, horizon=400, round=4, turn=0, samples=range(8))


def game_of(**settings: Any) -> DualEncoderGame:
    config = DualEncoderGameConfig(**({"reader": "words", "width": 4, "d": 8} | settings))
    game = seeded(0, lambda: DualEncoderGame.build(config, Space((3, 16, 16), captions=True)))
    assert isinstance(game, DualEncoderGame)
    return game


@pytest.mark.parametrize("settings", [{}, {"augment": 0.0, "noise": 0.0, "memory_format": "contiguous"}])
def test_it_is_a_game(settings: dict[str, Any]) -> None:
    space = Space((3, 16, 16), captions=True)
    check_game(DualEncoderGame, space, TinyImages(), coupled=True, reader="words", width=4, d=4, **settings)


def test_it_is_one_player_that_makes_nothing_and_saves_no_reader() -> None:
    game = game_of()
    assert list(game.players) == ["E"] and isinstance(game, MatchesText) and not isinstance(game, Samples)
    assert list(match_of("dualencoder").tensors()) == ["E", "E-ema", "optimiser"]


def test_what_it_pays_is_the_mean_of_both_directions() -> None:
    game, batch = game_of(augment=0.0, noise=0.0).eval(), TinyImages().take(0, 8)
    assert batch.text is not None
    x = batch.x.float() / 127.5 - 1
    terms = game.losses("E", Batch(x, text=batch.text), {}, NOW)
    logits = game.E(x, game.read(batch.text))
    torch.testing.assert_close(logits, game.E.factor * game.embed_images(x) @ game.embed_texts(batch.text).t())
    right = torch.arange(8)
    entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(terms["text"], entropy(logits, right, reduction="none"))
    torch.testing.assert_close(terms["loss"], (terms["text"] + entropy(logits.t(), right, reduction="none")) / 2)
    assert game.weights("E", terms, NOW) == {"loss": 1.0}  # the others are only observed
    assert terms["right"].tolist() == (logits.argmax(1) == right).float().tolist()


def test_the_temperature_is_bounded() -> None:
    net = DualEncoder((3, 16, 16), read=4, d=4, width=4)
    assert float(net.factor.detach()) == pytest.approx(1 / 0.07)
    for raw, factor in ((99.0, SHARPEST), (-99.0, 1.0), (1.0, math.e)):
        net.sharpness.data.fill_(raw)
        assert float(net.factor.detach()) == pytest.approx(factor)
        assert float(net(torch.zeros(2, 3, 16, 16), torch.randn(3, 4)).detach().abs().max()) <= factor + 1e-3


def test_views_are_drawn_anew_and_are_of_the_same_frame() -> None:
    game, x = game_of(), torch.full((64, 3, 16, 16), 0.25)
    now = Now(0, images=0, horizon=400, round=0, turn=0, samples=range(64))
    plain = game_of(noise=0.0)
    torch.testing.assert_close(plain.view(x, now), x)  # of one colour there is nothing to move
    noisy = game.view(x, now) - x
    assert 0 < float(noisy.std()) < 0.3 and torch.equal(game.view(x, now), game.view(x, now))
    assert torch.equal(game_of(augment=0.0, noise=0.0).view(x, now), x)


class Bars:
    """Noise with a bar at one of four places, of one of two colours; the caption says both."""

    fingerprint = "bars"
    words = tuple(f"a {colour} bar {place}" for place in ("top", "high", "low", "bottom") for colour in ("red", "blue"))

    def __len__(self) -> int:
        return 4096

    def take(self, start: int, count: int) -> Batch:
        x = 120 * Dice(3, "bars", range(start, start + count)).uniform(3, 16, 16)
        kind = [number * 7 % 8 for number in range(start, start + count)]
        for row, which in enumerate(kind):
            place = which // 2
            x[row, 0 if which % 2 == 0 else 2, 4 * place : 4 * place + 4] += 120
        return Batch(x.to(torch.uint8), text=tuple(self.words[which] for which in kind))

    def news(self) -> tuple[()]:
        return ()


def test_it_learns_which_text_belongs_to_which_image() -> None:
    game = game_of(batch=32, augment=0.0, flip=False, noise=0.1, lr=5e-3)
    match = Match(game, Bars(), Engine(torch.device("cpu")), game.config, seed=0, horizon=1600)
    for _ in range(50):
        match.step()
    batch = Bars().take(4000, 40)
    assert batch.text is not None
    with torch.no_grad():
        game.eval()
        similar = game.embed_images(batch.x.float() / 127.5 - 1) @ game.embed_texts(Bars.words).t()
    right = [Bars.words[k] == text for k, text in zip(similar.argmax(1).tolist(), batch.text, strict=True)]
    assert sum(right) / len(right) > 0.9


def test_while_it_trains_it_is_asked_for_captions() -> None:
    """Of held-out and of training images; without a judge, and without moving anything."""
    data = open_data("emoji", size=(16, 16), channels=3, held_out=0.02)
    match = match_of("dualencoder")
    found = Observer(data, samples=64).signals(match)
    assert set(found) == {"retrieval", "retrieval_train"} and all(0 <= share <= 1 for share in found.values())
    assert score(found) == (1 - found["retrieval"], "captions not found")


def test_captions_are_needed() -> None:
    with pytest.raises(UsageError, match="DATA-UNCAPTIONED|caption"):
        api.plan("fashion", recipe="dualencoder", budget="64", size=16, set={"reader": "words"})
    with pytest.raises(UsageError, match="POINTS-RECIPE"):
        api.plan("ring", recipe="dualencoder", budget="64")
