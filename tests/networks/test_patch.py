"""PatchGAN: what a logit sees, what D is told, and how small an image may be."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import UsageError
from sparring.networks.patch import FullDiscriminator, PatchDiscriminator, receptive_field, smallest


@pytest.mark.parametrize("layers", range(7))
def test_receptive_field_by_autograd(layers: int) -> None:
    """The pixels that move a logit in the middle are a square of the published side."""
    torch.manual_seed(0)
    net = PatchDiscriminator(1, layers, width=1, norm="none")
    side = receptive_field(layers)
    x = torch.randn(1, 1, side + 2 * 2**layers, side + 2 * 2**layers, requires_grad=True)
    logits = net(x)
    for parameter in net.parameters():  # no dead unit may hide a pixel
        parameter.data.abs_()
    logits = net(x)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    seen = gradient[0, 0] != 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    assert (len(rows), len(columns)) == (side, side) == (int(rows[-1] - rows[0]) + 1,) * 2
    assert [1, 16, 34, 70, 142, 286, 574][layers] == side


@pytest.mark.parametrize("layers", range(5))
def test_the_smallest_image(layers: int) -> None:
    net, side = PatchDiscriminator(2, layers, width=1), smallest(layers)
    assert net(torch.randn(2, 2, side, side)).shape == (2, 1, 1, 1)
    if side > 1:
        with pytest.raises(UsageError, match="no patch fits"):
            net(torch.randn(2, 2, side - 1, side))


def test_parameter_counts_of_the_published_ones() -> None:
    """The classic repository prints 2.769 M for D of pix2pix (6 channels, 3 layers) and 9 K for its pixel D."""
    assert sum(p.numel() for p in PatchDiscriminator(6, 3).parameters()) == 2_768_705
    assert sum(p.numel() for p in PatchDiscriminator(6, 0).parameters()) == 9_024


@pytest.mark.parametrize("norm", ["affine", "instance", "none"])
def test_no_sample_knows_of_another(norm: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    for net in (PatchDiscriminator(3, 2, 4, norm), FullDiscriminator((3, 32, 32), 4, norm)):  # type: ignore[arg-type]
        torch.testing.assert_close(torch.cat([net(one) for one in x.split(1)]), net(x), rtol=0, atol=1e-5)


def test_the_full_one_sees_everything() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 32, 24, requires_grad=True)
    logits = FullDiscriminator((2, 32, 24), 4, "none")(x)
    assert logits.shape == (2,)
    (gradient,) = torch.autograd.grad(logits[0], x)
    assert bool((gradient[0] != 0).all()) and bool((gradient[1] == 0).all())


def test_layers_can_be_named_from_the_image_upwards() -> None:
    net = PatchDiscriminator(3, 3, 4)
    named = {id(p) for layer in net.layers for module in layer for p in module.parameters()}
    assert named | {id(p) for p in net.head.parameters()} == {id(p) for p in net.parameters()}
    assert len(net.layers) == 4


def test_there_are_no_larger_patches() -> None:
    with pytest.raises(UsageError):
        PatchDiscriminator(3, 7)
