"""A VAE is held against what can be computed exactly: a linear-Gaussian model of known evidence and posterior."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import stream
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.networks import imagenet, lpips
from sparring.recipes.vae import VAE, Normal, VAEConfig
from sparring.train.game import Now, seeded
from sparring.types import Batch, Space

D, Z, SIGMA = 5, 2, 0.6


def linear(shift: float = 0.0, spread: float = 1.0) -> tuple[VAE, Tensor, Tensor]:
    """(the game, x, log p(x)) of x = W z + b + σ ε in float64: p(x) = N(b, WWᵀ + σ²I).

    Its encoder gives the exact posterior N(m, Σ), with its mean moved by `shift` and its deviations times `spread`;
    W has orthogonal columns, so that Σ is diagonal.
    """
    config = VAEConfig(network="mlp", hidden=(), z=Z, decoder="gaussian", scale=SIGMA)
    game = VAE.build(config, Space((D,))).double()
    generator = torch.Generator().manual_seed(3)
    W = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))[0][:, :Z]
    W, b = W * torch.tensor([1.5, 0.7]), torch.linspace(-1, 1, D, dtype=torch.float64)
    S = 1 / (1 + W.square().sum(0) / SIGMA**2)  # (Z,)
    A = (S / SIGMA**2)[:, None] * W.T  # m = A (x − b)
    encoder, decoder = game.M.encoder.net.last, game.M.decoder.net.last
    with torch.no_grad():
        decoder.weight.copy_(W), decoder.bias.copy_(b)
        encoder.weight.copy_(torch.cat([A, torch.zeros_like(A)]))
        encoder.bias.copy_(torch.cat([shift - A @ b, torch.log(S * spread**2)]))
    law = torch.distributions.MultivariateNormal(b, W @ W.T + SIGMA**2 * torch.eye(D, dtype=torch.float64))
    x = b + torch.randn(40, Z, generator=generator, dtype=torch.float64) @ W.T
    x = x + SIGMA * torch.randn(40, D, generator=generator, dtype=torch.float64)
    return game.requires_grad_(False), x, law.log_prob(x)


def dice(k: int, n: int = 40) -> Dice:
    return Dice(k, "z", range(n))


def often(function: Callable[[Tensor, Dice], Tensor], x: Tensor, times: int) -> Tensor:
    """(times, n): of a function of x (n, …) and dice, with a z of its own each time."""
    return function(x.repeat(times, 1), dice(0, times * len(x))).unflatten(0, (times, len(x)))


def test_with_the_exact_posterior_every_draw_gives_the_evidence() -> None:
    """log p(x|z) + log p(z) − log q(z|x) = log p(x) for every z; the ELBO has no gap."""
    game, x, exact = linear()
    for k in range(3):
        torch.testing.assert_close(game.log_weight(x, dice(k)), exact, rtol=0, atol=1e-9)
    elbo = often(game.log_likelihood, x, 4000)
    torch.testing.assert_close(elbo.mean(), exact.mean(), rtol=0, atol=0.01)


def test_elbo_is_below_the_importance_weighted_one_which_is_below_the_evidence() -> None:
    """Burda et al. 2016, theorem 1: L_1 ≤ L_5 ≤ L_50 ≤ log p(x), here with a wrong posterior; L_K comes near."""
    game, x, exact = linear(shift=0.3, spread=1.3)
    w = often(game.log_weight, x, 5000)

    def bound(K: int) -> Tensor:
        parts = w.unflatten(0, (-1, K))
        return (parts.logsumexp(1) - math.log(K)).mean(0)

    one, five, fifty, many = bound(1), bound(5), bound(50), bound(5000)
    assert bool((one < five).all()) and bool((five < fifty).all()) and bool((fifty < exact + 0.02).all())
    torch.testing.assert_close(many, exact, rtol=0, atol=0.1)
    torch.testing.assert_close(many.mean(), exact.mean(), rtol=0, atol=0.02)
    elbo = often(game.log_likelihood, x, 2000)
    torch.testing.assert_close(elbo.mean(), one.mean(), rtol=0, atol=0.05)  # the closed KL is that of the draws
    gap = (exact - one).mean()  # = KL(q ‖ p(z|x)), the same for every x: ½ Σ [s² − 1 − log s² + shift²/Σ]
    posterior = game.encode(x[:1])
    assert isinstance(posterior, Normal)
    variance = posterior.log_variance.exp()[0] / 1.3**2
    wanted = 0.5 * (1.3**2 - 1 - math.log(1.3**2) + 0.3**2 / variance).sum()
    torch.testing.assert_close(gap, wanted, rtol=0, atol=0.05)


def test_elbo_has_its_parts() -> None:
    game, x, _ = linear(shift=0.3)
    parts = game.elbo(x, dice(0))
    assert torch.equal(parts["reconstruction"] - parts["kl"], game.log_likelihood(x, dice(0)))
    terms = game.losses("M", Batch(x), {}, Now(0, 0, 100, 0, 0, range(40)))
    torch.testing.assert_close(terms["kl"], parts["kl"])
    assert bool((parts["kl"] >= 0).all()) and torch.allclose(terms["scale"], torch.tensor(SIGMA).double())


def test_the_kl_divergence_is_that_of_many_draws() -> None:
    mu, log_variance = torch.tensor([[0.5, -1.0, 2.0]]).double(), torch.tensor([[0.0, -2.0, 0.7]]).double()
    q = Normal(mu.expand(20_000, 3), log_variance.expand(20_000, 3))
    z = q.draw(dice(1, 20_000))
    found = q.log_density(z) + 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(q.kl()[:1], wanted)
    assert abs(float(found.mean() - wanted.sum())) < 5 * float(found.std()) / math.sqrt(20_000)


def small(**settings: Any) -> VAE:
    return seeded(0, lambda: VAE.build(VAEConfig(**({"width": 4, "z": 3} | settings)), Space((1, 8, 8))))


def batch(n: int = 6) -> Batch:
    return Batch(Dice(0, "x", range(n)).uniform(1, 8, 8) * 2 - 1)


NOW = Now(0, 0, 100, 0, 0, range(6))


def test_the_gradient_reaches_the_encoder_through_the_draw() -> None:
    """Also where the KL divergence has no weight; and it is the derivative that a small step finds."""
    game = small(beta=0.0).double()
    x = Batch(batch().x.double())

    def paid() -> Tensor:
        terms = game.losses("M", x, {}, NOW)
        weights = game.weights("M", terms, NOW)
        return torch.stack([weights[name] * terms[name].mean() for name in weights]).sum()

    paid().backward()
    for name, parameter in game.M.encoder.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name
    bias = game.M.encoder.last.bias
    with torch.no_grad():
        found = []
        for step in (1e-4, -1e-4):
            bias[4] += step  # a log variance: it is reached through the draw alone
            found.append(float(paid()))
            bias[4] -= step
    assert bias.grad is not None
    assert (found[0] - found[1]) / 2e-4 == pytest.approx(float(bias.grad[4]), rel=1e-4)


def test_beta_weighs_and_warms_up() -> None:
    game = small(beta="0 -> 4 linear 0..0.5")
    terms = game.losses("M", batch(), {}, NOW)
    at = [game.weights("M", terms, Now(0, images, 100, 0, 0, range(6)))["kl"] for images in (0, 25, 50, 100)]
    assert at == [0.0, 2.0, 4.0, 4.0] and game.weights("M", terms, NOW)["reconstruction"] == 1.0


def test_free_bits_pay_for_each_dimension() -> None:
    """kl + free = Σ_j max(KL_j, λ), and below λ nothing is gained by a smaller KL_j."""
    game, plain = small(free_bits=0.003), small()
    x = batch().x
    each = game.encode(x).kl()
    terms = game.losses("M", batch(), {}, NOW)
    torch.testing.assert_close(terms["kl"] + terms["free"], each.clamp(min=0.003).sum(1))
    assert "free" not in plain.losses("M", batch(), {}, NOW)
    (terms["kl"] + terms["free"]).sum().backward()
    large = small(free_bits=100.0)
    terms = large.losses("M", batch(), {}, NOW)
    (terms["kl"] + terms["free"]).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in large.M.parameters())
    assert any(p.grad is not None and p.grad.any() for p in game.M.encoder.parameters())


def test_what_is_shown_and_what_is_drawn() -> None:
    """The mean does not depend on noise; with noise the samples have the deviation of the law."""
    still, loud = small(scale=0.05), small(scale=0.05, noise=True)
    loud.load_state_dict(still.state_dict())
    for game in (still, loud):
        game.eval().requires_grad_(False)
    z = still.latents(dice(0, 500))
    shown, drawn = still.sample(dice(0, 500)), loud.sample(dice(0, 500))
    assert torch.equal(shown, still.decode(z)) and torch.equal(shown, loud.decode(z))
    inside = shown.abs() < 0.8
    assert float((drawn - shown)[inside].std()) == pytest.approx(0.05, rel=0.02)
    x = batch().x
    made = still.reconstruct(x, dice(1, 6))
    assert made.shape == x.shape and float(made.abs().max()) <= 1


GAMES: list[dict[str, Any]] = [
    {"decoder": "bernoulli"},
    {"decoder": "logistic", "network": "mlp", "hidden": (8,)},
    {"z": 2, "beta": "0 -> 1 linear 0..0.1"},
]


@pytest.mark.parametrize("settings", GAMES)
def test_it_is_a_game(settings: dict[str, Any]) -> None:
    check_game(VAE, (3, 16, 16), stream((3, 16, 16)), **({"width": 4, "z": 3} | settings))


def test_outcomes() -> None:
    found = {name: small(decoder=name).outcome for name in ("bernoulli", "gaussian", "logistic")}
    assert found == {"bernoulli": "binary", "gaussian": "continuous", "logistic": "levels"} and not small().exact


def test_points_have_nothing_to_convolve() -> None:
    with pytest.raises(UsageError, match=r"network=mlp"):
        VAE.build(VAEConfig(), Space((2,)))


@pytest.mark.skipif(imagenet._packaged("alexnet") is None, reason=imagenet.INSTALL)
def test_it_may_be_taught_by_what_people_see() -> None:
    """LPIPS of the mean of what is decoded, beside an ELBO that stays what it is."""
    shape, x = (3, 32, 32), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    games = [seeded(0, lambda w=w: VAE.build(VAEConfig(width=4, z=4, perceptual=w, judge="alex"), Space(shape)))
             for w in (0.0, 500.0)]  # fmt: skip
    plain, taught = (game.losses("M", Batch(x), {}, Now(0, 0, 100, 0, 0, range(2))) for game in games)
    assert set(taught) - set(plain) == {"lpips"} and torch.equal(plain["reconstruction"], taught["reconstruction"])
    raw, _ = games[1].say(games[1].encode(x).draw(Now(0, 0, 100, 0, 0, range(2)).chance("z")))
    torch.testing.assert_close(taught["lpips"], lpips.load()(raw, x))
    assert games[1].weights("M", taught, Now(0, 0, 100, 0, 0, range(2)))["lpips"] == 500.0
    with pytest.raises(UsageError, match="LPIPS-SHAPE"):
        VAE.build(VAEConfig(network="mlp", z=2, perceptual=1.0), Space((2,))).begin()
