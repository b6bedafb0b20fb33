"""Likelihoods of a model whose evidence is known: z ~ N(0, I), x | z ~ N(W z + b, s² I), so x ~ N(b, W Wᵀ + s² I)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from sparring.chance import Dice
from sparring.metrics import likelihood as measures
from sparring.metrics.likelihood import LogMeanExp, importance_weighted

N, LATENTS, DIMENSIONS = 24, 2, 5


@dataclass
class LinearGaussian:
    """With a posterior N(A (x − b), c S), S the true covariance: c = 1 and A right is the true posterior."""

    width: float = 1.6
    shift: float = 0.3

    def __post_init__(self) -> None:
        g = torch.Generator().manual_seed(3)
        self.W = torch.randn(DIMENSIONS, LATENTS, generator=g, dtype=torch.float64)
        self.b = torch.randn(DIMENSIONS, generator=g, dtype=torch.float64)
        self.s = 0.7
        precision = torch.eye(LATENTS, dtype=torch.float64) + self.W.T @ self.W / self.s**2
        self.S = torch.linalg.inv(precision)
        self.A = self.S @ self.W.T / self.s**2
        noise = torch.randn(N, LATENTS + DIMENSIONS, generator=g, dtype=torch.float64)
        self.x = noise[:, :LATENTS] @ self.W.T + self.b + self.s * noise[:, LATENTS:]

    @property
    def exact(self) -> Tensor:
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(DIMENSIONS, dtype=torch.float64)
        return MultivariateNormal(self.b, covariance).log_prob(self.x)

    @property
    def elbo(self) -> Tensor:
        """In closed form: log p(x) − KL(q ‖ p(z | x))."""
        d = torch.full((LATENTS,), self.shift, dtype=torch.float64)
        kl = 0.5 * (LATENTS * self.width - LATENTS - LATENTS * math.log(self.width) + d @ torch.linalg.inv(self.S) @ d)
        return self.exact - kl

    def weigh(self, rows: Tensor, draws: range, seed: int = 0) -> Tensor:
        x = self.x[rows]
        q = MultivariateNormal((x - self.b) @ self.A.T + self.shift, self.width * self.S)
        noise = Dice(seed, "test/weights", draws).normal(LATENTS).double()
        z = q.loc + noise @ torch.linalg.cholesky(self.width * self.S).T
        log_p = Normal(z @ self.W.T + self.b, self.s).log_prob(x).sum(1)
        return log_p + Normal(0.0, 1.0).log_prob(z).sum(1) - q.log_prob(z)


def weights(model: LinearGaussian, samples: int) -> Tensor:
    """(n, K), all at once."""
    return model.weigh(torch.arange(N * samples) // samples, range(N * samples)).view(N, samples)


@pytest.mark.parametrize("piece", [1, 7, 500, 10**6])
def test_streamed_is_what_all_weights_at_once_give(piece: int) -> None:
    model, samples = LinearGaussian(), 13
    found = importance_weighted(model.weigh, N, samples, piece)
    w = weights(model, samples)
    assert torch.allclose(found.bound, w.logsumexp(1) - math.log(samples), rtol=0, atol=1e-12)
    assert torch.allclose(found.elbo, w.mean(1), rtol=0, atol=1e-12)
    share = w.softmax(1)
    assert torch.allclose(found.effective, 1 / share.square().sum(1), rtol=1e-10, atol=0)


def test_elbo_at_most_importance_weighted_at_most_exact_on_average() -> None:
    """Both sides: the bound is below the evidence, and at 500 weights nearly there."""
    model = LinearGaussian()
    found = importance_weighted(model.weigh, N, 500)
    exact, bound, elbo = (float(value.mean()) for value in (model.exact, found.bound, model.elbo))
    assert elbo < bound - 0.1
    assert exact - 0.05 < bound < exact + 0.05
    assert torch.allclose(found.elbo, model.elbo, rtol=0, atol=6 * 1.5 / math.sqrt(500))
    assert (found.elbo <= found.bound + 1e-12).all()  # Jensen, for every image, of the same draws
    assert (found.effective > 100).all() and (found.effective <= 500 + 1e-9).all()


def test_the_bound_rises_with_the_number_of_weights() -> None:
    model = LinearGaussian(width=3.0, shift=0.6)
    means = [float(importance_weighted(model.weigh, N, k).bound.mean()) for k in (1, 5, 50, 500)]
    assert means == sorted(means) and means[-1] <= float(model.exact.mean()) + 0.05
    assert abs(float(model.elbo.mean()) - means[0]) < 1.0


def test_the_true_posterior_makes_every_weight_the_evidence() -> None:
    model = LinearGaussian(width=1.0, shift=0.0)
    for samples in (1, 9):
        found = importance_weighted(model.weigh, N, samples)
        assert torch.allclose(found.bound, model.exact, rtol=0, atol=1e-9)
        assert torch.allclose(found.effective, torch.full((N,), float(samples), dtype=torch.float64))


def test_draws_have_numbers_so_the_same_seed_gives_the_same_numbers() -> None:
    model = LinearGaussian()
    first = importance_weighted(model.weigh, N, 20, piece=11).bound
    assert torch.equal(first, importance_weighted(model.weigh, N, 20, piece=11).bound)
    assert torch.equal(importance_weighted(model.weigh, 3, 20).bound, importance_weighted(model.weigh, N, 20).bound[:3])


def test_weights_far_from_0_neither_overflow_nor_vanish() -> None:
    total = LogMeanExp(3)
    rows = torch.tensor([0, 1, 2])
    total.add(rows, torch.tensor([-1e6, 1e6, -math.inf]))
    total.add(rows, torch.tensor([-1e6 + 1, -1e6, 2.0]))
    expected = [-1e6 + math.log((1 + math.e) / 2), 1e6 - math.log(2), 2.0 - math.log(2)]
    assert total.value.tolist() == pytest.approx(expected, abs=1e-9)
    assert total.effective.tolist()[1:] == pytest.approx([1.0, 1.0])


def test_an_image_without_any_finite_weight_is_minus_infinity() -> None:
    total = LogMeanExp(1)
    total.add(torch.tensor([0, 0]), torch.tensor([-math.inf, -math.inf]))
    assert total.value.tolist() == [-math.inf]


def test_bits_per_dimension_of_uniform_levels_and_fair_coins() -> None:
    for values, dimensions in ((256, 48), (2, 784)):
        nats = torch.full((3,), -dimensions * math.log(values), dtype=torch.float64)
        assert measures.bits_per_dimension(nats, dimensions).tolist() == pytest.approx([math.log2(values)] * 3)


def test_every_outcome_is_said_in_other_words() -> None:
    said = {measures.of_what("binary", how) for how in ("none", "threshold", "static", "dynamic")}
    said |= {measures.of_what("levels"), measures.of_what("continuous")}
    assert len(said) == 6 and "static" in measures.of_what("binary", "static")


def test_the_mean_has_an_interval_that_covers_it() -> None:
    values = torch.arange(200.0)
    found = measures.average(values)
    assert found.value == pytest.approx(99.5)
    assert found.low < 99.5 < found.high and 10 < found.high - found.low < 22


# ── in place of a likelihood ──────────────────────────────────────────────────────────────────────────────────────


def test_a_kernel_estimate_is_that_of_its_mixture() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 3, generator=g), torch.randn(600, 3, generator=g)
    for k, sigma in enumerate((0.2, 1.0)):
        found = measures.parzen(x, y, (0.2, 1.0))[k]
        direct = Normal(y.double()[None], sigma).log_prob(x.double()[:, None]).sum(2).logsumexp(1) - math.log(600)
        assert torch.allclose(found, direct, rtol=0, atol=1e-6)


def test_the_bandwidth_is_the_one_of_the_validation_images() -> None:
    g = torch.Generator().manual_seed(1)
    y = 0.5 + 0.1 * torch.randn(400, 2, generator=g)
    near, far = y[:50] + 0.02 * torch.randn(50, 2, generator=g), y[:50] + 0.5 * torch.randn(50, 2, generator=g)
    narrow, wide = measures.bandwidth(near, y), measures.bandwidth(far, y)
    assert 0.01 <= narrow < 0.1 < wide <= 1.0
    assert wide in measures.BANDWIDTHS and narrow in measures.BANDWIDTHS


def test_centres_that_model_nothing_beat_samples_of_the_true_law() -> None:
    """What Theis et al. 2016 found in section 3.5, in small: the average of each cluster against 100 true samples."""
    g = np.random.default_rng(0)
    centres = g.uniform(0, 1, (100, 30))
    centres[:] = centres[:20].repeat(5, axis=0)

    def draw(n: int) -> Tensor:
        return torch.from_numpy(centres[g.integers(0, 100, n)] + 0.15 * g.standard_normal((n, 30))).float()

    validation, test = draw(200), draw(200)

    def score(samples: Tensor) -> float:
        return float(measures.parzen(test, samples, [measures.bandwidth(validation, samples)])[0].mean())

    assert score(torch.from_numpy(centres[::5]).float()) > score(draw(100)) + 1
