"""Pix2Pix: what each player pays, what D is told, and what is the same for both sides of a pair."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES
from sparring.recipes.pix2pix import Pix2Pix, Pix2PixConfig
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, Space

SPACE = Space(SHAPE, 5, condition=SHAPE)
SMALL: dict[str, Any] = {"width": 2, "d_width": 4, "patches": 1}


def game_of(space: Space = SPACE, **settings: Any) -> Pix2Pix:
    config = Pix2PixConfig(**(SMALL | settings))
    return seeded(0, lambda: Pix2Pix.build(config, space))  # type: ignore[no-any-return]


def batch_of(n: int = 4) -> Batch:
    return TinyImages().take(0, n).map(lambda t: t.float() / 127.5 - 1 if t.dtype == torch.uint8 else t)


def now_of(n: int = 4, **changes: Any) -> Now:
    return Now(**({"seed": 0, "images": 0, "horizon": 100, "round": 0, "turn": 0, "samples": range(n)} | changes))


def paid(game: Pix2Pix, player: str, batch: Batch, now: Now) -> dict[str, Tensor]:
    """Term by term, weighed."""
    terms = game.losses(player, batch, game.shared(batch, now), now)
    return {name: weight * terms[name].mean() for name, weight in game.weights(player, terms, now).items()}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"generator": "encoder-decoder", "patches": "full", "conditional": False, "reconstruction": "l2"},
        {"generator": "resnet", "blocks": 1, "patches": 0, "reconstruction": "none"},
        {"objective": "relativistic", "penalty": "r1+r2", "gamma": 1.0, "augment": 0.5, "penalty_every": 2},
        {"generator": "residual-unet", "objective": "hinge"},
        {"adversarial": 0.0, "norm": "none", "dropout": 0.0, "jitter": False, "memory_format": "channels_last"},
    ],
)
def test_it_is_a_game(settings: dict[str, Any]) -> None:
    check_game(Pix2Pix, SPACE, TinyImages(), **(SMALL | settings))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_played_on_patches(name: str) -> None:
    game, batch, now = game_of(objective=name), batch_of(), now_of()
    for player in ("D", "G"):
        cost = paid(game, player, batch, now)
        names = set(cost) - {"l1"}
        assert names and names <= {"real", "fake", "pair"} and ("l1" in cost) == (player == "G")
        assert all(bool(value.isfinite()) for value in cost.values())


def test_the_cost_is_the_papers() -> None:
    """G: −log D(a, G(a)) + 100 |y − G(a)|; D: half of −log D(a, y) − log(1 − D(a, G(a))). Means over patches."""
    game, batch, now = game_of(jitter=False), batch_of(), now_of()
    assert batch.condition is not None
    fake = game.shared(batch, now)["fake"]
    s_real, s_fake = (game.D(torch.cat([batch.condition, y], 1)) for y in (batch.x, fake))
    softplus = torch.nn.functional.softplus
    g, d = paid(game, "G", batch, now), paid(game, "D", batch, now)
    torch.testing.assert_close(g["fake"], softplus(-s_fake).mean())
    torch.testing.assert_close(g["l1"], 100 * (fake - batch.x).abs().mean())
    torch.testing.assert_close(d["real"] + d["fake"], 0.5 * (softplus(-s_real).mean() + softplus(s_fake).mean()))


def test_weights_are_what_was_set() -> None:
    batch, now = batch_of(), now_of()
    one = game_of()
    terms = one.losses("G", batch, one.shared(batch, now), now)
    assert one.weights("G", terms, now) == {"fake": 1.0, "l1": 100.0}
    assert game_of(adversarial=0.5, faithful=7.0).weights("G", terms, now) == {"fake": 0.5, "l1": 7.0}
    assert set(paid(game_of(adversarial=0.0), "G", batch, now)) == {"l1"}
    assert set(paid(game_of(reconstruction="none"), "G", batch, now)) == {"fake"}
    assert set(paid(game_of(reconstruction="l2"), "G", batch, now)) == {"fake", "l2"}
    for two in (1.0, 0.25):
        whole, part = paid(game_of(d_weight=1.0), "D", batch, now), paid(game_of(d_weight=two), "D", batch, now)
        assert all(torch.equal(part[name], two * whole[name]) for name in whole)
    penalised = game_of(penalty="r1+r2", gamma=3.0, penalty_every=4)
    terms = penalised.losses("D", batch, penalised.shared(batch, now), now)
    assert penalised.weights("D", terms, now) == {"real": 0.5, "fake": 0.5, "r1": 6.0, "r2": 6.0}
    assert terms["r1"].shape == (4,) and "r1" not in paid(penalised, "D", batch, now_of(round=1))


@pytest.mark.parametrize("objective", ["nonsaturating", "relativistic"])
def test_only_a_conditional_d_sees_what_was_given(objective: str) -> None:
    batch = batch_of()
    other = Batch(batch.x, condition=batch.condition.flip(0))  # type: ignore[union-attr]
    for conditional in (True, False):
        game = game_of(conditional=conditional, objective=objective)
        real, again = (game.logits(one, Dice(0, "z", range(4)))[0] for one in (batch, other))
        assert torch.equal(real, again) is not conditional


def test_both_sides_of_a_pair_are_jittered_alike_and_both_players_see_the_same() -> None:
    batch = batch_of()
    same = Batch(batch.x, condition=batch.x)
    found = game_of().shared(same, now_of())
    assert torch.equal(found["given"], found["truth"]) and not torch.equal(found["truth"], batch.x)
    assert torch.equal(game_of(jitter=False).shared(same, now_of())["truth"], batch.x)


def test_augmentation_is_the_same_for_all_that_is_compared() -> None:
    """Where a is y and y is G(a), D cannot tell one pair from the other; labels keep their colours."""
    game, x, now = game_of(augment=1.0), batch_of().x, now_of()
    seen: list[Tensor] = []
    game.D.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    game.judge(x, x, now), game.judge(x, x, now)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0][:, :3], seen[0][:, 3:])
    assert not torch.equal(seen[0][:, :3], x)
    maps = game_of(Space(SHAPE, condition=SHAPE, condition_legend=("a", "b", "c")), augment=1.0)
    maps.D.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    one_hot = torch.where(x == x.amax(1, keepdim=True), 1.0, -1.0)
    maps.judge(one_hot, x, now)
    assert set(seen[-1][:, :3].unique().tolist()) == {-1.0, 0.0, 1.0}


def test_noise_is_of_each_image_and_can_be_left_out() -> None:
    game, a = game_of(), batch_of().x
    first, second, again = (game.translate(a, Dice(seed, "noise", range(4))) for seed in (0, 1, 0))
    assert torch.equal(first, again) and not torch.allclose(first, second, atol=1e-5)
    assert torch.equal(game.translate(a, None), game.translate(a, None))
    for dice in (None, Dice(0, "noise", range(4))):
        alone = [game.translate(a[i : i + 1], dice and Dice(0, "noise", range(i, i + 1))) for i in range(4)]
        torch.testing.assert_close(torch.cat(alone), game.translate(a, dice), rtol=0, atol=1e-6)


def test_a_penalty_is_the_slope_with_respect_to_what_is_judged() -> None:
    game, batch, now = game_of(penalty="r1", gamma=1.0, jitter=False), batch_of(), now_of()
    assert batch.condition is not None
    y = batch.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(game.judge(batch.condition, y).mean((1, 2, 3)).sum(), y)
    terms = game.losses("D", batch, game.shared(batch, now), now)
    torch.testing.assert_close(terms["r1"].detach(), slope.square().flatten(1).sum(1))
    assert "r2" not in terms


@pytest.mark.parametrize("size", [(20, 28), (64, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    """Sides that do not halve often enough are padded, in training and in use."""
    game = game_of(Space((3, *size), condition=(1, *size)))
    a = torch.rand(2, 1, *size) * 2 - 1
    assert game.translate(a, None).shape == (2, 3, *size)
    batch = Batch(torch.zeros(2, 3, *size), condition=a)
    assert paid(game, "G", batch, now_of(2))["l1"].isfinite()


class Copies(TinyImages):
    """Images that are to stay as they are."""

    def take(self, start: int, count: int) -> Batch:
        batch = super().take(start, count)
        return Batch(batch.x, condition=batch.x)


def test_training_learns_to_copy() -> None:
    """60 rounds in which both sides are equal: the reconstruction falls, and every weight has moved."""
    config = Pix2PixConfig(**(SMALL | {"batch": 8, "lr": 5e-3, "width": 8, "patches": 0}))
    game = seeded(0, lambda: Pix2Pix.build(config, SPACE))
    match = Match(game, Copies(), Engine(torch.device("cpu")), config, seed=0, horizon=10_000)
    before = {name: tensor.clone() for name, tensor in game.state_dict().items()}
    costs = [float(match.step()["G/l1"]) for _ in range(60)]
    assert sum(costs[-5:]) < 0.5 * sum(costs[:5])
    assert all(not torch.equal(tensor, before[name]) for name, tensor in game.state_dict().items())


def test_what_cannot_be_played_says_why() -> None:
    with pytest.raises(UsageError, match="PIX2PIX-PATCHES") as found:
        game_of(patches=3)
    assert "patches=2" in str(found.value)
    with pytest.raises(UsageError, match="DATA-UNPAIRED"):
        game_of(Space(SHAPE))
    with pytest.raises(ValueError, match="G would pay nothing"):
        Pix2PixConfig(adversarial=0.0, reconstruction="none")
