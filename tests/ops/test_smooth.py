"""[1, 3, 3, 1] between resolutions against its definition, its adjoints, and the kernels it is joined with."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.ops.smooth import TAPS, blur, convolve_down, convolve_up, double, halve


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def blur_matrix(n: int, before: int, after: int) -> Tensor:
    """(n + before + after − 3, n): y[j] = Σₜ f[t] x[j + t − before]."""
    m = torch.zeros(n + before + after - 3, n, dtype=torch.float64)
    for j in range(len(m)):
        for t, tap in enumerate(TAPS):
            if 0 <= j + t - before < n:
                m[j, j + t - before] += tap
    return m


def halve_matrix(n: int) -> Tensor:
    """(n, 2n): every second row of the filter."""
    return blur_matrix(2 * n, 1, 1)[::2] if n > 1 else torch.tensor([[3.0, 3.0]], dtype=torch.float64) / 8


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 2, 2), (2, 5, 1, 3)])
def test_against_the_definition(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    x = image(*shape).contiguous(memory_format=layout)
    up = double(x)
    assert torch.allclose(up, 4 * halve_matrix(shape[2]).T @ x @ halve_matrix(shape[3]), atol=1e-12)
    assert torch.allclose(halve(up), halve_matrix(shape[2]) @ up @ halve_matrix(shape[3]).T, atol=1e-12)
    for before, after in ((1, 1), (2, 2), (2, 1), (3, 0)):
        wanted = blur_matrix(2 * shape[2], before, after) @ up @ blur_matrix(2 * shape[3], before, after).T
        assert torch.allclose(blur(up, before, after), wanted, atol=1e-12)
    assert up.is_contiguous(memory_format=layout) and halve(up).shape == x.shape


def test_derivatives_of_both_orders() -> None:
    x = image(1, 2, 4, 6).requires_grad_()
    for function in (blur, halve, double, lambda x: blur(x, 2, 1)):
        assert torch.autograd.gradcheck(function, (x,), fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda x: function(x).square(), (x,), fast_mode=True)  # noqa: B023


@pytest.mark.parametrize("kernel", [1, 3])
def test_joined_with_a_kernel(kernel: int) -> None:
    """Filter and kernel are one kernel of k + 3 taps, of a strided convolution or a transposed one."""
    x, weight = image(2, 3, 4, 6), image(5, 3, kernel, kernel)
    taps = torch.tensor(TAPS, dtype=torch.float64)
    f = torch.outer(taps, taps)
    both = F.conv_transpose2d(weight.reshape(15, 1, kernel, kernel), f[None, None]).reshape(
        5, 3, kernel + 3, kernel + 3
    )
    edge = (kernel + 1) // 2
    down = F.conv2d(x, both, stride=2, padding=edge)
    assert torch.allclose(convolve_down(x, weight), down, atol=1e-12) and down.shape == (2, 5, 2, 3)
    up = 4 * F.conv_transpose2d(x, both.transpose(0, 1), stride=2, padding=edge)
    assert torch.allclose(convolve_up(x, weight), up, atol=1e-12) and up.shape == (2, 5, 8, 12)


def test_an_odd_side_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        halve(torch.zeros(1, 1, 3, 4))
