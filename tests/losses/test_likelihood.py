"""Laws of x: they sum, or integrate, to 1, and what is drawn from them has their mean."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.chance import Dice
from sparring.losses.likelihood import BERNOULLI, GAUSSIAN, LIKELIHOODS, LOGISTIC

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("at", [-3.0, -1.0, -0.2, 0.004, 0.99, 1.7])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 2.0])
def test_the_levels_sum_to_one(at: float, log_scale: float) -> None:
    """However narrow or wide the law, and wherever its middle."""
    p = LOGISTIC.log_p(LEVELS, number(at), number(log_scale)).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-9) and bool((p >= 0).all())
    single = LOGISTIC.log_p(LEVELS.float(), number(at).float(), number(log_scale).float())
    torch.testing.assert_close(single.double().exp(), p, rtol=0, atol=2e-3)


def test_a_level_has_the_mass_between_its_neighbours() -> None:
    """P(x = level k) = F(x + 1/255) − F(x − 1/255), F the logistic distribution function."""
    at, s = 0.11, 0.2
    k = torch.tensor([1, 77, 140, 254])
    edges = [torch.sigmoid((LEVELS[k] + side / 255 - at) / s) for side in (1, -1)]
    found = LOGISTIC.log_p(LEVELS[k], number(at), number(math.log(s)))
    torch.testing.assert_close(found, (edges[0] - edges[1]).log())


def test_far_from_the_middle_logarithm_and_gradient_stay_finite() -> None:
    raw = torch.tensor([-1.0, 1.0, 0.0]).requires_grad_()
    log_scale = torch.tensor(-7.0).requires_grad_()
    found = LOGISTIC.log_p(torch.tensor([1.0, -1.0, 0.9]), raw, log_scale).sum()
    found.backward()
    assert bool(found.isfinite()) and raw.grad is not None and log_scale.grad is not None
    assert bool(raw.grad.isfinite().all()) and bool(log_scale.grad.isfinite())


def test_bernoulli_is_the_cross_entropy() -> None:
    raw = torch.tensor([0.3, -2.0, 5.0]).double()
    both = [BERNOULLI.log_p(torch.full_like(raw, x), raw, number(0)).exp() for x in (-1, 1)]
    torch.testing.assert_close(both[0] + both[1], torch.ones_like(raw))
    torch.testing.assert_close(both[1], torch.sigmoid(raw))
    torch.testing.assert_close(BERNOULLI.mean(raw), both[1] - both[0])


def test_the_density_is_that_of_x_between_minus_one_and_one() -> None:
    x = torch.linspace(-9, 9, 20_001).double()
    p = GAUSSIAN.log_p(x, number(0.2), number(math.log(0.7))).exp()
    assert float(torch.trapezoid(p, x)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_have_the_mean_and_the_law(name: str) -> None:
    law, n = LIKELIHOODS[name], 40_000
    raw = torch.full((n, 2), 0.2)
    x = law.draw(raw, torch.full((n, 1), math.log(0.15)), Dice(0, "x", range(n)))
    assert x.shape == raw.shape and float(x.mean()) == pytest.approx(float(law.mean(raw[:1, :1])), abs=0.012)
    assert abs(float(torch.corrcoef(x.T)[0, 1])) < 0.02
    if name == "bernoulli":
        assert set(x.unique().tolist()) == {-1.0, 1.0}
    if name == "logistic":
        torch.testing.assert_close((x + 1) * 127.5, ((x + 1) * 127.5).round(), rtol=0, atol=1e-4)
    if name == "gaussian":
        assert float(x.std()) == pytest.approx(0.15, rel=0.02)


def test_draws_do_not_repeat_the_latent() -> None:
    """z (n, 2) and the noise of points (n, 2) come from the same dice and are independent."""
    dice = Dice(0, "sample", range(5000))
    z, x = dice.normal(2), GAUSSIAN.draw(torch.zeros(5000, 2), torch.zeros(5000, 1), dice)
    assert float(torch.corrcoef(torch.cat([z, x], 1).T).triu(1).abs().max()) < 0.06
