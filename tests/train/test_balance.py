"""Weights that follow from gradients: by hand, over pieces, and only where a game says that it has any."""

from __future__ import annotations

import pytest
import torch
from tests.train.arena import game_of, match_of
from torch import Tensor

from sparring.errors import UsageError
from sparring.train import balance, ensemble
from sparring.train.engine import Engine
from sparring.train.match import Match
from sparring.types import Balanced

ENGINE = Engine(torch.device("cpu"))


def ratio(a: Tensor, b: Tensor) -> Tensor:
    return a.norm() / b.norm()


def test_terms_that_share_a_weight_are_one_sum() -> None:
    at = torch.tensor([2.0, 1.0], requires_grad=True)
    terms = {"a": at * 3, "b": at.square(), "c": at[:1] * 5, "d": at * 0}
    same = Balanced(("a", "d"), at, ratio)
    weights = {"a": 2.0, "b": same, "c": same, "d": 1.0}
    found = balance.settled(weights, balance.slopes(terms, weights), ENGINE)
    # ∇ 2 · mean(3 x) = (3, 3);  ∇ (mean(x²) + 5 x₀) = (2 + 5, 1)
    assert set(found) == {"b"} and float(found["b"]) == pytest.approx(18**0.5 / 50**0.5)
    assert balance.replaced(weights, found) == {"a": 2.0, "b": found["b"], "c": found["b"], "d": 1.0}


def test_of_pieces_it_is_that_of_the_batch() -> None:
    one, many = (match_of("vqgan-ema", micro_batches=k) for k in (1, 4))
    found = [match._gradient("G", match._deal(0), 0)["G/weight(pair)"] for match in (one, many)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=0)


def test_it_is_refused_where_it_has_no_meaning() -> None:
    with pytest.raises(UsageError, match="ENSEMBLE-BALANCED"):
        ensemble.together([game_of("vqgan", 0), game_of("vqgan", 1)])
    game = game_of("vqgan", play="consensus(0.1)")
    with pytest.raises(UsageError, match="PLAY-CONSENSUS"):
        Match(game, match_of("vqgan").stream, ENGINE, game.config, seed=0, horizon=8)
