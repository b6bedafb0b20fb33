"""Layers that are held still: they alone never move, and what moves is as it would be."""

from __future__ import annotations

import pytest
import torch
from tests.train.arena import NANO, game_of, gradients, match_of, weights
from torch import Tensor, nn

from sparring.contest import Contest
from sparring.errors import UsageError
from sparring.train.ensemble import together
from sparring.types import Layered

NAMES = [name for name in NANO if not name.endswith(("-ahead", "-optimistic"))]


def _names(game: Contest, layers: int) -> set[str]:
    assert isinstance(game.D, Layered)
    theirs = {id(p) for layer in game.D.layers[:layers] for module in layer for p in module.parameters()}
    return {name for name, p in game.D.named_parameters() if id(p) in theirs}


@pytest.mark.parametrize("name", NANO)
def test_frozen_layers_never_move_and_everything_else_does(name: str) -> None:
    match = match_of(name, freeze_d=1)
    game = match.game
    assert isinstance(game, Contest)
    still = _names(game, 1)
    assert still and {id(p) for p in game.frozen} == {id(p) for n, p in game.D.named_parameters() if n in still}
    before = weights(game)
    for _ in range(3):
        match.step()
    moved = {key for key, value in weights(game).items() if not torch.equal(before[key], value)}
    parameters = {key for key, _ in game.named_parameters()}
    assert not moved & {f"D.{key}" for key in still}
    assert {key for key in moved if key in parameters} >= {key for key in parameters if key.startswith("G.")}
    assert {key for key in moved if key.startswith("D.")} >= {"D." + k for k in _names(game, 99) - still}


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_what_moves_does_not_depend_on_what_is_held(name: str) -> None:
    """∂J/∂θ of the upper layers is the same, whether or not the lower ones have a gradient too."""
    free, held = match_of(name), match_of(name, freeze_d=1)
    for match in (free, held):
        match._gradient("D", match._deal(turn=0), turn=0)
    assert isinstance(held.game, Contest)
    still = _names(held.game, 1)
    theirs, ours = gradients(free.game.D), gradients(held.game.D)
    assert set(ours) == set(theirs) - still
    for key, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[key], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NANO)
def test_layers_come_in_the_order_in_which_a_sample_passes_them(name: str) -> None:
    game = game_of(name)
    assert isinstance(game, Contest) and isinstance(game.D, Layered)
    seen: list[int] = []
    hooks = [
        module.register_forward_hook(lambda *_, k=k: seen.append(k))
        for k, layer in enumerate(game.D.layers)
        for module in layer
        if not isinstance(module, nn.Identity)
    ]
    x = torch.zeros(4, *game.shape)
    label: Tensor | None = torch.zeros(4, dtype=torch.int64)
    game.eval().judge(x, label)
    for hook in hooks:
        hook.remove()
    assert seen == sorted(seen) and set(seen) == set(range(len(game.D.layers)))


def test_more_layers_than_there_are_is_an_error_and_so_is_an_ensemble() -> None:
    with pytest.raises(UsageError, match="layers below its logit"):
        game_of("dcgan", freeze_d=40)
    with pytest.raises(UsageError, match="one seed at a time"):
        together([game_of("gan", freeze_d=1), game_of("gan", 1, freeze_d=1)])
