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


def test_jumps_are_sides_of_lines() -> None:
    """Two points are told apart by a line as often as it crosses the segment between them; nothing else is told."""
    torch.manual_seed(0)
    jumps = mlp.Jumps(2, 100_000)
    near, far = jumps(torch.zeros(1, 2)), jumps(torch.tensor([[0.0, 0.5]]))
    assert set(near.unique().tolist()) == {-1.0, 1.0} and near.mean().abs() < 0.02  # offsets are symmetric
    # a line with normal at angle t is crossed if its offset lies between 0 and 0.5 sin t: N(0, 1) mass, averaged over t
    angle = torch.linspace(0, 2 * torch.pi, 10_001)[:-1]
    crossed = torch.special.ndtr(0.5 * angle.sin().abs()).mean() - 0.5
    assert (near != far).float().mean().item() == pytest.approx(crossed.item(), rel=0.03)
    assert {"normals", "offsets"} == set(jumps.state_dict()) and not list(jumps.parameters())


def test_a_generator_with_jumps_is_not_continuous() -> None:
    """On either side of a line, however near, it makes different points; away from lines it is continuous."""
    torch.manual_seed(0)
    plain, jumping = mlp.Generator(2, (2,), 32, 2), mlp.Generator(2, (2,), 32, 2, jumps=8)
    assert jumping.net.jumps is not None
    normal, offset = jumping.net.jumps.normals[:, 0], jumping.net.jumps.offsets[0]
    line = (normal * offset).repeat(2, 1)
    z = line + 1e-5 * torch.stack([normal, -normal])
    with torch.no_grad():
        (a, b), (c, d) = jumping(z), plain(z)
    assert (a - b).norm() > 0.01 > 100 * (c - d).norm()


def test_jumps_under_autocast_and_with_fourier_features() -> None:
    torch.manual_seed(0)
    g, z = mlp.Generator(2, (2,), 32, 2, (4, 0.5, 8.0), jumps=16), torch.randn(5, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert g(z).dtype == torch.float32
    assert g.net.hidden[0].in_features == 2 + 2 * 4 + 16
    with pytest.raises(ValueError, match="count"):
        mlp.Jumps(2, 0)
