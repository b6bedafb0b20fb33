"""Drawing from a PixelCNN with cached columns, beside a forward pass of the whole network for each pixel.

    make bench-pixelcnn                 writes benchmarks/results/pixelcnn/sampling.json; minutes
    python -m benchmarks.pixelcnn view  writes docs/images/pixelcnn/view.webp: what a pixel sees, by autograd
    python -m benchmarks.pixelcnn nll RUN MNIST [--seconds CPU]     of a run of pixelcnn-mnist: writes …/mnist.json

The network is that of the preset pixelcnn-mnist (28 × 28, binary), its weights as they begin: what is drawn makes no
difference to the time. Both ways draw by the same numbers; in float64, which `sparring sample` draws in, the images
must be the same, and what is said of every pixel within 1e-10. Times are processor time of one thread: the clock of
the wall, which is noted too, counts what else the machine does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cells import HERE
from benchmarks.speed.machine import describe, timed
from sparring import api
from sparring.chance import Dice
from sparring.networks.exact import exact
from sparring.networks.pixelcnn import PixelCNN
from sparring.networks.pixelcnn_sampling import sample, sample_naively
from sparring.recipes.pixelcnn import PixelCNN as Game
from sparring.runs.recipe import load
from sparring.train.game import seeded
from sparring.types import Space

SIDE = 28
CASES = ((1, torch.float64), (1, torch.float32), (16, torch.float32), (64, torch.float64))
"""(batch, precision); the last is drawn with the cache alone: a grid of samples, whose naive way takes too long."""


def game_of() -> Game:
    game: Game = seeded(0, lambda: Game.build(load("pixelcnn-mnist").config, Space((1, SIDE, SIDE))))
    return game


def case(game: Game, batch: int, precision: torch.dtype, *, naive: bool) -> dict[str, Any]:
    """Both ways on the same numbers."""
    net: PixelCNN = exact(game.M).to(precision)
    u = Dice(0, "sample", range(batch)).uniform(SIDE, SIDE, game.law.draws).to(precision)
    said: dict[str, list[Tensor]] = {"cached": [], "naive": []}
    made: dict[str, Tensor] = {}

    def draw_by(way: str) -> None:
        def draw(parameters: Tensor, row: int, column: int) -> Tensor:
            said[way].append(parameters)
            return game.law.draw(parameters, u[:, row, column])

        made[way] = (sample if way == "cached" else sample_naively)(net, batch, draw)

    found: dict[str, Any] = {"batch": batch, "precision": str(precision).removeprefix("torch.")}
    for way in ("cached", "naive") if naive else ("cached",):
        wall, cpu = timed(lambda way=way: draw_by(way))  # type: ignore[misc]
        found |= {f"{way}_seconds": round(cpu, 3), f"{way}_seconds_of_wall": round(wall, 2)}
    found["cached_seconds_per_image"] = round(found["cached_seconds"] / batch, 4)
    if naive:
        apart = max(float((a - b).abs().max()) for a, b in zip(said["cached"], said["naive"], strict=True))
        found |= {
            "times_as_fast": round(found["naive_seconds"] / found["cached_seconds"], 1),
            "same_images": bool(torch.equal(made["cached"], made["naive"])),
            "logits_apart": apart,
        }
    print(json.dumps(found), flush=True)
    return found


def sampling() -> None:
    torch.set_num_threads(1)
    game = game_of()
    case(game, 1, torch.float64, naive=False)  # warm
    cases = [case(game, batch, precision, naive=batch < 64) for batch, precision in CASES]
    record = {
        "command": "make bench-pixelcnn",
        "what": f"drawing {SIDE} × {SIDE} binary images, preset pixelcnn-mnist, weights as they begin, seed 0",
        "clock": "processor seconds of one thread",
        "parameters": sum(p.numel() for p in game.parameters()),
        "cases": cases,
        "machine": describe(threads=1),
    }
    path = HERE / "results" / "pixelcnn" / "sampling.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


def view() -> None:
    """Which pixels what is said of one depends on: with both stacks, and with one stack of masked 3 × 3 windows, as in
    the first PixelCNN, which leaves a blind spot to the right."""
    from matplotlib import pyplot as plt

    row, column, side = 14, 13, 28
    net = exact(game_of().M).requires_grad_(False)
    x = (Dice(0, "x", range(8)).uniform(1, side, side) < 0.5).double() * 2 - 1
    both = seen(net, x, row, column)
    single = _one_stack(x, row, column, len(net.blocks))
    figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
    for axis, found, title in zip(
        axes, (single, both), ("one stack: a blind spot on the right", "two stacks: all of the window"), strict=True
    ):
        shown = torch.full((side, side), 0.0)
        shown[:row] = shown[row, :column] = 0.25  # before it in raster order
        shown = torch.where(found > 0, 1.0, shown)
        axis.imshow(shown, cmap="Blues", vmin=0, vmax=1.4)
        axis.plot(column, row, "s", color="#d1495b", markersize=7)
        axis.set(title=title, xticks=[], yticks=[])
    path = Path(HERE).parent / "docs" / "images" / "pixelcnn" / "view.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(path)


def seen(net: torch.nn.Module, x: Tensor, row: int, column: int) -> Tensor:
    """(H, W): the sum of |∂ what is said of the pixel / ∂ each pixel| over some images."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x)[:, :, row, column].sum(), x)
    return slope.abs().sum((0, 1))


def _one_stack(x: Tensor, row: int, column: int, layers: int) -> Tensor:
    """The same of a stack of 7 × 7 and 3 × 3 convolutions whose windows are masked in raster order."""
    found = []
    for side, itself in ((7, False), *[(3, True)] * layers):
        layer = torch.nn.Conv2d(1, 1, side, padding=side // 2, bias=False).double()
        before = torch.arange(side * side) < side * side // 2 + int(itself)
        layer.weight.data = before.double().view(1, 1, side, side)
        found.append(layer)
    return seen(torch.nn.Sequential(*found), x, row, column)


PUBLISHED = {
    "PixelCNN": 81.30,
    "Diagonal BiLSTM, 7 layers": 79.20,
    "source": "van den Oord et al. 2016, arXiv:1601.06759: static binarised MNIST, nats",
}


def nll(run: Path, mnist: Path, seconds: float | None) -> None:
    """−log p of the 10,000 test digits, with what the run was."""
    torch.set_num_threads(1)
    test = mnist / "t10k-images-idx3-ubyte.gz"
    found = api.evaluate(test, run, metrics="nll")
    document = api.load(run).document
    record = {
        "commands": [
            f"sparring train {mnist} --size 28 --recipe pixelcnn-mnist --binarise static --set precision=bf16 "
            f"--budget {document['run']['images']}",
            f"python -m benchmarks.pixelcnn nll RUN {mnist}",
        ],
        "data": "MNIST, official split; static binarisation of our own draw (seed 0), not the file of Larochelle & "
        "Murray 2011 on which the published numbers are",
        "config": document["config"],
        "run": document["run"],
        "processor_seconds_of_training": seconds,
        "evaluated": {key: found[key] for key in ("real", "fake", "metrics", "likelihood") if key in found},
        "published_nats": PUBLISHED,
        "machine": describe(threads=1),
    }
    path = HERE / "results" / "pixelcnn" / "mnist.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path, json.dumps(found["metrics"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what")
    commands.add_parser("sampling")
    commands.add_parser("view")
    of_run = commands.add_parser("nll")
    of_run.add_argument("run", type=Path)
    of_run.add_argument("mnist", type=Path)
    of_run.add_argument("--seconds", type=float, help="processor seconds that training took")
    asked = parser.parse_args()
    if asked.what == "nll":
        nll(asked.run, asked.mnist, asked.seconds)
    elif asked.what == "view":
        view()
    else:
        sampling()


if __name__ == "__main__":
    main()
