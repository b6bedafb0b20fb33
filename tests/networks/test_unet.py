"""The U-Net: its layers, its skips, its noise, and that no image knows of another."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.networks.unet import UNet, depth_of


def net(seed: int = 0, **settings: object) -> UNet:
    torch.manual_seed(seed)
    return UNet(**({"given": 1, "made": 3, "depth": 4, "width": 4} | settings))  # type: ignore[arg-type]


def published(given: int, made: int, width: int, depth: int, norm: str) -> nn.Module:
    """The published code's network, written plainly from its description: blocks within blocks."""

    def layer(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels)

    class Block(nn.Module):
        def __init__(self, outside: int, inside: int, first: int, middle: nn.Module | None, outermost: bool) -> None:
            super().__init__()
            bias = norm != "batch"
            down = [nn.Conv2d(first, inside, 4, 2, 1, bias=bias)]
            up = nn.ConvTranspose2d(inside * (1 if middle is None else 2), outside, 4, 2, 1, bias=bias or outermost)
            if outermost:
                parts: list[nn.Module] = [*down, middle or nn.Identity(), nn.ReLU(), up, nn.Tanh()]
            elif middle is None:
                parts = [nn.LeakyReLU(0.2), *down, nn.ReLU(), up, layer(outside)]
            else:
                parts = [nn.LeakyReLU(0.2), *down, layer(inside), middle, nn.ReLU(), up, layer(outside)]
            self.model, self.outermost = nn.Sequential(*parts), outermost

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)

    wide = 8 * width
    block: nn.Module = Block(wide, wide, wide, None, False)
    for _ in range(depth - 5):
        block = Block(wide, wide, wide, block, False)
    for outside, inside in ((4 * width, wide), (2 * width, 4 * width), (width, 2 * width)):
        block = Block(outside, inside, outside, block, False)
    return Block(made, width, given, block, True)


@pytest.mark.parametrize("norm", ["affine", "instance"])
def test_it_is_the_published_network(norm: str) -> None:
    """The same parameters in the same order of layers give the same image, without dropout."""
    ours = net(given=3, depth=6, norm=norm)
    theirs = published(3, 3, 4, 6, "batch" if norm == "affine" else "instance")
    modules = [m for m in ours.modules() if next(m.parameters(recurse=False), None) is not None]
    down = [m for pair in zip(ours.downs, ours.down_norms, strict=True) for m in pair if m in modules]
    up = [m for k in reversed(range(6)) for m in (ours.ups[k], ours.up_norms[k]) if m in modules]
    inner = [m for m in theirs.modules() if next(m.parameters(recurse=False), None) is not None]
    assert len(inner) == len(down + up)
    for mine, other in zip(down + up, inner, strict=True):
        with torch.no_grad():
            for a, b in zip(other.parameters(), mine.parameters(), strict=True):
                a.copy_(b)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs.train()(x), rtol=1e-5, atol=1e-5)


def test_parameter_count_of_the_published_one() -> None:
    """unet_256 of the classic repository: 54.414 M for 3 → 3 channels."""
    assert sum(p.numel() for p in UNet(3, 3, 8).parameters()) == 54_413_955


@pytest.mark.parametrize(("depth", "levels"), [(2, []), (4, [2]), (6, [4]), (7, [5, 4]), (8, [6, 5, 4])])
def test_where_the_noise_is(depth: int, levels: list[int]) -> None:
    """As published for 64 px and more; with fewer levels there is still some."""
    assert sorted(net(depth=depth, width=1).noisy) == sorted(levels)


def test_skips_matter_and_the_plain_one_sees_only_the_bottleneck() -> None:
    x, nets = torch.randn(2, 1, 32, 32), {skips: net(skips=skips) for skips in (True, False)}
    for skips, one in nets.items():
        whole = one(x)
        for k in range(3):  # what leaves a level towards the other side is its leaky map: cut it off
            hooks = [one.ups[k].register_forward_pre_hook(_without_first(one.downs[k].out_channels if skips else 0))]
            assert torch.equal(one(x), whole) is not skips, f"level {k}"
            hooks[0].remove()
    fewer = sum(p.numel() for p in nets[False].parameters())
    assert fewer < sum(p.numel() for p in nets[True].parameters())


def _without_first(count: int):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (torch.cat([torch.zeros_like(args[0][:, :count]), args[0][:, count:]], dim=1),)

    return hook


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("norm", ["affine", "instance"])
def test_four_at_once_are_each_alone(norm: str, noise: bool) -> None:
    one, x = net(norm=norm).eval(), torch.randn(4, 1, 32, 16)
    for training in (False, True):
        one.train(training)
        many = one(x, Dice(3, "noise", range(4)) if noise else None)
        each = [one(x[i : i + 1], Dice(3, "noise", range(i, i + 1)) if noise else None) for i in range(4)]
        torch.testing.assert_close(torch.cat(each), many, rtol=0, atol=1e-6)


def test_noise_is_a_function_of_the_dice() -> None:
    one, x = net(), torch.randn(1, 1, 32, 32)
    a, b, again = (one(x, Dice(seed, "noise", range(1))) for seed in (0, 1, 0))
    assert torch.equal(a, again) and not torch.allclose(a, b, atol=1e-4)
    assert torch.equal(one(x), one(x)) and not torch.equal(one(x), a)
    assert torch.equal(net(dropout=0.0)(x, Dice(0, "noise", range(1))), one(x))


def test_how_weights_begin() -> None:
    one = net(width=32)
    for layer in [*one.downs, *one.ups]:
        assert abs(float(layer.weight.detach().std()) - 0.02) < 0.002
    assert one.ups[0].bias is not None and all(up.bias is None for up in [*one.ups][1:])
    assert all(layer.bias is not None for layer in [*net(norm="instance").downs, *net(norm="instance").ups])
    out = net(width=16, norm="none", depth=6)(torch.randn(1, 1, 64, 64)).detach()
    assert float(out.std()) > 0.05  # without normalisation nothing fades away


def test_both_layouts_agree() -> None:
    one, x = net(), torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(net().to(memory_format=torch.channels_last)(x), one(x), rtol=1e-5, atol=1e-5)


def test_repeated_pixels_leave_no_pattern() -> None:
    """With all levels resized, a bottleneck that is flat gives a flat image away from the border."""
    one = net(depth=3, skips=False, norm="none", resized=3)
    flat = torch.full((1, 8 * 2, 24, 24), 0.3)
    with torch.no_grad():
        x = flat[:, : one.downs[2].out_channels]
        for k in (2, 1, 0):
            x = one.ups[k](F.relu(x))
    assert x.shape == (1, 3, 192, 192) and float(x[..., 64:128, 64:128].std((2, 3)).max()) < 1e-5
    assert net(resized=2)(torch.randn(1, 1, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("size", [(64, 64), (100, 75), (37, 41), (96, 64), (8, 8), (2, 2), (512, 384)])
def test_the_depth_that_suits_a_size(size: tuple[int, int]) -> None:
    depth = depth_of(*size)
    padded = [-(-side // 2**depth) * 2**depth for side in size]
    assert 1 <= depth <= 8 and (padded[0] * padded[1] <= 1.3 * size[0] * size[1] or depth == 1)


def test_no_depth_is_refused() -> None:
    with pytest.raises(UsageError):
        net(depth=0)
