"""Folders, zips and idx files: what counts, what is named, what is never touched."""

from __future__ import annotations

import errno
import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import Dataset, open_data
from sparring.data.sources import FolderSource, Unreadable, open_source
from sparring.errors import DataError, UsageError


def png(image: Image.Image) -> bytes:
    memory = io.BytesIO()
    image.save(memory, "PNG")
    return memory.getvalue()


def reasons(dataset: Dataset) -> dict[str, str]:
    return dict(dataset.report.excluded)


def test_content_decides_never_the_name(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    root = tmp_path / "mixed"
    (root / "deep" / "er").mkdir(parents=True)
    for number, (name, kind) in enumerate(
        [("A.JPG", "JPEG"), ("b.Jpeg", "PNG"), ("c.webp", "WEBP"), ("d.avif", "AVIF"), ("e.bmp", "BMP"),
         ("f.TIF", "TIFF"), ("g.gif", "GIF"), ("no_extension", "PNG"), ("deep/er/h.txt", "PNG")]
    ):  # fmt: skip
        noise(number).save(root / name, kind)
    (root / "page.jpg").write_text("<html>404</html>")
    (root / "empty.png").write_bytes(b"")
    (root / "notes.txt").write_text("some words")
    whole = png(noise(99, 64, 64))
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    report = open_data(str(root)).report
    assert (report.found, report.used + report.held_out, len(report.excluded)) == (13, 9, 4)
    excluded = dict(report.excluded)
    assert "HTML" in excluded["page.jpg"] and "empty" in excluded["empty.png"] and "text" in excluded["notes.txt"]
    assert excluded["cut.png"].startswith("damaged")
    assert any("cut.png" in line for line in report.lines())


def test_clutter_is_ignored_and_counted(folder: Callable[..., Path], noise: Callable[..., Image.Image]) -> None:
    root = folder(3)
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (root / name).mkdir()
        noise(7).save(root / name / "copy.png")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "._0000.png").write_bytes(b"\0\5\x16\7")
    report = open_data(root).report
    assert (report.found, report.excluded) == (3, [])
    assert set(report.ignored) == {".ipynb_checkpoints", "__MACOSX", "@eaDir", ".DS_Store", "Thumbs.db", "._*"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_loops_are_cut_and_pipes_never_opened(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(4)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "self.png").symlink_to(root / "self.png")
    (root / "broken.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    outside = folder(6, "outside")
    (root / "linked").symlink_to(outside, target_is_directory=True)
    (root / "linked.png").symlink_to(outside / "0005.png")
    found = open_data(root)
    assert found.report.found == 4 + 6 + 1 + 3
    assert found.report.ignored == {"folder reached twice (link)": 1}
    assert set(reasons(found)) == {"self.png", "broken.png", "pipe.png"}
    assert "never opened" in reasons(found)["pipe.png"]


def test_strange_names_survive(folder: Callable[..., Path], noise: Callable[..., Image.Image]) -> None:
    root = folder(1)
    names = ["a b'\"`.png", "line\nbreak.png", "😀.png", "-rf.png", ";rm x.png", "<script>.png", "ü" * 120 + ".png"]
    names.append(os.fsdecode(b"bytes\xff\xfe.png"))
    for number, name in enumerate(names):
        noise(10 + number).save(root / name, "PNG")
    (root / os.fsdecode(b"bad\xff\n.png")).write_bytes(b"")
    found = open_data(root)
    assert {found.names[row] for row in found.index} == {*names, "0000.png"}
    lines = found.report.lines()
    assert all(line.isprintable() for line in lines) and "\n".join(lines).encode()


def test_two_hundred_levels_of_folders_and_a_source_of_one(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    deep = tmp_path / "deep"
    place = deep.joinpath(*["d"] * 200)
    place.mkdir(parents=True)
    noise(0).save(place / "only.png")
    found = open_data(deep)
    assert (len(found), len(found.held_out)) == (1, 0)
    assert any("only 1 image" in warning for warning in found.report.warnings)


def test_an_unreadable_file_is_named(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(3)
    real = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("0001.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    assert reasons(open_data(root)) == {"0001.png": "cannot be read: Permission denied"}


def test_what_changes_or_stumbles_meanwhile_is_left_out_and_not_remembered(
    folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(30)
    reads: dict[int, int] = {}
    real = FolderSource.read

    def read(self: FolderSource, number: int) -> bytes:
        reads[number] = reads.get(number, 0) + 1
        if number == 3 and reads[number] == 2:
            raise Unreadable("cannot be read: stale file handle", passing=True)
        return real(self, number) + (b"more" if number == 4 and reads[number] == 2 else b"")

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "read", read)
        found = open_data(root, size=(9, 9), held_out=0)
    assert len(found) == 28
    assert reasons(found) == {
        "0003.png": "cannot be read: stale file handle", "0004.png": "changed while it was being read"
    }  # fmt: skip
    again = open_data(root, size=(9, 9), held_out=0)
    assert len(again) == 30 and again.report.excluded == []
    assert again.fingerprint == open_data(root, size=(9, 9), held_out=0, cache_dir=tmp_path / "other").fingerprint


def test_a_network_file_system_that_stumbles_is_asked_again(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, asked, real = folder(3), [], os.open

    def stumble(path: Path, flags: int, mode: int = 0o777) -> int:
        asked.append(str(path))
        if asked.count(str(path)) < 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", stumble)
    assert open_data(root).report.excluded == []


def test_missing_empty_and_foreign_sources_explain_themselves(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root = folder(3, "photographs")
    with pytest.raises(DataError, match=r"(?s)DATA-MISSING.*photographs"):
        open_data(tmp_path / "fotographs")
    with pytest.raises(DataError, match=r"did you mean emoji\?"):
        open_data("emoij")
    with pytest.raises(DataError, match=r"DATA-POINTS.*points, and here images") as told:
        open_source("ring")
    assert "mean" not in told.value.fix
    with pytest.raises(DataError, match="one single image"):
        open_data(root / "0000.png")
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(DataError, match=r"(?s)DATA-EMPTY.*no file at all"):
        open_data(tmp_path / "empty")
    (tmp_path / "empty" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "empty" / "b.psd").write_bytes(b"8BPS\0\1")
    with pytest.raises(DataError, match=r"(?s)1 \.heic \(HEIC.*1 \.psd"):
        open_data(tmp_path / "empty")
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(DataError, match="DATA-KIND"):
        open_data(tmp_path / "words.txt")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cut.png").write_bytes((root / "0000.png").read_bytes()[:60])
    with pytest.raises(DataError, match="DATA-EMPTY"):
        open_data(tmp_path / "broken")


def test_images_that_are_all_the_same_stop(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    (tmp_path / "same").mkdir()
    for number in range(5):  # other bytes, equal pixels
        noise(0).save(tmp_path / "same" / f"{number}.png", compress_level=number)
    with pytest.raises(DataError, match="DATA-IDENTICAL"):
        open_data(tmp_path / "same")


@pytest.mark.parametrize(
    "options", [{"size": (0, 8)}, {"channels": 2}, {"crop": "zoom"}, {"held_out": 0.9}, {"background": (0, 0, 256)}]
)
def test_arguments_are_checked(options: dict[str, object], folder: Callable[..., Path]) -> None:
    with pytest.raises(UsageError):
        open_data(folder(1), **options)  # type: ignore[arg-type]


# ── zip ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def zipped(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def test_a_zip_is_read_entry_by_entry_and_never_extracted(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    entries = [(f"images/{number}.png", png(noise(number))) for number in range(6)]
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../escape.png", png(noise(10)))
        archive.writestr("/absolute.png", png(noise(11)))
        archive.writestr("nested.zip", zipped(tmp_path / "b.zip", entries[:1]).read_bytes())
        archive.writestr("__MACOSX/._0.png", b"clutter")
        archive.writestr("dataset.json", b'{"labels": null}')
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("images/0.png", png(noise(12)))
    before = sorted(tmp_path.rglob("*.png"))
    found = open_data(tmp_path / "a.zip", size=(16, 16))
    assert sorted(tmp_path.rglob("*.png")) == before
    assert found.report.used + found.report.held_out == 6 and found.report.ignored == {"__MACOSX": 1}
    assert set(reasons(found)) == {
        "link.png", "../escape.png", "/absolute.png", "nested.zip", "images/0.png"
    }  # fmt: skip
    used = {row.tobytes() for row in found.train}
    assert noise(12).tobytes() in used and noise(0).tobytes() not in used  # the last entry of a name counts


def test_encrypted_and_damaged_entries_are_named(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    path = zipped(tmp_path / "a.zip", [(f"{number}.png", png(noise(number))) for number in range(4)])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("2.png").header_offset
    data[offset + 60 : offset + 90] = b"\xff" * 30  # damage in the middle of 2.png
    at = data.index(b"PK\x01\x02")  # the first entry of the central directory: 0.png; bit 0 of its flags: encrypted
    data[at + 8] |= 1
    path.write_bytes(bytes(data))
    found = open_data(path)
    assert set(reasons(found)) == {"0.png", "2.png"} and "encrypted" in reasons(found)["0.png"]
    assert "damaged" in reasons(found)["2.png"]
    path.write_bytes(bytes(data[:-40]))
    with pytest.raises(DataError, match="DATA-ZIP"):
        open_data(path)


def test_folder_and_zip_of_the_same_images_are_the_same_data(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(30)
    path = zipped(tmp_path / "a.zip", [(f"x/{p.name[::-1]}", p.read_bytes()) for p in sorted(root.iterdir())[::-1]])
    one, other = open_data(root), open_data(path)
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(one.train, other.train)
    np.testing.assert_array_equal(one.held_out, other.held_out)


# ── idx ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(40, 28, 28), (40, 16, 16, 3)])
def test_idx_files(tmp_path: Path, compressed: bool, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = images.reshape(40, -1)[:, 0] % 10
    end, pack = (".gz", gzip.compress) if compressed else ("", bytes)
    (tmp_path / f"train-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
    (tmp_path / f"train-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    for source in (tmp_path, tmp_path / f"train-images-idx3-ubyte{end}"):
        found = open_data(source, size=shape[1:3])
        assert found.shape == (3 if len(shape) == 4 else 1, *shape[1:3])
        assert found.labels is not None and len(found.train) + len(found.held_out) == 40
        for row, number in enumerate(found.index):
            np.testing.assert_array_equal(found.train[row].ravel(), images[number].ravel())
            assert found.labels[row] == labels[number]


def test_damaged_idx_files_stop(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16), dtype=np.uint8)
    whole, path = idx(images), tmp_path / "images-idx3-ubyte"
    for data in (
        whole[:-1],
        whole + b"\0",
        whole[:7],
        gzip.compress(whole)[:-20],
        whole[:4] + b"\xff" * 12 + whole[16:],
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match="DATA-IDX"):
            open_data(path)
    path.write_bytes(whole)
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.zeros(29, np.uint8)))
    with pytest.raises(DataError, match="29 labels for 30 images"):
        open_data(path)


def test_mnist_as_published(shared_data: Path) -> None:
    found = open_data(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz", size=(28, 28))
    assert (found.shape, len(found.train), len(found.held_out)) == ((1, 28, 28), 9_500, 500)
    assert found.labels is not None and np.bincount(found.labels).min() > 800


def test_a_real_zip(shared_data: Path) -> None:
    found = open_data(shared_data / "facades_512x256.zip", size=(16, 32), crop="center")
    assert (found.shape, found.report.found, found.report.excluded) == ((3, 16, 32), 500, [])
