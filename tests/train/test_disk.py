"""Laws of the disk: whole or absent, never over something else, in the promised order."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from benchmarks.proofs.faults import Failing, Watched
from sparring.train.disk import Disk


def test_what_was_written_is_read_whatever_the_piece(tmp_path: Path) -> None:
    data = bytes(range(256)) * 41 + b"end"
    for piece in (1, 7, 4096, 1 << 24):
        disk = Disk(piece)
        path = tmp_path / f"file{piece}"
        disk.write(path, data)
        assert disk.read(path) == data
        assert disk.digest(path) == (len(data), hashlib.sha256(data).hexdigest())


def test_what_the_system_takes_in_small_bites_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bite = os.write
    monkeypatch.setattr(os, "write", lambda file, data: bite(file, data[:3]))
    Disk().write(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_an_empty_file_can_be_written(tmp_path: Path) -> None:
    Disk().write(tmp_path / "empty", b"")
    assert Disk().digest(tmp_path / "empty") == (0, hashlib.sha256(b"").hexdigest())


def test_write_never_replaces_and_never_follows(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            Disk().write(tmp_path / name, b"other")
    assert (tmp_path / "there").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_remove_takes_the_tree_but_not_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("precious")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "link").symlink_to(tmp_path / "kept")
    Disk().remove(tree)
    Disk().remove(tree)  # absent: nothing
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "precious"


def test_make_forces_every_new_name_to_the_medium(tmp_path: Path) -> None:
    disk = Watched()
    disk.make(tmp_path / "a" / "b")
    disk.make(tmp_path / "a" / "b")
    assert disk.operations == [
        ("make", tmp_path / "a"),
        ("sync", tmp_path),
        ("make", tmp_path / "a" / "b"),
        ("sync", tmp_path / "a"),
    ]


def test_a_file_is_flushed_after_its_last_piece(tmp_path: Path) -> None:
    disk = Watched(piece=4)
    disk.write(tmp_path / "f", b"0123456789")
    assert [operation for operation, _ in disk.operations] == ["create", "write", "write", "write", "flush"]


def test_each_failure_reaches_the_caller(tmp_path: Path) -> None:
    for k in range(5):
        with pytest.raises(OSError) as caught:
            Failing(k, piece=4).write(tmp_path / f"f{k}", b"0123456789")
        assert caught.value.errno == errno.ENOSPC
    Failing(5, piece=4).write(tmp_path / "f5", b"0123456789")  # there is no sixth operation


def test_append_writes_at_the_end_after_a_cut(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "log"
    file = disk.open(path)
    assert disk.append(file, path, b"abcdef") == 6
    disk.cut(file, path, 2)
    disk.append(file, path, b"X")
    disk.flush(file, path)
    os.close(file)
    assert disk.read(path) == b"abX"
