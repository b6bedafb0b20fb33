"""What ships with the package is complete, fits together, and carries its licences."""

from __future__ import annotations

import numpy as np

from sparring.data import builtin, open_data
from sparring.data.sources.idx import read

HERE = builtin._HERE


def test_emoji_have_colour_outline_name_and_group() -> None:
    emoji = builtin.emoji()
    n = len(emoji.name)
    assert n >= 1500 and emoji.colour.shape == (n, 64, 64, 4) and emoji.outline.shape == (n, 64, 64, 1)
    assert len(set(emoji.character)) == len(set(emoji.name)) == n
    assert "Flags" not in emoji.group and len(set(emoji.group)) == 8
    assert not any("skin tone" in name for name in emoji.name)
    assert emoji.colour[..., 3].any(axis=(1, 2)).all() and (emoji.outline < 128).any(axis=(1, 2, 3)).all()


def test_outlines_belong_to_their_drawings() -> None:
    """Where the outline is black, the drawing is opaque (some lines exist only in the black edition)."""
    emoji = builtin.emoji()
    black = emoji.outline[..., 0] < 32
    covered = (black & (emoji.colour[..., 3] > 128)).sum(axis=(1, 2)) / black.sum(axis=(1, 2))
    assert np.median(covered) == 1.0 and (covered > 0.9).mean() > 0.97


def test_emoji_as_a_data_set() -> None:
    found = open_data("emoji")
    assert found.shape == (3, 64, 64) and found.report.used + found.report.held_out >= 1500
    assert np.median(found.train[:, 0, 0]) == 255  # on white
    emoji = builtin.emoji()
    grinning = list(found.index).index(0) if 0 in found.index else None
    if grinning is not None:
        opaque = emoji.colour[0, ..., 3] == 255
        np.testing.assert_array_equal(found.train[grinning][opaque], emoji.colour[0][opaque][:, :3])
    assert open_data("emoji", channels=4).train.shape[3] == 4


def test_fashion_is_the_published_test_set() -> None:
    images, labels = (read(HERE / "fashion" / f"t10k-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1"))
    assert images.shape == (10_000, 28, 28) and (np.bincount(labels) == 1_000).all()
    assert len(builtin.FASHION_CLASSES) == 10
    assert labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]  # as published
    found = open_data("fashion")
    assert found.shape == (1, 32, 32) and len(found.train) == 9_500 and len(found.held_out) == 500
    assert found.labels is not None and set(found.labels.tolist()) == set(range(10))


def test_licences_are_there_and_the_wheel_stays_small() -> None:
    assert "Attribution-ShareAlike 4.0" in (HERE / "emoji" / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in (HERE / "fashion" / "LICENSE.txt").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 12 * 2**20
