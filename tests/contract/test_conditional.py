"""The conditional example of docs/extending.md: it learns what it is told, from data to ``sample --label``."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.contract.check_game import check_game
from tests.contract.test_extending import printed
from tests.train.arena import digest

import sparring
from sparring import api, cli
from sparring.data import open_data, stream_of
from sparring.errors import UsageError
from sparring.generate.sample import class_of, draw
from sparring.runs import plan as plans
from sparring.runs.recipe import Recipe, load
from sparring.train.engine import Engine
from sparring.train.game import Game, seeded
from sparring.train.match import Match
from sparring.types import Done, Samples, Space

SMALL = ["width=16", "z=4", "batch=16"]


@pytest.fixture
def conditional(tmp_path: Path) -> str:
    return f"{printed('cgan.py', tmp_path)}:CGAN"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def quarters(tmp_path: Path) -> Path:
    """240 idx images of 8 × 8 in four classes: the bright quarter is the class."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 240).astype(np.uint8)
    images = random.integers(0, 60, (240, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += np.uint8(180)
    folder = tmp_path / "quarters"
    folder.mkdir()
    for name, values in (("images-idx3", images), ("labels-idx1", labels)):
        header = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        with gzip.open(folder / f"train-{name}-ubyte.gz", "wb") as file:
            file.write(header + values.tobytes())
    return folder


def test_a_class_of_the_ring_is_its_mode(conditional: str) -> None:
    """The game is told the mode of each point; asked for class k it makes points at mode k, nearly all of them."""
    ring = open_data("ring")
    assert ring.modes is not None
    modes = torch.from_numpy(ring.modes / ring.scale).float()
    stream = stream_of(ring, 0)
    recipe = load(conditional, ["width=64", "z=2"])
    check_game(recipe.game, Space((2,), 8), stream, width=8, z=2)
    game = plans.build(recipe, Space((2,), 8), 0)
    match = Match(game, stream, Engine(torch.device("cpu")), recipe.config, seed=0, horizon=200 * 64)
    for _ in range(200):
        match.step()
    game.eval()
    with match.averages.applied():
        for k in range(8):
            points = draw(SimpleNamespace(game=game), 200, label=k)
            there = torch.cdist(points, modes).argmin(1) == k
            assert float(there.float().mean()) > 0.95, f"class {k}"
        every = torch.cdist(draw(SimpleNamespace(game=game), 400), modes).argmin(1)
    assert set(every.tolist()) == set(range(8)), "without a label the game draws every class"


def test_from_labelled_files_to_samples_of_a_class(
    conditional: str, quarters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sparring.train(
        quarters, recipe=conditional, size=8, budget="16000",
        set=["width=64", "z=4", "batch=32", "gamma=1", "flip=false"],
        out=tmp_path / "run", threads=1, device="cpu",
    )  # fmt: skip
    assert run.classes == ("0", "1", "2", "3") and run.info()["classes"] == ["0", "1", "2", "3"]
    for k in range(4):
        images = run.sample(32, seed=1, label=k)
        quarter = images.view(32, 2, 4, 2, 4).mean((2, 4)).flatten(1)
        assert float((quarter.argmax(1) == k).float().mean()) > 0.9, f"class {k}"
    few, many = run.sample(3, seed=5, label="2"), run.sample(70, seed=5, label="2")
    torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-5)
    assert not torch.allclose(run.sample(3, seed=6, label="2"), few, atol=1e-3)

    assert cli.main(["sample", str(run.path), "--label", "3", "-n", "2"]) == 0
    paths = capsys.readouterr().out.split()
    assert [Path(path).relative_to(run.path).as_posix() for path in paths] == [
        "generated/3/000000.png", "generated/3/000001.png",
    ]  # fmt: skip
    assert cli.main(["sample", str(run.path), "--label", "7"]) == 2
    assert re.search(r"SAMPLE-LABEL.*\n.*0, 1, 2, 3", capsys.readouterr().err)
    assert cli.main(["info", str(run.path)]) == 0
    assert re.search(r"^classes\s+4: 0, 1, 2, 3$", capsys.readouterr().out, re.M)


def test_a_labelled_run_that_stops_and_goes_on_never_stopped(conditional: str, quarters: Path, tmp_path: Path) -> None:
    def begin(out: Path) -> sparring.runs.session.Session:  # type: ignore[name-defined]
        return api.steps(quarters, recipe=conditional, set=SMALL, size=8, budget="640", out=out, threads=1,
                         device="cpu")  # fmt: skip

    whole = begin(tmp_path / "whole")
    assert list(whole)[-1] == Done(640, "budget")
    parts = begin(tmp_path / "parts")
    for event in parts:
        if event.images >= 200:
            parts.stop()
    assert parts.finished is not None and parts.finished.reason == "stopped"
    again = api.resume_steps(tmp_path / "parts")
    assert list(again)[-1] == Done(640, "budget")
    assert again.loop is not None and whole.loop is not None
    assert digest(again.loop.match.tensors()) == digest(whole.loop.match.tensors())


# ── what cannot be ────────────────────────────────────────────────────────────────────────────────────────────────


def test_data_without_labels_is_refused_before_anything_is_made(conditional: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"DATA-UNLABELLED.*cgan.py:CGAN.*no labels: swissroll") as caught:
        api.plan("swissroll", recipe=conditional, budget="640", out=tmp_path / "run")
    assert "--labels folders" in caught.value.fix and "metadata.jsonl" in caught.value.fix
    assert not (tmp_path / "run").exists()


class Reads(Game):
    """Needs captions."""

    needs = frozenset({"text"})


class _Reading(Recipe):
    @property
    def game(self) -> type[Game]:
        return Reads


def test_captions_are_needed_and_not_used_in_plain_words(conditional: str) -> None:
    reading, telling, plain = _Reading("reads", load("gan").config), load(conditional), load("gan")
    plans.check_needs(reading, Space((2,), captions=True), "photos")
    with pytest.raises(UsageError, match=r"DATA-UNCAPTIONED.*photos"):
        plans.check_needs(reading, Space((2,), 4), "photos")
    both = Space((2,), 4, captions=True)
    assert plans.unused(plain, Space((2,))) == []
    assert plans.unused(plain, both) == [
        "labels (4 classes) and captions are kept with the images; recipe gan does not use them; "
        "--recipe cgan-points uses the labels"
    ]
    assert plans.unused(telling, both) == [
        f"captions are kept with the images; recipe {telling.name} does not use them"
    ]
    assert plans.unused(reading, both)[0].startswith("labels (4 classes) are kept")


def test_a_plan_says_that_labels_are_not_used(quarters: Path, tmp_path: Path) -> None:
    made = api.plan(quarters, recipe="gan", set=SMALL, size=8, budget="6400", out=tmp_path / "run")
    assert made.lines()[-1] == (
        "note      labels (4 classes) are kept with the images; recipe gan does not use them; "
        "--recipe cgan uses the labels"
    )


def test_older_runs_have_no_classes() -> None:
    assert plans.space_of_document({"data": {"shape": [3, 8, 8]}}) == Space((3, 8, 8))
    named = {"data": {"shape": [1, 8, 8], "classes": ["cat", "dog"], "captions": True}}
    assert plans.space_of_document(named) == Space((1, 8, 8), 2, True)


NAMES = ("tabby cat", "siamese cat", "7", "dog")


@pytest.mark.parametrize(("label", "number"), [("dog", 3), ("0", 0), (1, 1), ("7", 2), (3, 3)])
def test_a_class_has_a_name_and_a_number(conditional: str, label: str | int, number: int) -> None:
    game = seeded(0, lambda: load(conditional, SMALL).game.build(load(conditional, SMALL).config, Space((2,), 4)))
    assert class_of(SimpleNamespace(game=game), label, NAMES) == number


@pytest.mark.parametrize(
    ("label", "said"), [("tabi cat", "tabby cat"), ("4", "0 to 3"), ("-1", "0 to 3"), ("", "0 to 3"), ("²", "0 to 3")]
)
def test_an_unknown_class_names_the_nearest_and_lists_all(conditional: str, label: str, said: str) -> None:
    game = seeded(0, lambda: load(conditional, SMALL).game.build(load(conditional, SMALL).config, Space((2,), 4)))
    with pytest.raises(UsageError, match="SAMPLE-LABEL") as caught:
        class_of(SimpleNamespace(game=game), label, NAMES)
    assert said in caught.value.fix and "tabby cat, siamese cat, 7, dog" in caught.value.why


class Plain(Samples):
    def sample(self, dice: object, *, truncation: float = 1.0) -> torch.Tensor:
        return torch.zeros(1, 2)


def test_a_run_that_was_not_told_classes_says_so(conditional: str) -> None:
    with pytest.raises(UsageError, match="not told classes") as caught:
        class_of(SimpleNamespace(game=Plain()), "cat", NAMES)
    assert "(Plain) does not use labels" in caught.value.why and "--recipe cgan" in caught.value.fix
    with pytest.raises(UsageError, match="not told classes") as caught:
        class_of(SimpleNamespace(game=Plain()), "cat", ())
    assert "no labels" in caught.value.why
