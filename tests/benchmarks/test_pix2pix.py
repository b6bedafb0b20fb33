"""The cells of the Pix2Pix ablations: settings that exist, measures that mean what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import pairs as judging
from benchmarks import pix2pix
from benchmarks.pairs import measures, ripple
from sparring.data import Dataset
from sparring.recipes.pix2pix import Pix2Pix


def test_every_cell_is_a_setting_of_its_own() -> None:
    configs = [(cell.data, cell.loaded()) for cell in pix2pix.CELLS.values()]
    assert all(recipe.game is Pix2Pix for _, recipe in configs)
    assert len({(data, recipe.config) for data, recipe in configs}) == len(configs)
    assert len({pix2pix.name_of(cell, 0) for cell in pix2pix.CELLS}) == len(configs)


def drawings() -> tuple[Tensor, Tensor]:
    """Six frames of different size on white, and the same filled with a colour: (6, 1, 32, 32), (6, 3, 32, 32)."""
    given = torch.full((6, 1, 32, 32), 255, dtype=torch.uint8)
    made = given.repeat(1, 3, 1, 1)
    for k in range(6):
        made[k, :, 2 : 12 + 3 * k, 2 : 12 + 3 * k] = torch.tensor([255, 0, 0]).roll(k).to(torch.uint8)[:, None, None]
        for part in (given, made):
            part[k, :, 2 : 12 + 3 * k, [2, 11 + 3 * k]] = part[k, :, [2, 11 + 3 * k], 2 : 12 + 3 * k] = 0
    return given, made


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_judges", lambda: (None, None))  # they take seconds
    given, truth = drawings()
    where = (truth.float() - given.float()).abs().amax(1) > judging.CHANGED * 255
    pairs = judging.Pairs("frames", cast(Dataset, None), np.arange(6), given, truth, where)
    found = measures(truth, pairs)
    assert found["l1"] == found["foreground_l1"] == found["hue_tv"] == found["ripple"] == 0
    copied = measures(given.expand(-1, 3, -1, -1), pairs)
    assert copied["hue_tv"] == 1 and copied["foreground_l1"] == pytest.approx(2 / 3, abs=1e-4) and copied["kid"] is None
    other = measures(truth.roll(1, 1), pairs)  # every frame in another colour: wrong everywhere, and the hues are right
    assert other["hue_tv"] < 0.25 and other["foreground_l1"] > 0.6


def test_outlines_that_repeat_are_found() -> None:
    given, _ = drawings()
    apart = judging._distances(given, given)
    assert float(apart.diagonal().max()) == 0 and float((apart + torch.eye(6)).min()) > judging.NEAR


def test_a_checkerboard_ripples() -> None:
    flat = torch.full((1, 3, 16, 16), 128, dtype=torch.uint8)
    board = flat + 20 * (torch.arange(16)[:, None] + torch.arange(16)).remainder(2).to(torch.uint8)
    where = torch.ones(1, 16, 16, dtype=torch.bool)
    assert ripple(flat + 9, flat, where) < 0.01 < 0.03 < ripple(board, flat, where)


def test_tables_hold_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pix2pix, "RESULTS", tmp_path)
    assert pix2pix.table() == ""
    for seed, value in ((0, 0.07), (1, 0.09)):
        record = {"cell": "L1", "images": 8, "measures": {"l1": value, "lpips": None, "kid": 0.5}}
        pix2pix.kept(pix2pix.name_of("L1", seed), record)
    (tmp_path / "baselines-emoji.json").write_text(json.dumps({"data": "emoji", "the outline itself": {"l1": 0.073}}))
    assert "| L1 | 2 | 0.0800 ± 0.0100 | 0.50 ± 0.00 |" in pix2pix.table()
    assert "| *the outline itself* | | 0.0730 |  |" in pix2pix.table()
