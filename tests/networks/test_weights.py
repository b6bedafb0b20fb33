"""Files of weights are there whole or not at all, and known by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sparring.errors import MachineError
from sparring.networks.weights import fetch, whole


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    with whole(file) as part:
        part.write_bytes(b"all of it")
        assert part.parent == file.parent and not file.exists()
    assert file.read_bytes() == b"all of it" and list(file.parent.iterdir()) == [file]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), whole(file) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert file.read_bytes() == b"before" and list(tmp_path.iterdir()) == [file]


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    for place in ("taken/file", "taken/below/file"):
        with pytest.raises(MachineError, match="DISK") as error, whole(tmp_path / place) as part:
            part.write_bytes(b"")
        assert error.value.where == str(tmp_path / place)


def test_what_is_fetched_is_known_by_its_hash(tmp_path: Path) -> None:
    there, file = tmp_path / "there", tmp_path / "here" / "file"
    there.write_bytes(b"weights")
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        fetch(there.as_uri(), file, "0" * 64)
    with pytest.raises(MachineError, match="FEATURES-ABSENT"):
        fetch((tmp_path / "nowhere").as_uri(), file, "0" * 64)
    assert not list(file.parent.iterdir())
    fetch(there.as_uri(), file, hashlib.sha256(b"weights").hexdigest())
    assert file.read_bytes() == b"weights" and list(file.parent.iterdir()) == [file]
