"""The modulated convolution against kernels of each sample's own, and the spread of what comes out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.ops.modulated import modulated
from sparring.ops.smooth import convolve, convolve_up


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def explicit(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool, up: bool) -> Tensor:
    """Karras et al. 2020, eq. 1 and 3, sample by sample."""
    made = []
    for image, s in zip(x, style, strict=True):
        kernels = weight * s[None, :, None, None]
        if demodulate:
            kernels = kernels / (kernels.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        made.append((convolve_up if up else convolve)(image[None], kernels))
    return torch.cat(made)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("demodulate", "up"), [(True, False), (True, True), (False, False), (False, True)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_each_sample_has_kernels_of_its_own(
    kernel: int, demodulate: bool, up: bool, dtype: torch.dtype, near: float
) -> None:
    x, weight = normal(0, 3, 4, 6, 8, dtype=dtype), normal(1, 5, 4, kernel, kernel, dtype=dtype) / 4
    style = 1 + normal(2, 3, 4, dtype=dtype) / 2
    found = modulated(x, weight, style, demodulate=demodulate, up=up)
    assert float((found - explicit(x, weight, style, demodulate, up)).abs().max()) < near


def test_demodulated_outputs_have_variance_1() -> None:
    """Whatever the style and the scale of the weights, inside the image, for independent inputs of variance 1."""
    x, weight = normal(0, 64, 16, 12, 12), 7 * normal(1, 8, 16, 3, 3)
    style = torch.exp(2 * normal(2, 64, 16))
    y = modulated(x, weight, style)[:, :, 1:-1, 1:-1]
    assert y.var().item() == pytest.approx(1, abs=0.02)
    assert y.mean().item() == pytest.approx(0, abs=0.02)
    assert modulated(x, weight, style, demodulate=False)[:, :, 1:-1, 1:-1].var().item() > 100


def test_derivatives_of_both_orders() -> None:
    inputs = [normal(k, *shape, dtype=torch.float64).requires_grad_() for k, shape in
              enumerate([(2, 2, 3, 3), (2, 2, 3, 3), (2, 2)])]  # fmt: skip
    for up in (False, True):
        assert torch.autograd.gradcheck(lambda x, w, s: modulated(x, w, s, up=up), inputs, fast_mode=True)  # noqa: B023
        assert torch.autograd.gradgradcheck(lambda x, w, s: modulated(x, w, s, up=up), inputs, fast_mode=True)  # noqa: B023
