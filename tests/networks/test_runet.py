"""The residual U-Net: it begins smooth, keeps edges, and no image knows of another."""

from __future__ import annotations

import pytest
import torch

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.networks.runet import ResidualUNet, depth_of


def net(**settings: object) -> ResidualUNet:
    torch.manual_seed(0)
    return ResidualUNet(**({"given": 1, "made": 3, "depth": 2, "width": 4} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["affine", "instance", "none"])
@pytest.mark.parametrize("noise", [False, True])
def test_four_at_once_are_each_alone(norm: str, noise: bool) -> None:
    one, x = net(norm=norm, dropout=0.5), torch.randn(4, 1, 16, 24)
    for block in [*one.left, *one.right]:  # they begin as the identity
        torch.nn.init.normal_(block.convolutions[1].weight, std=0.1)
    many = one(x, Dice(3, "noise", range(4)) if noise else None)
    each = [one(x[i : i + 1], Dice(3, "noise", range(i, i + 1)) if noise else None) for i in range(4)]
    torch.testing.assert_close(torch.cat(each), many, rtol=1e-5, atol=1e-6)
    assert many.shape == (4, 3, 16, 24) and float(many.detach().abs().max()) < 1
    assert torch.equal(one(x, Dice(4, "noise", range(4))), many) is False


def test_a_flat_image_stays_flat() -> None:
    """No pattern of two pixels comes from the layers: away from the border, where zeros are seen, all is equal."""
    one = net(norm="none")
    for block in [*one.left, *one.right]:
        torch.nn.init.normal_(block.convolutions[1].weight, std=0.3)
    middle = one(torch.full((1, 1, 96, 96), 0.3)).detach()[..., 40:56, 40:56]
    assert float(middle.std((2, 3)).max()) < 1e-4


def test_skips_of_the_finest_level_matter() -> None:
    one, x = net(), torch.randn(1, 1, 16, 16)
    before = one(x)
    with torch.no_grad():
        one.merge[0].weight[:, :4] = 0.0
    assert not torch.allclose(one(x), before, atol=1e-3)


def test_both_layouts_agree() -> None:
    x = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(net().to(memory_format=torch.channels_last)(x), net()(x), rtol=1e-4, atol=1e-5)


def test_depth() -> None:
    assert [depth_of(side, side) for side in (8, 16, 64, 128, 256, 1024)] == [1, 2, 4, 5, 6, 6]
    with pytest.raises(UsageError):
        net(depth=0)
