"""Adaptive augmentation: its maps, that they leave no trace at p = 0, derivatives, and how p moves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.augment.adaptive import Adaptive, augment, colours
from sparring.augment.geometric import SHIFT, geometric, warp
from sparring.chance import Dice
from sparring.errors import UsageError


def images(n: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    return Dice(0, "images", range(n)).uniform(channels, height, width) * 2 - 1


def dice(n: int = 4, seed: int = 0) -> Dice:
    return Dice(seed, "augment", range(n))


def matrix(a: float, b: float, x: float, c: float, d: float, y: float) -> Tensor:
    return torch.tensor([[[a, b, x], [c, d, y], [0.0, 0.0, 1.0]]])


# ── place ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exact_maps() -> None:
    """Mirrored, turned by a quarter, shifted by whole pixels with what lies outside mirrored; and the image itself."""
    x = images(1, height=6, width=6)
    known = [
        (matrix(1, 0, 0, 0, 1, 0), x),
        (matrix(-1, 0, 0, 0, 1, 0), x.flip(3)),
        (matrix(0, -1, 0, 1, 0, 0), x.rot90(1, (2, 3))),
        (matrix(1, 0, -2, 0, 1, 1), torch.cat([x[:, :, 1:], x[:, :, -1:]], 2)[..., [1, 0, 0, 1, 2, 3]]),
    ]
    for map_, wanted in known:
        torch.testing.assert_close(warp(x, map_), wanted, rtol=0, atol=2e-6)


def test_a_smooth_image_is_sampled_where_it_should_be() -> None:
    """A plane a·right + b·down is a plane, with the same values at the mapped places, also of a wide image."""
    height, width = 8, 12
    down, right = torch.meshgrid(torch.arange(height) - 3.5, torch.arange(width) - 5.5, indexing="ij")
    x = (0.3 * right + 0.1 * down)[None, None]
    angle = 0.3
    map_ = matrix(math.cos(angle) / 2, -math.sin(angle), 0.25, math.sin(angle), math.cos(angle) / 2, -0.5)
    places = map_[0] @ torch.stack([right.flatten(), down.flatten(), torch.ones(height * width)])
    wanted = (0.3 * places[0] + 0.1 * places[1]).view(height, width)
    inside = (places[0].abs() < 5.5).view(height, width) & (places[1].abs() < 3.5).view(height, width)
    assert int(inside.sum()) > 20
    torch.testing.assert_close(warp(x, map_)[0, 0][inside], wanted[inside], rtol=1e-4, atol=1e-5)


def test_whole_maps_lose_nothing() -> None:
    """Every pixel of the result is one of the image, and most maps differ."""
    x = images(32, 1)
    y = geometric(x, dice(32), 1.0, fractional=False)
    for before, after in zip(x, y, strict=True):
        assert (after.flatten()[:, None] - before.flatten()).abs().min(1).values.max().item() < 1e-5
    assert sum(torch.allclose(a, b, atol=1e-5) for a, b in zip(x, y, strict=True)) <= 4
    assert round(SHIFT * 8) == 1


# ── colour ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_colours_are_affine_maps_of_each_image() -> None:
    """One 3×3 matrix and one offset per image; luma and saturation keep greys grey."""
    x = images(6)
    y = colours(x, dice(6), 1.0)
    for before, after in zip(x.flatten(2), y.flatten(2), strict=True):
        known = torch.cat([before, torch.ones(1, before.shape[1])])
        fit = torch.linalg.lstsq(known.T, after.T).solution
        torch.testing.assert_close(known.T @ fit, after.T, rtol=1e-3, atol=1e-3)
    grey = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    made = colours(grey, dice(6), 1.0)
    torch.testing.assert_close(made, made.mean(1, keepdim=True).expand_as(made), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(colours(x.mean(1, keepdim=True), dice(6), 1.0), made[:, :1], rtol=1e-4, atol=1e-5)


def test_alpha_and_other_channels_are_left_alone() -> None:
    x = images(4, 4)
    y = colours(x, dice(), 1.0)
    assert torch.equal(y[:, 3], x[:, 3]) and torch.equal(y[:, :3], colours(x[:, :3], dice(), 1.0))
    assert torch.equal(colours(images(4, 2), dice(), 1.0), images(4, 2))


# ── the chain ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_p_0_is_the_identity() -> None:
    x = images()
    assert augment(x, dice(), 0.0) is x
    torch.testing.assert_close(augment(x, dice(), torch.tensor(0.0)), x, rtol=0, atol=2e-6)


@pytest.mark.parametrize("policy", ["bgc", "b", "g", "c"])
def test_p_is_how_often_an_image_changes(policy: str) -> None:
    x = images(400)
    few = augment(x, dice(400), 0.05, policy)
    many = augment(x, dice(400), 0.5, policy)

    def share(y: Tensor) -> float:
        return ((y - x).abs().flatten(1).amax(1) > 1e-4).float().mean().item()

    assert 0.02 < share(few) < 0.5 < share(many)


def test_an_image_is_augmented_as_if_it_were_alone() -> None:
    x = images(6)
    whole = augment(x, dice(6), 0.7)
    alone = augment(x[2:4], Dice(0, "augment", range(2, 4)), 0.7)
    torch.testing.assert_close(alone, whole[2:4], rtol=0, atol=1e-5)


def test_derivatives_of_both_orders() -> None:
    """As R1 needs them: through sampling and colours."""
    x = images(2, 3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, dice(2), 0.9), (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: augment(x, dice(2), 0.9).square(), (x,), fast_mode=True)


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(UsageError, match="no such augmentation"):
        augment(images(), dice(), 0.5, "bx")


# ── p ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_p_moves_as_the_rule_says() -> None:
    """± batch · every / (kimg · 1000) each `every` rounds, by the mean of all of them; between 0 and 1."""
    control, step = Adaptive(target=0.6, kimg=2, every=4), 16 * 4 / 2000
    seen = []
    for sign in [1.0, 0.8, 0.5, 0.3] + [1.0, 0.3, 0.5, 0.5] + [0.9] * 4 + [-1.0] * 12:
        control.hear(torch.tensor(sign), batch=16)
        seen.append(round(control.p.item() / step, 4))
    assert seen == [0, 0, 0, 1] + [1, 1, 1, 0] + [0, 0, 0, 1] + [1, 1, 1] + [0] * 9
    for _ in range(4 * 40):
        control.hear(torch.tensor(1.0), batch=16)
    assert control.p.item() == 1.0


def test_all_that_it_remembers_is_in_buffers() -> None:
    a, b = Adaptive(kimg=1, every=3), Adaptive(kimg=1, every=3)
    for k in range(7):
        a.hear(torch.tensor(math.sin(k)), batch=10)
    b.load_state_dict(a.state_dict())
    for k in range(9):
        a.hear(torch.tensor(math.cos(k)), batch=10)
        b.hear(torch.tensor(math.cos(k)), batch=10)
    assert all(torch.equal(x, y) for x, y in zip(a.buffers(), b.buffers(), strict=True)) and a.p.item() > 0
