"""Palettes: what a file may say, nearest colours, edges that blend, pixels of no class."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.data.scenes import scene

from sparring.data.palette import FOREIGN, Palette, distinct, inside, one_hot
from sparring.errors import DataError

CMP = Palette.load("cmp")


def drawn(palette: Palette, seed: int, side: int = 96, least: int = 8) -> NDArray[np.uint8]:
    """(side, side) class numbers: rectangles on class 0."""
    rng, index = np.random.default_rng(seed), np.zeros((side, side), np.uint8)
    for number in rng.integers(0, len(palette), 24).tolist():
        y, x, h, w = rng.integers((0, 0, least, least), (side - least, side - least, side // 3, side // 3))
        index[y : y + h, x : x + w] = number
    return index


def as_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


# ── what a file may say ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "#000000 wall\n#ff8000 open door\n",
        "; my classes\n0 0 0 wall ; where nothing else is\n\n255, 128, 0, open door",
        "# a comment\n#\n#000000  wall\n#FF8000\topen door",
        "GIMP Palette\nName: mine\nColumns: 2\n#\n  0   0   0\twall\n255 128   0\topen door",
        '{"wall": "#000000", "open door": "#ff8000"}',
        "\ufeff#000000 wall\r\n#ff8000 open door\r\n",
    ],
)
def test_a_palette_says_the_same_in_every_form(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    palette = Palette.load(tmp_path / "mine.txt")
    assert palette.names == ("wall", "open door")
    assert palette.colours.tolist() == [[0, 0, 0], [255, 128, 0]]
    assert palette.colours.dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("#000000 wall\n#ff00zz door", "line 2", "no class"),
        ("#000000 wall\n\n256 0 0 door", "line 3", "above 255"),
        ("#000000 wall\n#ff0000 wall", "line 2", "also in line 1"),
        ("#000000 wall\n0 0 0 door", "line 2", "has the colour #000000 of 'wall'"),
        ("; nothing\n#000000 wall", "mine", "1 class,"),
        ("\n".join(f"{k % 256} {k // 256} 0 c{k}" for k in range(257)), "mine", "257 classes"),
        ('{"wall": "#000000", "wall": "#ff0000"}', "mine", "two classes are called 'wall'"),
        ('{"wall": "black", "door": "#ff0000"}', "mine", "'wall'"),
        ('{"wall": "#000000",\n "door" "#ff0000"}', "line 2", "no JSON"),
    ],
)
def test_what_is_wrong_with_a_palette_is_named_with_its_line(text: str, where: str, why: str) -> None:
    with pytest.raises(DataError) as caught:
        Palette.parse(text, "mine")
    assert caught.value.code == "DATA-PALETTE"
    assert where in caught.value.where
    assert why in caught.value.why


def test_a_palette_that_is_not_there_is_an_error_that_names_the_built_in_ones() -> None:
    with pytest.raises(DataError, match="cmp"):
        Palette.load("nowhere.txt")


def test_a_class_without_a_name_is_called_by_its_colour() -> None:
    assert Palette.parse("#0a0b0c\n1 2 3").names == ("#0a0b0c", "#010203")


def test_the_colours_of_the_facades_are_every_fifth_of_jet() -> None:
    level = np.arange(6, 62, 5)[:, None] / 16
    jet = np.floor(np.clip(1.5 - np.abs(level - [3.0, 2.0, 1.0]), 0, 1) * 255 + 0.5)
    assert CMP.colours.tolist() == jet.astype(int).tolist()
    assert CMP.names[0] == "background" and CMP.names[3] == "door" and CMP.names[11] == "shop"


def test_a_record_is_the_palette() -> None:
    again = Palette.of(CMP.record())
    assert again.names == CMP.names and (again.colours == CMP.colours).all()


# ── nearest colours ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [2, 12, 40, 256])
def test_without_tolerance_each_pixel_is_of_the_nearest_colour(count: int) -> None:
    rng = np.random.default_rng(count)
    colours = np.unique(rng.integers(0, 256, (2 * count, 3), dtype=np.uint8), axis=0)
    colours = rng.permutation(colours)[:count]
    palette = Palette(tuple(map(str, range(len(colours)))), colours)
    pixels = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    away = ((pixels[:, :, None].astype(int) - colours.astype(int)) ** 2).sum(axis=-1)
    index, share = palette.index(pixels, tolerance=500.0)
    assert (index == away.argmin(axis=-1)).all()  # of equals the first, as argmin
    assert share == 0.0


def test_painting_and_reading_undo_each_other() -> None:
    index = drawn(CMP, 0)
    found, share = CMP.index(CMP.paint(index))
    assert (found == index).all() and share == 0.0
    assert found.dtype == np.uint8


def test_pixels_of_another_colour_are_counted_where_they_are_no_edge() -> None:
    pixels = CMP.paint(np.zeros((40, 50), np.uint8))
    pixels[10:20, 10:30] = (255, 255, 255)  # no class is white: its nearest colour is that of a class all over
    share = CMP.index(pixels)[1]
    assert share == pytest.approx(8 * 18 / (40 * 50))  # the rim of the rectangle is an edge
    ((colour, count),) = CMP.foreign(pixels).items()
    assert count == 8 * 18 and max(abs(level - 255) for level in colour) < 16


def test_a_blend_of_two_neighbours_is_not_a_third_class() -> None:
    greys = Palette.parse("#000000 black\n#808080 grey\n#ffffff white")
    hard = np.zeros((24, 24, 3), np.uint8)
    hard[:, 12:] = 255
    for size in (36, 48, 60):
        soft = np.asarray(Image.fromarray(hard).resize((size, 24), Image.Resampling.BILINEAR))
        index, share = greys.index(soft)
        assert not (index == 1).any() and share == 0.0
        assert (index[:, : size // 2] == 0).all() and (index[:, size // 2 :] == 2).all()
    assert (greys.index(soft, tolerance=1_000.0)[0] == 1).any()  # by the nearest colour alone there is a third class


@pytest.mark.parametrize(("quality", "wrong"), [(92, 0.025), (75, 0.03), (50, 0.05)])
def test_a_jpeg_of_a_label_map_is_read_nearly_as_it_was_drawn(quality: int, wrong: float) -> None:
    for seed in range(3):
        index = drawn(CMP, seed)
        pixels = as_jpeg(CMP.paint(index), quality)
        found, share = CMP.index(pixels)
        nearest, _ = CMP.index(pixels, tolerance=1_000.0)
        errors = float((found != index).mean())
        assert errors < wrong
        assert errors < 0.6 * float((nearest != index).mean())
        assert share < FOREIGN or quality == 50


def test_photographs_are_of_no_palette() -> None:
    for seed in range(3):
        assert CMP.index(np.asarray(scene(seed)))[1] > 2 * FOREIGN


def test_of_a_palette_with_a_class_too_few_that_class_is_foreign() -> None:
    index = drawn(CMP, 5)
    fewer = Palette(CMP.names[1:], CMP.colours[1:])
    assert fewer.index(as_jpeg(CMP.paint(index), 92))[1] > 0.5 * float((index == 0).mean())


def test_the_facades_are_of_their_palette_and_their_photographs_are_not(shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "facades_512x256.zip") as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::50]:
            both = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            assert CMP.index(both[:, 256:])[1] < 2 * FOREIGN
            assert CMP.index(both[:, :256])[1] > 0.3


# ── one-hot, edges, colours ───────────────────────────────────────────────────────────────────────────────────────


def test_one_hot_has_one_white_channel_for_each_pixel() -> None:
    index = np.random.default_rng(0).integers(0, 12, (3, 8, 6), dtype=np.uint8)
    maps = one_hot(index, 12)
    assert maps.shape == (3, 12, 8, 6) and maps.dtype == np.uint8
    assert (maps.argmax(axis=1) == index).all()
    assert (maps.sum(axis=1, dtype=int) == 255).all()
    assert maps.transpose(0, 2, 3, 1).flags.c_contiguous  # channels_last strides
    with pytest.raises(IndexError):
        one_hot(index, 11)


def test_inside_is_where_all_eight_around_are_the_same() -> None:
    index = drawn(CMP, 3, side=40)
    around = np.pad(index, 1, mode="edge")
    by_hand = np.ones(index.shape, np.bool_)
    for y in range(3):
        for x in range(3):
            by_hand &= around[y : y + 40, x : x + 40] == index
    assert (inside(index) == by_hand).all()


@pytest.mark.parametrize("count", [2, 3, 12, 64, 256])
def test_classes_without_colours_are_painted_in_different_ones(count: int) -> None:
    colours = distinct(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) == count
