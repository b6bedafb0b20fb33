"""Pairs are divided in the same way whichever side is given: who is judged from A to B is judged from B to A."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import Dataset, open_data

COUNT = 60


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures and label maps; some pictures are nearly equal, and some label maps are."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    chance = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "maps").mkdir()
    photos = chance.integers(0, 256, (COUNT, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    maps = chance.integers(0, 3, (COUNT, 4, 4), np.uint8).repeat(4, 1).repeat(4, 2)
    photos[10:14] = photos[10] - photos[10] // 50 * np.arange(4)[:, None, None, None]
    maps[20:23] = maps[20]
    for k in range(COUNT):
        Image.fromarray(photos[k]).save(tmp_path / "photos" / f"{k}.png")
        Image.fromarray(maps[k]).save(tmp_path / "maps" / f"{k}.png")
    return tmp_path


def held_out(data: Dataset) -> list[str]:
    return [data.file(row) for row in range(len(data.held_out))]


@pytest.mark.parametrize("keep", ["on", "off"])
def test_the_same_pairs_are_held_out_in_both_directions(sides: Path, keep: str) -> None:
    common = {"size": (16, 16), "held_out": 0.3, "pairs": "stems", "keep": keep}
    there = open_data(sides / "photos", into=str(sides / "maps"), maps="B", **common)
    back = open_data(sides / "maps", into=str(sides / "photos"), maps="A", **common)
    turned = open_data(sides / "photos", into=str(sides / "maps"), maps="B", direction="BtoA", **common)
    assert held_out(there) == held_out(back) == held_out(turned) and len(there.held_out) >= 18
    assert there.given is not None and back.given is not None and there.fingerprint != back.fingerprint
    np.testing.assert_array_equal(there.held_out[np.arange(5)], back.given.held_out[np.arange(5)])
    assert there.legend == back.given.legend == ("class 0", "class 1", "class 2")
    apart = {name.partition(".")[0] for name in held_out(there)}
    for alike in ({"10", "11", "12", "13"}, {"20", "21", "22"}):
        assert alike <= apart or not alike & apart


def test_sides_of_one_kind_do_not_change_places(sides: Path) -> None:
    """Two folders of pictures, given in either order: the same split, and never the other's cached pixels."""
    common = {"size": (16, 16), "held_out": 0.3, "pairs": "stems"}
    for k in range(COUNT):
        Image.open(sides / "photos" / f"{k}.png").rotate(90).save(sides / "maps" / f"{k}.png")
    there = open_data(sides / "photos", into=str(sides / "maps"), **common)
    back = open_data(sides / "maps", into=str(sides / "photos"), **common)
    assert there.given is not None and back.given is not None and there.entry != back.entry
    assert held_out(there) == held_out(back)
    np.testing.assert_array_equal(there.train[:5], back.given.train[:5])
    np.testing.assert_array_equal(there.given.train[:5], back.train[:5])
