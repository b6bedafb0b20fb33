"""Pictures encoded and decoded again: files, names, the sheet, and what cannot be."""

from __future__ import annotations

import math
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.errors import DataError, UsageError
from sparring.metrics.paired import decibels
from sparring.runs.reconstruction import Reconstruction

SIDE = 8


def pictures(folder: Path, n: int, size: tuple[int, int] = (SIDE, SIDE), seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(n):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pictures(tmp_path_factory.mktemp("data") / "photos", 24)
    out = tmp_path_factory.mktemp("runs") / "vae"
    api.train(folder, recipe="vae", set=["decoder=bernoulli", "hidden=[8]", "z=2", "batch=8"], out=out, budget="16",
              device="cpu", size=SIDE, held_out=0.5, binarise="static")  # fmt: skip
    return out


def test_held_out_pictures_are_taken_where_none_are_named(run: Path) -> None:
    done = api.save_reconstructions(run, n=5)
    assert len(done.paths) == 5 and done.sheet == run / "reconstructed" / "sheet.png" and done.sheet.is_file()
    for path in done.paths:
        with Image.open(path) as made:
            assert made.size == (SIDE, SIDE) and made.mode == "L"
    assert "5 pictures: L1 " in done.line() and "8x8, grey, binary (static)" in done.line()
    assert 0 < sum(done.l1) / 5 < 1 and api.save_reconstructions(run, n=5).l1 == done.l1


def test_files_folders_and_zips_keep_their_stems(run: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in" / "deep", 2, (12, 20)).parent
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "cat.jpg")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "cat.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    done = api.save_reconstructions(run, [folder], tmp_path / "out")
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in done.paths)
    assert names == ["cat-jpg.png", "cat-png.png", "deep/0.png", "deep/1.png"]
    assert [name for name, _ in done.skipped] == ["broken.png"]
    zipped = shutil.make_archive(str(tmp_path / "all"), "zip", folder / "deep")
    again = api.save_reconstructions(run, [zipped, folder / "cat.jpg"], tmp_path / "other")
    assert sorted(path.name for path in again.paths) == ["0.png", "1.png", "cat.png"]
    for name in ("0.png", "1.png"):  # alone or in company, in a folder or a zip
        one = (tmp_path / "out" / "deep" / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() == one


def test_nothing_of_others_is_overwritten(run: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 1)
    before = (folder / "0.png").read_bytes()
    with pytest.raises(UsageError, match="there already"):
        api.save_reconstructions(run, [folder], folder)
    assert (folder / "0.png").read_bytes() == before


def test_from_python_a_picture_comes_back_as_what_it_was(run: Path) -> None:
    found = api.load(run, device="cpu")
    levels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8)
    made = found.reconstruct(levels)
    assert made.dtype == np.uint8 and made.shape == (SIDE, SIDE, 1)
    as_floats = found.reconstruct((levels / 255).astype(np.float32))
    assert as_floats.dtype == np.float32 and np.allclose(as_floats * 255, made, atol=1e-3)
    tensor = torch.from_numpy(levels).permute(2, 0, 1)
    both = found.reconstruct(torch.stack([tensor, tensor]))
    assert both.shape == (2, 1, SIDE, SIDE) and torch.equal(both[0], both[1])
    assert np.array_equal(both[0].permute(1, 2, 0).numpy(), made)
    picture = found.reconstruct(Image.fromarray(levels[..., 0]))
    assert isinstance(picture, Image.Image) and np.array_equal(np.asarray(picture), made[..., 0])
    assert not np.array_equal(found.reconstruct(levels, seed=1), made)
    for wrong in (np.full((4, 4, 2), 9, np.uint8), np.full((4, 4, 1), 7.0), "photo", 3):
        with pytest.raises((UsageError, DataError)):
            found.reconstruct(wrong)


def test_a_picture_is_prepared_as_the_data_were(run: Path) -> None:
    job = Reconstruction(api.load(run, device="cpu"))
    wide = np.random.default_rng(1).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    given = job.prepared(wide)
    assert given.shape == (SIDE, SIDE, 1) and set(np.unique(given).tolist()) == {0, 255}
    assert np.array_equal(given, job.prepared(wide))


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of pictures that keep their levels, which are read where they lie."""
    folder = pictures(tmp_path_factory.mktemp("data") / "photos", 24)
    out = tmp_path_factory.mktemp("runs") / "vae"
    api.train(folder, recipe="vae", set=["network=mlp", "hidden=[8]", "z=2", "batch=8"], out=out, budget="16",
              device="cpu", size=SIDE, held_out=0.5)  # fmt: skip
    return out


def test_pictures_of_the_cache_are_read_without_a_warning(grey: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(api.save_reconstructions(grey, n=3).paths) == 3


def test_the_sheet_is_large_enough_and_says_what_it_shows(grey: Path, tmp_path: Path) -> None:
    done = api.save_reconstructions(grey, n=4)
    assert done.sheet is not None and done.shown == 4 and "sheet.png shows them" in done.line()
    with Image.open(done.sheet) as sheet:
        assert sheet.size == (8 + 2 * 48 + 2 + 8, 4 * (48 + 8) + 8)  # 8 between pairs, 2 in them, 6 times as large
    folder = pictures(tmp_path / "in", 70)
    many = api.save_reconstructions(grey, [folder], tmp_path / "out")
    assert len(many.paths) == 70 and "sheet.png shows the first 64 of 70" in many.line()


def test_so_many_of_what_is_named_and_an_earlier_call_is_replaced(grey: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 5)
    goal = grey / "reconstructed"
    (goal / "mine").mkdir(parents=True)
    (goal / "mine" / "note.txt").write_text("stays")
    assert len(api.save_reconstructions(grey, [folder]).paths) == 5
    done = api.save_reconstructions(grey, [folder], n=2)
    assert [path.name for path in done.paths] == ["0.png", "1.png"]
    assert sorted(path.name for path in goal.rglob("*.png")) == ["0.png", "1.png", "sheet.png"]
    assert (goal / "mine" / "note.txt").read_text() == "stays"
    with pytest.raises(DataError, match="RECONSTRUCT-NOTHING") as told:
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
        api.save_reconstructions(grey, [tmp_path / "broken"])
    assert "name pictures" in told.value.fix and len(list(goal.rglob("*.png"))) == 3  # what was there stays
    with pytest.raises(UsageError, match="where their reconstructions would go"):
        api.save_reconstructions(grey, [goal])
    (goal / ".reconstructed").write_text("../recipe.yaml\n")  # never by somebody's list
    api.save_reconstructions(grey, [folder], n=1)
    assert (grey / "recipe.yaml").is_file()


def test_what_training_leaves_out_is_told_of(grey: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 1)
    Image.new("L", (1, 1)).save(folder / "dot.png")
    Image.new("L", (200, 10)).save(folder / "long.png")
    done = api.save_reconstructions(grey, [folder], tmp_path / "out")
    assert len(done.paths) == 3 and [name for name, _ in done.odd] == ["dot.png", "long.png"]
    assert "too small: 1x1" in done.odd[0][1] and "too long: 200x10" in done.odd[1][1]


def test_points_and_missing_folders_say_so(grey: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="these are points"):
        api.save_reconstructions(grey, ["ring"])
    with pytest.raises(UsageError, match="RECONSTRUCT-OUT") as told:
        (tmp_path / "file").write_text("")
        api.save_reconstructions(grey, n=1, out=tmp_path / "file")
    assert told.value.fix


def test_batches_come_back_as_batches_and_values_are_checked(grey: Path) -> None:
    run = api.load(grey, device="cpu")
    levels = np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 1), dtype=np.uint8)
    made = run.reconstruct(levels)
    assert made.shape == levels.shape and np.array_equal(made[1], run.reconstruct(levels[1]))
    assert run.reconstruct(torch.rand(0, 3, 32, 32)).shape == (0, 1, SIDE, SIDE)
    assert run.reconstruct(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, SIDE, SIDE, 1)
    for values, where in (
        (torch.full((1, 4, 4), math.nan), "16 of 16 values are NaN"), (torch.full((1, 4, 4), -1.0), "from -1 to -1"),
        (np.full((4, 4, 1), 200.0), "from 200 to 200"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="RECONSTRUCT-VALUES") as told:
            run.reconstruct(values)
        assert where in told.value.where and told.value.fix


@dataclass
class Opened:
    """As much of a run as is asked for."""

    game: Any
    path: Path = Path("runs/gan")
    document: dict[str, Any] = field(default_factory=lambda: {"recipe": "gan"})


def test_who_cannot_says_who_can(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UsageError, match="a run of gan has no encoder") as told:
        Reconstruction(Opened(object()))  # type: ignore[arg-type]
    assert "vae" in told.value.fix and "pixelcnn" not in told.value.fix
    (tmp_path / "empty.txt").write_text("nothing")
    with pytest.raises(DataError):
        api.save_reconstructions(run, [tmp_path / "empty.txt"], tmp_path / "none")
    with pytest.raises(UsageError, match="at least one picture"):
        api.save_reconstructions(run, n=0)


def test_decibels() -> None:
    assert decibels(0.01) == pytest.approx(20) and decibels(0.0) == math.inf
