"""A training step of stylegan2 and of r3gan at 256 pixels on a GPU, in bf16: images per second, and what of the GPU's
measured peak that is.

    make bench-steps256                     # python -m benchmarks.steps256, on a machine with a GPU

A step is a whole round as `sparring train` plays it, lazy terms in their turn, on images of noise that lie in memory.
Its operations are counted (products and convolutions, forward, backward and through penalties), over a whole cycle of
its lazy terms; the peak is that of a large product of matrices in bf16 on the same device.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.speed.machine import record
from sparring.chance import Dice
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Batch, News, Space

OUT = Path(__file__).parent / "results" / "steps256.json"
RECIPES: dict[str, tuple[str, Sequence[str]]] = {
    "stylegan2": ("stylegan2", ("batch=32", "precision=bf16", "clamp=256")),
    "r3gan": ("r3gan-hours", ("batch=32", "width=48", "d_width=48", "gamma=15")),
}
"""Published widths at 256 pixels: stylegan2 from 64 to 512 channels; r3gan-hours with stages of 48 to 192."""


class Noise:
    """The same few images of noise again and again, uint8."""

    fingerprint = "noise"

    def __init__(self, size: int, count: int) -> None:
        pixels = Dice(0, "noise", range(count)).integers(256, size, size, 3).to(torch.uint8)
        self.x = pixels.permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, start: int, count: int) -> Batch:
        return Batch(self.x[torch.arange(start, start + count) % len(self)])

    def news(self) -> tuple[News, ...]:
        return ()


class Operations(TorchDispatchMode):
    """Counts what products and convolutions compute inside, backward passes too: two for each number multiplied.

    (torch's own counter also follows modules, by hooks that do not bear a gradient taken within a forward pass.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.total += 0 if count is None else count(*args, **(kwargs or {}), out_val=out)
        return out


def match_of(recipe: str, changes: Sequence[str], size: int, device: torch.device) -> Match:
    """A match of a recipe on images of noise; augmentation at work."""
    found = load(recipe, list(changes))
    game = seeded(0, lambda: found.game.build(found.config, Space((3, size, size))))
    layout = torch.channels_last if found.config.memory_format == "channels_last" else torch.contiguous_format
    engine = Engine(device, found.config.precision, layout)
    return Match(game, Noise(size, 2 * found.config.batch), engine, found.config, seed=0, horizon=1_000_000)


def cycle(match: Match) -> int:
    """Rounds after which all lazy terms have come round."""
    every = [getattr(match.training, name, 1) for name in ("penalty_every", "path_every", "ada_every")]
    return math.lcm(*every)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device, n: int, seconds: float = 1.0) -> float:
    """Operations per second of products of n × n matrices in bf16: the best of several."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    torch.mm(a, b)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        wait(device)
        start = time.perf_counter()
        for _ in range(8):
            torch.mm(a, b)
        wait(device)
        best = max(best, 8 * 2 * n**3 / (time.perf_counter() - start))
    return best


def measure(match: Match, cycles: int, top: float) -> dict[str, Any]:
    """images/s over whole cycles of rounds (the best of them), operations per image, and their share of `top`."""
    device, rounds = match.engine.device, cycle(match)
    with Operations() as counter:  # the first cycle, in which kernels are chosen too
        for _ in range(rounds):
            match.step()
    operations = counter.total / (rounds * match.training.batch)
    best = 0.0
    for _ in range(cycles):
        wait(device)
        start = time.perf_counter()
        for _ in range(rounds):
            match.step()
        wait(device)
        best = max(best, rounds * match.training.batch / (time.perf_counter() - start))
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return {
        "images_per_s": round(best, 2),
        "gflop_per_image": round(operations / 1e9, 4),
        "share_of_peak": round(best * operations / top, 5),
        "batch": match.training.batch,
        "rounds_per_cycle": rounds,
        "parameters": {
            name: sum(p.numel() for p in player.parameters()) for name, player in match.game.players.items()
        },
        "memory_gib": None if memory is None else round(memory, 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. 3 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cycles", type=int, default=5, help="of each recipe; the best counts")
    parser.add_argument("--set", action="append", default=[], help="a setting of every recipe, such as batch=16")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices of the peak")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("This machine has no GPU, so the steps at 256 pixels are unmeasured here; the command is ready for one.",
              file=sys.stderr)  # fmt: skip
        return 3
    top = peak(device, given.matrix)
    rows: dict[str, Any] = {}
    for name, (recipe, changes) in RECIPES.items():
        row = measure(match_of(recipe, [*changes, *given.set], given.size, device), given.cycles, top)
        rows[name] = row
        print(f"{name}: {row['images_per_s']:g} images/s, {row['gflop_per_image']:g} GFLOP each, "
              f"{row['share_of_peak']:.1%} of {top / 1e12:.3g} TFLOP/s", flush=True)  # fmt: skip
    options = list(itertools.chain.from_iterable(("--set", value) for value in given.set))
    shown = ["python -m benchmarks.steps256", "--size", str(given.size), "--device", given.device, *options]
    record(
        given.out, what=f"training steps at {given.size} px in bf16, images of noise", command=" ".join(shown), seed=0,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu", peak_tflops=round(top / 1e12, 4),
        recipes=rows,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
