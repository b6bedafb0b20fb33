"""The example of docs/extending.md: taken out of the page, kept as a file, checked as a game, and played."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from tests.contract.check_game import check_game
from tests.forking import Forks
from tests.train.arena import BUILT, tokenizer

import sparring
from sparring.data import open_data, stream_of
from sparring.errors import UsageError
from sparring.recipes import RECIPES
from sparring.runs import own
from sparring.runs.recipe import game_class, load
from sparring.types import Space

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def printed(name: str, folder: Path) -> Path:
    """A file as the page prints it."""
    found = re.search(rf"^<!-- file: {name} -->\n```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert found is not None
    path = folder / name
    path.write_text(found[1], "utf-8")
    return path


@pytest.fixture
def game_file(tmp_path: Path) -> Path:
    return printed("lsgan.py", tmp_path)


SMALL = {"batch": 8, "width": 8, "z": 2}


def test_the_example_is_a_game(game_file: Path) -> None:
    cls = load(f"{game_file}:LSGAN").game
    check_game(cls, (2,), stream_of(open_data("ring", size=None), 0), **SMALL)


def test_the_example_plays_images_too(game_file: Path) -> None:
    cls = load(f"{game_file}:LSGAN").game
    fashion = open_data("fashion", size=(8, 8))
    check_game(cls, fashion.shape, stream_of(fashion, 0, True), **SMALL)


COUPLED = ("dcgan", "cgan", "classifier", "dualencoder", "text2image")
TRANSLATING = {"pair", "unpaired", "legend"}  # what tests/recipes/test_{pix2pix,cyclegan,fcn8s} bring


@pytest.mark.parametrize("name", [name for name in RECIPES if not game_class(name).needs & TRANSLATING])
def test_every_recipe_is_a_game(name: str) -> None:
    emoji = open_data("emoji", size=(16, 16), channels=3)
    small = {"gan": {"width": 8, "z": 4}, "dcgan": {"width": 4, "z": 4},
             "r3gan": {"width": 4, "d_width": 4, "group": 4, "z": 4, "blocks": 1, "augment": 0.5},
             "cgan": {"width": 4, "d_width": 4, "z": 4, "augment": 0.5},
             "classifier": {"width": 4, "augment": 0.5},
             "dualencoder": {"reader": "words", "width": 4, "d": 4}, "vae": {"width": 4, "z": 4},
             "taming": {"reader": "words", "width": 8, "heads": 2, "blocks": 1},
             "vqgan": {"factor": 4, "codes": 8, "dimensions": 4, "width": 4, "blocks": 1, "patches": 1, "d_width": 4,
                       "perceptual": 0, "start": 0.1, "codebook": "ema"},
             "svae": {"width": 4, "sphere": 4},
             "text2image": {"reader": "words", "width": 4, "d_width": 4, "hidden": 8, "z": 4, "augment": 0.5},
             "stylegan2": {"z": 4, "w": 4, "mapping": 1, "base": 32, "most": 4, "group": 2},
             "pixelcnn": {"width": 4, "blocks": 1, "mixtures": 2}}  # fmt: skip
    others = {"tokens": tokenizer()} if name in BUILT else {}
    space = Space(emoji.shape, len(emoji.classes), captions=True, texts=("a cat", "a dog"), others=others)
    coupled = name in COUPLED
    check_game(game_class(name), space, stream_of(emoji, 0, True), coupled=coupled, **small[name])


def test_it_trains_and_is_opened_again(game_file: Path, tmp_path: Path) -> None:
    run = sparring.train("ring", recipe=f"{game_file}:LSGAN", set=SMALL, budget="640", out=tmp_path / "run")
    assert run.images == 640
    assert run.document["recipe"] == f"{game_file.resolve()}:LSGAN"
    again = sparring.load(tmp_path / "run")  # this process has run the file because it was told to
    assert torch.equal(run.sample(5, seed=1), again.sample(5, seed=1))


def test_a_file_is_not_run_because_a_run_names_it(game_file: Path, tmp_path: Path, forked: Forks) -> None:
    """A run from elsewhere is data: without the user's word its game is not executed."""
    sparring.train("ring", recipe=f"{game_file}:LSGAN", set=SMALL, budget="64", out=tmp_path / "run")
    mark = tmp_path / "executed"
    text = game_file.read_text("utf-8") + f"\n__import__('pathlib').Path({str(mark)!r}).touch()\n"
    game_file.write_text(text, "utf-8")
    words = ["-m", "sparring", "info", tmp_path / "run"]
    clean = {name: value for name, value in os.environ.items() if name != own.TRUSTED}
    refused = forked.python(*words, env=clean)
    assert refused.returncode == 2 and "RECIPE-OWN" in refused.stderr and own.TRUSTED in refused.stderr
    assert not mark.exists()
    trusted = forked.python(*words, env=clean | {own.TRUSTED: str(game_file)})
    assert trusted.returncode == 0, trusted.stderr
    assert mark.exists()


def test_a_yaml_recipe_does_not_run_a_file_either(
    game_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = game_file.rename(tmp_path / "other.py")
    (tmp_path / "recipe.yaml").write_text(f"recipe: {other}:LSGAN\nconfig: {{width: 8}}\n")
    with pytest.raises(UsageError, match="RECIPE-OWN"):
        load(str(tmp_path / "recipe.yaml"))
    monkeypatch.setenv(own.TRUSTED, os.pathsep.join(["/nowhere.py", str(other)]))
    assert load(str(tmp_path / "recipe.yaml")).config.width == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "defines no LSGAN"),
        ("LSGAN = int\n", "not a game"),
        ("import nowhere_at_all\n", "ModuleNotFoundError"),
        ("def (\n", "SyntaxError"),
    ],
)
def test_a_file_that_is_no_game_is_explained(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(UsageError, match=said):
        load(f"{tmp_path / 'bad.py'}:LSGAN")


def test_a_missing_file_and_a_missing_class_are_explained(game_file: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load("nowhere/lsgan.py:LSGAN")
    with pytest.raises(UsageError, match="name the class"):
        load(str(game_file))


def test_an_edited_file_is_read_again(game_file: Path) -> None:
    first = load(f"{game_file}:LSGAN").game
    game_file.write_text(game_file.read_text("utf-8").replace("width: Positive = 64", "width: Positive = 32"), "utf-8")
    second = load(f"{game_file}:LSGAN")
    assert second.game is not first and second.config.width == 32  # type: ignore[attr-defined]


def test_its_settings_are_explained_like_any_recipe_s(game_file: Path) -> None:
    settings = {name: (value, text) for name, value, text in sparring.api.settings(f"{game_file}:LSGAN")}
    assert settings["width"] == ("64", "Hidden units per layer, in both players.")
    assert "batch" in settings
