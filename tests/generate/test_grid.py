"""Pictures from tensors: rounding and places."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import UsageError
from sparring.generate.grid import grid, picture, scatter, to_bytes


def test_every_byte_survives_the_way_through_the_engine():
    levels = torch.arange(256, dtype=torch.uint8)
    x = levels.float().div_(127.5).sub_(1.0).view(1, 1, 16, 16)  # as Engine.place reads them
    assert (to_bytes(x).ravel() == levels.numpy()).all()


@given(st.floats(-3, 3, width=32))
def test_bytes_are_the_nearest_level_and_clipped(value):
    level = int(to_bytes(torch.full((1, 1, 1, 1), value))[0, 0, 0, 0])
    assert abs(level - min(255.0, max(0.0, (value + 1) * 127.5))) <= 0.5 + 1e-4


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_tiles_stand_row_by_row_with_paper_between(channels, mode):
    shades = torch.linspace(-1, 1, 5).view(5, 1, 1, 1).expand(5, channels, 4, 6)
    sheet = grid(shades, columns=3, padding=2)
    assert sheet.mode == mode
    assert sheet.size == (2 + 3 * 8, 2 + 2 * 6)
    pixels = np.asarray(sheet).reshape(*reversed(sheet.size), channels)
    for k in range(5):
        y, x = 2 + k // 3 * 6, 2 + k % 3 * 8
        assert (pixels[y : y + 4, x : x + 6] == to_bytes(shades)[k]).all()
    assert (pixels[:2] == (255 if channels < 4 else (255, 255, 255, 0))).all()
    assert (pixels[8:12, 18:24] == (255 if channels < 4 else (255, 255, 255, 0))).all()  # the place that stays free


def test_the_grid_is_as_square_as_the_tiles_allow():
    assert grid(torch.zeros(64, 3, 8, 8), padding=0).size == (64, 64)
    wide = grid(torch.zeros(32, 1, 8, 32), padding=0)
    assert 0.5 <= wide.width / wide.height <= 2.0


def test_wrong_shapes_are_explained():
    for wrong in (torch.zeros(2, 2, 8, 8), torch.zeros(3, 8, 8)):
        with pytest.raises(UsageError, match="PICTURE-SHAPE"):
            to_bytes(wrong)
    with pytest.raises(UsageError, match="PICTURE-EMPTY"):
        grid(torch.zeros(0, 3, 8, 8))
    with pytest.raises(UsageError, match="PICTURE-SHAPE"):
        scatter(torch.zeros(4, 1))


def test_a_point_is_drawn_where_it_is_with_y_upwards():
    cloud = np.asarray(scatter(torch.tensor([[0.5, 0.5]]), extent=1.0, side=100)).astype(int)
    ink = 255 * 3 - cloud.sum(2)
    y, x = np.unravel_index(ink.argmax(), ink.shape)
    assert abs(x - 74) <= 2
    assert abs(y - 25) <= 2


def test_points_that_are_not_finite_or_far_away_do_no_harm():
    points = torch.tensor([[float("nan"), 0.0], [float("inf"), 1.0], [1e30, -1e30], [0.1, 0.2]])
    assert scatter(points, extent=1.0).size == (480, 480)
    assert scatter(points[:1]).size == (480, 480)
    assert picture(points).size == (480, 480)


def test_a_class_has_a_row_when_samples_take_turns():
    """Image k is in row k mod rows; where the last column is not full the paper shows."""
    images = (torch.arange(8.0) / 8).view(8, 1, 1, 1).expand(8, 1, 2, 2)
    sheet = np.asarray(grid(images, rows=3, padding=1))
    assert sheet.shape == (3 * 3 + 1, 3 * 3 + 1)
    for k in range(8):
        y, x = 1 + 3 * (k % 3), 1 + 3 * (k // 3)
        assert (sheet[y : y + 2, x : x + 2] == to_bytes(images[k : k + 1]).ravel()[0]).all()
    assert (sheet[7:, 7:] == 255).all()
