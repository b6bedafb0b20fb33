"""The weight that lets a game pull as hard as a reconstruction."""

from __future__ import annotations

import pytest
import torch

from sparring.losses.adaptive import MOST, adaptive


def test_it_is_the_ratio_of_norms_and_has_no_graph() -> None:
    a, b = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    found = adaptive(a * 2, b, weight=0.8)
    assert (
        float(found) == pytest.approx(0.8 * float((2 * a.detach()).norm() / (b.norm() + 1e-4)))
        and not found.requires_grad
    )


def test_the_pull_of_the_game_does_not_depend_on_its_scale() -> None:
    a, b = torch.randn(50), torch.randn(50)
    pulls = [float(adaptive(a, c * b) * (c * b).norm()) for c in (0.1, 1.0, 1000.0)]
    assert pulls == pytest.approx([float(a.norm())] * 3, rel=1e-3)


def test_it_is_bounded_where_the_game_pulls_nowhere() -> None:
    assert float(adaptive(torch.full((2,), 1e6), torch.zeros(2))) == MOST
    assert float(adaptive(torch.zeros(2), torch.zeros(2))) == 0
