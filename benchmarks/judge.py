"""The judge of the benchmarks: KID on EfficientNet-Lite0 features against held-out images, with its anchors.

python -m benchmarks.judge RUN [RUN …]      judges runs
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.generate.sample import draw
from sparring.metrics import features, kernel
from sparring.runs import plan as plans
from sparring.runs import session
from sparring.runs.run import Run

SAMPLES = 2000


def kid_against(samples: Tensor, held_out: np.ndarray) -> dict[str, Any]:
    """KID of generated images (N, C, H, W) in [-1, 1] against held-out uint8 (M, H, W, C), with a 95 % interval."""
    extractor = features.default()
    real = torch.from_numpy(np.array(held_out)).permute(0, 3, 1, 2)
    estimate = kernel.kid(features.embed(extractor, features.quantise(samples)), features.embed(extractor, real))
    return {
        "kid": round(estimate.value, 4),
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
        "samples": len(samples),
        "held_out": len(real),
        "extractor": f"{extractor.name} {extractor.version} at {extractor.size} px",
        "weights": "averaged",
    }


def judge(run: Run, samples: int = SAMPLES, seed: int = 1) -> dict[str, Any]:
    """KID of a run's averaged generator against the images that it never saw."""
    dataset = plans.open_dataset(session.request_of(run.document))
    return kid_against(draw(run, samples, seed=seed), dataset.held_out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for path in sys.argv[1:]:
        print(path, json.dumps(judge(Run(path, which="last", device="cpu"))))
