"""What a check says of pairs, and the sheet on which they are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.scenes import scene

from sparring.data import Options, open_data
from sparring.data.inspect import inspect
from sparring.data.inspection import Inspection
from sparring.data.pair_sheet import chosen, of_survey, pair_sheet
from sparring.data.palette import Palette

Picture = Callable[[int], Image.Image]


@pytest.fixture
def looked_at(tmp_path: Path) -> Callable[..., Inspection]:
    """looked_at(given, made): what a check finds in pairs of these, by number."""

    def look(given: Picture, made: Picture, n: int = 20, **options: Any) -> Inspection:
        for folder, picture in (("A", given), ("B", made)):
            (tmp_path / folder).mkdir()
            for number in range(n):
                picture(number).save(tmp_path / folder / f"{number:02d}.png")
        asked = Options(into=str(tmp_path / "B"), **{"size": (32, 32), **options})
        return inspect(open_data(tmp_path / "A", asked), options=asked)

    return look


def codes(made: Inspection) -> dict[str, str]:
    """Level by code."""
    return {finding.code: finding.level for finding in made.findings}


def grey(number: int) -> Image.Image:
    return scene(number).convert("L")


def test_of_sound_pairs_only_the_direction_is_told(looked_at: Any) -> None:
    made = looked_at(grey, lambda number: scene(number + 100))
    assert {code for code in codes(made) if "PAIR" in code} == set()
    (told,) = [finding for finding in made.findings if finding.code == "DATA-DIRECTION"]
    assert told.what == "side A is given, and side B is to be made of it" and "BtoA" in told.fix
    assert "20 pairs, 20 usable" in made.lines()[0]


def test_the_other_direction_is_told_too(looked_at: Any) -> None:
    made = looked_at(grey, scene, direction="BtoA")
    assert any("side B is given" in finding.what for finding in made.findings)


def test_the_same_folder_twice_is_noticed(looked_at: Any) -> None:
    made = looked_at(scene, scene)
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-SAME"]
    assert found.level == "warning" and "20 of 20 pairs" in found.what and "same folder" in found.fix


def test_a_few_pairs_with_two_equal_sides_are_named(looked_at: Any) -> None:
    made = looked_at(scene, lambda number: scene(number if number == 7 else number + 100))
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-SAME"]
    assert found.files == [("07.png", "")] and len(found.rows) == 1


@pytest.mark.parametrize(("side", "said"), [("given", "side A (given)"), ("made", "side B (to be made)")])
def test_a_side_of_one_colour_is_noticed(side: str, said: str, looked_at: Any) -> None:
    blank = lambda number: Image.new("RGB", (64, 64), (200, number, 90))  # noqa: E731
    made = looked_at(blank, scene) if side == "given" else looked_at(scene, blank)
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-EMPTY"]
    assert said in found.what and "right folder" in found.fix and found.level == "warning"


def test_different_pictures_made_of_the_same_are_noticed(looked_at: Any) -> None:
    made = looked_at(lambda number: scene(number // 2), lambda number: scene(number + 100))
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-SHARED"]
    assert "20 of 20 pairs" in found.what and found.count == 10


def test_label_maps_that_are_taken_for_photographs_are_noticed(looked_at: Any) -> None:
    palette = Palette.load("cmp")

    def drawn(number: int) -> Image.Image:
        index = np.zeros((64, 64), np.uint8)
        for k in range(6):
            y, x = np.random.default_rng([number, k]).integers(0, 40, 2)
            index[y : y + 20, x : x + 20] = (number + k) % 12
        return Image.fromarray(palette.paint(index))

    made = looked_at(drawn, scene)
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-MAPS"]
    assert found.fix == "--maps A --palette cmp"


def test_numbers_of_classes_that_are_taken_for_grey_levels_are_noticed(looked_at: Any) -> None:
    made = looked_at(scene, lambda number: Image.fromarray(np.asarray(grey(number)) // 64))
    (found,) = [finding for finding in made.findings if finding.code == "DATA-PAIRS-MAPS"]
    assert "side B is nearly black" in found.what and found.fix.startswith("--maps B")


def test_label_maps_are_not_blank_and_not_almost_the_same(looked_at: Any) -> None:
    """Their numbers differ by a few levels only: they are compared by their colours."""

    def mask(number: int) -> Image.Image:
        y, x = np.random.default_rng(number).integers(0, 40, 2)
        index = np.zeros((64, 64), np.uint8)
        index[y : y + 20, x : x + 20] = 1
        return Image.fromarray(index)

    made = looked_at(scene, mask, maps="B")
    assert made.blank == 0 and not made.near
    assert "2 classes by number" in "\n".join(made.lines())


@pytest.mark.parametrize("side", [24, 120])
def test_a_sheet_shows_eight_pairs(side: int, tmp_path: Path) -> None:
    for folder, mode in (("A", "L"), ("B", "RGBA")):
        (tmp_path / folder).mkdir()
        for number in range(10):
            scene(number, side, side).convert(mode).save(tmp_path / folder / f"{number:02d} é.png")
    data = open_data(tmp_path / "A", into=str(tmp_path / "B"), size=(side, side), channels=4)
    rows = chosen(data)
    assert len(rows) == 8 and rows == sorted(set(rows))
    sheet = pair_sheet(data)
    assert sheet.mode == "RGB" and 300 < sheet.width < 1_600 and 100 < sheet.height < 1_600
    given, made = of_survey(data, rows[0])
    assert given.shape == (side, side, 1) and made.shape == (side, side, 4)
    seen = {colour for _, colour in sheet.getcolors(2**24) or []}
    assert {tuple(colour) for colour in made[..., :3].reshape(-1, 3)[:: side // 4].tolist()} & seen
