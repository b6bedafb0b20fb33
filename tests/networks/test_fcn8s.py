"""FCN-8s: bilinear upsampling to the last bit, where each path's pixels lie, sizes, and what begins at zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.networks import imagenet, vgg
from sparring.networks.fcn8s import Border, FCN8s, Up, bilinear


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_kernel_is_bilinear(factor: int) -> None:
    """Symmetric, separable, of sum f², and of sum 1 for each of the f² phases: so a constant stays that constant."""
    kernel = bilinear(factor)
    assert kernel.shape == (2 * factor, 2 * factor) and torch.equal(kernel, kernel.T)
    assert torch.equal(kernel, kernel.flip(0)) and torch.linalg.matrix_rank(kernel) == 1
    phases = kernel.unflatten(0, (2, factor)).unflatten(2, (2, factor)).sum((0, 2))
    torch.testing.assert_close(phases, torch.ones(factor, factor, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("factor", "learnt"), [(2, True), (2, False), (8, False)])
def test_upsampling_is_bilinear_interpolation(factor: int, learnt: bool) -> None:
    up, x = Up(3, factor, learnt=learnt).double(), torch.randn(2, 3, 5, 1, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(up(torch.full_like(x, 0.7)), torch.full_like(expected, 0.7), rtol=0, atol=1e-12)
    assert len(list(up.parameters())) == learnt


@pytest.mark.parametrize("border", ["same", "published"])
@pytest.mark.parametrize("size", [(1, 1), (7, 37), (32, 33), (65, 95)])
@torch.no_grad()
def test_any_size_comes_out_as_it_went_in(border: Border, size: tuple[int, int]) -> None:
    net = FCN8s(1, 4, width=3, trunk=1, border=border)
    logits = net(torch.zeros(2, 1, *size))
    assert logits.shape == (2, 4, *size) and logits.dtype == torch.float32
    assert float(logits.abs().max()) == 0, "every class is as likely at first"


def _seeing(border: Border, path: int) -> FCN8s:
    """A network whose layers hand on the first channel, so that each pool is a maximum; one score hears of it."""
    net = FCN8s(3, 2, width=1, trunk=1, border=border)
    with torch.no_grad():
        for layer in [*net.trunk.convolutions, net.fully.fc6, net.fully.fc7]:
            middle = layer.weight.shape[2] // 2
            layer.weight.zero_()
            layer.weight[0, 0, middle, middle] = 1
        {32: net.score32, 16: net.score16, 8: net.score8}[path].weight[0, 0] = 1
    return net


@pytest.mark.parametrize("border", ["same", "published"])
@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("axis", [2, 3])
@torch.no_grad()
def test_pixels_are_scored_where_they_lie(border: Border, stride: int, axis: int) -> None:
    """Of a ramp the maximum of s × s pixels is that of its centre plus (s − 1)/2, and interpolation keeps ramps."""
    net = _seeing(border, stride)
    ramp = torch.arange(1.0, 193.0).view([-1, 1] if axis == 2 else [1, -1]).expand(192, 192)
    x = _standing_for(ramp)
    found = net(x)[0, 0]
    inner = slice(48, 144)
    torch.testing.assert_close(found[inner, inner], (ramp + (stride - 1) / 2)[inner, inner], rtol=0, atol=1e-3)


def _standing_for(values: Tensor) -> Tensor:
    """The image whose standardised channels are these values."""
    zero = imagenet.standardised(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
    one = imagenet.standardised(torch.ones(1, 3, 1, 1, dtype=torch.float64))
    return ((values.double() - zero) / (one - zero)).float()


@torch.no_grad()
def test_images_do_not_meet_and_dropout_is_asked_for() -> None:
    torch.manual_seed(0)
    net = FCN8s(3, 3, width=8, trunk=2)
    torch.nn.init.normal_(net.score32.weight)
    x = torch.rand(3, 3, 40, 24) * 2 - 1
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-5, atol=1e-6)
    dice = Dice(0, "dropout", range(3))
    dropped = net(x, dice)
    assert torch.equal(dropped, net(x, dice)) and not torch.equal(dropped, net(x))
    torch.testing.assert_close(dropped[2:], net(x[2:], Dice(0, "dropout", range(2, 3))), rtol=1e-5, atol=1e-6)


def test_bf16_scores_in_full_precision() -> None:
    net = FCN8s(3, 3, width=8, trunk=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


def test_it_has_the_layers_of_the_paper() -> None:
    """VGG-16 without its last layer, 138,357,544 − 4,097,000 parameters, three scores and two upsamplings."""
    with torch.device("meta"):
        net = FCN8s(3, 21, width=4096)
    scores = 21 * (4096 + 512 + 256) + 3 * 21
    assert sum(p.numel() for p in net.parameters()) == 134_260_544 + scores + 2 * 21 * 21 * 16
    assert len(net.lowest(0)) == 0 and len(net.lowest(2)) == 2 * 4 and len(net.lowest(5)) == 2 * 13
    assert {id(p) for p in net.lowest(5)} == {id(p) for p in net.trunk.parameters()}
    assert sum(vgg.BLOCKS) == len(net.trunk.convolutions) == 13


@pytest.mark.parametrize(("channels", "classes"), [(4, 3), (2, 3), (3, 1)])
def test_what_it_cannot_be_made_for(channels: int, classes: int) -> None:
    with pytest.raises(UsageError, match="NET-SHAPE|NET-CLASSES"):
        FCN8s(channels, classes, width=2, trunk=1)
