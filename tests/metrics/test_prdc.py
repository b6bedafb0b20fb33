"""Precision, recall, density, coverage: against the definitions written out, laws, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics import neighbours
from sparring.metrics.prdc import density_coverage, prdc, precision_recall


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def naive(real: NDArray[np.float64], fake: NDArray[np.float64], k: int) -> tuple[float, float, float, float]:
    """The definitions, with whole matrices in float64."""
    apart = lambda a, b: cdist(a, b)  # noqa: E731
    ball_real = np.sort(apart(real, real), axis=1)[:, k]  # number 0 is the sample itself
    ball_fake = np.sort(apart(fake, fake), axis=1)[:, k]
    cross = apart(real, fake)
    inside = cross <= ball_real[:, None]
    recall = (cross <= ball_fake[None]).any(1).mean()
    return inside.any(0).mean(), recall, inside.sum(0).mean() / k, (cross.min(1) <= ball_real).mean()


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize(("n", "m", "d"), [(150, 150, 2), (120, 200, 100), (200, 90, 31)])
def test_definition(n: int, m: int, d: int, k: int) -> None:
    """In float64 to the last sample; in float32, as features come, the same."""
    real, fake = normal(n, d), 0.9 * normal(m, d, 1) + 0.1
    expected = naive(real.double().numpy(), fake.double().numpy(), k)
    for x, y in ((real.double(), fake.double()), (real, fake)):
        found = prdc(x, y, k, k)
        values = (found.precision.value, found.recall.value, found.density.value, found.coverage.value)
        assert values == pytest.approx(expected, abs=1e-9)
    assert precision_recall(real, fake, k).recall == found.recall
    assert density_coverage(real, fake, k).density == found.density


def test_published_protocol_at_small_n() -> None:
    """N(0, I₁₀₀₀) of the reference table (there n = 10,000; see benchmarks/prdc.py) at n = 400, by the definitions."""
    real, fake = normal(400, 1000), normal(400, 1000, 1)
    found = prdc(real, fake, 5, 5)
    expected = naive(real.double().numpy(), fake.double().numpy(), 5)
    values = (found.precision.value, found.recall.value, found.density.value, found.coverage.value)
    assert values == pytest.approx(expected, abs=0.003)  # a near tie may fall either way in float32
    assert 0.9 < found.coverage.value <= 1.0 and 0.7 < found.density.value < 1.5


def test_identity_and_strangers() -> None:
    x = normal(100, 40)
    same = prdc(x, x)
    assert same.precision.value == same.recall.value == same.coverage.value == 1.0 and same.density.value >= 1.0
    far = prdc(x, x + 1000.0)
    assert far.precision.value == far.recall.value == far.density.value == far.coverage.value == 0.0
    assert far.precision.low == 0.0 < far.precision.high < 0.1  # no evidence is not certainty
    alike = prdc(x[:1].repeat(100, 1), x[:1].repeat(100, 1))  # radii of 0
    assert alike.precision.value == alike.coverage.value == 1.0


def test_collapse_and_blur_are_told_apart() -> None:
    real, fake = normal(300, 16), normal(300, 16, 1)
    collapsed = prdc(real, 0.3 * fake)  # typical samples only
    assert collapsed.precision.value > 0.99 and collapsed.recall.value < 0.1
    noisy = prdc(real, 2.0 * fake)
    assert noisy.precision.value < 0.1 and noisy.recall.value > 0.95
    covered = [prdc(real, torch.cat([fake[: 300 - c], fake[:1].repeat(c, 1)])).coverage.value for c in (0, 150, 290)]
    assert covered[0] > covered[1] > covered[2]


def test_coverage_of_equal_laws() -> None:
    """1 − (n − 1) … / (2n − 1) …, which is about 1 − 2⁻ᵏ (Naeem et al. 2020, equation 10)."""
    n, k = 400, 5
    expected = 1 - float(np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)]))
    values = [prdc(normal(n, 4, 2 * s), normal(n, 4, 2 * s + 1)).coverage.value for s in range(20)]
    assert np.mean(values) == pytest.approx(expected, abs=0.006)


def test_chunks_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(120, 40), normal(80, 40, 1) + 0.2
    whole = prdc(real.double(), fake.double())
    monkeypatch.setattr(neighbours, "_CHUNK", 1000)
    assert prdc(real.double(), fake.double()) == whole
    turned = prdc(fake.double(), real.double())
    assert turned.precision.value == whole.recall.value and turned.recall.value == whole.precision.value


def test_far_from_the_origin() -> None:
    """A common offset, which float32 products would drown in, changes nothing."""
    real, fake = normal(150, 64), 0.9 * normal(150, 64, 1)
    near, far = prdc(real, fake), prdc(real + 30.0, fake + 30.0)
    assert far.precision.value == pytest.approx(near.precision.value, abs=0.007)
    assert far.coverage.value == pytest.approx(near.coverage.value, abs=0.007)


def test_too_few() -> None:
    with pytest.raises(SparringError, match="METRIC-FEW"):
        prdc(normal(5, 2), normal(50, 2))


def test_intervals_cover() -> None:
    """Of the mean over draws of both sides. Careful by design: between 90 and 100 %."""
    found = [prdc(normal(120, 3, 2 * s), 0.8 * normal(120, 3, 2 * s + 1) + 0.2) for s in range(100)]
    for name in ("precision", "recall", "density", "coverage"):
        each = [getattr(f, name) for f in found]
        mean = np.mean([e.value for e in each])
        assert 0.9 <= np.mean([e.low <= mean <= e.high for e in each]) <= 1.0, name
        width = np.mean([e.high - e.low for e in each]) / 3.92
        assert width < 2.0 * np.std([e.value for e in each]), name
