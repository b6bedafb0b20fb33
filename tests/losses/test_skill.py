"""What is observed of D's skill."""

from __future__ import annotations

import pytest
import torch

from sparring.losses.skill import skill


def test_probabilities_and_rates_by_hand() -> None:
    seen = skill(torch.tensor([2.0, -1.0, 0.0]), torch.tensor([-3.0, 0.5, 0.0, -0.1]), relative=False)
    assert seen["D(x)"].tolist() == pytest.approx([0.880797, 0.268941, 0.5], abs=1e-6)
    assert seen["D(G(z))"].tolist() == pytest.approx([0.047426, 0.622459, 0.5, 0.475021], abs=1e-6)
    assert seen["true_positive"].tolist() == [1.0, 0.0, 0.0]  # exactly undecided is not right
    assert seen["true_negative"].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_relative_skill_is_measured_against_the_mean_of_the_other_side() -> None:
    real, fake = torch.tensor([4.0, 6.0]), torch.tensor([3.0, 5.0, 7.0])
    seen = skill(real, fake, relative=True)
    assert torch.allclose(seen["D(x)"], torch.sigmoid(real - 5.0))
    assert torch.allclose(seen["D(G(z))"], torch.sigmoid(fake - 5.0))
    assert seen["true_positive"].tolist() == [0.0, 1.0] and seen["true_negative"].tolist() == [1.0, 0.0, 0.0]
    shifted = skill(real + 9, fake + 9, relative=True)
    assert all(torch.allclose(seen[name], shifted[name]) for name in seen)


def test_observing_leaves_no_graph() -> None:
    s = torch.zeros(2, requires_grad=True)
    assert not any(value.requires_grad for value in skill(s, s, relative=True).values())
    assert skill(s.bfloat16(), s.bfloat16(), relative=False)["D(x)"].dtype == torch.float32
    with pytest.raises(TypeError):
        skill(s, s, True)
