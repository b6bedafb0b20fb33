"""What the pictures of a game on the plane cost a run: `results/drawing.json`, for docs/playground.md.

python -m benchmarks.drawing

Processor seconds, on one thread, of each picture (the map of D, arrows, points, curves), of the count of modes of 2,500
samples that goes with it, and of the animation at the end.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.speed.machine import describe
from sparring import api
from sparring.data import open_data
from sparring.metrics import modes
from sparring.runs import session
from sparring.runs.board import Board

OUT = Path(__file__).parent / "results" / "drawing.json"
DATA, BUDGET = "ring", "60s"


def timed(act: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def of(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return act(*arguments, **options)
        finally:
            seconds.append(time.process_time() - began)

    return of


def play() -> dict[str, Any]:
    """A run as a user starts it, with a watch on its board."""
    pictures: list[float] = []
    films: list[float] = []
    draw, film = Board.picture, Board.film
    with tempfile.TemporaryDirectory() as folder:
        plan = api.plan(DATA, budget=BUDGET, out=Path(folder) / "run", device="cpu", threads=1)
        began = time.process_time()
        with mock.patch.multiple(Board, picture=timed(draw, pictures), film=timed(film, films)):
            for _ in session.start(plan):
                pass
        whole = time.process_time() - began
    return {
        "data": DATA, "budget": BUDGET, "images": plan.total, "pictures": len(pictures),
        "cpu_seconds": round(whole, 1), "a_picture": round(statistics.median(pictures), 3),
        "the_animation": round(sum(films), 2), "share_of_the_run": round((sum(pictures) + sum(films)) / whole, 4),
    }  # fmt: skip


def counting() -> float:
    """Seconds of one count of modes."""
    data, seconds = open_data("ring"), list[float]()
    count = timed(modes.modes, seconds)
    for _ in range(20):
        count(data.train[:2500] * data.scale, data.modes, data.spread)
    return round(statistics.median(seconds), 4)


def main() -> None:
    torch.set_num_threads(1)
    record = {
        "what": "processor seconds of the pictures of a run on the plane",
        "command": "python -m benchmarks.drawing",
        "seed": 0,
        **play(),
        "counting_modes": counting(),
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(record)


if __name__ == "__main__":
    main()
