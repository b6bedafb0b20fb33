"""Normalisation by the statistics of one image."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring.networks.normalise import PerImage, layer


@pytest.mark.parametrize("norm", ["affine", "instance"])
def test_it_is_batch_normalisation_of_a_batch_of_one_image(norm: str) -> None:
    torch.manual_seed(0)
    x, ours = 3.0 * torch.randn(4, 5, 6, 7) + 1.0, layer(norm, 5)
    for p in ours.parameters():
        nn.init.normal_(p)
    weight, bias = dict(ours.named_parameters()).get("weight"), dict(ours.named_parameters()).get("bias")
    alone = torch.cat([F.batch_norm(row, None, None, weight, bias, training=True) for row in x.split(1)])
    torch.testing.assert_close(ours(x), alone, rtol=1e-5, atol=1e-5)


def test_a_single_pixel_is_not_wiped_out() -> None:
    x = torch.randn(2, 3, 1, 1)
    assert torch.equal(layer("instance", 3)(x), x)
    norm = PerImage(3, affine=True)
    assert norm.weight is not None and norm.bias is not None
    torch.testing.assert_close(norm(x), x * norm.weight.view(3, 1, 1) + norm.bias.view(3, 1, 1))


def test_what_is_learnt_and_how_it_begins() -> None:
    torch.manual_seed(0)
    weight, bias = (p.detach() for p in layer("affine", 4096).parameters())
    assert abs(float(weight.mean()) - 1) < 2e-3 and abs(float(weight.std()) - 0.02) < 2e-3
    assert float(bias.abs().max()) == 0
    assert not list(layer("instance", 8).parameters()) and isinstance(layer("none", 8), nn.Identity)
