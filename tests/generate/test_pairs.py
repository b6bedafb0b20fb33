"""Pictures of pairs: what a person sees of each kind of image, and what stands beside what."""

from __future__ import annotations

import numpy as np
import torch

from sparring.generate.pairs import side_by_side, visible


def test_every_kind_of_image_is_made_visible() -> None:
    grey = torch.rand(2, 1, 4, 5) * 2 - 1
    assert torch.equal(visible(grey), grey.expand(-1, 3, -1, -1))
    colour = torch.rand(2, 3, 4, 5) * 2 - 1
    assert torch.equal(visible(colour), colour)
    clear = torch.cat([colour, torch.full((2, 1, 4, 5), -1.0)], dim=1)
    assert torch.equal(visible(clear), torch.ones(2, 3, 4, 5))  # what is transparent is white paper
    solid = torch.cat([colour, torch.ones(2, 1, 4, 5)], dim=1)
    torch.testing.assert_close(visible(solid), colour)


def test_a_label_map_is_painted_with_the_likeliest_class() -> None:
    inks = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 255], [255, 255, 255]], np.uint8)
    classes = torch.tensor([[[0, 1], [2, 3]]])
    noisy = torch.nn.functional.one_hot(classes, 4).permute(0, 3, 1, 2) * 1.0 - 0.3
    painted = (visible(noisy, inks).add(1) * 127.5).round().byte()
    assert np.array_equal(painted[0].permute(1, 2, 0).numpy(), inks[classes[0].numpy()])


def test_groups_stand_side_by_side() -> None:
    a, b = torch.full((3, 3, 4, 4), -1.0), torch.full((3, 3, 4, 4), 0.0)
    sheet = np.asarray(side_by_side([a, b], across=1).convert("L"))
    assert sheet.shape == (2 + 3 * 6, 2 + 2 * 6)
    for row in range(3):
        top = 2 + 6 * row
        assert (sheet[top : top + 4, 2:6] == 0).all() and (sheet[top : top + 4, 8:12] == 128).all()
