"""Cat faces at 64 px in at most as many bits: VQGAN beside a VAE with the same LPIPS term, by KID and by PSNR.

    python -m benchmarks.vqgan                     every cell, one after the other, each from its last checkpoint on
    python -m benchmarks.vqgan --cells vqgan-0     some of them
    python -m benchmarks.vqgan --short             a two-hundredth of the rounds: does it run?

The VAE may use as many bits as the tokens hold: KL(q ‖ p) / ln 2, the mean over held-out images, beside h · w · log₂ K.
KID is that of pairs, by EfficientNet-Lite0, of which neither is taught (both are by AlexNet, through LPIPS). Every cell
writes benchmarks/results/vqgan/CELL.json with all its measures; a cell counts once it is finished.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import cells
from sparring.autoencoder import Autoencoder
from sparring.chance import Dice
from sparring.data import batch_of, open_data, stream_of
from sparring.data.dataset import Dataset
from sparring.metrics import features, kernel, paired
from sparring.runs import plan as plans
from sparring.runs.coding import of_codes
from sparring.runs.recipe import load
from sparring.train.engine import choose_device
from sparring.train.match import Match, resting
from sparring.types import Batch, HasTokens, Reconstructs

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "cat_faces_64.zip"
SEEDS = (0, 1)
HELD_OUT, PIECE = 500, 20
VAE = [
    "network=conv",
    "z=64",
    "width=32",
    "batch=16",
    "judge=alex",
    "flip=true",
    "ema_images=0",
    "lr=1e-3 -> 1e-4 cosine 0.5..1",
]
SHARP = [*VAE, "beta=1", "perceptual=10000"]
CELLS: dict[str, tuple[str, list[str], int]] = {
    "vqgan": ("vqgan-minutes", ["l2=2", "perceptual=0.5", "adversarial=0.3"], 3_600),
    "vae-sharp": ("vae", SHARP, 10_000),
    "vae-wide": ("vae", [*SHARP, "z=256"], 10_000),
    "vae-beta1": ("vae", [*VAE, "beta=1", "perceptual=3000"], 10_000),
    "vae-beta4": ("vae", [*VAE, "beta=4", "perceptual=3000"], 10_000),
}
"""Recipe, settings, rounds: about equal in processor time. VQGAN pays for squares beside what its preset does, since
PSNR is asked of it. The VAE several times, since nobody has settled for it how much LPIPS weighs beside nats, and how
many latents use the bits up; the best one that keeps within the bits is what VQGAN is held against."""


def measured(match: Match, dataset: Dataset) -> dict[str, Any]:
    """What of held-out images the game as it is keeps."""
    game, judge = match.game, features.default()
    n = min(HELD_OUT, len(dataset.held_out))
    true = batch_of(dataset, np.arange(n), held_out=True).x
    made, nats, counts = [], [], torch.zeros(0)
    with torch.no_grad(), resting(game):
        for start in range(0, n, PIECE):
            x = match.engine.place(Batch(true[start : start + PIECE])).x
            dice = Dice(0, "benchmark", range(start, start + len(x)), device=match.engine.device)
            assert isinstance(game, Reconstructs)
            if isinstance(game, HasTokens):
                tokens = game.encode(x)
                found = torch.bincount(tokens.flatten().cpu(), minlength=game.codes)
                counts = counts + found if len(counts) else found
                made.append(features.quantise(game.decode(tokens)).cpu())
            else:
                assert isinstance(game, Autoencoder)
                nats.append(game.encode(x).kl().sum(1).cpu())
                made.append(features.quantise(game.reconstruct(x, dice)).cpu())
    images = torch.cat(made)
    kid = kernel.kid_of_pairs(features.embed(judge, true, PIECE), features.embed(judge, images, PIECE))
    psnr = paired.psnr(paired.mse(images, true))
    values = {
        "steps": match.round, "images": match.images, "n": n, "kid": kid.value, "kid_se": kid.standard_error,
        "psnr": psnr.value, "psnr_interval": [psnr.low, psnr.high], "judge": features.identity(judge),
    }  # fmt: skip
    if isinstance(game, HasTokens):
        height, width = game.grid
        return (
            values
            | {"bits": height * width * math.log2(game.codes), "used": int((counts > 0).sum())}
            | of_codes(counts)
        )
    return values | {"bits": float(torch.cat(nats).mean()) / math.log(2)}


def cell(name: str, seed: int, dataset: Dataset, until: float, share: float, folder: str) -> dict[str, Any]:
    """Play one cell on, to its end or until the clock says `until`."""
    preset, changes, steps = CELLS[name]
    recipe, rounds = load(preset, changes), max(2, round(share * steps))
    game = plans.build(recipe, plans.space_of(dataset), seed)
    stream = stream_of(dataset, seed, recipe.config.flip)
    match = Match(game, stream, plans.make_engine(recipe, choose_device("auto")), recipe.config, seed=seed,
                  horizon=rounds * recipe.config.batch)  # fmt: skip
    about = {"recipe": preset, "changes": changes, "seed": seed, "command": "make bench-vqgan", "share": share}

    def described(found: dict[str, Any]) -> str:
        last = found["measures"][-1]
        return f"KID {last['kid']:.4f}, {last['psnr']:.2f} dB, {last['bits']:.0f} bits"

    return cells.advance(
        f"{name}-{seed}", match, about, folder=folder, steps=rounds, until=until,
        every=max(1, rounds // 8) if share == 1 else rounds,
        measured=lambda: measured(match, dataset), described=described, cheap=False,
    )  # fmt: skip


def claim(records: Sequence[dict[str, Any]]) -> list[str]:
    """What the finished cells say, seed by seed: VQGAN beside the best VAE that keeps within its bits."""
    said = []
    done = [one for one in records if one["finished"]]
    for seed in sorted({one["seed"] for one in done}):
        mine = {one["cell"].rpartition("-")[0]: one["measures"][-1] for one in done if one["seed"] == seed}
        ours = mine.pop("vqgan", None)
        within = {name: last for name, last in mine.items() if ours is not None and last["bits"] <= ours["bits"]}
        if ours is None or not within:
            continue
        by_kid, by_psnr = min(within, key=lambda k: within[k]["kid"]), max(within, key=lambda k: within[k]["psnr"])
        said.append(
            f"seed {seed}: KID {ours['kid']:.4f} beside {within[by_kid]['kid']:.4f} ({by_kid}), "
            f"PSNR {ours['psnr']:.2f} dB beside {within[by_psnr]['psnr']:.2f} ({by_psnr}), "
            f"{ours['bits']:.0f} bits, {ours['used']:,} codes used"
        )
    return said or ["no seed has its VQGAN and a VAE within its bits finished yet"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="*", default=[f"{name}-{seed}" for seed in SEEDS for name in CELLS])
    parser.add_argument("--minutes", type=float, default=1e6, help="of the clock, for all cells together")
    parser.add_argument("--short", action="store_true", help="a two-hundredth of the rounds, into results/vqgan-short")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    dataset = open_data(str(DATA.resolve()), size=(64, 64))
    until, records = time.monotonic() + 60 * asked.minutes, []
    for one in asked.cells:
        name, _, seed = one.rpartition("-")
        folder = "vqgan-short" if asked.short else "vqgan"
        records.append(cell(name, int(seed), dataset, until, 0.005 if asked.short else 1.0, folder))
    print("\n".join(claim(records)), file=sys.stderr)
    print(json.dumps([{k: one[k] for k in ("cell", "finished", "steps")} for one in records]))


if __name__ == "__main__":
    main()
