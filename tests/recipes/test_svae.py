"""What the sphere adds to the autoencoder: its measure, its bounds, paths that stay on it, and two processes."""

from __future__ import annotations

import math

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import EVERY, game_of, stream

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate import interpolate
from sparring.priors import von_mises_fisher as vmf
from sparring.recipes.svae import SVAE, SVAEConfig, VonMisesFisher
from sparring.train.game import seeded
from sparring.types import Space

SPACE = Space((1, 4, 4))


def small(sphere: int = 2) -> SVAE:
    config = SVAEConfig(network="mlp", hidden=(8,), decoder="bernoulli", sphere=sphere)
    return seeded(3, lambda: SVAE.build(config, SPACE)).double().requires_grad_(False)  # type: ignore[no-any-return]


def binary(n: int = 6) -> torch.Tensor:
    return (Dice(0, "x", range(n)).uniform(*SPACE.shape) < 0.5).double() * 2 - 1


@pytest.mark.parametrize("name", ["svae", "svae-points"])
def test_it_is_a_game(name: str) -> None:
    _, shape, settings = EVERY[name]
    check_game(SVAE, shape, stream(shape), **settings)


def test_a_sphere_of_d_dimensions_has_one_coordinate_more() -> None:
    for d in (1, 2, 9):
        game = small(d)
        z = game.latents(Dice(0, "z", range(50)))
        assert z.shape == (50, d + 1)
        torch.testing.assert_close(z.norm(dim=1), torch.ones(50), rtol=0, atol=1e-6)
        q = game.encode(binary())
        assert q.mean().shape == (6, d + 1) and isinstance(q, VonMisesFisher) and bool((q.kappa > 1).all())
        torch.testing.assert_close(q.mean().norm(dim=1), torch.ones(6, dtype=torch.float64))
        torch.testing.assert_close(game.log_prior(z), torch.full((50,), -vmf.log_area(d + 1)))


def test_the_evidence_is_that_of_quadrature_over_the_circle() -> None:
    """On S¹ log p(x) is an integral of one angle: ELBO ≤ log p, and the mean of many weights is p."""
    game, x = small(1), binary()
    angle = torch.arange(400, dtype=torch.float64) * (2 * math.pi / 400)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    every = torch.stack([game.log_p(one.expand(400, *SPACE.shape), circle) for one in x])
    exact = every.logsumexp(1) - math.log(400)

    n = 2000
    many = x.repeat_interleave(n, 0)
    weights = game.log_weight(many, Dice(1, "z", range(len(many)))).view(len(x), n)
    share = (weights - exact[:, None]).exp()
    assert bool(((share.mean(1) - 1).abs() < 5 * share.std(1) / n**0.5).all()) and float(share.std(1).min()) < 2
    bound = game.log_likelihood(many, Dice(2, "z", range(len(many)))).view(len(x), n)
    assert bool((bound.mean(1) < exact).all())
    error = ((bound.var(1) + weights.var(1)) / n).sqrt()
    assert bool(((bound.mean(1) - weights.mean(1)).abs() < 5 * error).all())  # the closed KL is that of the draws


def test_a_walk_keeps_to_the_sphere() -> None:
    """The great arcs between latents stay on it: the decoder is asked nothing that it has never seen."""
    game, asked = small(3).float(), []
    decode = game.decode

    def watched(z: torch.Tensor) -> torch.Tensor:
        asked.append(z)
        return decode(z)

    game.decode = watched  # type: ignore[method-assign]

    class Run:
        def __init__(self) -> None:
            self.game = game

    frames = list(interpolate.walk(Run(), 12, walkers=5))
    assert len(frames) == 12 and frames[0].shape == (5, *SPACE.shape)
    for z in asked:
        torch.testing.assert_close(z.norm(dim=1), torch.ones(5), rtol=0, atol=1e-5)


def test_a_sphere_has_no_middle_to_pull_towards() -> None:
    with pytest.raises(UsageError, match="truncated"):
        game_of("svae").sample(Dice(0, "samples", range(2)), truncation=0.7)
