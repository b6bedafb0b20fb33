"""A run as people use it: what it says of itself, above all when something is not as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparring import api
from sparring.errors import CheckpointError, DataError, UsageError
from sparring.runs import session
from sparring.runs.run import Run
from sparring.train.loop import Pace

NANO = {"width": 8, "batch": 64, "z": 2}


def trained(out: Path, images: int = 640) -> Run:
    return api.train("ring", recipe="gan", set=NANO, budget=str(images), out=out, threads=1, device="cpu")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_checkpoint_is_named_by_whoever_uses_the_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    assert run.images == 640 and run.remarks == []
    damage(run.checkpoint.path / "G-ema.safetensors")
    again = api.load(tmp_path / "run")
    assert again.images < 640
    assert any("000000000640/G-ema.safetensors" in line for line in again.remarks)
    assert any(f"{again.images:,} of 640" in line for line in again.remarks)
    assert again.info()["remarks"] == again.remarks


def test_the_checkpoint_to_fall_back_on_is_not_from_the_very_start(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", 6400)
    damage(run.checkpoint.path / "G-ema.safetensors")
    assert api.load(tmp_path / "run").images >= 6400 // 2
    assert Pace.of(6400, 64).saves == (1600, 3200, 4800)


def test_what_a_run_was_is_told_without_a_checkpoint(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("0*"):
        damage(path / "state.json")
    with pytest.raises(CheckpointError):
        api.load(tmp_path / "run")
    assert api.info(tmp_path / "run")["recipe"] == run.document["recipe"] == "gan"


def test_the_same_seed_gives_the_same_samples_whatever_their_number(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    few = run.sample(7, seed=3)  # latents are equal; the order of sums inside a matrix product depends on its size
    assert (run.sample(100, seed=3)[:7] - few).abs().max() < 1e-5
    assert (run.sample(7, seed=4) - few).abs().max() > 1e-2


def test_a_run_that_has_begun_is_given_more_time_not_another_time(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    with pytest.raises(UsageError) as caught:
        list(api.resume_steps(tmp_path / "run", budget="5m"))
    assert "+300s" in caught.value.fix
    assert api.resume(tmp_path / "run", budget="+640").images == 1280


def test_points_have_no_size(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--size is about images"):
        api.plan("ring", size=64, budget="640", out=tmp_path / "run")


def test_a_bare_number_of_images_is_explained(tmp_path: Path) -> None:
    lines = api.plan("ring", recipe="gan", set=NANO, budget="20", out=tmp_path / "run").lines()
    assert "20m" in lines[-1]
    assert "note" not in api.plan("ring", recipe="gan", set=NANO, budget="20k", out=tmp_path / "run").lines()[-1]


def test_data_lost_for_good_are_told_in_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for k in range(24):
        Image.new("RGB", (16, 16), (10 * k, 255 - 10 * k, k)).save(pictures / f"{k}.png")
    run = api.train(
        pictures,
        size=16,
        recipe="dcgan",
        set={"width": 2, "batch": 4, "z": 4},
        budget="16",
        out=tmp_path / "run",
        threads=1,
    )
    (pictures / "0.png").unlink()
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "another"))  # their decoded copies are gone too
    with pytest.raises(DataError, match=r"1 of 24 images of the run are no longer there(.|\n)*0\.png"):
        list(session.resume(run.path))
