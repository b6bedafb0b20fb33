"""A run of a game with tokens from data to its evaluation: what it shows, what it says, what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sparring
from sparring import api
from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.interpolate import walk
from sparring.generate.latents import powers
from sparring.runs.doctor import diagnose
from sparring.runs.evaluate import remarks
from sparring.types import HasTokens

SMALL = {"factor": 4, "codes": 8, "dimensions": 4, "width": 4, "blocks": 1, "patches": 1, "d_width": 4, "batch": 8,
         "attention": False, "perceptual": 0, "codebook": "ema", "revive": 4}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("runs") / "tokens"
    rng = np.random.default_rng(0)
    for k in range(80):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    api.train(folder, recipe="vqgan", set=SMALL, out=out, budget="96", device="cpu", size=16, held_out=0.4)
    return out


def test_it_shows_held_out_images_beside_their_reconstructions(run: Path) -> None:
    grids = sorted((run / "samples").glob("*.png"))
    assert grids
    with Image.open(grids[-1]) as sheet:
        assert sheet.width > sheet.height / 12 and sheet.mode == "RGB"


def test_the_log_has_usage_perplexity_and_the_weight_of_the_game(run: Path) -> None:
    text = (run / "log.jsonl").read_text("utf-8")
    assert '"G/usage"' in text and '"G/perplexity"' in text and '"G/weight(fake)"' in text


def test_it_makes_no_samples_and_says_what_would(run: Path) -> None:
    opened = sparring.load(run)
    for ask in (lambda: opened.sample(2), lambda: powers(opened), lambda: list(walk(opened, walkers=2, frames=4))):
        with pytest.raises(UsageError, match=r"transformer.*sparring reconstruct RUN"):
            ask()


def test_tokens_are_whole_numbers_of_each_image_alone(run: Path) -> None:
    game = sparring.load(run).game
    assert isinstance(game, HasTokens) and game.codes == 8 and game.grid == (4, 4)
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tokens = game.encode(x)
    assert tokens.shape == (3, 4, 4) and tokens.dtype == torch.int64 and 0 <= int(tokens.min()) <= int(tokens.max()) < 8
    assert torch.equal(game.encode(x[1:2]), tokens[1:2])
    made = game.decode(tokens)
    assert made.shape == x.shape and float(made.abs().max()) <= 1
    torch.testing.assert_close(game.reconstruct(x, Dice(0, "any", range(3))), made)


def test_it_reconstructs_pictures(run: Path) -> None:
    done = api.save_reconstructions(run, n=3)
    assert len(done.paths) == 3 and "PSNR" in done.line()


def test_it_is_evaluated_by_its_reconstructions(run: Path) -> None:
    record = api.evaluate(run, metrics=("kid", "l1", "psnr"), features="pixels", n=24)
    assert record["pairs"]["coded"] and set(record["pairs"]["rows"]) == {"translations", "another", "truth"}
    assert record["metrics"]["psnr"]["value"] > 3 and record["metrics"]["kid"]["n_fake"] == 24
    assert "reconstructions" in "\n".join(remarks.lines(record))


def test_the_doctor_speaks_of_codes(run: Path) -> None:
    found = diagnose(run)
    assert {"psnr", "usage", "perplexity", "kid"} <= set(found.signals) and 0 < found.signals["usage"] <= 1
    assert {"auc", "diversity"}.isdisjoint(found.signals)
    said = " ".join(verdict.sentence() for verdict in found.verdicts)
    assert "codes" in said and "samples" not in said
