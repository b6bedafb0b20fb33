"""CycleGAN: what each player pays, in the paper's formulas; what D is shown; what cannot be played."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages, match_of
from torch import Tensor, nn

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.recipes.cyclegan import CycleGAN, CycleGANConfig
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, Space

SPACE = Space(SHAPE, condition=SHAPE, paired=False)
SMALL: dict[str, Any] = {"width": 4, "d_width": 4, "blocks": 1, "d_layers": 1, "pool": 8}


class Grey(TinyImages):
    """What is given has one channel."""

    def take(self, start: int, count: int) -> Batch:
        batch = super().take(start, count)
        assert batch.condition is not None
        return Batch(batch.x, condition=batch.condition[:, :1])


def game_of(space: Space = SPACE, **settings: Any) -> CycleGAN:
    config = CycleGANConfig(**(SMALL | settings))
    return seeded(0, lambda: CycleGAN.build(config, space))  # type: ignore[no-any-return]


def batch_of(n: int = 4) -> Batch:
    return TinyImages().take(0, n).map(lambda t: t.float() / 127.5 - 1 if t.dtype == torch.uint8 else t)


def now_of(n: int = 4, **changes: Any) -> Now:
    return Now(**({"seed": 0, "images": 0, "horizon": 100, "round": 0, "turn": 0, "samples": range(n)} | changes))


def paid(game: CycleGAN, player: str, batch: Batch, now: Now) -> Tensor:
    terms = game.losses(player, batch, game.shared(batch, now), now)
    return torch.stack([w * terms[name].mean() for name, w in game.weights(player, terms, now).items()]).sum()


@pytest.mark.parametrize(
    ("settings", "stream"),
    [
        ({"play": "G:1,D_A:1,D_B:1", "ema_images": 50}, TinyImages()),
        ({"generator": "unet", "norm": "affine", "depth": 2, "dropout": 0.3, "gamma": 0.1, "identity": 0.0,
          "pool": 20}, Grey()),
        ({"objective": "relativistic", "up": "resize", "pool": 0, "jitter": False, "norm": "affine",
          "memory_format": "channels_last"}, TinyImages()),
    ],
)  # fmt: skip
def test_it_is_a_game(settings: dict[str, Any], stream: TinyImages) -> None:
    batch = stream.take(0, 1)
    assert batch.condition is not None
    space = Space(SHAPE, condition=tuple(batch.condition.shape[1:]), paired=False)
    check_game(CycleGAN, space, stream, **(SMALL | settings))


def test_the_players_pay_what_the_paper_says() -> None:
    """Zhu et al. 2017, eq. 3 with λ = 10, least squares with labels 0 and 1, identity at λ/2, D halved."""
    game, batch, now = game_of(jitter=False), batch_of(), now_of(4)
    a, b = batch.condition, batch.x
    assert a is not None
    G, F = game.G["AtoB"], game.G["BtoA"]
    fake_b, fake_a = G(a), F(b)
    cycle = (F(fake_b) - a).abs().mean() + (G(fake_a) - b).abs().mean()
    same = (G(b) - b).abs().mean() + (F(a) - a).abs().mean()
    adversarial = (game.D_B(fake_b) - 1).square().mean() + (game.D_A(fake_a) - 1).square().mean()
    torch.testing.assert_close(paid(game, "G", batch, now), adversarial + 10 * cycle + 5 * same)
    for D, real, fake, player in ((game.D_A, a, fake_a, "D_A"), (game.D_B, b, fake_b, "D_B")):
        halved = 0.5 * ((D(real) - 1).square().mean() + D(fake).square().mean())
        torch.testing.assert_close(paid(game, player, batch, now), halved)


class Same(nn.Module):
    def forward(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        return x


def test_nothing_is_lost_by_generators_that_change_nothing() -> None:
    game, batch, now = game_of(), batch_of(), now_of(4)
    game.G["AtoB"] = game.G["BtoA"] = Same()
    terms = game.losses("G", batch, game.shared(batch, now), now)
    for name in ("cycle_A", "cycle_B", "same_A", "same_B"):
        assert float(terms[name].abs().max()) == 0, name


def test_the_cycle_is_told_in_the_units_of_images() -> None:
    """Black that comes back white is an error of 1."""
    game, now = game_of(jitter=False), now_of(2)
    game.G["AtoB"], game.G["BtoA"] = Same(), Inverts()
    white = torch.ones(2, *SHAPE)
    terms = game.losses("G", Batch(white, condition=white), game.shared(Batch(white, condition=white), now), now)
    assert float(terms["cycle_A"].mean()) == float(terms["cycle_B"].mean()) == 1
    assert float(terms["same_A"].mean()) == 1 and float(terms["same_B"].mean()) == 0


class Inverts(nn.Module):
    def forward(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        return -x


def test_d_is_shown_the_past_and_writes_once_a_round() -> None:
    """Once the pool is full, D_B pays for what the pool gives; each pool is written when its own D has moved."""
    match = match_of("cyclegan", pool=8, jitter=False)
    game = match.game
    assert isinstance(game, CycleGAN)
    match.step()
    assert int(game._pool("A").moves) == int(game._pool("B").moves) == 1
    hand = match._deal(0)
    list(hand.pieces("G", 0))
    (piece,) = hand.pieces("D_B", 2)
    kept = game._pool("B").images.clone()
    shown = game._pool("B").shown(piece.shared["fake_B"], *game._drawn("B", piece.now), 8)
    past = [row for row in shown if any(torch.equal(row, old) for old in kept)]
    assert 0 < len(past) < 8
    s = 2 * game.D_B(shown) - 1
    torch.testing.assert_close(game.losses("D_B", piece.batch, piece.shared, piece.now)["fake"], 0.5 * (s + 1).square())
    game.after("D_B", piece.batch, piece.shared, piece.now)
    assert int((game._pool("B").images != kept).flatten(1).any(1).sum()) == len(past)
    assert int(game._pool("A").moves) == 1
    game.after("G", piece.batch, piece.shared, piece.now)
    assert int(game._pool("B").moves) == 2


@pytest.mark.parametrize("play", ["simultaneous", "D_A:1,D_B:1,G:1", "gated(D_B<0.9)", "extragradient"])
def test_plays(play: str) -> None:
    match = match_of("cyclegan", play=play)
    for _ in range(2):
        means = match.step()
    assert {name.split("/")[0] for name in means} - {"skill"} >= {"G", "D_A"}


def test_moving_before_the_others_is_moving_with_them() -> None:
    """D does not enter what it is shown: with SGD, D first and all at once move D alike; G then meets another D."""
    moved = []
    for play in ("simultaneous", "D_A:1,D_B:1,G:1"):
        match = match_of("cyclegan", play=play, optimiser="sgd", jitter=False, pool=0)
        match.step()
        moved.append(match.tensors())
    for player in ("D_A", "D_B"):
        for name, tensor in moved[0][player].items():
            torch.testing.assert_close(tensor, moved[1][player][name], rtol=1e-4, atol=1e-7)
    assert any(not torch.equal(t, moved[1]["G"][name]) for name, t in moved[0]["G"].items())


def test_translating_there_and_back() -> None:
    """Any size; side A has one channel and side B three; each image alone as among others."""
    game = game_of(Space(SHAPE, condition=(1, 16, 16), paired=False), identity=0.0).eval()
    assert game.stride == 4
    a = torch.rand(3, 1, 13, 18) * 2 - 1
    there = game.translate(a, None)
    assert there.shape == (3, 3, 13, 18) and game.translate_back(there, None).shape == a.shape
    torch.testing.assert_close(game.translate(a[1:2], None), there[1:2], rtol=1e-4, atol=1e-5)
    real, fake = game.logits(Batch(batch_of(2).x, condition=torch.zeros(2, 1, 16, 16)), Dice(0, "skill", range(2)))
    assert real.shape == fake.shape == (2, 1, 6, 6)


def test_one_way_alone_translates_and_cannot_be_trained() -> None:
    game = game_of(ways="AtoB").eval()
    assert game.translate(torch.zeros(1, *SHAPE), None).shape == (1, *SHAPE)
    with pytest.raises(UsageError, match="CYCLEGAN-WAY.*BtoA"):
        game.translate_back(torch.zeros(1, *SHAPE), None)
    match = Match(game, TinyImages(), Engine(torch.device("cpu")), game.config, seed=0, horizon=8)
    with pytest.raises(UsageError, match="CYCLEGAN-WAY"):
        match.step()


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(UsageError, match=r"CYCLEGAN-IDENTITY.*1 channels and B 3"):
        game_of(Space(SHAPE, condition=(1, 16, 16), paired=False))
    with pytest.raises(UsageError, match="CYCLEGAN-SIDES"):
        game_of(Space(SHAPE))
    with pytest.raises(UsageError, match="CYCLEGAN-SIZE"):
        game_of(Space(SHAPE, condition=(3, 8, 8)))
    for wrong in ({"pool": 7, "batch": 8}, {"play": "either-or"}, {"play": "gated(D_A<0.8)"}, {"lr_ratio": 2.0}):
        with pytest.raises(ValueError):
            CycleGANConfig(**wrong)  # type: ignore[arg-type]


def test_blocks_as_in_the_paper() -> None:
    for side, blocks in ((128, 6), (256, 9)):
        shape = (3, side, side)
        game = CycleGAN.build(CycleGANConfig(width=1, d_width=1, pool=0), Space(shape, condition=shape))
        assert len(game.G["AtoB"].blocks) == len(game.G["BtoA"].blocks) == blocks  # type: ignore[arg-type]
