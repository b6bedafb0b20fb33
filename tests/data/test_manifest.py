"""A run goes on with the images it was started on, whatever became of the files; what changed is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import Dataset, Manifest, Options, open_data, reopen, stream_of
from sparring.errors import DataError

Folder = Callable[..., Path]
SIZE = Options(size=(16, 16), channels=3)


def begun(root: Path, path: Path, options: Options = SIZE) -> tuple[Dataset, Manifest]:
    """A data set, and its manifest as a run reads it back."""
    data = open_data(root, options)
    made = Manifest.of(data)
    assert made is not None
    (path / "data.npz").write_bytes(made.encode())
    read = Manifest.load(path / "data.npz")
    assert read is not None
    return data, read


def piece(data: Dataset) -> bytes:
    batch = stream_of(data, seed=1).take(7, 300)
    labels = b"" if batch.label is None else batch.label.numpy().tobytes()
    return batch.x.contiguous().numpy().tobytes() + labels + repr(batch.text).encode()


@pytest.fixture
def pets(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """150 cats and 150 dogs in class folders."""
    root = tmp_path / "pets"
    for n in range(300):
        folder = root / ("cat" if n < 150 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        noise(n).save(folder / f"{n:03d}.png")
    return root


def test_it_survives_being_written_down(folder: Folder, tmp_path: Path) -> None:
    root = folder(30)
    strange = os.fsdecode(b"\xff\xfe.png")
    (root / "0000.png").rename(root / strange)
    rows = [{"file_name": f"{n:04d}.png", "label": n % 2, "text": ["a", "b"]} for n in range(1, 30)]
    data, read = begun(root, tmp_path)
    assert strange in read.names and read.known.labels is None
    assert sorted(read.names) == sorted(data.names) and len(read.hashes) == 30
    (root / strange).unlink()
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _, read = begun(root, tmp_path)
    assert read.known.classes == ("0", "1") and read.known.labels is not None
    assert read.known.captions == [("a", "b")] * 29


def test_a_damaged_manifest_is_no_manifest(folder: Folder, tmp_path: Path) -> None:
    begun(folder(30), tmp_path)
    data = (tmp_path / "data.npz").read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "data.npz").write_bytes(data[:cut])
        assert Manifest.load(tmp_path / "data.npz") is None
    assert Manifest.load(tmp_path / "nothing.npz") is None


def test_unchanged_and_renamed_files_are_the_same_data(folder: Folder, tmp_path: Path) -> None:
    root = folder(100)
    data, manifest = begun(root, tmp_path)
    again, said = reopen(manifest, str(root), SIZE)
    assert said == [] and again.fingerprint == data.fingerprint
    (root / "0003.png").rename(root / "another name.png")
    again, said = reopen(manifest, str(root), SIZE)
    assert said == [] and again.fingerprint == data.fingerprint and piece(again) == piece(data)


@pytest.mark.parametrize("keep", ["on", "off"])
def test_changes_are_named_and_the_run_goes_on(folder: Folder, tmp_path: Path, keep: str) -> None:
    root = folder(300)
    options = Options(size=(16, 16), channels=3, keep=keep)  # type: ignore[arg-type]
    data, manifest = begun(root, tmp_path, options)
    before = piece(data)
    (root / "0000.png").unlink()
    shutil.copy(root / "0010.png", root / "0001.png")
    Image.new("RGB", (16, 16), "red").save(root / "new.png")
    again, said = reopen(manifest, str(root), options)
    text = "\n".join(said)
    assert "1 file was removed since the run started: 0000.png" in text
    assert "1 file was changed in content since the run started: 0001.png" in text
    assert "1 file was added since the run started: new.png" in text
    assert again.fingerprint == data.fingerprint and len(again) == len(data)
    if keep == "on":
        assert "decoded copies" in said[-1] and piece(again) == before
    else:
        assert "still the same" in said[-1]
        lost = [row for row in range(len(data)) if data.names[int(data.index[row])] in ("0000.png", "0001.png")]
        kept = np.setdiff1d(np.arange(len(data)), lost)[:50]
        shutil.copy(root / "0010.png", root / "0000.png")  # another content under the old name
        assert np.array_equal(again.train[kept], open_data_as(data, root, tmp_path)[kept])


def open_data_as(data: Dataset, root: Path, tmp_path: Path) -> np.ndarray:
    """The training images of `data`, read from the files by name."""
    names = [data.names[int(number)] for number in data.index]
    blank = np.zeros((16, 16, 3), np.uint8)
    return np.stack([np.asarray(Image.open(root / name)) if (root / name).exists() else blank for name in names])


def test_all_files_gone_but_their_decoded_copies(folder: Folder, tmp_path: Path) -> None:
    root = folder(100)
    data, manifest = begun(root, tmp_path)
    before = piece(data)
    shutil.rmtree(root)
    again, said = reopen(manifest, str(root), SIZE)
    assert len(said) == 1 and "cannot be opened" in said[0] and str(root) in said[0]
    assert piece(again) == before and again.fingerprint == data.fingerprint


@pytest.mark.parametrize("gone, goes_on", [(2, True), (3, False)])
def test_without_the_cache_one_percent_may_be_lost(
    folder: Folder, tmp_path: Path, cache: Path, gone: int, goes_on: bool
) -> None:
    root = folder(200)
    _, manifest = begun(root, tmp_path)
    shutil.rmtree(cache)
    for n in range(gone):
        (root / f"{n:04d}.png").unlink()
    if goes_on:
        again, _ = reopen(manifest, str(root), SIZE)
        assert again.live and stream_of(again).take(0, 400).x.shape == (400, 3, 16, 16)
        return
    with pytest.raises(DataError, match=r"DATA-CHANGED(.|\n)*3 of 200(.|\n)*0000\.png, 0001\.png"):
        reopen(manifest, str(root), SIZE)


def test_a_wiped_cache_is_filled_again(folder: Folder, tmp_path: Path, cache: Path) -> None:
    root = folder(60)
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    data, manifest = begun(root, tmp_path)
    before = piece(data)
    shutil.rmtree(cache)
    again, said = reopen(manifest, str(root), SIZE)
    assert said == [] and not again.live and piece(again) == before


def test_other_classes_stop_with_a_difference(pets: Path, tmp_path: Path) -> None:
    options = Options(size=(16, 16), channels=3, labels="folders")
    data, manifest = begun(pets, tmp_path, options)
    assert data.classes == ("cat", "dog") and data.report.classes == {"cat": 150, "dog": 150}
    (pets / "dog").rename(pets / "hound")
    with pytest.raises(DataError, match=r"DATA-CLASSES(.|\n)*renamed: dog → hound") as caught:
        reopen(manifest, str(pets), options)
    assert str(pets) in str(caught.value)


def test_a_file_that_is_no_image_any_more_is_changed_not_removed(folder: Folder, tmp_path: Path) -> None:
    root = folder(100)
    _, manifest = begun(root, tmp_path)
    (root / "0042.png").write_text("a text")
    _, said = reopen(manifest, str(root), SIZE)
    assert said[0] == "1 file was changed in content since the run started: 0042.png"


def test_an_image_that_moved_to_another_class_keeps_its_own(pets: Path, tmp_path: Path) -> None:
    options = Options(size=(16, 16), channels=3, labels="folders")
    data, manifest = begun(pets, tmp_path, options)
    before = piece(data)
    (pets / "cat" / "000.png").rename(pets / "dog" / "000.png")
    again, said = reopen(manifest, str(pets), options)
    assert said[0].startswith("1 image has another class") and piece(again) == before


def test_the_fingerprint_knows_labels_and_not_names(pets: Path, tmp_path: Path) -> None:
    plain, labelled = open_data(pets, SIZE), open_data(pets, SIZE, labels="folders")
    assert plain.fingerprint != labelled.fingerprint
    moved = tmp_path / "elsewhere" / "animals"
    shutil.copytree(pets, moved)
    assert open_data(moved, SIZE, labels="folders").fingerprint == labelled.fingerprint
