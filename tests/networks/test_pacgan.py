"""The networks of PacGAN's experiments on points: sizes, beginnings, what packing changes."""

from __future__ import annotations

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import stream
from torch import nn

from sparring.errors import UsageError
from sparring.networks.pacgan import Discriminator, Generator
from sparring.recipes.gan import GAN, GANConfig
from sparring.runs.recipe import load
from sparring.types import Space


def test_sizes_are_those_of_the_paper() -> None:
    G, D = Generator(2, (2,)), Discriminator((2,))
    linear = [(m.in_features, m.out_features) for m in G.modules() if isinstance(m, nn.Linear)]
    assert linear == [(2, 400), (400, 400), (400, 400), (400, 400), (400, 2)]
    assert [m.num_features for m in G.modules() if isinstance(m, nn.BatchNorm1d)] == [400] * 4
    linear = [(m.in_features, m.out_features) for m in D.modules() if isinstance(m, nn.Linear)]
    assert linear == [(2, 1000), (200, 1000), (200, 1000), (200, 1)]
    assert not any(isinstance(m, nn.BatchNorm1d) for m in D.modules())


def test_packing_widens_the_first_layer_of_d_alone() -> None:
    plain, packed = (
        GAN.build(GANConfig(network="pacgan", z=2, packing=m, penalty="none"), Space((2,))) for m in (1, 4)
    )
    shapes = [{n: tuple(p.shape) for n, p in game.D.named_parameters()} for game in (plain, packed)]
    assert [n for n in shapes[0] if shapes[0][n] != shapes[1][n]] == ["hidden.0.weight"]
    assert packed.D(torch.zeros(3, 8)).shape == (3,)
    assert [p.shape for p in plain.G.parameters()] == [p.shape for p in packed.G.parameters()]


def test_weights_begin_as_in_the_paper() -> None:
    torch.manual_seed(0)
    for network in (Generator(2, (2,)), Discriminator((4,))):  # to four standard errors
        for layer in (m for m in network.modules() if isinstance(m, nn.Linear)):
            weight, count = layer.weight.detach(), layer.weight.numel()
            assert float(weight.std()) == pytest.approx(0.02, rel=4 / (2 * count) ** 0.5)
            assert abs(float(weight.mean())) < 4 * 0.02 / count**0.5
            assert layer.bias is None or bool((layer.bias == 0).all())


def test_images_are_refused() -> None:
    with pytest.raises(UsageError, match="GAN-NETWORK"):
        GAN.build(GANConfig(network="pacgan"), Space((1, 16, 16)))


@pytest.mark.parametrize("m", [1, 2, 4])
def test_it_is_a_game(m: int) -> None:
    check_game(GAN, (2,), stream((2,)), coupled=True, network="pacgan", z=2, packing=m, penalty="none")


def test_preset_is_the_published_setting() -> None:
    config = load("pacgan-points").config
    assert (config.network, config.objective, config.penalty, config.z) == ("pacgan", "nonsaturating", "none", 2)
    assert (config.batch, config.lr.at(0.5), config.beta1.at(0), config.ema_images) == (100, 1e-4, 0.8, 0)
    assert load("pacgan-points", ["packing=2"]).config.packing == 2
