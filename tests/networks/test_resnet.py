"""The residual generator: sizes, what a pixel sees, noise per image, the border of tiny images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.networks.resnet import ResnetGenerator, Up


def net(**settings: object) -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(3, 2, **({"blocks": 2, "width": 4} | settings)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("up", ["transposed", "resize"])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 40), (16, 8), (20, 24)])
def test_sizes_and_ranges(up: Up, height: int, width: int) -> None:
    made = net(up=up)(torch.randn(2, 3, height, width))
    assert made.shape == (2, 2, height, width) and float(made.detach().abs().max()) <= 1


def test_an_image_comes_out_the_same_alone_and_among_others() -> None:
    x = torch.randn(4, 3, 16, 16)
    for norm in ("instance", "affine", "none"):
        network = net(norm=norm)
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-6)


def test_the_paper_at_256() -> None:
    """11.4 million parameters with nine blocks, 7.8 with six (convolutions before a normalisation have no bias)."""
    count = {blocks: sum(p.numel() for p in ResnetGenerator(3, 3, blocks).parameters()) for blocks in (6, 9)}
    block = 2 * 256 * 256 * 9
    convolutions = 3 * 64 * 49 + 64 * 128 * 9 + 128 * 256 * 9 + 256 * 128 * 9 + 128 * 64 * 9 + 64 * 3 * 49 + 3
    assert count == {blocks: convolutions + blocks * block for blocks in (6, 9)}


def test_noise_belongs_to_an_image() -> None:
    network, x = net(dropout=0.5), torch.randn(3, 3, 8, 8)
    assert torch.equal(network(x), network(x))
    many = network(x, Dice(0, "noise", range(5, 8)))
    assert not torch.equal(many, network(x))
    torch.testing.assert_close(network(x[1:2], Dice(0, "noise", range(6, 7))), many[1:2], rtol=1e-4, atol=1e-6)
    assert torch.equal(net(dropout=0.0)(x, Dice(0, "noise", range(3))), net(dropout=0.0)(x))


def test_blocks_drop_different_numbers() -> None:
    network = net(dropout=0.5, norm="none")
    seen = []
    for block in network.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    network(torch.randn(1, 3, 8, 8), Dice(0, "noise", range(1)))
    assert len(seen) == 2 and not torch.equal(seen[0], seen[1])


def test_a_border_is_mirrored() -> None:
    """Of an image that is constant nothing is seen at its border: without normalisation all pixels stay equal but where
    the two that halve pad with 0."""
    network = net(norm="none")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.bias.data.normal_()  # type: ignore[union-attr]
    y = network.first(torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(y, y[..., :1, :1].expand_as(y))


def test_sides_are_multiples_of_4() -> None:
    with pytest.raises(UsageError, match=r"NET-STRIDE.*10×8"):
        net()(torch.zeros(1, 3, 8, 10))
