"""Runs on pairs: from two folders to a run that says what it was trained on, goes on from there, and refuses what its
recipe cannot use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api, cli
from sparring.data import open_data
from sparring.errors import DataError, UsageError
from sparring.runs import plan as plans
from sparring.types import Alarm, Done, Translates

GAME = Path(__file__).parents[1] / "data" / "copying.py"
NANO: dict[str, Any] = {
    "recipe": f"{GAME}:Copying", "size": 8, "budget": "64", "set": ("batch=8",), "threads": 1, "device": "cpu",
}  # fmt: skip
Sides = tuple[str, str]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARRING_GAMES", str(GAME))


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Thirty pairs of 8 x 8: grey, and twice that in red."""
    for side in "AB":
        (tmp_path / side).mkdir()
    for number in range(30):
        grey = np.random.default_rng(number).integers(0, 128, (8, 8), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / "A" / f"{number:02d}.png")
        Image.fromarray(np.stack([2 * grey, grey, grey], axis=2)).save(tmp_path / "B" / f"{number:02d}.bmp")
    return str(tmp_path / "A"), str(tmp_path / "B")


def trained(sides: Sides, out: Path, **settings: Any) -> Path:
    for event in api.steps(sides[0], into=sides[1], out=out, **{**NANO, **settings}):
        assert isinstance(event, Alarm) is False, event
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(api.load(run).game.state_dict())


@pytest.mark.parametrize("kind", ["Copying", "Separate"])
def test_a_run_says_what_it_was_trained_on_and_goes_on_exactly(sides: Sides, tmp_path: Path, kind: str) -> None:
    recipe = f"{GAME}:{kind}"
    whole = trained(sides, tmp_path / "whole", recipe=recipe, budget="128", set=("batch=8", "flip=true"))
    half = trained(sides, tmp_path / "half", recipe=recipe, set=("batch=8", "flip=true"))
    events = list(api.resume_steps(half, budget="+64"))
    assert isinstance(events[-1], Done)
    assert all(torch.equal(weights(whole)[name], tensor) for name, tensor in weights(half).items())
    run = api.load(half)
    data = run.document["data"]
    assert data["source"].endswith("/A") and data["into"].endswith("/B") and data["direction"] == "AtoB"
    assert data["pairs"] == ("stems" if kind == "Copying" else "unpaired") and data["given_channels"] == 1
    dataset = open_data(data["source"], into=data["into"], pairs=data["pairs"], size=(8, 8))
    assert plans.space_of_document(run.document) == plans.space_of(dataset)
    assert isinstance(run.game, Translates) and (half / "data.npz").exists()


def test_files_that_changed_are_named_and_the_run_goes_on(sides: Sides, tmp_path: Path) -> None:
    run = trained(sides, tmp_path / "run")
    Path(sides[0], "04.png").unlink()
    told = [event.message for event in api.resume_steps(run, budget="+8") if isinstance(event, Alarm)]
    assert any("1 pair was removed since the run started: 04.bmp" in line for line in told), told
    shutil.rmtree(sides[1])
    told = [event.message for event in api.resume_steps(run, budget="+8") if isinstance(event, Alarm)]
    assert any("the data cannot be opened" in line for line in told), told


def test_a_run_begins_with_another_one_of_pairs(sides: Sides, tmp_path: Path) -> None:
    first = trained(sides, tmp_path / "first", direction="BtoA", given_channels=3)
    made = api.plan(sides[0], into=sides[1], begin=first, direction="BtoA", budget="64", out=tmp_path / "second")
    assert made.dataset.shape == (1, 8, 8) and made.dataset.given is not None and made.dataset.given.shape == (3, 8, 8)
    assert any("2 of 2 tensors taken over" in line for line in made.lines())


def test_built_in_outlines_become_colours(tmp_path: Path, few_emoji: None) -> None:
    api.train("emoji", out=tmp_path / "run", **NANO)
    data = api.load(tmp_path / "run").document["data"]
    assert data["pairs"] == "stems" and data["into"] is None and data["source"] == "emoji"
    assert list(api.resume_steps(tmp_path / "run", budget="+8"))


def test_a_palette_is_not_needed_any_more_once_the_run_has_begun(tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / side).mkdir()
    for number in range(24):
        values = np.random.default_rng(number).integers(0, 2, (8, 8), dtype=np.uint8)
        Image.fromarray(np.stack([200 * values, 0 * values, 90 * values], axis=2)).save(
            tmp_path / "A" / f"{number}.png"
        )
        Image.fromarray(255 * values).save(tmp_path / "B" / f"{number}.png")
    (tmp_path / "colours.txt").write_text("0 0 0 wall\n200 0 90 door")
    for keep in ("on", "off"):
        run = tmp_path / keep
        palette = str(tmp_path / "colours.txt")
        api.train(tmp_path / "A", into=tmp_path / "B", maps="A", palette=palette, out=run, keep=keep, **NANO)
        assert api.load(run).document["data"]["sides"]["given"]["legend"] == ["wall", "door"]
    (tmp_path / "colours.txt").unlink()
    (tmp_path / "B" / "25.png").write_bytes(b"new")
    for keep in ("on", "off"):
        events = list(api.resume_steps(tmp_path / keep, budget="+8"))
        assert isinstance(events[-1], Done) and not [event for event in events if isinstance(event, Alarm)]


@pytest.mark.parametrize(
    ("settings", "code", "fix"),
    [
        ({"recipe": "dcgan"}, "DATA-PAIRS", "--recipe pix2pix"),
        ({"into": None}, "DATA-UNPAIRED", "sparring train A/ B/"),
        ({"into": None, "recipe": f"{GAME}:Separate"}, "DATA-ONE-SET", "two folders"),
        ({"pairs": "unpaired"}, "DATA-UNPAIRED", "stems"),
        ({"recipe": f"{GAME}:Separate", "pairs": "stems"}, "DATA-PAIRED", "--pairs unpaired"),
        ({"recipe": "fcn8s", "size": 32, "set": ()}, "DATA-NO-MAPS", "--maps B"),
        ({"out": "inside"}, "RUN-IN-DATA", "--out"),
    ],
)  # fmt: skip
def test_what_a_recipe_cannot_use_is_refused(
    sides: Sides, settings: dict[str, Any], code: str, fix: str, tmp_path: Path
) -> None:
    asked = {**NANO, "into": sides[1], "out": tmp_path / "run", **settings}
    asked["out"] = Path(sides[1], "run") if asked["out"] == "inside" else asked["out"]
    with pytest.raises((DataError, UsageError)) as refused:
        api.plan(sides[0], **asked)
    assert refused.value.code == code and fix in str(refused.value), refused.value


@pytest.mark.parametrize(
    ("options", "recipe"), [({}, "pix2pix"), ({"pairs": "unpaired"}, "cyclegan")], ids=["pairs", "unpaired"]
)
def test_two_folders_choose_their_recipe(
    sides: Sides, options: dict[str, Any], recipe: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(recipe: Any, *others: Any, **more: Any) -> None:
        raise Stopped(recipe.name)

    monkeypatch.setattr(plans, "rehearse", stop)
    with pytest.raises(Stopped, match=recipe):
        api.plan(sides[0], into=sides[1], size=32, out=tmp_path / "run", device="cpu", **options)


def test_unmatched_stems_say_what_to_type(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(sides[0], "04.png").unlink()
    assert cli.main(["train", "A", "B"]) == DataError.exit_code
    told = capsys.readouterr().err
    assert "04.bmp" in told and "--drop-unpaired" in told and "--recipe cyclegan" in told
    assert cli.main(["check", "A", "B"]) == DataError.exit_code
    told = capsys.readouterr().out
    assert "DATA-UNPAIRED" in told and "sparring train A B --drop-unpaired" in told
    assert cli.main(["check", "A", "B", "--drop-unpaired"]) == 0
    assert (tmp_path / "runs" / "checks" / "A").is_dir()


def test_two_pictures_side_by_side_are_proposed_as_pairs(tmp_path: Path) -> None:
    for number in range(30):
        values = np.random.default_rng(number).integers(0, 50, (32, 64, 3), dtype=np.uint8)
        values[:, 32:] += 200
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    checked = api.check(tmp_path)
    finding = next(one for one in checked.inspection.findings if one.code == "DATA-SIDE-BY-SIDE")
    assert "--pairs side-by-side" in finding.fix
    again = api.check(tmp_path, pairs="side-by-side")
    assert again.proposal.command[-2:] == ["--pairs", "side-by-side"]
    assert "DATA-SIDE-BY-SIDE" not in {one.code for one in again.inspection.findings}


def test_the_command_is_typed_again_with_both_folders(make: Callable[..., Any]) -> None:
    made = make(
        "A", "B", "--pairs", "stems", "--direction", "BtoA", "--drop-unpaired", "--maps", "A", "--palette", "cmp"
    )
    assert made.words()[:4] == ["sparring", "train", "A", "B"]
    assert {"--direction", "--drop-unpaired", "--maps", "--palette"} <= set(made.words())
    assert make(*made.words()[2:]) == made


@pytest.fixture
def make() -> Callable[..., Any]:
    import tyro

    from sparring.cli.train import Train

    return lambda *words: tyro.cli(Train, args=list(words))
