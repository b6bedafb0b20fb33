"""What this machine's convolutions can do at most, and what a DCGAN step needs at least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch.nn import functional as F

from benchmarks.speed.machine import timed

SHAPES = (  # (N, channels in, channels out, side, kernel, stride, padding)
    (64, 256, 256, 16, 3, 1, 1),
    (32, 256, 256, 32, 2, 1, 0),
    (64, 512, 512, 8, 1, 1, 0),
    (64, 64, 128, 32, 4, 2, 1),
)


def probes(clock: int = 0, repeats: int = 5) -> Iterator[tuple[str, float]]:
    """(layer, best GFLOP/s in fp32) of a few forward convolutions in channels_last, and of one matrix product.

    clock: 0 wall, 1 CPU time of this process.
    """
    with torch.no_grad():
        for n, i, o, side, kernel, stride, padding in SHAPES:
            x = torch.randn(n, i, side, side).contiguous(memory_format=torch.channels_last)
            w = torch.randn(o, i, kernel, kernel).contiguous(memory_format=torch.channels_last)
            out = (side + 2 * padding - kernel) // stride + 1
            flops = 2.0 * n * o * out * out * i * kernel * kernel
            name = f"conv {kernel}x{kernel}/{stride} {i}->{o} at {side} px, n={n}"
            yield (
                name,
                _best(lambda x=x, w=w, s=stride, p=padding: F.conv2d(x, w, stride=s, padding=p), flops, clock, repeats),
            )
        a = torch.randn(1536, 1536)
        yield "matmul 1536", _best(lambda: a @ a, 2.0 * 1536**3, clock, repeats)


def _best(work: Callable[[], object], flops: float, clock: int, repeats: int) -> float:
    work()
    return flops / min(timed(work)[clock] for _ in range(repeats)) / 1e9


def step_flops(batch: int, z: int = 100, width: int = 64, colours: int = 3) -> dict[str, float]:
    """FLOPs (2 per multiply-add) of one DCGAN-64 round by the direct algorithm: convolutions and products only.

    "needed": G(z) once; D on reals and fakes with its weight gradients, without a gradient to the images; D on fakes
    with the gradient to the images alone; G's backward. "textbook" adds what a plain loop computes and throws away: D's
    weight gradients in G's turn.
    """
    channels = [colours, width, 2 * width, 4 * width, 8 * width]
    maps = [32, 16, 8, 4]  # side of each stride-2 convolution's smaller map, finest first
    convs = [2.0 * 16 * i * o * side * side for (i, o), side in zip(pairwise(channels), maps, strict=True)]
    head, project = 2.0 * 16 * channels[-1], 2.0 * 16 * channels[-1] * z
    d, g = sum(convs) + head, sum(convs) + project
    forward = g + 3 * d
    d_turn = 2 * (2 * d - convs[0])  # reals and fakes: weights of all layers, data of all but the first
    g_turn = d + 2 * g - project
    needed = batch * (forward + d_turn + g_turn)
    return {"needed": needed, "textbook": needed + batch * d}
