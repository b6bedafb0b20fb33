"""Files that break while a run reads them, or between a stop and a resume: ``make proof-broken`` on small folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.proofs import broken


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


@pytest.mark.skipif(os.name == "nt", reason="file rights, folders in the place of open files")
@pytest.mark.parametrize(
    ("scene", "images"),
    [("few", 440), ("many", 120), ("kept", 60), ("changed", 60), ("missing", 120), ("classes", 60)],
)
def test_broken_files(
    scene: str, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_processes: None
) -> None:
    if os.geteuid() == 0:  # root reads what nobody may read
        monkeypatch.delitem(broken.BREAKS, "no right to read it")
    if scene == "few":  # as few as let every kind of damage be there, below 1 %
        images = 110 * len(broken.BREAKS)
    assert broken.prove(scene, tmp_path / scene, images)["failures"] == []
