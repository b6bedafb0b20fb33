"""The Fréchet distance: closed forms, one pass over moments, agreement, and intervals that keep their word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.frechet import Moments, distance, fid, fid_infinity, moments, warning


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard(n: int, d: int = 1, seed: int = 0) -> Tensor:
    """Samples whose mean is exactly 0 and whose covariance is exactly I."""
    x = normal(n, d, seed)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T


def with_moments(mean: list[float], covariance: Tensor) -> Moments:
    found = Moments(len(mean))
    found.n, found.mean, found.scatter = 101, torch.tensor(mean, dtype=torch.float64), covariance.double() * 100
    return found


def test_one_dimension() -> None:
    """(m₁ − m₂)² + (s₁ − s₂)²."""
    for m1, s1, m2, s2 in ((0.0, 1.0, 1.0, 2.0), (3.0, 0.5, -1.0, 0.1), (0.0, 0.0, 2.0, 1.0)):
        x, y = m1 + s1 * standard(50), m2 + s2 * standard(70, seed=1)
        assert distance(moments(x), moments(y)) == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, abs=1e-10)


def test_shift_and_scale() -> None:
    x = normal(200, 5)
    shift = torch.tensor([1.0, -2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    assert distance(moments(x), moments(x + shift)) == pytest.approx(float(shift.square().sum()), rel=1e-9)
    at_0 = x - x.mean(0)  # (1 − a)² tr Σ
    expected = 4 * float(moments(x).covariance.trace())
    assert distance(moments(at_0), moments(3 * at_0)) == pytest.approx(expected, rel=1e-9)


def test_identity_symmetry_rotation() -> None:
    x, y = normal(300, 6), normal(200, 6, 1) @ normal(6, 6, 2)
    a, b = moments(x), moments(y)
    assert 0 <= distance(a, a) < 1e-6
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)
    rotation = torch.linalg.qr(normal(6, 6, 3))[0]
    assert distance(moments(x @ rotation), moments(y @ rotation)) == pytest.approx(distance(a, b), rel=1e-9)


def test_commuting_and_not() -> None:
    """Diagonal covariances: Σ (√a − √b)². Others: scipy's sqrtm of the unsymmetric product."""
    a, b = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 0.25, 2.0])
    found = distance(with_moments([0, 0, 0], a.diag()), with_moments([1, 0, 0], b.diag()))
    assert found == pytest.approx(1.0 + float((a.sqrt() - b.sqrt()).square().sum()), rel=1e-6)
    p, q = (m @ m.T for m in (normal(8, 8), normal(8, 8, 1)))
    root = linalg.sqrtm((p @ q).numpy()).real
    expected = float(p.trace() + q.trace()) - 2 * float(np.trace(root))
    assert distance(with_moments([0] * 8, p), with_moments([0] * 8, q)) == pytest.approx(expected, rel=1e-6)


def test_singular_covariances() -> None:
    """Fewer samples than dimensions: finite, 0 for equal sets, and no negative values."""
    x, y = normal(10, 40), normal(12, 40, 1)
    assert distance(moments(x), moments(x)) < 1e-6
    assert np.isfinite([fid(x, y).value, fid(x, y).low, fid(x, x).high]).all() and distance(moments(x), moments(y)) > 0


@pytest.mark.parametrize("batch", [1, 7, 100, 1000])
def test_moments_do_not_depend_on_batches(batch: int) -> None:
    """Also far from 0, where naive sums of squares lose everything."""
    x = normal(1000, 5).float() + 1000.0
    whole = moments(x)
    parts = Moments(5)
    for rows in torch.split(x, batch):
        parts.update(rows)
    assert parts.n == whole.n == 1000
    assert torch.allclose(parts.mean, whole.mean, rtol=0, atol=1e-9)
    assert torch.allclose(parts.scatter, whole.scatter, rtol=1e-9, atol=1e-6)
    expected = np.cov(x.double().numpy().T)
    assert np.allclose(whole.covariance.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_moments_of_shards() -> None:
    x, y = normal(500, 4), normal(400, 4, 9)
    shards = [moments(part) for part in torch.tensor_split(x, [3, 3, 250])]  # one is empty
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        merged = Moments(4)
        for k in order:
            merged.merge(Moments.of(shards[k].state()))
        assert distance(merged, moments(y)) == pytest.approx(distance(moments(x), moments(y)), abs=1e-9)
    state = shards[2].state()
    shards[2].update(y)
    assert int(state["n"]) == 247  # a state is a copy


def test_errors() -> None:
    for call in (
        lambda: Moments(3).update(torch.zeros(2, 4)),
        lambda: Moments(3).merge(Moments(4)),
        lambda: distance(moments(normal(1, 2)), moments(normal(5, 2))),
        lambda: fid_infinity(normal(7, 2), normal(20, 2)),
    ):
        with pytest.raises(SparringError, match="METRIC-"):
            call()


def test_grows_with_what_is_wrong() -> None:
    x, y = normal(400, 4), normal(400, 4, 1)
    shifted = [fid(x, y + s).value for s in (0.5, 1.0, 2.0)]
    scaled = [fid(x, y * s).value for s in (0.9, 0.5, 0.2)]
    assert sorted(shifted) == shifted and sorted(scaled) == scaled


def test_influence_against_leaving_out() -> None:
    """The interval is that of the jackknife over single samples, for one evaluation."""
    x, y = normal(150, 3), 1.3 * normal(120, 3, 1) + 0.3
    keep = lambda a, i: moments(torch.cat([a[:i], a[i + 1 :]]))  # noqa: E731
    variance = 0.0
    for values in (
        [distance(keep(x, i), moments(y)) for i in range(150)],
        [distance(moments(x), keep(y, j)) for j in range(120)],
    ):
        v = np.array(values)
        variance += (len(v) - 1) * v.var()
    found = fid(x, y)
    assert (found.high - found.low) / (2 * 1.95996) == pytest.approx(variance**0.5, rel=0.03)
    assert found.value == pytest.approx(distance(moments(x), moments(y)), rel=1e-12)  # of other routines of LAPACK


@pytest.mark.parametrize(("scale", "shift"), [(1.2, 1.0), (1.0, 0.0)])
def test_intervals_cover(scale: float, shift: float) -> None:
    """FID's: its mean at this n. The extrapolated one's: the true distance, which FID itself misses by far."""
    d, n = 4, 100
    truth = shift**2 + d * (scale - 1) ** 2
    pairs = []
    for s in range(200):
        y = scale * normal(n, d, 2 * s + 1)
        y[:, 0] += shift
        pairs.append((normal(n, d, 2 * s), y))
    biased = [fid(x, y) for x, y in pairs]
    mean = np.mean([f.value for f in biased])
    assert 0.9 <= np.mean([f.low <= mean <= f.high for f in biased]) <= 1.0
    assert mean > truth + 0.1  # what the bias is
    limit = [fid_infinity(x, y) for x, y in pairs]
    assert 0.9 <= np.mean([f.low <= truth <= f.high for f in limit]) <= 0.99
    assert abs(np.mean([f.value for f in limit]) - truth) < 0.1


def test_infinity_is_reproducible() -> None:
    x, y = normal(100, 3), normal(90, 3, 1)
    assert fid_infinity(x, y) == fid_infinity(x, y)
    assert fid_infinity(x, y) != fid_infinity(x, y, seed=1)


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    x, y = normal(300, 10), normal(200, 10, 1) @ normal(10, 10, 2) + 1
    a, b = moments(x), moments(y)
    expected = float(_compute_fid(a.mean, a.covariance, b.mean, b.covariance))
    assert distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_warnings() -> None:
    assert "kid" in warning(2000, 50_000, 2048) and "singular" in warning(50_000, 2000, 2048)
    assert "equal n" in warning(5000, 5000, 2048) and "equal n" in warning(10_000, 10_000, 2048)
    assert warning(50_000, 50_000, 2048) == ""
