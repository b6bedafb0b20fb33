"""A VAE of points with the settings that points get, beside those for images, seeds 0 to 2.

python -m benchmarks.vae_points      (about a minute; writes benchmarks/results/vae_points.json)
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.machine import describe
from sparring.data import open_data, stream_of
from sparring.runs import auto
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.runs.watch import SAMPLES, measure_of
from sparring.train.engine import choose_device
from sparring.train.loop import sample_averaged
from sparring.train.match import Match

OUT = Path(__file__).parent / "results" / "vae_points.json"
POINTS, SEEDS = 100_000, range(3)
IMAGES = ("network=mlp", "z=2", "noise=true")
"""What points were given before: a network without neighbours, two latents, samples with their noise."""


def play(data: str, changes: list[str], seed: int) -> dict[str, Any]:
    """What came of one run."""
    dataset, recipe = open_data(data), load("vae", changes)
    game = plans.build(recipe, plans.space_of(dataset), seed)
    engine = plans.make_engine(recipe, choose_device("cpu"))
    match = Match(game, stream_of(dataset, seed, False), engine, recipe.config, seed=seed, horizon=POINTS)
    began, means = time.process_time(), {}
    while match.images < POINTS:
        means = match.step()
    found = measure_of(dataset)(sample_averaged(match, SAMPLES).numpy())
    return {
        "data": data, "seed": seed, "points": match.images, "seconds": round(time.process_time() - began, 1),
        "kl": round(float(means["M/kl"]), 3), **{name: round(float(value), 4) for name, value in found.items()},
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    chosen = auto.suited(load("vae"), (2,), False)
    rows = []
    for name, changes in (("for images", list(IMAGES)), ("for points", chosen)):
        for seed in SEEDS:
            row = {"settings": name, "changes": changes, **play("ring", changes, seed)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    record = {"command": "python -m benchmarks.vae_points", "machine": describe(), "samples": SAMPLES, "runs": rows}
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
