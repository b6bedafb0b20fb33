"""KID: closed forms, unbiasedness, the null, and honest errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.kernel import Estimate, kernel, kid, kid_of_pairs, kid_of_subsets


def normal(n: int, d: int = 1, seed: int = 0, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + std * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments(mean: float, std: float) -> tuple[float, float, float]:
    return mean, mean**2 + std**2, mean**3 + 3 * mean * std**2


def exact(p: tuple[float, float], q: tuple[float, float]) -> float:
    """MMD² of two normals in one dimension: (xy + 1)³ compares the first three moments."""
    return sum(w * (a - b) ** 2 for w, a, b in zip((3, 3, 1), moments(*p), moments(*q), strict=True))


def test_definition() -> None:
    """Against double sums written out."""
    x, y = normal(5, 3), normal(4, 3, seed=1)
    k = lambda a, b: (a @ b / 3 + 1) ** 3  # noqa: E731
    xx = sum(k(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
    yy = sum(k(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / 12
    xy = sum(k(a, b) for a in x for b in y) / 20
    assert kid(x, y).value == pytest.approx(float(xx + yy - 2 * xy), abs=1e-10)
    assert kernel(x, y).shape == (5, 4) and kernel(x.float(), y.float()).dtype == torch.float64


@pytest.mark.parametrize(("p", "q"), [((0.0, 1.0), (1.0, 1.0)), ((0.0, 1.0), (0.0, 2.0)), ((0.5, 1.0), (-0.5, 0.5))])
def test_closed_form_of_normals(p: tuple[float, float], q: tuple[float, float]) -> None:
    estimate = kid(normal(2500, mean=p[0], std=p[1]), normal(2500, seed=1, mean=q[0], std=q[1]))
    assert abs(estimate.value - exact(p, q)) < 4 * estimate.standard_error
    assert estimate.value == pytest.approx(exact(p, q), rel=0.25)


def test_unbiased_for_few_samples() -> None:
    """The mean over many small sets is the true distance, also where it is 0: no 1/N bias."""
    n = 5
    for shift, expected in ((0.0, 0.0), (0.5, exact((0.0, 1.0), (0.5, 1.0)))):
        values = torch.tensor(
            [kid(normal(n, seed=2 * s), normal(n, seed=2 * s + 1, mean=shift)).value for s in range(1500)]
        )
        assert abs(values.mean().item() - expected) < 4.5 * values.std().item() / 1500**0.5


def test_invariances() -> None:
    x, y = normal(40, 6), normal(50, 6, seed=1, mean=0.3)
    rotation = torch.linalg.qr(normal(6, 6, seed=2))[0]
    value = kid(x, y).value
    assert kid(x @ rotation, y @ rotation).value == pytest.approx(value, abs=1e-9)
    assert kid(y, x).value == pytest.approx(value, abs=1e-9)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert kid(x[order], y).value == pytest.approx(value, abs=1e-9)
    assert abs(kid(x + 1, y + 1).value - value) > 1e-3  # not invariant to a translation of both


def test_rows_in_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(100, 4), normal(90, 4, seed=1)
    whole = kid(x, y)
    monkeypatch.setattr("sparring.metrics.kernel._ROWS", 7)
    assert kid(x, y).value == pytest.approx(whole.value, abs=1e-10)


def test_jackknife_against_leaving_out() -> None:
    x, y = normal(12, 2), normal(9, 2, seed=1, mean=0.5)
    keep = lambda a, i: torch.cat([a[:i], a[i + 1 :]])  # noqa: E731
    variance = 0.0
    for values in ([kid(keep(x, i), y).value for i in range(12)], [kid(x, keep(y, j)).value for j in range(9)]):
        v = torch.tensor(values, dtype=torch.float64)
        variance += (len(v) - 1) * float(v.var(correction=0))
    assert kid(x, y).standard_error == pytest.approx(variance**0.5, rel=1e-9)


def test_intervals_cover() -> None:
    """95 % intervals of a real difference hold the truth in about 95 % of repetitions."""
    truth = exact((0.0, 1.0), (0.5, 1.0))
    estimates = [kid(normal(300, seed=2 * s), normal(300, seed=2 * s + 1, mean=0.5)) for s in range(200)]
    assert 0.88 <= sum(e.low <= truth <= e.high for e in estimates) / 200 <= 0.995


def test_pairs_of_one_law_are_at_no_distance() -> None:
    """x and y share half of their variance: `kid` says less than nothing, `kid_of_pairs` 0."""
    plain, pairs = [], []
    for seed in range(200):
        z = normal(20, 5, seed)
        x, y = z + 0.5 * normal(20, 5, 1000 + seed), z + 0.5 * normal(20, 5, 2000 + seed)
        plain.append(kid(x, y).value)
        pairs.append(kid_of_pairs(x, y))
    values = torch.tensor([one.value for one in pairs])
    assert abs(float(values.mean())) < 3 * float(values.std()) / 200**0.5 < 0.1
    assert sum(plain) / 200 < -0.5
    assert 0.8 < sum(one.standard_error for one in pairs) / 200 / float(values.std()) < 1.8


def test_kid_of_pairs_is_kid_without_the_pairs() -> None:
    x, y = normal(6, 3), normal(6, 3, seed=1, mean=0.5)
    n, across = len(x), kernel(x, y)
    without = (across.sum() - across.diagonal().sum()) / (n * (n - 1))
    assert kid_of_pairs(x, y).value == pytest.approx(kid(x, y).value + 2 * float(across.mean() - without))
    assert kid_of_pairs(x, x).value == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(SparringError, match="no pairs"):
        kid_of_pairs(x, y[:5])


def test_subsets() -> None:
    x, y = normal(2000), normal(2000, seed=1, mean=0.5)
    estimate = kid_of_subsets(x, y, subsets=50, size=500)
    assert abs(estimate.value - kid(x, y).value) < 4 * estimate.standard_error
    assert estimate == kid_of_subsets(x, y, subsets=50, size=500)
    assert estimate != kid_of_subsets(x, y, subsets=50, size=500, seed=1)
    small = kid_of_subsets(x[:10], y[:10], subsets=3, size=1000)  # the whole sets, three times
    assert small.value == pytest.approx(kid(x[:10], y[:10]).value, abs=1e-9)


def test_estimate() -> None:
    e = Estimate(1.0, 0.5)
    assert (e.low, e.high) == (pytest.approx(0.02), pytest.approx(1.98)) and str(e) == "1.000 ± 0.980"


def test_shapes_are_checked() -> None:
    for x, y in ((normal(5, 2), normal(5, 3)), (normal(2), normal(5)), (torch.zeros(5), torch.zeros(5))):
        with pytest.raises(SparringError, match="METRIC-SHAPE"):
            kid(x, y)
