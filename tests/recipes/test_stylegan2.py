"""Laws of the game stylegan2: its spaces, mixing, noise, the lazy terms, ADA in the engine, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages, match_of

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.recipes.stylegan2 import StyleGAN2, StyleGAN2Config
from sparring.runs.recipe import load
from sparring.train.ensemble import together
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import HasStyles, Space

SMALL: dict[str, Any] = {"z": 4, "w": 6, "mapping": 2, "mapping_rate": 0.1, "base": 32, "most": 8, "batch": 8,
                         "penalty_every": 2, "path_every": 2, "ada_every": 2, "ada_kimg": 0.1}  # fmt: skip


def game_of(shape: tuple[int, ...] = SHAPE, **settings: Any) -> StyleGAN2:
    game = seeded(0, lambda: StyleGAN2.build(StyleGAN2Config(**(SMALL | settings)), Space(shape)))
    assert isinstance(game, StyleGAN2)
    return game


def nano(**changes: Any) -> tuple[Match, StyleGAN2]:
    match = match_of("stylegan2", **changes)
    assert isinstance(match.game, StyleGAN2)
    return match, match.game


def test_it_is_a_game() -> None:
    """In another form than the arena's: other paths, packs, the paired game, fixed augmentation."""
    check_game(StyleGAN2, Space(SHAPE), TinyImages(), **SMALL, architecture="resnet", d_architecture="skip", packing=2,
               group=2, ada_target=0, augment=0.5, objective="relativistic")  # fmt: skip


def test_its_spaces_lead_to_the_same_image() -> None:
    game = game_of()
    assert isinstance(game, HasStyles)
    game.G.mapping.remember(game.G.mapping(game.latents(Dice(1, "z", range(64)))).mean(0), keep=0.0)
    z = game.latents(Dice(0, "z", range(3)))
    for truncation in (1.0, 0.5):
        w = game.to_w(z, truncation=truncation)
        assert torch.equal(w[:, 0], w[:, -1]) and tuple(w.shape) == (3, 6, 6)
        image = game.from_w(w)
        assert torch.equal(game.from_styles(game.to_styles(w)), image)
        assert torch.equal(game.sample(Dice(0, "z", range(3)), truncation=truncation), image)
    assert torch.equal(game.decode(z), game.from_w(game.to_w(z)))
    torch.testing.assert_close(game.to_w(z, truncation=0.5), 0.5 * (game.mean_w + game.to_w(z)))


def test_training_shows_mixed_images_with_fresh_noise() -> None:
    """Of two latents, as often as it says; and the cut is after the first layer at least, before the last."""
    game, dice = game_of(mixing=0.9), Dice(0, "z", range(400))
    w = game.G.mapping(game.latents(dice))
    layers = game._mixed(w, dice)
    own = (layers == w[:, None]).all(2).sum(1)  # (N,): layers that are of the first latent
    assert (own < 6).float().mean().item() == pytest.approx(0.9, abs=0.05)
    assert set(own[own < 6].tolist()) == {1, 2, 3, 4, 5}
    assert torch.equal(game_of(mixing=0)._mixed(w, dice), w[:, None].expand(-1, 6, -1))
    assert game_of(pixel_noise=False)._noise(dice) is None
    first, again = (game._noise(Dice(0, "z", range(4), (k,))) for k in (0, 1))
    assert first is not None and again is not None
    assert [tuple(n.shape[1:]) for n in first] == [(1, *size) for size in game.G.synthesis.noises]
    assert not torch.equal(first[0], again[0])


def test_the_lazy_terms_are_paid_when_they_are_due() -> None:
    match, game = nano(penalty_every=3, path_every=2, path_share=2)
    hand = match._deal(0)
    batch, now = hand.batches[0], hand.nows[0]
    shared = game.shared(batch, now)
    for round_ in range(6):
        then = replace(now, round=round_)
        paid = {player: game.losses(player, batch, shared, then) for player in ("D", "G")}
        weights = {player: game.weights(player, paid[player], then) for player in ("D", "G")}
        assert ("r1" in paid["D"]) == (round_ % 3 == 0) and ("path" in paid["G"]) == (round_ % 2 == 0)
        if round_ == 0:
            assert weights["D"]["r1"] == pytest.approx(3 * 0.5 * now.at(game.config.gamma))
            assert weights["G"]["path"] == 2 * game.config.path_weight and "length" not in weights["G"]
            assert paid["G"]["path"][1::2].abs().max() == 0 < paid["G"]["path"][::2].min()  # every second sample
            torch.testing.assert_close(paid["G"]["path"][::2] / 2, (paid["G"]["length"][::2] / 2).square())


def test_what_it_remembers_moves_as_it_should() -> None:
    """p by the share of reals that D finds real, the mean length towards that of the batch, w towards that of w."""
    match, game = nano(ada_kimg=0.1, ada_every=2, path_every=1, play="D:1,G:1")
    assert game.ada is not None
    signs, p = [], 0.0
    for round_ in range(6):
        length, w = game.path.a.clone(), game.mean_w.clone()
        means = match.step()
        signs.append(2 * float(means["D/true_positive"]) - 1)
        if round_ % 2:
            r = sum(signs[-2:]) / 2
            p = min(1.0, max(0.0, p + (1 if r > 0.6 else -1) * 8 * 2 / 100))
        assert game.p == pytest.approx(p, abs=1e-6)
        torch.testing.assert_close(game.path.a, length + 0.01 * (means["G/length"] - length))
        assert not torch.equal(game.mean_w, w)


def test_gamma_follows_the_size_unless_it_is_given() -> None:
    assert game_of((3, 32, 24), batch=16).config.gamma.start == pytest.approx(2e-4 * 32 * 24 / 16)
    assert game_of(gamma=0.5).config.gamma.start == 0.5
    assert StyleGAN2Config(**SMALL).penalised and StyleGAN2Config(**SMALL, gamma_rule=0, gamma=1.0).penalised
    assert not any(StyleGAN2Config(**SMALL, **none).penalised for none in ({"penalty": "none"}, {"gamma_rule": 0}))


def test_augmentation_is_of_what_d_sees_alone() -> None:
    assert game_of(augment=0.25).p == 0.25
    game = game_of()
    assert game.ada is not None and game.p == 0
    x = TinyImages().take(0, 8).x.float() / 127.5 - 1
    now = Now(0, images=0, horizon=400, round=0, turn=0, samples=range(8))
    assert game.view(x, now, "real") is x
    game.ada.p.fill_(1.0)
    assert not torch.equal(game.view(x, now, "real"), game.view(x, now, "fake"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (["objective=relativistic"], "D only compares"),
        (["objective=relativistic_average"], "ada_target=0"),
        (["spectral=true"], "equalised"),
        (["mapping=9"], "mapping"),
        (["transforms=x"], "transforms"),
        (["ada_target=1"], "ada_target"),
    ],
)
def test_what_it_refuses(changes: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        load("stylegan2", changes)


def test_points_and_ensembles_are_refused() -> None:
    with pytest.raises(UsageError, match="NET-SHAPE"):
        StyleGAN2.build(StyleGAN2Config(**SMALL), Space((2,)))
    with pytest.raises(UsageError, match="one seed at a time"):
        together([game_of(ada_target=0, path_weight=0), game_of(ada_target=0, path_weight=0)])
