"""What short runs of stylegan2 and r3gan-minutes came to: KID, images seen, images per second of CPU time; pictures.

    sparring train emoji --recipe stylegan2-minutes --size 32 --budget 150k --out runs/styles
    sparring train emoji --recipe r3gan-minutes --size 32 --budget 24000 --out runs/r3gan
    python -m benchmarks.stylegan2 --styles runs/styles runs/styles runs/r3gan

Runs are judged by their newest checkpoint, 2,000 samples of the averaged G against the held-out images. They have not
seen as many images as each other, nor taken as long: this is a note of what there is, not a race.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.judge import judge
from benchmarks.speed.machine import record
from sparring.data import stream_of
from sparring.generate.grid import picture
from sparring.generate.latents import Spot, mix
from sparring.generate.sample import draw
from sparring.runs import plan as plans
from sparring.runs import session
from sparring.runs.run import Run
from sparring.train.engine import Engine
from sparring.train.game import seeded
from sparring.train.match import Match

HERE = Path(__file__).parent
OUT, PICTURES = HERE / "results" / "stylegan2.json", HERE.parent / "docs" / "images"


def rate(run: Run, seconds: float) -> float:
    """Images per second of CPU time on one thread, of a game like the run's that is thrown away."""
    dataset, config = plans.open_dataset(session.request_of(run.document)), run.game.config
    game = seeded(0, lambda: type(run.game).build(config, plans.space_of(dataset)))
    layout = torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format
    engine = Engine(torch.device("cpu"), memory_format=layout)
    match = Match(game, stream_of(dataset, 0, config.flip), engine, config, seed=0, horizon=10**9)
    for _ in range(4):
        match.step()
    began, before = time.process_time(), match.images
    while time.process_time() - began < seconds or match.round % 16:
        match.step()
    return (match.images - before) / (time.process_time() - began)


def judged(path: Path, seconds: float) -> dict[str, Any]:
    """One run, in plain values."""
    run = Run(path, which="last", device="cpu")
    settings = {name: run.document["config"][name] for name in ("gamma", "penalty_every", "lr", "batch")}
    settings |= {name: value for name, value in run.document["config"].items() if name == "pixel_noise"}
    return {
        "recipe": run.document["recipe"],
        "settings": settings,
        "seed": run.document["run"]["seed"],
        "images": run.images,
        "images_per_cpu_second": round(rate(run, seconds), 1),
        "judge": judge(run),
    }


def pictures(path: Path) -> None:
    """64 samples, unselected; and a table of mixed ones: rows give the coarse half of the layers, columns the fine."""
    run = Run(path, which="last", device="cpu")
    picture(draw(run, 64, seed=0)).convert("RGB").save(PICTURES / "stylegan2.webp", quality=85)
    rows, columns = ([Spot(0, number) for number in numbers] for numbers in (range(5), range(8, 18)))
    picture(mix(run, rows, columns), columns=10).convert("RGB").save(PICTURES / "stylegan2-mix.webp", quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--styles", type=Path, help="the run of which pictures for the documents are made")
    parser.add_argument("--seconds", type=float, default=8.0, help="of CPU time, in which the rate is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [judged(path, arguments.seconds) for path in arguments.runs]
    if arguments.styles is not None:
        pictures(arguments.styles)
    record(OUT, what="emoji at 32 px", command=f"python -m benchmarks.stylegan2 {' '.join(sys.argv[1:])}", runs=rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
