"""The picture of a game on the plane: what is in it, that it is the same again, and the animation of many."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.generate.test_landscape import Hill

from sparring.generate.landscape import Reading
from sparring.generate.plane import SIZE, Line, Plane, animate, limits

REAL = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
CURVES: dict[str, Line] = {
    "D": ([10, 20, 30], [1.4, 1.2, 1.3]), "G": ([10, 20, 30], [0.7, 0.9, 0.8]),
    "D(x)": ([10, 20, 30], [0.5, 0.6, 0.55]), "D(G(z))": ([10, 20, 30], [0.5, 0.4, 0.45]),
    "modes": ([30], [3.0]), "high_quality": ([30], [0.25]), "reverse_kl": ([30], [0.5]),
    "smallest_share": ([30], [0.0]),
}  # fmt: skip


def _plane(**settings: object) -> Plane:
    return Plane(REAL, scale=2.0, title="ring · minimax", total=100, **{"modes": 4, **settings})  # type: ignore[arg-type]


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def _bluish(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 2] - pixels[..., 0]


def test_a_picture_is_a_small_png_of_one_size() -> None:
    file = io.BytesIO()
    _plane().draw(Hill((0.0, 0.0)), REAL, 30, CURVES).save(file, "PNG")
    with Image.open(file) as picture:
        assert picture.format == "PNG" and picture.size == SIZE
        assert (_pixels(picture)[0, 0] == 255).all(), "white stays white in 256 colours"
    assert len(file.getvalue()) < 150_000


def test_orange_where_d_says_real_and_blue_where_it_does_not() -> None:
    """A D whose hill is in the upper right: the map is orange there and blue in the lower left."""
    pixels = _bluish(_pixels(_plane().draw(Hill((1.0, 1.0), top=3.0), torch.zeros(1, 2), 0, {})))
    left, right, top, bottom = 0.052 * SIZE[0], 0.4985 * SIZE[0], 0.095 * SIZE[1], 0.885 * SIZE[1]
    middle = round((left + right) / 2), round((top + bottom) / 2)
    upper_right = pixels[round(top) + 5 : middle[1] - 20, middle[0] + 20 : round(right) - 5]
    lower_left = pixels[round(bottom) - 60 : round(bottom) - 5, round(left) + 5 : round(left) + 60]
    assert np.median(upper_right) < -20 and np.median(lower_left) > 20


def test_a_picture_is_a_function_of_the_moment_alone() -> None:
    """The same after other pictures were drawn with the same sheet: a resumed run draws what an unbroken one does."""
    fresh, used = _plane(costs={"D": math.log(4)}), _plane(costs={"D": math.log(4)})
    used.draw(Hill((0.5, 0.0)), 3 * REAL, 10, {"D": ([10], [50.0])})
    a, b = (plane.draw(Hill((0.0, 0.0)), REAL, 30, CURVES) for plane in (fresh, used))
    assert a.tobytes() == b.tobytes()
    assert used.draw(Hill((0.0, 0.0)), REAL, 31, CURVES).tobytes() != a.tobytes()


@pytest.mark.parametrize(
    "settings", [{}, {"modes": None}, {"reading": Reading(None, centred=True), "costs": {"D": 0.0, "G": 0.0}}]
)
def test_it_can_be_drawn_whatever_is_known(settings: dict[str, object]) -> None:
    """No curve yet, values that are not finite, samples nowhere, a D that says one thing everywhere."""
    plane = _plane(**settings)
    plane.draw(Hill((0.0, 0.0)), REAL, 0, {})
    curves: dict[str, Line] = {"D": ([1, 2], [math.nan, math.inf]), "energy_distance": ([1, 2], [-0.001, 1e9])}
    samples = torch.tensor([[math.nan, 0.0], [math.inf, -math.inf], [1e30, 0.0]])
    plane.draw(Hill((math.nan, 0.0)), samples, 1, curves)


BOARD = (slice(55, 455), slice(52, 455))  # pixels of the plane


def _near(picture: Image.Image, colour: tuple[int, int, int], where: tuple[slice, slice] = BOARD) -> int:
    """Pixels of about this colour."""
    return int((np.abs(_pixels(picture)[where] - np.array(colour)).max(axis=2) < 40).sum())


def test_samples_on_top_of_data_hide_none_of_them() -> None:
    """A perfect G: as many orange as blue dots are seen where 400 points of each lie in one spot."""
    spot, other = 0.05 * torch.randn(2, 400, 2, generator=torch.Generator().manual_seed(0))
    picture = Plane(torch.cat([spot, REAL]), total=1).draw(Hill((0.0, 0.0), top=0.0), other, 0, {})
    orange, blue = _near(picture, (0xB4, 0x53, 0x09)), _near(picture, (0x1D, 0x4F, 0x9C))
    assert orange > 40 and blue > 40 and 0.2 < orange / blue < 5


def test_samples_that_left_the_plane_are_counted() -> None:
    gone = torch.full((100, 2), 50.0)
    corner = (slice(52, 68), slice(300, 452))
    plane = _plane()
    home, away = (plane.draw(Hill((0.0, 0.0), top=0.0), x, 0, {}) for x in (torch.zeros(100, 2), gone))
    assert (_pixels(away)[corner] > 245).all(axis=2).sum() > 800 > (_pixels(home)[corner] > 245).all(axis=2).sum()
    assert _near(away, (0x1D, 0x4F, 0x9C), corner) > 100 > _near(home, (0x1D, 0x4F, 0x9C), corner)


def test_a_long_title_stays_large_enough_to_read() -> None:
    """In two lines: the first as large as that of a short one."""
    rows = (slice(5, 45), slice(48, 300))
    drawn = [
        Plane(REAL, total=1, title=title).draw(Hill((0.0, 0.0)), REAL, 0, {})
        for title in ("ring · minimax", "ring · minimax + r1+r2 + spectral norm + noise + smoothed labels")
    ]
    inked = [(_pixels(picture)[rows] < 120).all(axis=2) for picture in drawn]
    assert inked[1][22:].sum() > 100 > inked[0][27:].sum(), "a second line"
    assert inked[1][:20].sum() >= 0.9 * inked[0].sum(), "and a first one as large"


def test_names_of_close_levels_are_not_on_top_of_each_other() -> None:
    plane = _plane(costs={"D": 0.0, "G": -1.0})
    plane.draw(Hill((0.0, 0.0)), REAL, 30, {"D": ([1, 2], [2000.0, -2000.0])})
    assert plane._made is not None
    d, g = (text.get_window_extent(plane._made.canvas.get_renderer()) for text in plane._made.panels[0].names)
    assert g.y1 <= d.y0 + 3, "D's stands above G's"


def test_limits_hold_levels_and_nearly_all_values() -> None:
    low, high = limits([0.4, 0.5, 0.6], [1.386])
    assert low < 0.4 and 1.386 < high < 1.8
    many = [*np.linspace(0.6, 0.8, 200).tolist(), 50.0, -40.0]
    low, high = limits(many, [])
    assert 0.4 < low < 0.6 and 0.8 < high < 1.0, "wild values are cut off"
    assert limits([], []) == limits([0.0, 1.0], [])
    low, high = limits([2.0], [2.0])
    assert low < 2.0 < high
    assert limits([0.5, 0.61], []) == limits([0.5, 0.612], []), "small changes do not move the axis"


def test_an_animation_of_many_pictures(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (60, 40), "#1d4f9c" if k % 2 else "white") for k in range(30)]
    pictures[3] = Image.new("RGB", (8, 8))  # from before pictures looked like this
    film = animate(pictures, tmp_path / "game.gif", milliseconds=100, rest=1000)
    with Image.open(film) as gif:
        assert gif.format == "GIF" and gif.size == (60, 40) and gif.info["loop"] == 0
        assert 25 < gif.n_frames <= 29  # type: ignore[attr-defined]
        gif.seek(gif.n_frames - 1)  # type: ignore[attr-defined]
        assert gif.info["duration"] == 1000
    with pytest.raises(ValueError, match="at least one"):
        animate([], tmp_path / "none.gif")


def test_one_picture_is_an_animation_too(tmp_path: Path) -> None:
    drawn = _plane().draw(Hill((0.0, 0.0)), REAL, 30, CURVES)
    with Image.open(animate([drawn], tmp_path / "a.gif")) as gif:
        assert gif.size == SIZE
        difference = np.abs(_pixels(gif) - _pixels(drawn))
        assert difference.max() <= 8, "the colours of a plane are those of its animation"
