"""Augmentation: how often, how strongly, that it is affine and differentiable twice, and that it is per sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.augment.differentiable import HOLE, OPERATIONS, SHIFT, augment
from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.losses.penalties import zero_centred


def dice(n: int, seed: int = 0) -> Dice:
    return Dice(seed, "augment", range(n))


def images(n: int, channels: int = 3, height: int = 16, width: int = 16, **kinds: object) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, channels, height, width, generator=generator, **kinds) * 1.8 - 0.9


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("policy", list(OPERATIONS))
def test_how_often(policy: str, p: float) -> None:
    """An operation changes a share p of the images; colour consists of three, each with probability p."""
    n = 10_000
    x = images(n, height=8, width=8)
    changed = (augment(x, dice(n), p, (policy,)) != x).flatten(1).any(1).double().mean().item()
    expected = {"color": 1 - (1 - p) ** 3, "translation": p * 8 / 9, "cutout": p}[policy]  # 1 in 9 shifts is none
    assert changed == pytest.approx(expected, abs=5 * (expected * (1 - expected) / n) ** 0.5 + 1e-12)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (4, 33, 20), (3, 96, 64)])
def test_shapes_and_layouts(shape: tuple[int, ...]) -> None:
    x = images(5, *shape)
    y = augment(x, dice(5), 1.0)
    assert y.shape == x.shape and y.isfinite().all()
    last = augment(x.contiguous(memory_format=torch.channels_last), dice(5), 1.0)
    assert torch.allclose(y, last, atol=1e-6)
    if shape[0] > 1:
        assert last.is_contiguous(memory_format=torch.channels_last)


def test_nothing_at_probability_zero() -> None:
    x = images(3)
    assert augment(x, dice(3), 0.0) is x


def test_an_image_is_augmented_alike_in_any_batch() -> None:
    x = images(6)
    together = augment(x, dice(6), 0.7)
    alone = augment(x[4:5], Dice(0, "augment", range(4, 5)), 0.7)
    assert torch.allclose(together[4:5], alone, atol=1e-6)
    assert not torch.equal(together, augment(x, dice(6, seed=1), 0.7))


def test_strength_of_colour() -> None:
    """Brightness moves the mean of an image by at most 0.5, uniformly; nothing else moves it."""
    n = 10_000
    x = torch.zeros(n, 3, 2, 2) + torch.tensor([0.2, -0.1, -0.1]).view(3, 1, 1)  # mean 0
    means = augment(x, dice(n), 1.0, ("color",)).mean((1, 2, 3)).double()
    assert -0.5 - 1e-6 <= means.min() < -0.49 and 0.49 < means.max() <= 0.5 + 1e-6
    assert means.mean().item() == pytest.approx(0.0, abs=5 / (12 * n) ** 0.5)
    assert means.var().item() == pytest.approx(1 / 12, rel=0.05)


def test_strength_of_saturation_and_contrast() -> None:
    """Differences between channels are scaled by saturation × contrast, differences between pixels by contrast."""
    n = 4000
    x = torch.zeros(n, 3, 2, 2)
    x[:, 0] = 0.3  # a channel that differs
    x[..., 0] += 0.2  # a column that differs
    y = augment(x, dice(n), 1.0, ("color",))
    contrast = ((y[..., 0] - y[..., 1]) / 0.2).mean((1, 2))
    both = ((y[:, 0] - y[:, 1]) / 0.3).mean((1, 2))
    assert 0.5 - 1e-5 <= contrast.min() < 0.51 and 1.49 < contrast.max() <= 1.5 + 1e-5
    saturation = both / contrast
    assert -1e-5 <= saturation.min() < 0.01 and 1.99 < saturation.max() <= 2 + 1e-4


def test_alpha_keeps_its_values_under_colour() -> None:
    x = images(8, channels=4)
    y = augment(x, dice(8), 1.0, ("color",))
    assert torch.equal(y[:, 3], x[:, 3]) and not torch.equal(y[:, :3], x[:, :3])


def test_translation_moves_pixels_and_brings_in_zeros() -> None:
    n, height, width = 2000, 16, 24
    x = torch.zeros(n, 1, height, width)
    x[:, :, 8, 12] = 1.0
    places = augment(x, dice(n), 1.0, ("translation",)).nonzero()
    assert len(places) == n  # the marked pixel never leaves: at most an eighth
    for axis, start, side in ((2, 8, height), (3, 12, width)):
        moves = places[:, axis] - start
        most = round(side * SHIFT)
        assert moves.min() == -most and moves.max() == most
        counts = torch.bincount(moves + most) / n
        assert torch.allclose(counts, torch.full_like(counts, 1 / (2 * most + 1)), atol=0.04)
    ones = augment(torch.ones(n, 1, height, width), dice(n), 1.0, ("translation",))
    assert set(ones.unique().tolist()) == {0.0, 1.0}


def test_cutout_removes_one_rectangle() -> None:
    n = 2000
    y = augment(torch.ones(n, 1, 16, 16), dice(n), 1.0, ("cutout",))
    holes = y[:, 0] == 0
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.flatten(1).sum(1), rows * columns)  # a rectangle
    assert rows.max() == columns.max() == round(16 * HOLE)
    assert holes.float().mean((1, 2)).max().item() == pytest.approx(HOLE**2)


@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",), tuple(OPERATIONS)])
def test_affine_and_differentiable_twice(policy: tuple[str, ...]) -> None:
    x, other = (images(3, 3, 8, 8, dtype=torch.float64) * k for k in (1.0, -0.5))

    def change(v: Tensor) -> Tensor:
        return augment(v, dice(3), 0.8, policy)

    half = change(0.5 * x + 0.5 * other)
    assert torch.allclose(half, 0.5 * change(x) + 0.5 * change(other), atol=1e-12)
    leaf = x[:, :, :2, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(change, leaf)
    assert torch.autograd.gradgradcheck(lambda v: change(v).sin(), leaf)


def test_penalty_through_augmentation_is_of_the_image_before_it() -> None:
    """D = w·T(x): the gradient before T is the adjoint of T applied to w; a hole or a border has none."""
    x = torch.zeros(64, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    y = augment(x, dice(64), 1.0, ("cutout",))
    penalty = zero_centred(y.sum((1, 2, 3)), x)
    holes = augment(torch.ones_like(x), dice(64), 1.0, ("cutout",)) == 0
    assert torch.equal(penalty, (~holes).double().sum((1, 2, 3)))


def test_gradient_reaches_the_generator() -> None:
    weight = torch.ones(3, 1, 1, requires_grad=True)
    augment(weight * images(4), dice(4), 1.0).square().sum().backward()
    assert (weight.grad.abs() > 0).all()


def test_refusals() -> None:
    with pytest.raises(UsageError, match="colour"):
        augment(images(2), dice(2), 0.5, ("colour",))
    with pytest.raises(UsageError, match="probability"):
        augment(images(2), dice(2), 1.5)
