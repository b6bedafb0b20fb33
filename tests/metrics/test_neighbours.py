"""Neighbours against scikit-learn; memorisation and repetition found where they are, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics import neighbours
from sparring.metrics.neighbours import Neighbours, copies, duplicates, nearest, nearest_other, squared_distances


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("d", [2, 32, 33, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_scikit_learn(d: int, dtype: torch.dtype) -> None:
    from sklearn.metrics import pairwise_distances
    from sklearn.neighbors import NearestNeighbors

    x, y = normal(80, d).to(dtype), normal(120, d, 1).to(dtype)
    expected = pairwise_distances(x.double().numpy(), y.double().numpy())
    squared = torch.cat([slab.clone() for _, slab in squared_distances(x, y)]).double().numpy()
    assert np.allclose(np.sqrt(squared), expected, rtol=1e-6 if dtype == torch.float64 else 1e-5)
    distance, which = nearest(x, y)
    theirs, index = NearestNeighbors(n_neighbors=1).fit(y.double().numpy()).kneighbors(x.double().numpy())
    assert (which.numpy() == index[:, 0]).all() and np.allclose(distance.numpy(), theirs[:, 0], rtol=1e-6)
    others, index = NearestNeighbors(n_neighbors=4).fit(y.double().numpy()).kneighbors()
    assert np.allclose(nearest_other(y)[0].numpy(), others[:, 0], rtol=1e-6)
    assert np.allclose(Neighbours(y, 4).radius(4).sqrt().numpy(), others[:, 3], rtol=1e-5)


def test_neighbours_among_a_part() -> None:
    x, kept = normal(60, 5), torch.arange(60) % 3 > 0
    expected = Neighbours(x[kept], 3).radius(3)
    assert torch.allclose(Neighbours(x, 3).radius_within(3, kept), expected)
    assert torch.equal(Neighbours(x, 3).radius_within(3, torch.ones(60, dtype=torch.bool)), Neighbours(x, 3).radius(3))


def test_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(70, 40), normal(50, 40, 1)
    whole = nearest(x, y), nearest_other(x)
    monkeypatch.setattr(neighbours, "_CHUNK", 200)
    for a, b in zip(whole, (nearest(x, y), nearest_other(x)), strict=True):
        assert torch.equal(a[1], b[1]) and torch.allclose(a[0], b[0])


@pytest.mark.parametrize("d", [3, 64])
def test_copies_are_named(d: int) -> None:
    train, held_out, fresh = normal(1000, d), normal(400, d, 1), normal(300, d, 2)
    fake = torch.cat([fresh[:60], train[100:140], fresh[60:]])  # 40 of 340, at places 60 to 99
    found = copies(fake, train, held_out)
    assert found.exact == 40 and set(range(60, 100)) <= set(found.indices.tolist())
    assert len(found.indices) < 40 + 15 and found.p < 1e-9
    of = dict(zip(found.indices.tolist(), found.of.tolist(), strict=True))
    assert all(of[60 + k] == 100 + k for k in range(40))
    assert (found.distance[found.indices] <= found.threshold).all() and found.excess > 0.1
    assert found.share.low <= 40 / 340 <= found.share.high


def test_near_copies_are_named() -> None:
    train, held_out = normal(500, 64), normal(300, 64, 1)
    found = copies(train[:50] + 0.1 * normal(50, 64, 2), train, held_out)
    assert found.exact == 0 and found.share.value == 1.0 and found.of.sort().values.tolist() == list(range(50))


def test_fresh_data_is_not_accused() -> None:
    """The null rate is what it says, and p is uniform enough to be trusted: below 5 % in at most about 5 % of cases."""
    found = [copies(normal(150, 4, 3 * s), normal(200, 4, 3 * s + 1), normal(200, 4, 3 * s + 2)) for s in range(200)]
    assert np.mean([f.share.value for f in found]) == pytest.approx(found[0].null.value, abs=0.003)
    assert np.mean([f.p < 0.05 for f in found]) <= 0.085
    assert np.mean([f.null.low <= 0.01 <= f.null.high for f in found]) >= 0.9


def test_data_that_leaks_raises_the_null() -> None:
    """Held-out data that is in the training data: nothing can be called a copy because of it."""
    train = normal(300, 8)
    found = copies(torch.cat([train[:5], normal(95, 8, 1)]), train, torch.cat([train[:20], normal(80, 8, 2)]))
    assert found.threshold == 0.0 and found.null.value == pytest.approx(20 / 101) and found.p > 0.5


def test_duplicates() -> None:
    real, fake = normal(300, 8), normal(300, 8, 1)
    clean = duplicates(fake, real)
    assert clean.share.value < 0.05 and clean.null == pytest.approx(0.01, abs=0.004)
    repeated = torch.cat([fake[:200], fake[:100]])
    found = duplicates(repeated, real)
    assert found.share.value >= 200 / 300 and found.share.low > clean.share.high
    assert {tuple(sorted(p)) for p in zip(found.indices.tolist()[:200], found.of.tolist()[:200], strict=True)} == {
        (k, k + 200) for k in range(100)
    }
    assert duplicates(real[:1].repeat(50, 1), real).share.value == 1.0
    uneven = duplicates(torch.cat([fake, fake]), real[:200])
    assert uneven.n == 200 and int(uneven.indices.max()) >= 200  # numbers of `fake` as given


def test_duplicates_interval_covers() -> None:
    found = [duplicates(0.6 * normal(150, 2, 2 * s), normal(150, 2, 2 * s + 1)).share for s in range(120)]
    mean = np.mean([f.value for f in found])
    assert 0.9 <= np.mean([f.low <= mean <= f.high for f in found]) <= 0.995


def test_errors() -> None:
    with pytest.raises(SparringError, match="METRIC-SHAPE"):
        nearest(normal(3, 2), normal(3, 4))
    with pytest.raises(SparringError, match="METRIC-FEW"):
        copies(normal(3, 2), normal(3, 2), normal(3, 2)[:0])
    with pytest.raises(SparringError, match="METRIC-FEW"):
        Neighbours(normal(3, 2), 3)
