"""[1, 2, 1] resampling against its definition, its adjoint, and what it must preserve."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.ops.resample import downsample, upsample


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def up_matrix(n: int) -> Tensor:
    """(2n, n): y[2i] = x[i], y[2i + 1] = (x[i] + x[min(i + 1, n − 1)]) / 2."""
    m = torch.zeros(2 * n, n, dtype=torch.float64)
    for i in range(n):
        m[2 * i, i] = 1.0
        m[2 * i + 1, i] += 0.5
        m[2 * i + 1, min(i + 1, n - 1)] += 0.5
    return m


def down_matrix(n: int) -> Tensor:
    """(n, 2n): y[i] = (x[max(2i − 1, 0)] + 2 x[2i] + x[2i + 1]) / 4."""
    m = torch.zeros(n, 2 * n, dtype=torch.float64)
    for i in range(n):
        m[i, max(2 * i - 1, 0)] += 0.25
        m[i, 2 * i] += 0.5
        m[i, 2 * i + 1] += 0.25
    return m


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 2, 2), (2, 5, 1, 3)])
def test_against_the_definition(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    x = image(*shape).contiguous(memory_format=layout)
    up = upsample(x)
    assert torch.allclose(up, up_matrix(shape[2]) @ x @ up_matrix(shape[3]).T, atol=1e-12)
    down = downsample(up)
    assert torch.allclose(down, down_matrix(shape[2]) @ up @ down_matrix(shape[3]).T, atol=1e-12)
    assert up.is_contiguous(memory_format=layout) and down.shape == x.shape


def test_constants_stay_constant_to_the_border() -> None:
    x = torch.full((1, 2, 6, 8), 0.7, dtype=torch.float64)
    assert torch.allclose(upsample(x), torch.tensor(0.7, dtype=torch.float64), atol=1e-15)
    assert torch.allclose(downsample(x), torch.tensor(0.7, dtype=torch.float64), atol=1e-15)


def test_the_mean_is_kept_away_from_the_border() -> None:
    x = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    x[..., 4:8, 4:8] = image(1, 1, 4, 4)
    assert upsample(x).sum().item() == pytest.approx(4 * x.sum().item(), abs=1e-12)
    assert downsample(x).sum().item() == pytest.approx(x.sum().item() / 4, abs=1e-12)


def test_gradients_of_both_orders() -> None:
    x = image(2, 3, 6, 4).requires_grad_()
    for change in (upsample, downsample):
        assert torch.autograd.gradcheck(change, x)
        assert torch.autograd.gradgradcheck(change, x)


def test_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="even sides"):
        downsample(torch.zeros(1, 1, 3, 4))
