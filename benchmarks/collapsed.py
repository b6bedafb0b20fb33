"""Which digits a generator that has collapsed makes: `results/collapsed.json`, for docs/evaluate.md.

python -m benchmarks.collapsed

The generator and the reader of digits (LeNet-5) are the published weights in ../shared/data/weights, those of
tests/health/test_mnist.py; 10,000 samples of seed 0 beside the 10,000 test digits.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import torch
from tests.health.test_mnist import LeNet5
from torch import Tensor, nn

from benchmarks.speed.machine import describe
from sparring.chance import Dice
from sparring.metrics import features

OUT = Path(__file__).parent / "results" / "collapsed.json"
SHARED = Path("../shared/data")
N = 10_000


def weights(name: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(SHARED / "weights" / name, weights_only=True, map_location="cpu")
    return found


def made() -> Tensor:
    """(N, 1, 28, 28) uint8."""
    network = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh()
    )
    network.load_state_dict(weights("mnist_gan_mlp_G.pth"))
    with torch.no_grad():
        images = network(Dice(0, "sample", range(N)).normal(64))
    return features.quantise(images.reshape(-1, 1, 28, 28))


def real() -> Tensor:
    with gzip.open(SHARED / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        values = np.frombuffer(file.read(), np.uint8, offset=16)
    return torch.from_numpy(values.reshape(-1, 1, 28, 28).copy())


def main() -> None:
    torch.set_num_threads(1)
    lenet = LeNet5(weights("mnist_lenet5.pth"))
    shares = {}
    for name, images in (("generated", made()), ("real", real())):
        digits = torch.cat([lenet.digit(some) for some in images.split(1000)])
        shares[name] = [round(int(count) / len(images), 4) for count in torch.bincount(digits, minlength=10)]
    record = {
        "what": "share of each digit, 0 to 9, as LeNet-5 reads it",
        "command": "python -m benchmarks.collapsed",
        "seed": 0,
        "images": N,
        "shares": shares,
        "ratio": [round(p / q, 2) for p, q in zip(shares["generated"], shares["real"], strict=True)],
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(shares, record["ratio"])


if __name__ == "__main__":
    main()
