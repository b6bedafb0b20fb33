"""What a data set promises: automatic size and channels, the split, the cache, the report."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.forking import Forks

from sparring.data import DataReport, Dataset, cache, open_data, prepare
from sparring.data.split import held_out_count
from sparring.errors import MachineError

Rows = Callable[[Dataset], set[bytes]]


# ── automatic choices ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sides", "auto"), [([300] * 3 + [40], 256), ([128] * 3, 128), ([127] * 3, 64), ([65, 64, 9], 64), ([20] * 3, 32)]
)
def test_auto_size_rounds_the_median_side_down(
    sides: list[int], auto: int, tmp_path: Path, noise: Callable[..., Image.Image]
) -> None:
    for number, side in enumerate(sides):
        noise(number, side + 5, side).save(tmp_path / f"{number}.png")
    found = open_data(tmp_path, cache_dir=tmp_path.parent / f"cache-{auto}-{len(sides)}")
    assert found.shape == (3, auto, auto)
    enlarged = sum(side < auto for side in sides)
    assert found.report.conversions.get("enlarged", 0) == enlarged
    assert any(f"{enlarged:,} of" in warning for warning in found.report.warnings) == bool(enlarged)


def test_small_images_may_keep_their_size(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    for number in range(3):
        noise(number, 25, 20).save(tmp_path / f"{number}.png")
    assert open_data(tmp_path, small=True).shape == (3, 20, 20)
    assert open_data(tmp_path, small=True, size=(8, 8)).shape == (3, 8, 8) and open_data(tmp_path).shape == (3, 32, 32)
    noise(3, 64, 64).save(tmp_path / "large.png")
    noise(4, 64, 64).save(tmp_path / "larger.png")
    noise(5, 64, 64).save(tmp_path / "largest.png")
    noise(6, 64, 64).save(tmp_path / "most.png")
    assert open_data(tmp_path, small=True).shape == (3, 64, 64)


def test_the_majority_decides_between_grey_and_colour(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    for number in range(5):
        noise(number, channels=1 if number < 3 else 3).save(tmp_path / f"{number}.png")
    found = open_data(tmp_path, size=(16, 16))
    assert found.shape == (1, 16, 16) and found.report.conversions == {"colour to grey": 2}
    colour = open_data(tmp_path, size=(16, 16), channels=3)
    assert colour.shape == (3, 16, 16) and colour.report.conversions == {"grey to colour": 3}
    assert open_data(tmp_path, size=(16, 16), channels=4).train.shape[3] == 4


def test_size_is_height_then_width(folder: Callable[..., Path]) -> None:
    found = open_data(folder(3), size=(8, 16))
    assert found.shape == (3, 8, 16) and found.train.shape[1:] == (8, 16, 3)
    assert any("16x8" in line for line in found.report.lines())


# ── held out ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_how_many_are_held_out() -> None:
    assert [held_out_count(n, 0.05) for n in (0, 1, 19, 20, 499, 500, 999, 1001, 20_000)] == [
        0, 0, 0, 1, 24, 50, 50, 50, 1000
    ]  # fmt: skip
    assert all(held_out_count(n, 0.0) == 0 for n in range(0, 3000, 7))
    assert all(held_out_count(n, 0.5) <= n / 2 for n in range(3000))


def test_the_split_depends_on_content_alone(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(60)
    first = open_data(root)
    other = tmp_path / "other" / "place"
    other.mkdir(parents=True)
    for number, path in enumerate(sorted(root.iterdir())):
        (other / f"{(number * 37) % 60:02d}.jpg").write_bytes(path.read_bytes())
    second = open_data(other)
    assert len(first.held_out) == 3
    np.testing.assert_array_equal(first.held_out, second.held_out)
    np.testing.assert_array_equal(first.train, second.train)
    assert first.fingerprint == second.fingerprint


def test_the_split_at_another_size_holds_the_same_files(folder: Callable[..., Path]) -> None:
    root = folder(60)
    one, other = open_data(root, size=(16, 16)), open_data(root, size=(8, 8), channels=1)
    assert [one.names[row] for row in one.held_out_index] == [other.names[row] for row in other.held_out_index]
    assert one.fingerprint != other.fingerprint


def test_duplicates_never_straddle_the_split(tmp_path: Path, noise: Callable[..., Image.Image], rows: Rows) -> None:
    number = 0
    for seed in range(40):
        for copy in range(1 + seed % 4):
            noise(seed).save(tmp_path / f"{number}.png", compress_level=1 + copy)  # other bytes, equal pixels
            number += 1
    for fraction in (0.05, 0.2, 0.5):
        found = open_data(tmp_path, held_out=fraction)
        train, aside = ({row.tobytes() for row in part} for part in (found.train, found.held_out))
        assert not train & aside and len(train | aside) == 40
        assert 0 < len(found.held_out) <= number / 2
        assert len(found.train) + len(found.held_out) == number
    assert any("60 of 100 images are exact duplicates" in warning for warning in found.report.warnings)


def test_nothing_held_out(folder: Callable[..., Path], rows: Rows) -> None:
    root = folder(30)
    whole, split = open_data(root, held_out=0), open_data(root)
    assert (len(whole.train), len(whole.held_out)) == (30, 0)
    assert rows(whole) == rows(split) and whole.fingerprint != split.fingerprint


def test_adding_images_moves_few_across_the_split(folder: Callable[..., Path], rows: Rows) -> None:
    before = {row.tobytes() for row in open_data(folder(200), held_out=0.2).held_out}
    after = {row.tobytes() for row in open_data(folder(210), held_out=0.2).held_out}
    assert len(before - after) <= 10  # as many as came in


# ── cache ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each image that is decoded."""
    count: list[int] = []
    real = prepare.decode

    def counting(*arguments: object) -> object:
        count.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "decode", counting)
    return count


def test_the_second_time_no_file_is_read(
    folder: Callable[..., Path], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(25)
    first = open_data(root)
    assert len(decoded) == 25
    monkeypatch.setattr("sparring.data.sources.FolderSource.read", None)
    second = open_data(root)
    assert len(decoded) == 25
    np.testing.assert_array_equal(first.train, second.train)
    assert first.report == second.report and isinstance(second.train, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        second.train[0] = 0


def test_equal_content_elsewhere_is_a_hit(folder: Callable[..., Path], tmp_path: Path, decoded: list[int]) -> None:
    root = folder(25)
    first = open_data(root)
    root.rename(tmp_path / "moved")
    assert open_data(tmp_path / "moved").fingerprint == first.fingerprint
    for path in (tmp_path / "moved").iterdir():
        os.utime(path, (1, 1))
    assert open_data(tmp_path / "moved").fingerprint == first.fingerprint
    assert len(decoded) == 25


def test_one_changed_image_is_a_miss(
    folder: Callable[..., Path], noise: Callable[..., Image.Image], decoded: list[int], rows: Rows
) -> None:
    root = folder(25)
    first = open_data(root, size=(16, 16))
    noise(1000).save(root / "0003.png")
    second = open_data(root, size=(16, 16))
    assert len(decoded) == 50 and second.fingerprint != first.fingerprint
    assert rows(second) - rows(first) == {noise(1000).tobytes()}
    assert rows(first) - rows(second) == {noise(3).tobytes()}


@pytest.mark.parametrize(
    "options",
    [{"size": (8, 8)}, {"channels": 1}, {"size": (16, 32), "crop": "pad"}, {"background": (0, 0, 0), "crop": "center"}],
)
def test_another_preparation_is_a_miss(
    options: dict[str, object], folder: Callable[..., Path], decoded: list[int]
) -> None:
    root = folder(5)
    first = open_data(root)
    assert open_data(root, **options).fingerprint != first.fingerprint  # type: ignore[arg-type]
    assert len(decoded) == 10


def test_another_split_is_a_hit(folder: Callable[..., Path], decoded: list[int]) -> None:
    root = folder(40)
    open_data(root)
    assert len(open_data(root, held_out=0.5).held_out) == 20 and len(decoded) == 40


def test_a_damaged_cache_entry_is_made_anew(folder: Callable[..., Path], cache: Path, decoded: list[int]) -> None:
    root = folder(5)
    first = np.array(open_data(root).train)
    (images,) = (cache / "images").glob("*/images.npy")
    with images.open("r+b") as file:
        file.truncate(100)
    np.testing.assert_array_equal(open_data(root).train, first)
    assert len(decoded) == 10
    images.unlink()
    np.testing.assert_array_equal(open_data(root).train, first)


def test_a_build_that_dies_leaves_nothing_behind(
    folder: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(5)
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_reorder", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_data(root)
    assert [path.name for path in (cache / "images").iterdir() if path.is_dir()] == []
    assert len(open_data(root)) == 5


def test_a_killed_build_is_swept_up(folder: Callable[..., Path], cache: Path) -> None:
    root = folder(5)
    open_data(root)
    (entry,) = (path for path in (cache / "images").iterdir() if path.is_dir())
    entry.rename(cache / "images" / f".{entry.name}.part-killed")
    assert len(open_data(root)) == 5
    assert [path.name for path in (cache / "images").iterdir() if path.is_dir()] == [entry.name]


def test_two_processes_decode_once(folder: Callable[..., Path], cache: Path, tmp_path: Path, forked: Forks) -> None:
    root = folder(60)
    program = (
        "import sys\nfrom sparring.data import open_data, prepare\nreal, count = prepare.decode, []\n"
        "def counting(*a):\n    count.append(1)\n    return real(*a)\nprepare.decode = counting\n"
        "d = open_data(sys.argv[1], size=(64, 64))\nprint(len(count), d.fingerprint)"
    )
    words = forked.words("-c", program, root)
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in started]
    assert sorted(int(count) for count, _ in said) == [0, 60]
    assert said[0][1] == said[1][1]


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    held, waiting, order = threading.Event(), threading.Event(), []

    def hold() -> None:
        with cache.locked(tmp_path / "lock"):
            held.set()
            waiting.wait(60)
            order.append("first")

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    with cache.locked(tmp_path / "lock", waiting.set):
        order.append("second")
    other.join()
    assert waiting.is_set() and order == ["first", "second"]


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "a"))
    assert cache.directory() == (tmp_path / "a", "")
    monkeypatch.delenv("SPARRING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.directory() == (tmp_path / "b" / "sparring", "")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert cache.directory() == (tmp_path / "c" / ".cache" / "sparring", "")
    assert cache.directory(tmp_path / "d") == (tmp_path / "d", "")


def test_a_cache_that_cannot_be_written(folder: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = open_data(folder(5), cache_dir=tmp_path / "file" / "cache")
    assert len(found) == 5 and any("cannot be written" in warning for warning in found.report.warnings)


def test_a_full_disk_is_said_before_it_is_filled(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from shutil import _ntuple_diskusage

    monkeypatch.setattr("shutil.disk_usage", lambda _: _ntuple_diskusage(100, 100, 0))
    with pytest.raises(MachineError, match="DISK-FULL"):
        open_data(folder(3), keep="on")
    assert open_data(folder(3)).live  # what is not said goes on without the disk


# ── report ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_report_adds_up_and_survives_json(folder: Callable[..., Path], noise: Callable[..., Image.Image]) -> None:
    root = folder(30)
    for number in range(15):
        (root / f"bad{number:02d}.png").write_bytes(b"")
    Image.new("RGB", (16, 16)).save(root / "black.png")
    report = open_data(root).report
    assert report.found == report.used + report.held_out + len(report.excluded) == 46
    assert DataReport.of(json.loads(json.dumps(report.record()))) == report
    assert any("1 image is one flat colour" in line for line in report.lines())
    assert sum("left out: bad" in line for line in report.lines()) == 10
    assert any("5 more" in line for line in report.lines())
    assert report.sizes == {"16x16": 31}


def test_progress_is_told(folder: Callable[..., Path]) -> None:
    told: list[tuple[str, int, int]] = []
    open_data(folder(70), progress=lambda *said: told.append(said))
    assert told == [("looking", 64, 70), ("looking", 70, 70), ("decoding", 64, 70), ("decoding", 70, 70)]


def test_labels_of_equal_images_stay_with_their_rows(tmp_path: Path) -> None:
    import struct

    images = np.repeat(np.random.default_rng(0).integers(0, 256, (10, 16, 16), dtype=np.uint8), 3, axis=0)
    (tmp_path / "images-idx3-ubyte").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 30, 16, 16) + images.tobytes())
    labels = (np.arange(30) // 3).astype(np.uint8)
    (tmp_path / "labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 30) + labels.tobytes())
    found = open_data(tmp_path / "images-idx3-ubyte", size=(16, 16))
    assert found.labels is not None
    assert sorted([*found.index, *found.held_out_index]) == list(range(30))
    for row, label in zip(found.train, found.labels, strict=True):
        np.testing.assert_array_equal(row[..., 0], images[3 * label])
