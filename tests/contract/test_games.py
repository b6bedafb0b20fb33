"""What every recipe must keep beyond `check_game`: the sign of each player's move, chance, settings and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tests.train.arena import (
    ALONE,
    BUILT,
    EVERY,
    LIKELY,
    NANO,
    PURE,
    SAYING,
    TRANSLATING,
    copied,
    digest,
    game_of,
    match_of,
)

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.recipes import RECIPES
from sparring.runs.recipe import configure, game_class, load, plain, presets
from sparring.runs.settings import explained
from sparring.train.checkpoint import Store
from sparring.train.game import Game, Training
from sparring.types import Criticises, HasLatents, HasLikelihood, Samples, SamplesByClass, Translates


def test_every_recipe_is_here() -> None:
    assert {recipe for recipe, _, _ in EVERY.values()} == set(RECIPES)


@pytest.mark.parametrize("name", EVERY)
def test_players_are_disjoint_and_hold_every_parameter(name: str) -> None:
    game = game_of(name)
    held = [id(p) for player in game.players.values() for p in player.parameters()]
    ours = {id(p) for place, p in game.named_parameters() if place.partition(".")[0] not in game.others}
    assert len(held) == len(set(held)) and set(held) == ours
    assert game.averaged and set(game.averaged) <= set(game.players)
    assert isinstance(game, Criticises) == (name not in ALONE and name not in BUILT)
    assert isinstance(game, (Samples, HasLatents)) == (name in {**NANO, **SAYING, **BUILT} or name in LIKELY)
    assert isinstance(game, HasLikelihood) == (name in LIKELY)
    assert isinstance(game, Translates) == (name in TRANSLATING or name == "fcn8s")


@pytest.mark.parametrize("name", EVERY)
def test_losses_are_a_function_of_now(name: str) -> None:
    """While training: same batch, same now, same terms (N, …); nothing moves but batch statistics; no global chance."""
    match = match_of(name)
    match.step()
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    hand = match._deal(0)
    before, state = copied(match.tensors()), torch.get_rng_state()
    for turn, player in enumerate(match.game.players):
        piece = next(hand.pieces(player, turn))
        first = match.game.losses(player, piece.batch, piece.shared, piece.now)
        again = match.game.losses(player, piece.batch, piece.shared, piece.now)
        assert set(match.game.weights(player, first, piece.now)) <= set(first)
        for term, values in first.items():
            assert values.shape[0] == 8 and bool(values.isfinite().all()), term
            assert torch.equal(values, again[term]), term
    assert torch.equal(state, torch.get_rng_state())
    for stem, named in match.tensors().items():
        for key, tensor in named.items():
            if not key.endswith(statistics):
                assert torch.equal(tensor, before[stem][key]), f"{stem}/{key}"


@pytest.mark.parametrize("player", ["D", "G"])
@pytest.mark.parametrize("name", NANO)
def test_each_player_moves_its_own_way(name: str, player: str) -> None:
    """A small step of D raises mean(s_real − s_fake); a small step of G raises mean(s_fake), on the batch it saw."""
    plain_settings = {"optimiser": "sgd", "lr": 1e-3, "play": "D:1,G:1"}
    still = {"augment": 0.0} if name.startswith("r3gan") or name == "cgan" else {}
    still |= {"classify": 0.0} if name == "cgan-guess" else {}
    still |= {} if name in ("gan-images", "dcgan") else {"gamma": 0.0}  # penalties pull elsewhere
    still |= {"penalty": "none", "path_weight": 0} if name == "stylegan2" else {}
    match = match_of(name, **plain_settings, **still)
    game = match.game
    assert isinstance(game, Criticises) and isinstance(game, HasLatents)
    hand = match._deal(0)

    def logits() -> tuple[float, float]:
        with torch.no_grad():
            real, fake = game.logits(hand.batches[0], hand.nows[0].chance("z"))
            return real.double().mean().item(), fake.double().mean().item()

    real, fake = logits()
    match._gradient(player, hand, turn=0)
    norm = match.engine.gradient_norm(game.players[player])
    match._move(player, hand, hand.last, {f"{player}/gradient": norm})
    real_after, fake_after = logits()
    if player == "D":
        assert real_after - fake_after > real - fake
        gained = (real_after - fake_after) - (real - fake)
    else:
        assert fake_after > fake and real_after == real
        gained = fake_after - fake
    assert gained < 100 * 1e-3 * float(norm) ** 2 + 1e-3  # of first order: no leap


@pytest.mark.parametrize("name", [*NANO, "vae"])
def test_samples_do_not_depend_on_the_size_of_the_batch(name: str) -> None:
    """Latents are equal; pixels within one 8-bit level."""
    match = match_of(name)
    match.step()
    game = match.game.eval()
    assert isinstance(game, HasLatents) and isinstance(game, Samples)
    whole = Dice(3, "sample", range(40))
    with torch.no_grad():
        together = game.sample(whole)
        for pieces in (1, 7, 32):
            ranges = [range(i, min(i + pieces, 40)) for i in range(0, 40, pieces)]
            assert torch.equal(
                torch.cat([game.latents(Dice(3, "z", r)) for r in ranges]), game.latents(Dice(3, "z", range(40)))
            )
            apart = torch.cat([game.sample(Dice(3, "sample", r)) for r in ranges])
            assert float((apart - together).abs().max()) <= 2 / 255
    one = {"label": torch.zeros(40, dtype=torch.int64)} if isinstance(game, SamplesByClass) else {}
    assert float((game.sample(whole, truncation=0.0, **one).detach().std(0)).max()) < 1e-5  # every z at the centre


@pytest.mark.parametrize("name", EVERY)
def test_files_give_back_the_game(name: str, tmp_path: Path) -> None:
    match, other = match_of(name), match_of(name, init=5)
    for _ in range(2):
        match.step()
    Store(tmp_path).save(match.images, match.tensors(), match.state())
    found = Store(tmp_path).newest()
    assert found is not None
    other.load({stem: found.tensors(stem) for stem in found.stems}, found.state)
    assert digest(other.tensors()) == digest(match.tensors())
    match.step(), other.step()
    assert digest(other.tensors()) == digest(match.tensors())


@pytest.mark.parametrize("name", sorted(set(NANO) - PURE))
def test_batch_statistics_never_reach_the_samples(name: str) -> None:
    """In eval mode an image is a function of its latent alone."""
    match = match_of(name)
    match.step()
    game = match.game.eval()
    assert isinstance(game, HasLatents)
    z = game.latents(Dice(0, "z", range(6)))
    other = torch.cat([z[:1], 5 * z[1:]])
    torch.testing.assert_close(game.decode(z)[:1], game.decode(other)[:1], rtol=0, atol=1e-6)


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("recipe", [*RECIPES, *presets()])
def test_every_setting_has_a_meaning(recipe: str) -> None:
    config = load(recipe).config
    found = explained(config)
    assert {name for name, _, _ in found} == {field.name for field in dataclasses.fields(config)}
    assert [name for name, _, meaning in found if len(meaning) < 15] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_settings_survive_their_file(recipe: str, tmp_path: Path) -> None:
    """What recipe.yaml says gives the same configuration again, and is itself a recipe."""
    import yaml

    found = load(recipe, ["lr=1e-3 -> 1e-4 linear 0.25..0.75", "batch=24", "play=D:2,G:1"])
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(found.document()))
    assert load(str(path)).config == found.config
    assert configure(game_class(recipe), plain(found.config), where="") == found.config


@pytest.mark.parametrize("recipe", RECIPES)
def test_unknown_settings_name_the_nearest(recipe: str) -> None:
    cls: type[Game] = game_class(recipe)
    assert issubclass(cls.Config, Training)
    with pytest.raises(UsageError, match=r"did you mean .*batch"):
        load(recipe, ["bach=3"])
    with pytest.raises(UsageError, match=r"did you mean .*beta1"):
        configure(cls, {"beta_1": 0.5}, where="mine.yaml")
    for wrong in ("batch=0", "batch=many", "lr=-> 1", "beta1=1.5", "precision=fp16", "optimiser=lion", "batch=7.5"):
        with pytest.raises(UsageError, match="CONFIG-VALUE"):
            load(recipe, [wrong])


def test_unknown_recipes_name_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*dcgan"):
        load("dcgn")
