"""What telling the class is worth: the kinds of conditioning of ``cgan`` on clothes, after equally many images.

Two judges. A classifier that was trained on real images alone, never on generated ones, says how many of the samples
of a class it would call so (on held-out photographs it is right in about 84 %). KID says how near all samples together,
as many of each class, come to the held-out images. Each finished cell is kept in the results and is not run again.

    python -m benchmarks.conditional --images 20000 --seeds 0      (and --seeds 1 2 --cells … for more of some)
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.judge import judge
from sparring import api
from sparring.data import Dataset, open_data
from sparring.generate.sample import draw
from sparring.runs.run import Run
from sparring.types import SamplesByClass

RESULTS = Path(__file__).parent / "results" / "conditional.json"
EACH = 200  # samples of a class for the classifier

CELLS: dict[str, tuple[str, list[str]]] = {
    # name: (recipe, changes)
    "projection": ("cgan", []),
    "concatenation": ("cgan", ["conditioning=concatenation"]),
    "auxiliary": ("cgan", ["conditioning=auxiliary"]),
    "projection, conditional norm": ("cgan", ["generator_norm=conditional"]),
    "concatenation, conditional norm": ("cgan", ["conditioning=concatenation", "generator_norm=conditional"]),
    "auxiliary, conditional norm": ("cgan", ["conditioning=auxiliary", "generator_norm=conditional"]),
    "2014": ("cgan", ["network=mlp", "conditioning=concatenation", "objective=nonsaturating", "gamma=0", "width=256",
                      "d_width=256", "lr=2e-4", "beta1=0.5", "beta2=0.999"]),
    "unconditional": ("r3gan-minutes", ["gamma=2 -> 0.2 cosine 0..0.8"]),
}  # fmt: skip


def tensors(images: Any) -> Tensor:
    """uint8 (N, H, W, C) → float (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(images[:])).permute(0, 3, 1, 2).float() / 127.5 - 1


def classifier(data: Dataset, passes: int = 4) -> tuple[nn.Module, float]:
    """A small network trained on real images, and the share of held-out ones that it is right about."""
    torch.manual_seed(0)
    side = data.shape[1] // 4
    net = nn.Sequential(
        nn.Conv2d(data.shape[0], 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * side * side, 64), nn.ReLU(), nn.Linear(64, len(data.classes)),
    )  # fmt: skip
    x, y = tensors(data.train), torch.from_numpy(np.array(data.labels))
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(passes):
        for rows in torch.randperm(len(x)).split(64):
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            adam.step()
    net.eval()
    with torch.no_grad():
        right = net(tensors(data.held_out)).argmax(1) == torch.from_numpy(np.array(data.held_out_labels))
    return net, round(float(right.float().mean()), 4)


@torch.no_grad()
def called_so(run: Run, net: nn.Module) -> list[float]:
    """For each class the share of its samples that the classifier puts into it."""
    shares = [net(draw(run, EACH, seed=1, label=k)).argmax(1) == k for k in range(len(run.classes))]
    return [round(float(share.float().mean()), 3) for share in shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/conditional"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--cells", nargs="*", default=list(CELLS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = open_data("fashion")
    net, right = classifier(data)
    print(f"the classifier is right about {right:.1%} of the held-out images", file=sys.stderr, flush=True)
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cells": {}}
    found |= {"data": "fashion, 32 px", "classifier_on_held_out": right, "samples_per_class": EACH,
              "machine": {"cpu": platform.machine(), "threads": 1, "torch": str(torch.__version__)}}  # fmt: skip
    for seed in arguments.seeds:
        for cell in arguments.cells:
            name = f"{cell}, seed {seed}, {arguments.images} images"
            if name in found["cells"]:
                continue
            recipe, changes = CELLS[cell]
            out = arguments.work / name.replace(", ", "-").replace(" ", "_")
            began = time.process_time()
            settings = dict(change.split("=", 1) for change in ["flip=false", *changes])
            if out.exists():
                run = api.load(out, which="last")
            else:
                run = api.train("fashion", recipe=recipe, set=settings, budget=str(arguments.images), out=out,
                                     seed=seed, device="cpu")  # fmt: skip
            cost = time.process_time() - began
            shares = called_so(run, net) if isinstance(run.game, SamplesByClass) else None
            found["cells"][name] = {
                "recipe": recipe, "changes": changes, "seed": seed, "images": run.images, "cpu_seconds": round(cost),
                "called_so": shares, "mean": round(float(np.mean(shares)), 3) if shares else None, "kid": judge(run),
                "command": f"python -m benchmarks.conditional --images {arguments.images} --seeds {seed} "
                f"--cells '{cell}'",
            }  # fmt: skip
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{name}: called so {found['cells'][name]['mean']}, KID {found['cells'][name]['kid']}",
                  file=sys.stderr, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
