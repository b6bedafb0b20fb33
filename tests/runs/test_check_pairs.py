"""A check of pairs goes on where training would stop; a run shows eight pairs before its first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.scenes import scene

from sparring import api
from sparring.data import Options
from sparring.runs.check import Checked, check

GAME = Path(__file__).parents[1] / "data" / "copying.py"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARRING_GAMES", str(GAME))


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve masks, one of them of 0 and 254, and twelve scenes."""
    for number in range(12):
        mask = np.zeros((16, 16), np.uint8)
        mask[number : number + 4] = 254 if number == 3 else 255
        for folder, image in (("A", Image.fromarray(mask)), ("B", scene(number, 16, 16))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{number:02d}.png")
    return tmp_path / "A", tmp_path / "B"


def checked(sides: tuple[Path, Path], **options: Any) -> Checked:
    return check(sides[0], Options(into=str(sides[1]), **{"size": (16, 16), **options}), device="cpu")


def test_label_maps_that_are_refused_are_looked_at_all_the_same(masks: tuple[Path, Path]) -> None:
    found = checked(masks, maps="A")
    assert found.refused and "Not ready" in found.verdict()
    first = found.inspection.findings[0]
    assert (first.level, first.code) == ("error", "DATA-MAPS") and "03.png" in first.why
    assert "--maps" not in found.proposal.command and "classes of pixels" in found.proposal.note


def test_unpaired_files_and_wrong_maps_are_told_one_after_the_other(masks: tuple[Path, Path]) -> None:
    (masks[0] / "11.png").unlink()
    found = checked(masks, maps="A")
    assert found.inspection.findings[0].code == "DATA-UNPAIRED" and found.inspection.usable == 11
    assert checked(masks, maps="A", drop_unpaired=True).inspection.findings[0].code == "DATA-MAPS"


@pytest.mark.parametrize("pairs", ["auto", "unpaired"])
def test_what_is_proposed_is_what_train_takes(masks: tuple[Path, Path], pairs: str) -> None:
    found = checked(masks, pairs=pairs, given_channels=3)
    small = ("width=2", "d_width=2") + (("d_layers=1", "blocks=1") if pairs == "unpaired" else ())
    tiny: dict[str, Any] = {"size": 16, "budget": "8", "set": small, "device": "cpu", "threads": 1}
    plan = api.plan(masks[0], into=masks[1], pairs=pairs, given_channels=3, **tiny)
    config = plan.recipe.config
    said = {choice.name: choice for choice in found.proposal.choices}
    assert said["recipe"].value == plan.recipe.preset and said["batch"].value == str(config.batch) == "4"
    assert said["mirroring"].value == ("on" if config.flip else "off")
    (few,) = [finding for finding in found.inspection.findings if finding.code == "DATA-FEW"]
    if pairs == "auto":  # pix2pix-modern augments what D sees
        assert said["augmentation"].value == f"{config.augment.start:g} to {config.augment.end:g}" == "0.3 to 0.3"
        assert "are augmented" in few.fix
        return
    for text in (few.fix, said["augmentation"].why):  # cyclegan has no such setting
        assert "enlarged and cut at random" in text and "are augmented" not in text and "--set augment" not in text


def test_what_is_proposed_is_for_the_size_that_is_proposed(masks: tuple[Path, Path]) -> None:
    for folder in masks:
        for path in folder.iterdir():
            with Image.open(path) as image:
                image.resize((256, 256)).save(path)
    found = checked(masks, size=None)
    assert found.inspection.shape[1:] == (256, 256)
    said = {choice.name: choice for choice in found.proposal.choices}
    assert (said["size"].value, said["batch"].value) == ("64x64", "4")
    assert said["recipe"].value == "pix2pix-modern" and "small images on a CPU" in said["recipe"].why


def test_the_plan_warns_of_what_a_check_warns_of(masks: tuple[Path, Path], tmp_path: Path) -> None:
    for path in masks[0].glob("0[0-9].png"):
        path.write_bytes((masks[0] / "10.png").read_bytes())
    warned = {
        finding.what for finding in checked(masks).inspection.findings
        if finding.level == "warning" and finding.code.startswith("DATA-PAIRS")
    }  # fmt: skip
    assert any("11 of 12 pairs share what is given" in what for what in warned)
    plan = api.plan(
        masks[0], into=masks[1], recipe=f"{GAME}:Copying", size=16, budget="8", set=("batch=4",), threads=1,
        device="cpu", out=tmp_path / "run",
    )  # fmt: skip
    assert all(any(what in line for line in plan.lines()) for what in warned)


def test_eight_pairs_are_shown_before_the_first_step(masks: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings: dict[str, Any] = {"recipe": f"{GAME}:Copying", "size": 8, "budget": "8", "set": ("batch=4",)}
    plan = api.plan(masks[0], into=masks[1], out=out, threads=1, device="cpu", **settings)
    assert any("pairs.png" in line for line in plan.lines())
    session = api.steps(masks[0], into=masks[1], out=out, threads=1, device="cpu", **settings)
    assert next(session).images == 0
    with Image.open(out / "pairs.png") as sheet:
        assert min(sheet.size) > 100
    session.close()
