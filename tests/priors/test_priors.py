"""Moments of the priors; paths between latents."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.priors import categorical, gaussian, paths, uniform

N, Z = 50_000, 4


@pytest.mark.parametrize(("draw", "variance", "fourth"), [(gaussian.draw, 1.0, 3.0), (uniform.draw, 1 / 3, 1 / 5)])
def test_moments(draw: Callable[[Dice, int], Tensor], variance: float, fourth: float) -> None:
    z = draw(Dice(0, "z", range(N)), Z).double()
    assert z.shape == (N, Z)
    covariance = z.T @ z / N
    assert torch.allclose(z.mean(0), torch.zeros(Z, dtype=z.dtype), atol=5 * (variance / N) ** 0.5)
    spread = ((fourth - variance**2) / N) ** 0.5
    assert torch.allclose(covariance.diagonal(), torch.full((Z,), variance, dtype=z.dtype), atol=5 * spread)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 5 * variance / N**0.5
    assert z.pow(4).mean().item() == pytest.approx(fourth, rel=0.05)


def test_a_latent_does_not_depend_on_its_batch() -> None:
    for draw in (gaussian.draw, uniform.draw):
        together = draw(Dice(3, "z", range(10, 20)), 7)
        alone = draw(Dice(3, "z", range(14, 15)), 7)
        assert torch.equal(together[4], alone[0])
        assert not torch.equal(together[4], together[5])


def test_classes_have_equal_shares_and_do_not_depend_on_their_batch() -> None:
    classes = 5
    drawn = categorical.draw(Dice(0, "y", range(N)), classes)
    assert drawn.dtype == torch.int64 and drawn.shape == (N,)
    share = N / classes
    assert (drawn.bincount(minlength=classes) - share).abs().max() < 5 * (share * (1 - 1 / classes)) ** 0.5
    assert torch.equal(drawn[100:120], categorical.draw(Dice(0, "y", range(100, 120)), classes))

    turns = categorical.in_turn(Dice(0, "y", range(3, 13)), classes)
    assert turns.tolist() == [3, 4, 0, 1, 2, 3, 4, 0, 1, 2] and turns.dtype == torch.int64


def test_uniform_range() -> None:
    z = uniform.draw(Dice(0, "z", range(N)), Z)
    assert -1.0 <= z.min() < -0.999 and 0.999 < z.max() <= 1.0


def latents(norm: float = 1.0) -> tuple[Tensor, Tensor]:
    a, b = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (norm * a / a.norm(dim=1, keepdim=True), norm * b / b.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("path", [paths.lerp, paths.slerp])
def test_ends_of_a_path(path: Callable[..., Tensor]) -> None:
    a, b = latents()
    b = 3 * b  # norms may differ
    assert torch.allclose(path(a, b, 0.0), a, atol=1e-14)
    assert torch.allclose(path(a, b, 1.0), b, atol=1e-14)


def test_slerp_keeps_the_norm_and_moves_at_constant_speed() -> None:
    a, b = latents(norm=4.0)
    walk = torch.stack([paths.slerp(a, b, k / 10) for k in range(11)])  # (11, 5, 16)
    assert torch.allclose(walk.norm(dim=2), torch.tensor(4.0, dtype=walk.dtype), atol=1e-12)
    steps = (walk[1:] - walk[:-1]).norm(dim=2)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-4])
def test_slerp_at_small_angles(angle: float) -> None:
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    b = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    expected = torch.tensor([math.cos(angle / 4), math.sin(angle / 4)], dtype=torch.float64)
    assert torch.allclose(paths.slerp(a, b, 0.25), expected, atol=1e-15)


def test_slerp_of_opposites_is_finite() -> None:
    """They have no shortest circle: the straight line, with a finite gradient."""
    for dtype in (torch.float32, torch.float64):
        for t in (0.1, 0.25, 0.4, 0.9):
            a = torch.tensor([1.0, 0.0], dtype=dtype, requires_grad=True)
            between = paths.slerp(a, -a, t)
            assert torch.allclose(between, (1 - 2 * t) * a, atol=1e-6)
            assert torch.autograd.grad(between.sum(), a)[0].isfinite().all()


def test_a_tensor_of_times() -> None:
    a, b = latents()
    t = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    one_by_one = torch.stack([paths.slerp(a[k], b[k], float(t[k])) for k in range(5)])
    assert torch.allclose(paths.slerp(a, b, t), one_by_one, atol=1e-12)


def test_truncation() -> None:
    z, mean = torch.randn(3, 4), torch.full((4,), 2.0)
    assert torch.equal(paths.truncate(z, 1.0), z)
    assert torch.equal(paths.truncate(z, 0.0, mean), mean.expand(3, 4))
    assert torch.allclose(paths.truncate(z, 0.5), 0.5 * z)
    assert torch.allclose(paths.truncate(z, 0.25, mean), 0.25 * z + 0.75 * mean)
