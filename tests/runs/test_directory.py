"""Laws of the run directory: made whole or not at all, and never over something of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.proofs.faults import Death, Dying
from sparring.errors import CheckpointError, UsageError
from sparring.runs import directory as directories
from sparring.runs.directory import RunDirectory

RECIPE = {
    "recipe": "gan",
    "config": {},
    "data": {"source": "ring", "kind": "points", "shape": [2], "crop": "center", "background": [255, 255, 255],
             "held_out": 0.05, "fingerprint": "1e5"},
    "run": {"seed": 0, "images": 64, "horizon": 64, "device": "cpu", "threads": 1, "processes": 1},
}  # fmt: skip


def test_what_is_created_is_a_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a" / "run")
    run.create(RECIPE, {"used": 3})
    assert run.is_run and run.document() == RECIPE
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        run.claim()
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        RunDirectory(tmp_path / "a" / "run").create(RECIPE, {})


@pytest.mark.parametrize("name", ["photo.png", "data.json", ".hidden", "samples/mine.png", "checkpoints/000000000001"])
def test_a_directory_with_anything_of_the_user_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "run" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for act in (RunDirectory(tmp_path / "run").claim, lambda: RunDirectory(tmp_path / "run").create(RECIPE, {})):
        with pytest.raises(UsageError, match="RUN-OUT"):
            act()
    assert sorted(tmp_path.rglob("*")) == before and mine.read_text() == "mine"


def test_a_kill_while_it_is_made_does_not_block_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(12):
        run = RunDirectory(tmp_path / f"run{k}")
        run.claim()
        (run.path / "lock").write_text("")
        with monkeypatch.context() as patch:
            dying = Dying(k)
            patch.setattr(directories, "Disk", lambda dying=dying: dying)
            try:
                run.create(RECIPE, {})
            except Death:
                assert not run.is_run or k > 7
        if not run.is_run:
            with pytest.raises(CheckpointError):
                run.document()
            run.claim()
            run.create(RECIPE, {})
        assert run.document() == RECIPE
