"""The game of 2014 under every objective."""

from __future__ import annotations

import pytest
import torch

from sparring.losses.adversarial import OBJECTIVES
from sparring.recipes.gan import GAN, GANConfig
from sparring.train.game import Now
from sparring.types import Batch, Space


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_paid_by_both_players_for_each_sample(name: str) -> None:
    torch.manual_seed(0)
    game = GAN.build(GANConfig(objective=name, width=8, z=2, batch=6), Space((2,)))  # type: ignore[arg-type]
    now = Now(seed=0, images=0, horizon=100, round=0, turn=0, samples=range(6))
    batch = Batch(torch.randn(6, 2))
    for player in ("D", "G"):
        terms = game.losses(player, batch, {}, now)
        weights = game.weights(player, terms, now)
        paid = {key for key in terms if weights.get(key)}
        assert paid and paid <= {"real", "fake", "pair"} and all(len(terms[key]) == 6 for key in paid)
        cost = sum(weights[key] * terms[key].mean() for key in paid)
        gradients = torch.autograd.grad(cost, list(game.players[player].parameters()), allow_unused=True)
        assert any(g is not None and bool(g.abs().sum() > 0) for g in gradients)
