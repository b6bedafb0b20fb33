"""Hues: where they lie, what counts, and what a change costs."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch

from sparring.metrics.hue import BINS, entropy, histogram, total_variation


def solid(*colours: tuple[float, float, float]) -> torch.Tensor:
    """One image per colour, 2×2."""
    return torch.tensor(colours)[:, :, None, None].expand(-1, -1, 2, 2)


@pytest.mark.parametrize("k", range(BINS))
def test_hues_are_those_of_hsv(k: int) -> None:
    """At a centre all of a pixel counts there; halfway to the next half of it."""
    for shift, shares in ((0.0, (1.0, 0.0)), (0.5, (0.5, 0.5))):
        found = histogram(solid(colorsys.hsv_to_rgb((k + shift) / BINS, 0.7, 0.9)))
        assert found[k] == pytest.approx(shares[0], abs=1e-5)
        assert found[(k + 1) % BINS] == pytest.approx(shares[1], abs=1e-5)
        assert float(found.sum()) == pytest.approx(1)


def test_grey_has_no_hue() -> None:
    found = histogram(solid((0.5, 0.5, 0.5), (0.5, 0.52, 0.47), (1, 0, 0), (0, 0, 0)))
    assert found[-1] == 0.75 and found[0] == 0.25


def test_only_what_counts_counts() -> None:
    images = solid((1, 0, 0), (0, 1, 0))
    where = torch.zeros(2, 2, 2, dtype=torch.bool)
    where[0] = True
    assert histogram(images, where)[0] == 1
    assert total_variation(images, images.flip(0), where) == 1
    assert total_variation(images, images.flip(0)) == 0


def test_one_ochre_for_everything() -> None:
    """Every pixel of another colour has to change: the total variation is 1 − the share that is right."""
    truth = solid((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0))
    assert total_variation(solid((1, 0, 0)).expand(4, -1, -1, -1), truth) == pytest.approx(0.75)
    assert entropy(histogram(truth)) == pytest.approx(math.log(4)) and entropy(histogram(solid((1, 0, 0)))) == 0
    assert entropy(histogram(solid((0, 0, 0)))) == 0


def test_it_is_a_distance_and_a_small_change_is_small() -> None:
    torch.manual_seed(0)
    a, b, c = (torch.rand(4, 3, 16, 16) ** power for power in (1, 2, 3))
    assert total_variation(a, b) == total_variation(b, a)
    assert total_variation(a, c) <= total_variation(a, b) + total_variation(b, c) + 1e-9
    warm = solid(colorsys.hsv_to_rgb(0.1, 1, 1))
    assert total_variation(warm, solid(colorsys.hsv_to_rgb(0.101, 1, 1))) == pytest.approx(0.001 * BINS, rel=0.05)
