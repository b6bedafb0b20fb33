"""Samples: the same ones however they are asked for."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from tests.generate.games import Toy, Trained
from torch import nn

from sparring.errors import UsageError
from sparring.generate.grid import to_bytes
from sparring.generate.sample import class_of, draw, files, refuse_taken, save


@pytest.mark.parametrize("channels", [3, 0])
def test_sample_k_depends_on_the_seed_and_on_k_alone(channels):
    run = Trained(Toy(channels))
    whole = draw(run, 13, seed=5)
    assert torch.allclose(whole, draw(run, 13, seed=5, at_once=3), atol=1e-6)
    assert torch.allclose(whole[4:9], draw(run, 5, seed=5, first=4), atol=1e-6)
    assert not torch.allclose(whole, draw(run, 13, seed=6), atol=1e-3)


def test_truncation_reaches_the_game():
    run = Trained(Toy(0))
    assert torch.allclose(draw(run, 9, truncation=0.5), 0.5 * draw(run, 9), atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"n": -1},
        {"n": 10**9},
        {"seed": -1},
        {"seed": 2**63},
        {"truncation": 0.0},
        {"truncation": float("nan")},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="SAMPLE-"):
        draw(Trained(Toy()), **{"n": 4, **wrong})


def test_a_game_that_makes_no_samples_says_so():
    with pytest.raises(UsageError, match="SAMPLE-CANNOT"):
        draw(Trained(nn.Identity()), 4)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_files_hold_exactly_the_pixels(tmp_path, channels):
    images = draw(Trained(Toy(channels)), 3)
    paths = save(images, tmp_path / "new" / "folder", first=7)
    assert [path.name for path in paths] == ["000007.png", "000008.png", "000009.png"]
    for path, expected in zip(paths, to_bytes(images), strict=True):
        assert (np.asarray(Image.open(path)).reshape(expected.shape) == expected).all()


def test_points_become_a_table(tmp_path):
    points = draw(Trained(Toy(0)), 5)
    (path,) = save(points, tmp_path)
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == ["x0", "x1"]
    assert torch.allclose(torch.tensor([[float(v) for v in row] for row in rows[1:]]), points, atol=1e-5)


def test_outside_of_the_run_no_file_is_taken(tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    for folder in (run / "generated", other):
        folder.mkdir(parents=True)
        (folder / "000001.png").write_text("mine")
    refuse_taken(files(run / "generated", 3), run)
    refuse_taken(files(other, 1), run)
    with pytest.raises(UsageError, match=r"SAMPLE-OUT.*other/000001\.png"):
        refuse_taken(files(other, 3), run)
    with pytest.raises(UsageError, match="SAMPLE-OUT"):
        refuse_taken(files(run / ".." / "other", 3), run)


@pytest.mark.parametrize("classes", [(), ("cat", "dog")])
def test_who_cannot_be_asked_for_a_class_says_who_can(classes):
    with pytest.raises(UsageError, match="SAMPLE-LABEL") as told:
        class_of(Trained(Toy()), "cat", classes)
    assert "cgan" in told.value.fix and "pixelcnn" in told.value.fix
