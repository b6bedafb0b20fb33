"""DCGAN's topology: sizes, parameter counts, precision, and what normalisation does and must not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.errors import UsageError
from sparring.losses.penalties import zero_centred
from sparring.networks import dcgan

SHAPES = [(3, 64, 64), (3, 96, 64), (1, 100, 75), (4, 32, 32), (1, 28, 28), (3, 8, 9), (3, 128, 128)]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", ["batch", "none", "pixel"])
def test_shapes(shape: tuple[int, int, int], norm: str) -> None:
    torch.manual_seed(0)
    x = dcgan.Generator(8, shape, 8, norm)(torch.randn(3, 8))
    assert x.shape == (3, *shape) and x.abs().max() <= 1
    if norm != "pixel":
        assert dcgan.Discriminator(shape, 8, norm)(x).shape == (3,)


@pytest.mark.parametrize(("size", "k"), [((64, 64), 4), ((96, 64), 4), ((100, 75), 4), ((28, 28), 3), ((8, 8), 1)])
def test_the_smallest_map_is_about_four(size: tuple[int, int], k: int) -> None:
    assert dcgan.stages(*size) == k
    assert 2.8 <= min(size) / 2**k <= 5.7


def test_parameter_counts() -> None:
    """The tutorial's networks at 64 px (3.58 M and 2.77 M), and those of the "mix" prototype."""
    assert count(dcgan.Generator(100, (3, 64, 64), 64)) == 3_576_704
    assert count(dcgan.Discriminator((3, 64, 64), 64)) == 2_765_568
    assert count(dcgan.Generator(100, (3, 64, 64), 32)) == 1_100_224
    assert count(dcgan.Discriminator((3, 64, 64), 32, "none")) == 694_241


class Tutorial(nn.Module):
    """The textbook networks as plain sequences of convolutions, 64 px."""

    @staticmethod
    def generator(z: int, width: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.ConvTranspose2d(z, 8 * width, 4, 1, 0, bias=False)]
        for k in (8, 4, 2):
            layers += [nn.BatchNorm2d(k * width), nn.ReLU(True)]
            layers += [nn.ConvTranspose2d(k * width, k * width // 2, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(True), nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
        return nn.Sequential(*layers)

    @staticmethod
    def discriminator(width: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        for k in (1, 2, 4):
            layers += [nn.Conv2d(k * width, 2 * k * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * k * width)]
            layers += [nn.LeakyReLU(0.2, True)]
        return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False))


def test_equal_to_the_tutorial_networks() -> None:
    """The linear maps are the tutorial's 4×4 convolutions of and to a 1×1 map: same weights, same numbers."""
    torch.manual_seed(0)
    g, plain = dcgan.Generator(10, (3, 64, 64), 8), Tutorial.generator(10, 8)
    first = plain[0]
    first.weight.data.copy_(g.project.weight.T.reshape(10, 64, 4, 4))
    for ours, theirs in zip(g.ups, [m for m in plain if isinstance(m, nn.ConvTranspose2d)][1:], strict=True):
        theirs.weight.data.copy_(ours.weight)
    for ours, theirs in zip(g.norms, [m for m in plain if isinstance(m, nn.BatchNorm2d)], strict=True):
        theirs.weight.data.copy_(ours.weight)
    z = torch.randn(4, 10)
    x = g(z)
    assert torch.allclose(x, plain(z[:, :, None, None]), atol=1e-5)

    d, plain = dcgan.Discriminator((3, 64, 64), 8), Tutorial.discriminator(8)
    convs = [m for m in plain if isinstance(m, nn.Conv2d)]
    for ours, theirs in zip(d.downs, convs[:-1], strict=True):
        theirs.weight.data.copy_(ours.weight)
    convs[-1].weight.data.copy_(d.head.weight.reshape(1, 64, 4, 4))
    for ours, theirs in zip(list(d.norms)[1:], [m for m in plain if isinstance(m, nn.BatchNorm2d)], strict=True):
        theirs.weight.data.copy_(ours.weight)
    assert torch.allclose(d(x.detach()), plain(x.detach()).flatten(), atol=1e-5)


def test_eval_mode_makes_an_image_of_a_latent_alone() -> None:
    torch.manual_seed(0)
    g = dcgan.Generator(8, (3, 16, 16), 8)
    z = torch.randn(6, 8)
    assert not torch.allclose(g(z)[:2], g(z[:2]), atol=1e-4)  # batch statistics couple the samples
    g.eval()
    assert torch.allclose(g(z)[:2], g(z[:2]), atol=1e-6)


def test_the_norm_free_discriminator_has_a_penalty_per_sample() -> None:
    torch.manual_seed(0)
    d = dcgan.Discriminator((3, 16, 16), 8, "none")
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    together = zero_centred(d(x), x)
    alone = x[1:2].detach().requires_grad_()
    assert together[1].item() == pytest.approx(zero_centred(d(alone), alone).item(), rel=1e-4)
    together.mean().backward()
    assert all(p.grad is not None for name, p in d.named_parameters() if name.endswith("weight"))


def test_norm_free_networks_keep_their_scale() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3, 64, 64)
    assert 0.3 < dcgan.Discriminator((3, 64, 64), 16, "none")(x).std() < 3
    for norm in ("none", "pixel"):
        with torch.no_grad():
            assert 0.3 < dcgan.Generator(32, (3, 64, 64), 16, norm)(torch.randn(16, 32)).std() < 1


def test_logits_are_float32_under_autocast() -> None:
    d, x = dcgan.Discriminator((3, 16, 16), 8, "none"), torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = d(x)
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, d(x), atol=0.1)


def test_layout_changes_nothing() -> None:
    torch.manual_seed(0)
    g, z = dcgan.Generator(8, (3, 32, 32), 8, "pixel"), torch.randn(2, 8)
    before = g(z)
    g.to(memory_format=torch.channels_last)
    after = g(z)
    assert torch.allclose(before, after, atol=1e-5)
    assert after.is_contiguous(memory_format=torch.channels_last)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="NET-SHAPE"):
        dcgan.Generator(8, (3, 4, 4))
    with pytest.raises(UsageError, match="NET-SHAPE"):
        dcgan.Discriminator((2,))
    with pytest.raises(UsageError, match="NET-NORM"):
        dcgan.Discriminator((3, 16, 16), norm="pixel")  # type: ignore[arg-type]
