"""Class shares and modes: what is flagged, what is not, and what chance would show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.classes import counts, frequencies, modes


def drawn(p: list[float], n: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=seed)).multinomial(n, p)


def sure(labels: list[int], k: int, confidence: float = 1.0) -> Tensor:
    rows = torch.full((len(labels), k), (1 - confidence) / (k - 1))
    rows[torch.arange(len(labels)), torch.tensor(labels)] = confidence
    return rows


def test_equal_shares_are_not_flagged() -> None:
    """Some class of a fair sampler is flagged in at most about 5 % of cases, and the test of all is as honest."""
    p = [0.4, 0.3, 0.2, 0.05, 0.03, 0.02]
    found = [frequencies(drawn(p, 400, 2 * s), drawn(p, 1000, 2 * s + 1)) for s in range(200)]
    assert np.mean([bool(f.flags) for f in found]) <= 0.08
    assert 0.01 <= np.mean([f.p < 0.05 for f in found]) <= 0.1
    assert np.mean([f.apart for f in found]) == pytest.approx(found[0].chance, rel=0.15)


def test_what_is_wrong_is_named() -> None:
    found = frequencies([700, 300, 0, 50], [500, 350, 150, 50], ["tabby", "siamese", "sphynx", "manx"])
    assert [c.flag for c in found.classes] == ["over", "under", "absent", ""]
    assert found.flags[0].startswith("tabby: too often") and "sphynx: never" in " ".join(found.flags)
    assert found.p < 1e-6 and found.apart == pytest.approx(700 / 1050 - 500 / 1050)
    assert found.classes[0].ratio.low > 1 > found.classes[2].ratio.high


def test_chi_square_is_scipys() -> None:
    a, b = [30, 50, 20], [60, 80, 61]
    assert frequencies(a, b).p == pytest.approx(stats.chi2_contingency([a, b], correction=False).pvalue, rel=1e-9)
    assert frequencies([1, 0, 0], [0, 1, 0]).p == 1.0  # too few to say anything
    assert frequencies([10, 0], [10, 0]).classes[1].flag == ""


def test_ratio_covers() -> None:
    rows = [frequencies(drawn([0.2, 0.8], 300, 2 * s), drawn([0.1, 0.9], 500, 2 * s + 1)) for s in range(200)]
    assert 0.9 <= np.mean([r.classes[0].ratio.low <= 2.0 <= r.classes[0].ratio.high for r in rows]) <= 0.99
    assert 0.9 <= np.mean([r.classes[0].share.low <= 0.2 <= r.classes[0].share.high for r in rows]) <= 0.99


def test_modes_and_thresholds() -> None:
    p = torch.cat([sure([0, 1, 2] * 50, 5), sure([3] * 20, 5, 0.6)])
    none, half, most, nearly = modes(p)
    assert (none.modes, half.modes, most.modes, nearly.modes) == (4, 4, 3, 3)
    assert none.sure.value == 1.0 and most.sure.value == pytest.approx(150 / 170)
    assert most.raw_kl == pytest.approx(math.log(5 / 3)) and most.floor == pytest.approx(4 / 300)
    assert most.kl.value == pytest.approx(most.raw_kl - most.floor) and most.p < 1e-9
    assert none.counts.tolist() == [50, 50, 50, 20, 0]
    empty = modes(sure([0] * 9, 5, 0.5), thresholds=[0.9])[0]
    assert empty.modes == 0 and empty.raw_kl == pytest.approx(math.log(5)) and empty.p == 0.0


def test_a_perfect_sampler() -> None:
    """Raw KL is about (K − 1) / 2n on average, the corrected one about 0, p uniform."""
    k, n = 10, 400
    found = [
        modes(sure(np.repeat(np.arange(k), drawn([1 / k] * k, n, s)).tolist(), k), thresholds=[0])[0]
        for s in range(100)
    ]
    assert np.mean([f.raw_kl for f in found]) == pytest.approx(found[0].floor, rel=0.15)
    assert np.mean([f.p < 0.05 for f in found]) <= 0.12
    assert np.mean([f.kl.low == 0.0 for f in found]) >= 0.85


def test_kl_interval_covers() -> None:
    p, k = [0.4, 0.3, 0.2, 0.1], 4
    truth = sum(q * math.log(q * k) for q in p)
    found = [
        modes(sure(np.repeat(np.arange(k), drawn(p, 300, s)).tolist(), k), thresholds=[0])[0].kl for s in range(200)
    ]
    assert 0.9 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.99
    assert np.mean([f.value for f in found]) == pytest.approx(truth, rel=0.06)


def test_reference_and_noise() -> None:
    reference = [0.7, 0.2, 0.1]
    same = modes(sure([0] * 70 + [1] * 20 + [2] * 10, 3), thresholds=[0], reference=reference)[0]
    assert same.raw_kl == pytest.approx(0.0, abs=1e-12) and same.kl.value == 0.0
    assert same.expected == pytest.approx(sum(1 - (1 - q) ** 100 for q in reference))
    told = modes(sure([0] * 9, 3), noise=sure([1, 2], 3, 0.8), thresholds=[0, 0.9])
    assert [t.noise for t in told] == [2, 0]


def test_errors() -> None:
    for call in (
        lambda: frequencies([1, 2], [1, 2, 3]),
        lambda: frequencies([0, 0], [1, 2]),
        lambda: modes(torch.zeros(3)),
        lambda: modes(sure([0], 3), reference=[1.0, 0.0, 1.0]),
    ):
        with pytest.raises(SparringError, match="METRIC-"):
            call()
    assert counts([0, 0, 2], 3).tolist() == [2, 0, 1]
