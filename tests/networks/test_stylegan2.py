"""StyleGAN2's networks: sizes, the spaces of the generator, truncation, and what the discriminator is told."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from sparring.errors import UsageError
from sparring.networks.equalised import Linear
from sparring.networks.normalise import even
from sparring.networks.stylegan2 import Architecture, Generator, Mapping, channels, mixed
from sparring.networks.stylegan2_critic import Discriminator, with_deviation

EVERY = get_args(Architecture)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(shape: tuple[int, ...] = (3, 16, 16), architecture: Architecture = "skip", **more: object) -> Generator:
    torch.manual_seed(0)
    return Generator(6, 8, shape, channels(shape, 64, 8), mapping=2, architecture=architecture, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", EVERY)
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 28), (4, 24, 40), (2, 9, 13)])
def test_any_size_and_number_of_channels(shape: tuple[int, ...], architecture: Architecture) -> None:
    G = generator(shape, architecture)
    D = Discriminator(shape, channels(shape, 64, 8), architecture=architecture)
    x = G(normal(0, 4, 6))
    assert tuple(x.shape) == (4, *shape) and tuple(D(x).shape) == (4,)
    D(x).sum().backward()
    for network in (G, D):
        assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("architecture", EVERY)
def test_names_are_the_published_ones(architecture: Architecture) -> None:
    state = {name: tuple(t.shape) for name, t in generator(architecture=architecture).state_dict().items()}
    assert state["mapping.fc0.weight"] == (8, 6) and state["mapping.w_avg"] == (8,)
    assert state["synthesis.b4.const"] == (8, 4, 4) and state["synthesis.b16.conv0.noise_const"] == (16, 16)
    assert state["synthesis.b8.conv0.affine.weight"] == (8, 8) and state["synthesis.b8.conv1.noise_strength"] == ()
    assert state["synthesis.b16.torgb.weight"] == (3, 4, 1, 1)
    assert ("synthesis.b4.torgb.bias" in state) == (architecture == "skip")
    assert ("synthesis.b8.skip.weight" in state) == (architecture == "resnet")
    torch.manual_seed(0)
    D = {name for name in Discriminator((3, 16, 16), (8, 8, 4), architecture=architecture).state_dict()}
    always = {"b16.fromrgb.weight", "b16.conv0.bias", "b8.conv1.weight", "b4.conv.weight", "b4.fc.bias", "b4.out.bias"}
    assert always < D and ("b16.skip.weight" in D) == (architecture == "resnet")
    assert ("b4.fromrgb.bias" in D) == (architecture == "skip")


@pytest.mark.parametrize("architecture", EVERY)
def test_the_spaces_agree(architecture: Architecture) -> None:
    """z, w, W+ and S of the same sample make the same image; a change of one style reaches the image."""
    G, z = generator(architecture=architecture), normal(1, 3, 6)
    w = G.broadcast(G.mapping(z))
    styles = G.synthesis.styles(w)
    assert tuple(w.shape) == (3, 6, 8) and len(styles) == 5 + (3 if architecture == "skip" else 1)
    assert all(style.shape[0] == 3 and abs(style.mean().item() - 1) < 1 for style in styles)
    assert torch.equal(G(z), G(w=w)) and torch.equal(G(w=w), G.synthesis(styles))
    for k in range(len(styles)):
        other = list(styles)
        other[k] = other[k] * torch.linspace(0.5, 2, other[k].shape[1])
        assert not torch.equal(G.synthesis(other), G(z)), k


def test_the_noise_is_fixed_unless_it_is_given() -> None:
    G = generator()
    for layer in (block.conv1 for block in G.synthesis.blocks):
        torch.nn.init.constant_(layer.noise_strength, 0.5)
    w = G.broadcast(G.mapping(normal(1, 2, 6)))
    given = [normal(9, 2, 1, *size) for size in G.synthesis.noises]
    fixed = [layer.noise_const.expand(2, 1, -1, -1) for b in G.synthesis.blocks for layer in b.convolutions]
    assert torch.equal(G(w=w), G(w=w)) and torch.equal(G(w=w), G(w=w, noise=fixed))
    assert not torch.allclose(G(w=w), G(w=w, noise=given), atol=1e-3)


def test_networks_without_noise() -> None:
    G = generator(noisy=False)
    assert not [name for name in G.state_dict() if "noise" in name]
    assert G.synthesis.layers == 6 and torch.equal(G(normal(1, 2, 6)), G(normal(1, 2, 6)))


def test_mixing_joins_coarse_and_fine() -> None:
    G = generator()
    a, b = (G.broadcast(G.mapping(normal(k, 2, 6))) for k in (1, 2))
    both = mixed(a, b, torch.tensor([2, 6]))
    assert torch.equal(both[0], torch.cat([a[0, :2], b[0, 2:]])) and torch.equal(both[1], a[1])
    assert torch.equal(mixed(a, b, 0), b)


def test_z_is_normalised_and_w_truncated() -> None:
    z = 7 * normal(0, 4, 6)
    torch.testing.assert_close(even(z).square().mean(1), torch.ones(4))
    torch.manual_seed(0)
    mapping = Mapping(6, 8, 2)
    torch.testing.assert_close(mapping(z), mapping(3 * z))
    w = mapping(z).detach()
    mapping.remember(w.mean(0), keep=0.75)
    torch.testing.assert_close(mapping.w_avg, 0.25 * w.mean(0))
    torch.testing.assert_close(mapping.truncated(w, 0.5), 0.5 * (mapping.w_avg + w))
    assert torch.equal(mapping.truncated(w, 0.0), mapping.w_avg.expand(4, 8)) and mapping.truncated(w, 1.0) is w


def test_layers_learn_at_an_equal_rate() -> None:
    """The same function whatever c is, and a weight's derivative is c² times as long."""
    x = normal(0, 5, 4)
    slopes = []
    for rate in (1.0, 0.01):
        torch.manual_seed(3)
        layer = Linear(4, 6, active=True, start=0.5, rate=rate)
        y = layer(x)
        y.square().sum().backward()
        assert layer.weight.grad is not None
        slopes.append((y.detach(), layer.weight.grad))
    torch.testing.assert_close(slopes[0][0], slopes[1][0])
    torch.testing.assert_close(slopes[0][1] * 0.01, slopes[1][1])


def test_activations_keep_their_size() -> None:
    """At the beginning: D's and G's maps neither explode nor vanish with the depth."""
    for base in (512, 8192):
        torch.manual_seed(0)
        G = Generator(16, 16, (3, 64, 64), channels((3, 64, 64), base, 32), mapping=8)
        assert 0.3 < G.mapping(normal(0, 64, 16)).std().item() < 3
        assert 0.3 < G(normal(0, 4, 16)).std().item() < 3


def test_the_deviation_is_of_neighbours() -> None:
    x = normal(0, 8, 2, 3, 3)
    whole = with_deviation(x, 4)
    assert torch.equal(whole[:4], with_deviation(x[:4], 4)) and torch.equal(whole[:, :2], x)
    wanted = x[4:].std(0, correction=0).mean().item()
    assert whole[7, 2].unique().item() == pytest.approx(wanted, rel=1e-5)
    assert with_deviation(x[:1], 4)[0, 2].abs().max().item() < 2e-4  # alone nobody deviates
    assert with_deviation(x[:6], 4)[:, 2, 0, 0].unique().numel() == 2  # threes


def test_clamps_bound_what_they_should() -> None:
    G = generator(clamp=0.1)
    assert G(normal(0, 2, 6)).abs().max().item() <= 3 * 0.1 + 1e-6


def test_channels() -> None:
    assert channels((3, 256, 256), 16384, 512) == [512, 512, 512, 512, 256, 128, 64]
    with pytest.raises(UsageError, match="NET-SHAPE"):
        Generator(4, 4, (3, 8, 8), (4, 4, 4, 4))
