"""What a KID of the judge means: real photographs against real ones, blurred ones, and noise.

python -m benchmarks.anchors --data ../shared/data/cat_faces_64.zip
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.judge import kid_against
from sparring.chance import permutation
from sparring.data import open_data

OUT = Path(__file__).parent / "results" / "anchors.json"


def blurred(x: Tensor, side: int) -> Tensor:
    """Down to `side` pixels and back, antialiased."""
    small = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cat_faces_64.zip")
    parser.add_argument("--samples", type=int, default=2000)
    arguments = parser.parse_args()
    dataset = open_data(arguments.data, size=(64, 64))
    chosen = permutation(0, "anchors", 0, len(dataset.train))[: arguments.samples]
    pixels = torch.from_numpy(np.array(dataset.train[np.sort(chosen)])).permute(0, 3, 1, 2)
    real = pixels.float() / 127.5 - 1
    noise = torch.rand(real.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sets = {"real": real, "blurred to 32 px": blurred(real, 32), "blurred to 16 px": blurred(real, 16), "noise": noise}
    record = {
        "claim": "the scale of the judge: KID of 2,000 images against the held-out ones",
        "kid": {name: kid_against(images, dataset.held_out) for name, images in sets.items()},
        "command": f"python -m benchmarks.anchors --data {arguments.data}",
        "torch": str(torch.__version__),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    for name, found in record["kid"].items():  # type: ignore[union-attr]
        print(f"{name:18s} {found['kid']:.3f}  ({found['low']:.3f} to {found['high']:.3f})")


if __name__ == "__main__":
    main()
