"""Binary data: draws are right on average, the same wherever they must be, and others where they must be others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.data import Dataset, ImageStream, Options, Prefetch, open_data, stream_of
from sparring.data.binary import Binarised, drawn, drawn_at
from sparring.data.dataset import binarised
from sparring.data.inspect import inspect
from sparring.data.options import Binarise
from sparring.data.report import DataReport
from sparring.errors import UsageError
from sparring.runs.propose import words_of
from sparring.types import Done

HOW: tuple[Binarise, ...] = ("threshold", "static", "dynamic")


def grey(n: int = 23, side: int = 4, channels: int = 1, held_out: int = 5) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)
    report = DataReport(source="made", kind="images", found=n, used=n - held_out, held_out=held_out, fingerprint="made")
    return Dataset(
        "made", "images", (channels, side, side), images[held_out:], images[:held_out], report, "made",
        labels=np.arange(n - held_out), held_out_labels=np.arange(held_out),
    )  # fmt: skip


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_value_is_black_or_white_and_the_shape_is_kept(how: Binarise, channels: int) -> None:
    plain, made = grey(channels=channels), binarised(grey(channels=channels), how)
    for images, before in ((made.train, plain.train), (made.held_out, plain.held_out)):
        assert images.shape == before.shape and len(images) == len(before) and images.nbytes == before.nbytes
        assert set(np.unique(np.asarray(images)).tolist()) == {0, 255}
        assert np.asarray(images).dtype == np.uint8
    assert made.binarise == how and made.plain().fingerprint == plain.fingerprint
    x = stream_of(made, 0, flip=True).take(0, 40).x
    assert x.dtype == torch.uint8 and x.shape == (40, channels, 4, 4) and set(x.unique().tolist()) == {0, 255}


def test_threshold_is_white_from_128_on() -> None:
    levels = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    assert Binarised(levels, 0, "threshold")[:].ravel().tolist() == [0, 0, 255, 255]


def test_the_mean_of_many_draws_is_the_level() -> None:
    """Black and white stay what they are; every other level is its probability, to 6 standard errors."""
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(4000, axis=0)
    mean = (drawn_at(levels, 3, range(4000)) / 255.0).mean(axis=0).ravel()
    p = np.arange(256) / 255
    assert mean[0] == 0 and mean[255] == 1
    assert (np.abs(mean - p) <= 6 * np.sqrt(p * (1 - p) / 4000) + 1e-12).all()
    assert np.abs(mean - p).max() > 1e-4  # and they are draws, not the levels themselves


def test_dynamic_draws_of_a_stream_have_the_level_as_their_mean() -> None:
    plain = grey(8, held_out=0)
    stream = stream_of(binarised(plain, "dynamic"), seed=1)
    batch = stream.take(0, 8 * 600)
    assert batch.label is not None
    for row in range(8):
        mean = (batch.x[batch.label == row] / 255.0).mean(0)[0].numpy()
        p = plain.train[row, ..., 0] / 255
        assert (np.abs(mean - p) <= 6 * np.sqrt(p * (1 - p) / 600) + 1e-9).all()


def test_all_noise_makes_every_level_exactly_as_often_as_said() -> None:
    """Over all 65,536 values of the noise: 257 v of them are white."""
    noise = np.arange(2**16, dtype=np.uint16)
    for level in (0, 1, 2, 127, 128, 254):
        white = int((drawn(np.full(2**16, level, np.uint8), noise) == 255).sum())
        assert white == 257 * level
    assert (drawn(np.full(2**16, 255, np.uint8), noise) == 255).all()


def test_static_is_the_same_in_every_pass_process_batch_and_seed() -> None:
    made = binarised(grey(), "static")
    whole = stream_of(made, seed=0).take(0, 3 * 18)
    other = stream_of(binarised(grey(), "static"), seed=9)
    pieces = [other.take(k, 2) for k in range(0, 36, 2)]
    images: dict[int, torch.Tensor] = {}
    for batch in (whole, *pieces):
        assert batch.label is not None
        for x, label in zip(batch.x, batch.label.tolist(), strict=True):
            assert torch.equal(images.setdefault(label, x.clone()), x)
            assert np.array_equal(made.train[label], x.permute(1, 2, 0).numpy())
    assert len(images) == 18


def test_dynamic_is_drawn_anew_by_position_whoever_asks() -> None:
    made = binarised(grey(), "dynamic")
    one, two = stream_of(made, 0, flip=True), stream_of(made, 0, flip=True)
    whole = one.take(0, 60).x
    assert torch.equal(whole, torch.cat([two.take(k, 5).x for k in range(0, 60, 5)]))
    with Prefetch(stream_of(made, 0, flip=True), workers=2) as ahead:
        assert torch.equal(whole, torch.cat([ahead.take(k, 12).x for k in range(0, 60, 12)]))
    by_label: dict[int, list[torch.Tensor]] = {}
    batch = stream_of(made, 0).take(0, 54)
    assert batch.label is not None
    for x, label in zip(batch.x, batch.label.tolist(), strict=True):
        by_label.setdefault(label, []).append(x)
    assert all(len(seen) == 3 and not torch.equal(seen[0], seen[1]) for seen in by_label.values())
    assert not torch.equal(whole, stream_of(made, 1, flip=True).take(0, 60).x)


def test_what_is_measured_on_is_drawn_once_for_static_and_dynamic_alike() -> None:
    static, dynamic = binarised(grey(), "static"), binarised(grey(), "dynamic")
    assert np.array_equal(np.asarray(static.held_out), np.asarray(dynamic.held_out))
    assert np.array_equal(static.train[3:9], dynamic.train[[3, 4, 5, 6, 7, 8]])
    assert np.array_equal(static.train[np.arange(18) % 2 == 0], np.asarray(static.train)[::2])
    assert np.array_equal(static.train[-1], static.train[17])


def test_rows_are_counted_over_all_of_the_data_so_the_split_changes_no_draw() -> None:
    few, many = binarised(grey(held_out=2), "static"), binarised(grey(held_out=9), "static")
    assert np.array_equal(
        np.concatenate([np.asarray(few.held_out), np.asarray(few.train)]),
        np.concatenate([np.asarray(many.held_out), np.asarray(many.train)]),
    )


def test_bits_that_are_kept_are_those_that_are_drawn_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = np.asarray(binarised(grey(channels=3), "static").train)
    monkeypatch.setattr("sparring.data.binary._KEPT", 0)
    assert np.array_equal(kept, np.asarray(binarised(grey(channels=3), "static").train))
    rows = np.array([4, 5, 2, 17, 0])
    assert np.array_equal(kept[rows], binarised(grey(channels=3), "static").train[rows])


def test_every_treatment_is_another_data_set() -> None:
    sets = [grey(), *(binarised(grey(), how) for how in HOW)]
    assert len({one.fingerprint for one in sets}) == len({ImageStream(one).fingerprint for one in sets}) == 4
    assert len({one.report.fingerprint for one in sets}) == 1


def photos(folder: Path, n: int = 12) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for k in range(n):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


def test_container_and_cache_change_nothing(tmp_path: Path) -> None:
    folder = photos(tmp_path / "a")
    zipped = Path(shutil.make_archive(str(tmp_path / "b"), "zip", folder))
    opened = [
        open_data(place, size=(8, 8), held_out=0.25, binarise="static", keep=keep)
        for place in (folder, zipped) for keep in ("on", "off")
    ]  # fmt: skip
    assert len({one.fingerprint for one in opened}) == 1
    for one in opened[1:]:
        assert np.array_equal(np.asarray(one.train), np.asarray(opened[0].train))
        assert np.array_equal(np.asarray(one.held_out), np.asarray(opened[0].held_out))
    assert opened[1].live and not opened[0].live
    for one in opened:
        one.close()


def test_pairs_are_refused_and_a_check_says_what_is_done(tmp_path: Path, few_emoji: None) -> None:
    with pytest.raises(UsageError, match="--binarise is about single images"):
        open_data("emoji", size=(8, 8), needs={"pair"}, binarise="static")
    with pytest.raises(UsageError, match="one of none, threshold, static, dynamic"):
        open_data("emoji", binarise="sometimes")
    seen = inspect(open_data(photos(tmp_path / "a"), binarise="dynamic"))
    said = "\n".join(seen.lines())
    assert "binary  dynamic: each value white with its level as the probability, drawn anew" in said
    assert words_of(Options(binarise="dynamic")) == ["--binarise", "dynamic"]
    with pytest.raises(UsageError, match="--binarise is about images"):
        api.plan("ring", recipe="gan", binarise="static", budget="64", device="cpu")


@pytest.mark.parametrize("how", ["static", "dynamic"])
def test_a_run_goes_on_exactly_and_its_recipe_says_how(how: str, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    settings = {"recipe": "gan", "set": ["width=4", "z=2", "batch=4"], "size": 8, "device": "cpu", "binarise": how}

    def weights(run: Path) -> dict[str, torch.Tensor]:
        return {name: value for name, value in api.load(run, which="last").game.state_dict().items()}

    whole = api.train(folder, out=tmp_path / "whole", budget="32", **settings)
    assert whole.document["data"]["binarise"] == how
    api.train(folder, out=tmp_path / "half", budget="16", **settings)
    (folder / "0.png").unlink()  # the run keeps the images, and the bits, that it was started on
    events = list(api.resume_steps(tmp_path / "half", budget="+16"))
    assert isinstance(events[-1], Done)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_mirroring_moves_the_bits_of_what_is_drawn_once() -> None:
    made = binarised(grey(), "static")
    plainly, mirrored = stream_of(made, 0).take(0, 18).x, stream_of(made, 0, flip=True).take(0, 18).x
    same = [torch.equal(a, b) for a, b in zip(plainly, mirrored, strict=True)]
    turned = [torch.equal(a.flip(-1), b) for a, b in zip(plainly, mirrored, strict=True)]
    assert all(a or b for a, b in zip(same, turned, strict=True)) and any(same) and any(turned)


def test_a_data_set_is_made_binary_once() -> None:
    once = binarised(grey(), "static")
    again = binarised(replace(once, fingerprint="other"), "static")
    assert again.fingerprint == once.fingerprint
    assert np.array_equal(np.asarray(again.train), np.asarray(once.train))
