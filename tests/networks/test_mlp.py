"""Fully connected networks and random Fourier features."""

from __future__ import annotations

import pytest
import torch

from sparring.networks import mlp


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (3, 8, 5)])
@pytest.mark.parametrize("fourier", [None, (16, 0.5, 8.0)])
def test_shapes(shape: tuple[int, ...], fourier: mlp.Fourier | None) -> None:
    torch.manual_seed(0)
    x = mlp.Generator(2, shape, width=32, depth=3, fourier=fourier)(torch.randn(5, 2))
    assert x.shape == (5, *shape)
    assert mlp.Discriminator(shape, width=32, depth=3, fourier=fourier)(x).shape == (5,)
    if len(shape) == 3:
        assert x.abs().max() <= 1


def test_parameter_count() -> None:
    """3 × 64 on 2-D points with 32 frequencies: 66·64 + 64 + 2·(64·64 + 64) + 64 + 1."""
    d = mlp.Discriminator((2,), width=64, depth=3, fourier=(32, 0.5, 40.0))
    assert sum(p.numel() for p in d.parameters()) == 66 * 64 + 64 + 2 * (64 * 64 + 64) + 65


def test_frequencies_are_log_uniform_saved_and_not_trained() -> None:
    torch.manual_seed(0)
    features = mlp.FourierFeatures(2, 20_000, 0.5, 40.0)
    lengths = features.frequencies.norm(dim=0)
    assert lengths.min() >= 0.5 - 1e-4 and lengths.max() <= 40 + 1e-3
    middle = (0.5 * 40) ** 0.5  # half of them below the geometric mean
    assert (lengths < middle).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert features.frequencies.mean(1).abs().max() < 0.5  # directions are balanced
    assert "frequencies" in features.state_dict() and not list(features.parameters())


def test_features_have_unit_mean_square() -> None:
    torch.manual_seed(0)
    features = mlp.FourierFeatures(2, 64, 0.5, 8.0)
    x = torch.randn(1000, 2)
    y = features(x)
    assert torch.equal(y[:, :2], x)
    assert torch.allclose(y[:, 2:].square().mean(1), torch.ones(1000), atol=1e-5)  # cos² + sin² = 1


def test_phases_are_exact_under_autocast() -> None:
    torch.manual_seed(0)
    d, x = mlp.Discriminator((2,), 32, 2, (32, 0.5, 40.0)), torch.randn(4, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = d(x)
        features = d.net.features(x)
    assert logits.dtype == torch.float32
    assert torch.equal(features, d.net.features(x))


def test_bad_frequencies() -> None:
    with pytest.raises(ValueError, match="low"):
        mlp.FourierFeatures(2, 8, 4.0, 0.5)
