"""log I_ν and I_{ν+1} / I_ν against SciPy, closed forms, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

from sparring.ops.bessel import log_ive, log_normalised

ORDERS = (0.0, 0.5, 1.0, 2.0, 4.5, 9.5, 13.9, 14.0, 19.5, 33.3, 60.0)
X = torch.logspace(-6, 4, 301, dtype=torch.float64)


@pytest.mark.parametrize("order", ORDERS)
def test_values_are_those_of_scipy(order: float) -> None:
    """ν in [0, 60], x in [1e-6, 1e4], to 1e-10, wherever SciPy's own numbers do not underflow."""
    ive, above = special.ive(order, X.numpy()), special.ive(order + 1, X.numpy())
    there = above > 1e-290
    assert there.sum() > 100
    np.testing.assert_allclose(log_ive(order, X).exp().numpy()[there], ive[there], rtol=1e-10)
    np.testing.assert_allclose(log_normalised(order, X)[1].numpy()[there], above[there] / ive[there], rtol=1e-11)


def test_where_scipy_underflows_the_first_term_of_the_series_is_all_there_is() -> None:
    x = torch.tensor([1e-6, 1e-3], dtype=torch.float64)
    assert (special.ive(60.0, 1e-6), special.ive(60.0, 1e-3)) == (0.0, special.ive(60.0, 1e-3))
    expected = 60 * torch.log(x / 2) - special.gammaln(61.0) - x
    torch.testing.assert_close(log_ive(60.0, x), expected + x**2 / 244, rtol=1e-12, atol=1e-10)
    small, ratio = log_normalised(60.0, x)
    torch.testing.assert_close(small, x**2 / (4 * 61), rtol=1e-3, atol=1e-15)
    torch.testing.assert_close(ratio, x / (2 * 61), rtol=1e-9, atol=0)


def test_half_an_order_is_elementary() -> None:
    x = torch.linspace(0.1, 30, 50, dtype=torch.float64)
    value, ratio = log_normalised(0.5, x)
    torch.testing.assert_close(value, torch.log(torch.sinh(x) / x), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ratio, 1 / torch.tanh(x) - 1 / x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("order", [0.0, 0.5, 4.5, 25.0])
def test_gradients_of_both_orders(order: float) -> None:
    x = torch.tensor([0.05, 0.9, 7.0, 80.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: log_normalised(order, x), x)
    assert torch.autograd.gradgradcheck(lambda x: log_normalised(order, x), x)


def test_types_shapes_and_vmap() -> None:
    x = torch.tensor([[0.5, 3.0], [20.0, 4000.0]])
    value, ratio = log_normalised(2.0, x)
    assert value.dtype == ratio.dtype == torch.float32 and value.shape == ratio.shape == (2, 2)
    slope = torch.vmap(torch.func.grad(lambda x: log_normalised(2.0, x)[0]))(x.flatten())
    torch.testing.assert_close(slope.view(2, 2), ratio)
    with pytest.raises(ValueError, match="order"):
        log_normalised(-1.0, x)
