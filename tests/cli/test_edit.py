"""``sparring edit`` from the command line to files, on runs of nano games."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.export.runs import run_of

import sparring
from sparring import api
from sparring.cli import main
from sparring.edit import wish
from sparring.errors import UsageError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``made``, a generator, and ``words``, a scorer."""
    folder = tmp_path_factory.mktemp("runs")
    run_of("gan-images", folder / "made")
    run_of("dualencoder", folder / "words")
    return folder


@pytest.fixture(autouse=True)
def by_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """LPIPS need not be installed here."""
    monkeypatch.setattr(wish, "perceptual", lambda **_: wish.pixels)


@pytest.mark.parametrize("method", ["optimise", "mapper", "direction"])
def test_a_text_becomes_pictures_and_a_record(
    method: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    edit = ["edit", str(runs / "made"), "--text", "stripes number 3", "--scorer", str(runs / "words")]
    assert main([*edit, "--method", method, "--steps", "3", "--seed", "5", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out / name) for name in ("before.png", "after.png", "strip.png", "edit.json")]
    assert "similarity to the text" in said.err
    record = json.loads((out / "edit.json").read_text())
    assert record["method"] == method and record["text"] == "stripes number 3" and record["seed"] == 5
    assert record["scorer"].startswith("dualencoder ") and record["space"] == "z"
    assert ("channels_turned" in record) == (method == "direction")
    made = sparring.load(runs / "made").sample(1, seed=5)[0].permute(1, 2, 0).numpy()
    before = np.array(Image.open(out / "before.png")).astype(float) / 255
    assert abs(before - made).max() < 0.01  # what `sparring sample --seed 5` makes first
    # what is there outside of the run stays, and nothing is tried before that is known
    assert main([*edit, "--method", method, "--out", str(out), "--steps", "0"]) == 2
    assert "SAMPLE-OUT" in capsys.readouterr().err
    with Image.open(out / "strip.png") as opened:
        assert min(opened.size) >= 128


def test_without_out_it_is_in_the_run_and_strength_0_changes_nothing(runs: Path) -> None:
    edit = ["edit", str(runs / "made"), "--text", "A Red Heart!", "--from", "a heart", "--strength", "0"]
    for _ in range(2):  # its own files are replaced
        assert main([*edit, "--scorer", str(runs / "words")]) == 0
    folder = runs / "made" / "edits" / "a-red-heart-from-a-heart-optimise-seed0-x0"
    assert (folder / "before.png").read_bytes() == (folder / "after.png").read_bytes()
    record = json.loads((folder / "edit.json").read_text())
    assert record["identity_distance"] == 0 == record["moved"] and record["from"] == "a heart"
    assert record["similarity"]["before"] == record["similarity"]["after"]


def test_a_picture_is_found_in_the_latents_and_edited_there(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.png"
    Image.new("RGB", (20, 20), (200, 40, 40)).save(file)
    assert main(["edit", str(runs / "made"), "--image", str(file), "--steps", "4", "--out", str(tmp_path / "a")]) == 0
    record = json.loads((tmp_path / "a" / "edit.json").read_text())
    assert record["image"] == "x.png" and record["distance"] <= record["start_distance"]
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"given.png", "inverted.png", "strip.png", "edit.json"}
    edited = api.edit(runs / "made", "red", image=file, scorer=str(runs / "words"), steps=2)
    assert edited.before.shape == (1, 3, 16, 16) and edited.similarity[0].shape == (1,)
    found = api.invert(runs / "made", file.read_bytes(), steps=2)
    assert found.images.shape == (1, 3, 16, 16)
    capsys.readouterr()


def test_what_cannot_be_edited_is_said(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, words = str(runs / "made"), str(runs / "words")
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    for arguments, code, what in (
        ([made], 2, "EDIT-WHAT"),
        ([made, "--text", "x", "--scorer", made], 2, "SCORER-CANNOT"),
        ([words, "--text", "x", "--scorer", words], 2, "EDIT-CANNOT"),
        ([made, "--text", "x", "--scorer", words, "--space", "w+"], 2, "EDIT-SPACE"),
        ([made, "--text", "x", "--scorer", words, "--label", "1"], 2, "SAMPLE-LABEL"),
        ([made, "--text", "x", "--scorer", words, "--image", str(tmp_path / "none.png")], 3, "EDIT-IMAGE"),
        ([made, "--image", str(broken)], 3, "broken.png"),
        ([made, "--text", "x", "--scorer", words, "--method", "optimise", "--beta", "2"], 2, "EDIT-BETA"),
    ):
        assert main(["edit", *arguments]) == code, arguments
        assert what in capsys.readouterr().err
    with pytest.raises(UsageError, match="EDIT-STEPS"):
        api.edit(made, "x", scorer=words, steps=0)
