"""How good the classifier of recipe ``classifier`` is, with its default settings, in CPU minutes of one thread.

python -m benchmarks.classifier [mnist] [fashion]

MNIST: trained on the 60,000 training digits (5 % of them held out), judged on the 10,000 test digits. Fashion: trained
on 8,000 of the built-in clothes, judged on the 2,000 that are held out.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sparring
from sparring.data import Options, open_data
from sparring.metrics.extractors import ClassifierFeatures

OUT = Path(__file__).parent / "results" / "classifier.json"
GOALS = {"mnist": 0.985, "fashion": 0.88}
BUDGET = {"mnist": 40_000, "fashion": 100_000}


def judged(run: sparring.Run, images: Any, labels: Any) -> dict[str, float]:
    """Share of images (n, H, W, C) whose class is guessed, with its 95 % interval (Wilson), through the extractor: as
    an evaluation asks it."""
    judge = ClassifierFeatures(run.game, tuple(run.document["data"]["shape"]), run.classes, of=str(run.path))
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    guesses = torch.cat([judge.probabilities(piece).argmax(1) for piece in x.split(256)])
    right = int((guesses == torch.from_numpy(np.array(labels))).sum())
    n, z = len(x), 1.96
    share = right / n
    middle, half = share + z * z / 2 / n, z * math.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return {"accuracy": share, "low": round(low, 4), "high": round(high, 4), "judged_on": n}


def train(name: str, data: Path) -> dict[str, Any]:
    source = "fashion" if name == "fashion" else str(data / "mnist")
    held_out = 0.2 if name == "fashion" else 0.05
    began, clock = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = sparring.train(
            source, recipe="classifier", size=28, held_out=held_out, budget=str(BUDGET[name]), out=Path(folder) / name,
            device="cpu", threads=1,
        )  # fmt: skip
        spent = {"cpu_seconds": time.process_time() - began, "seconds": time.perf_counter() - clock}
        if name == "mnist":
            test = open_data(str(data / "mnist" / "t10k-images-idx3-ubyte.gz"), Options(size=(28, 28), held_out=0))
            found = judged(run, test.train, test.labels)
        else:
            dataset = open_data(source, Options(size=(28, 28), held_out=held_out))
            found = judged(run, dataset.held_out, dataset.held_out_labels)
        return {
            **found,
            "goal": GOALS[name],
            "holds": found["accuracy"] >= GOALS[name],
            "images_seen": run.images,
            **{key: round(value, 1) for key, value in spent.items()},
            "config": run.document["config"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="mnist, fashion; default both")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(OUT.read_text("utf-8")) if OUT.exists() else {}
    record |= {
        "claim": "with its defaults the classifier names 98.5 % of MNIST's test digits, and 88 % of the built-in "
        "clothes, after one or two CPU minutes of one thread, preparing the data included",
        "command": "python -m benchmarks.classifier",
        "torch": str(torch.__version__),
    }
    for name in arguments.names or list(GOALS):
        record[name] = train(name, arguments.data)
        OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        print(name, {key: value for key, value in record[name].items() if key != "config"}, flush=True)


if __name__ == "__main__":
    main()
