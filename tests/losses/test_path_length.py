"""Path-length regularisation where it is known: linear generators."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.losses.path_length import PathLength, lengths


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_linear_generator_has_a_closed_form() -> None:
    """G(w) = A w, A (M, n) with columns of length c at right angles: ‖Aᵀ y‖ is c times a chi variable of n degrees."""
    n, shape, c = 6, (3, 8, 4), 1.7
    A = c * torch.linalg.qr(normal(0, math.prod(shape), n)).Q
    w, y = normal(1, 20_000, n).requires_grad_(), normal(2, 20_000, *shape)
    found = lengths((w @ A.T).view(-1, *shape), w, y).detach() * math.sqrt(8 * 4)
    torch.testing.assert_close(found, (y.flatten(1) @ A).norm(dim=1))
    wanted = c * math.sqrt(2) * math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2))
    assert found.mean().item() == pytest.approx(wanted, rel=0.02)
    path = PathLength().double()
    path.a.fill_(wanted)
    variance = c**2 * n - wanted**2  # of c χₙ: what is left where every direction is as long
    assert path(found).mean().item() == pytest.approx(variance, rel=0.06)


def test_layers_count_alike_and_samples_by_themselves() -> None:
    """Of W+ the mean square over the layers; a sample's length does not depend on the others."""
    w, y = normal(1, 3, 2, 5).requires_grad_(), normal(2, 3, 1, 2, 2)
    images = torch.cat([w[:, 0, :4], torch.zeros(3, 0, dtype=torch.float64)], 1).view(3, 1, 2, 2)  # of the first alone
    found = lengths(images, w, y).detach()
    torch.testing.assert_close(found, y.flatten(1).norm(dim=1) / math.sqrt(4) / math.sqrt(2))


def test_its_derivative_reaches_the_generator() -> None:
    A = normal(0, 12, 3).requires_grad_()

    def penalty(A: Tensor) -> Tensor:
        w = normal(1, 2, 3).requires_grad_()
        return PathLength().double()(lengths((w @ A.T).view(2, 3, 2, 2), w, normal(2, 2, 3, 2, 2)))

    assert torch.autograd.gradcheck(penalty, (A,), fast_mode=True)


def test_the_mean_is_remembered() -> None:
    path = PathLength(0.25)
    for length in (4.0, 8.0):
        path.remember(torch.tensor(length))
    assert path.a.item() == pytest.approx(0.75 * 1 + 0.25 * 8)
    assert dict(path.named_buffers()).keys() == {"a"}
