"""Translating one image of 256 × 256 with the U-Net of Pix2Pix: what makes it faster, side by side in one process.

python -m benchmarks.speed.translate [--threads 1] [--rounds 15] [--without-inductor]

The baseline is the classic network, written out plainly, in contiguous NCHW and without gradients, as the published
code runs it. All variants have its weights; outputs are compared with its own. Every round times all of them once, in
turns; ratios are medians over rounds. With one thread the clock is the CPU time of the process. Each number of threads
is kept under its own key in benchmarks/results/speed_translate.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed import machine
from benchmarks.speed.classic import unet
from sparring.generate.frozen import Frozen
from sparring.networks.unet import UNet

RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed_translate.json"
TARGET, TOLERANCE = 1.5, 1e-4
Forward = Callable[[], Tensor]


def networks() -> tuple[nn.Module, UNet]:
    """The classic U-Net-256 and ours with its weights; no dropout, so that they can be compared."""
    torch.manual_seed(0)
    theirs, ours = unet(3, 3, 0.0), UNet(3, 3, 8)
    mine = [*ours.downs, *[*ours.ups][::-1]]
    mine += [m for m in [*ours.down_norms, *[*ours.up_norms][::-1]] if not isinstance(m, nn.Identity)]
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)
    other = [module for kind in kinds for module in theirs.modules() if isinstance(module, kind)]
    for ours_layer, theirs_layer in zip(mine, other, strict=True):
        theirs_layer.load_state_dict(ours_layer.state_dict(), strict=not isinstance(theirs_layer, nn.BatchNorm2d))
    return theirs.train().requires_grad_(False), ours.eval().requires_grad_(False)


def jit(net: nn.Module, x: Tensor, *, optimised: bool) -> Forward:
    """Traced and frozen by TorchScript; optimised: also by `optimize_for_inference`, with oneDNN's fusion."""
    torch.jit.enable_onednn_fusion(optimised)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.freeze(torch.jit.trace(net, x, check_trace=False))
        if optimised:
            made = torch.jit.optimize_for_inference(made)
    for _ in range(3):
        made(x)
    return lambda: made(x)


def inductor(net: nn.Module, x: Tensor) -> Forward:
    """`torch.compile` with freezing: it packs weights too, and fuses what lies between the convolutions."""
    import torch._inductor.config as config

    config.freezing = True
    made = torch.compile(plain(net), dynamic=False)
    made(x)
    return lambda: made(x)


def plain(net: nn.Module) -> nn.Module:
    """A copy with the convolutions of torch: inductor packs these, but not our products for small maps."""
    net = copy.deepcopy(net)
    for module in net.modules():
        for kind in (nn.Conv2d, nn.ConvTranspose2d):
            if isinstance(module, kind):
                module.__class__ = kind
    return net


def frozen(net: nn.Module, x: Tensor) -> Forward:
    """`sparring translate --compile`."""
    fast = Frozen(net)
    return lambda: fast(lambda image, dice: net(image), x, None)


def variants(x: Tensor, *, with_inductor: bool) -> tuple[dict[str, Forward], dict[str, dict[str, float]]]:
    """What is compared by name, and the seconds that making each ready took, first run included. (A compiler works in
    processes of its own, whose CPU time is not counted.)"""
    theirs, ours = networks()
    last = copy.deepcopy(theirs).to(memory_format=torch.channels_last)
    x_last = x.contiguous(memory_format=torch.channels_last)
    made: dict[str, Callable[[], Forward]] = {
        "classic, eager NCHW": lambda: lambda: theirs(x),
        "classic, channels_last": lambda: lambda: last(x_last),
        "ours, eager": lambda: lambda: ours(x),
        "ours, traced and frozen": lambda: jit(ours, x, optimised=False),
        "ours, frozen and optimised for inference": lambda: jit(ours, x, optimised=True),
        "ours, --compile": lambda: frozen(ours, x),
    }
    if with_inductor:
        made["ours, inductor with freezing"] = lambda: inductor(ours, x)
    ready, seconds = {}, {}
    for name, make in made.items():
        start, spent = time.perf_counter(), time.process_time()
        ready[name] = make()
        ready[name]()
        wall, cpu = time.perf_counter() - start, time.process_time() - spent
        seconds[name] = {"wall": round(wall, 2), "cpu": round(cpu, 2)}
    return ready, seconds


@torch.no_grad()
def measure(rounds: int, threads: int, *, with_inductor: bool = True) -> dict[str, Any]:
    """The whole comparison, in plain values."""
    torch.set_num_threads(threads)
    about = machine.describe(threads)
    x = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ready, seconds = variants(x, with_inductor=with_inductor)
    first, *others = ready
    truth = ready[first]()
    apart = {name: float((ready[name]() - truth).abs().max()) for name in others}
    clocks = machine.interleaved(ready, rounds)
    clock = "cpu" if threads == 1 else "wall"
    ratios = {name: machine.compare(clocks[first], clocks[name]) for name in others}
    best = ratios["ours, --compile"][clock]
    return {
        "claim": f"U-Net-256, one image: --compile at least {TARGET} times the classic network in eager NCHW",
        "machine": about,
        "load_average_after": machine.describe()["load_average"],
        "clock": {"cpu": "CPU time of the process", "wall": "wall"}[clock],
        "speedup": best,
        "against_ours_eager": machine.compare(clocks["ours, eager"], clocks["ours, --compile"])[clock],
        "reached": best["ratio"] >= TARGET and max(apart.values()) <= TOLERANCE,
        "compile_seconds": seconds["ours, --compile"],
        "ready_seconds": seconds,
        "largest_difference": apart,
        "speedup_of_all": {name: ratio[clock]["ratio"] for name, ratio in ratios.items()},
        "speedup_by_clock": ratios,
        "seconds": {name: machine.seconds(times) for name, times in clocks.items()},
        "megapixels_per_second": round(0.065536 / float(np.median(np.array(clocks["ours, --compile"])[:, 0])), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--without-inductor", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.threads, with_inductor=not arguments.without_inductor)
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document[f"threads {arguments.threads}"] = result
    RESULTS.write_text(json.dumps(dict(sorted(document.items())), indent=1, ensure_ascii=False) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "speedup_by_clock"}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
