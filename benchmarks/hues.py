"""How far the hues of true emoji are from those of other true emoji: `results/pix2pix/hues.json`, by chance alone.

python -m benchmarks.hues

Total variation between the held-out emoji on which runs of pix2pix are judged and as many training ones, drawn at
random, over the pixels that had to be coloured. docs/systems/pix2pix.md sets it beside what runs reach.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks import pairs
from benchmarks.speed.machine import describe
from sparring.data import batch_of
from sparring.metrics import hue

OUT = Path(__file__).parent / "results" / "pix2pix" / "hues.json"
DRAWS = 200


def main() -> None:
    torch.set_num_threads(1)
    emoji = pairs.emoji()
    trained = batch_of(emoji.dataset, np.arange(len(emoji.dataset.train)), held_out=False)
    assert trained.condition is not None and emoji.where is not None
    where = (trained.x.float() - trained.condition.float()).abs().amax(1) > pairs.CHANGED * 255
    truth, chance = hue.histogram(emoji.truth / 255, emoji.where), np.random.default_rng(0)
    weights = where.sum((1, 2)).double()
    each = torch.stack([hue.histogram(x[None] / 255, w[None]) for x, w in zip(trained.x, where, strict=True)])
    found = []
    for _ in range(DRAWS):
        rows = torch.from_numpy(chance.choice(len(each), len(emoji.truth), replace=False))
        other = (each[rows] * weights[rows, None]).sum(0) / weights[rows].sum()
        found.append(float((truth - other).abs().sum() / 2))
    record = {
        "what": "total variation of hues between the held-out emoji and as many others",
        "command": "python -m benchmarks.hues",
        "seed": 0,
        "emoji": len(emoji.truth),
        "draws": DRAWS,
        "mean": round(float(np.mean(found)), 4),
        "sd_of_draws": round(float(np.std(found, ddof=1)), 4),
        "interval_95_of_draws": [round(float(q), 4) for q in np.quantile(found, (0.025, 0.975))],
        "entropy_of_the_truth": round(hue.entropy(truth), 4),
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(record)


if __name__ == "__main__":
    main()
