"""What two processes compute on a joined batch; run by torchrun, with this module and a file as arguments.

Rank 0 writes a file of tensors, which the test compares with one process's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.train.arena import (
    BUILT,
    CODING,
    EVERY,
    LAYOUTS,
    LIKELY,
    NANO,
    SAYING,
    TRANSLATING,
    game_of,
    gradients,
    stream,
)
from tests.train.conditional import told_match
from torch import Tensor

from sparring.train.engine import Engine, join
from sparring.train.match import Match

CASES = [*NANO, *SAYING, *BUILT, *TRANSLATING, *CODING, *sorted(LIKELY), "dualencoder", "told"]
"""What two processes play: every nano game, those that are told a text, translate, have tokens or a likelihood, one
that matches texts, and one that is told labels and captions."""


def match_in(name: str, rank: int, size: int, **changes: object) -> Match:
    if name == "told":
        return told_match(engine=Engine(torch.device("cpu"), rank=rank, size=size), **changes)
    game = game_of(name, 0, **changes)
    engine = Engine(torch.device("cpu"), memory_format=LAYOUTS[game.config.memory_format], rank=rank, size=size)
    return Match(game, stream(EVERY[name][1]), engine, game.config, seed=0, horizon=400)


def played(name: str, rank: int, size: int) -> dict[str, Tensor]:
    """Gradients of both players on one batch, then the weights after three whole rounds, and what was observed."""
    found: dict[str, Tensor] = {}
    match = match_in(name, rank, size, micro_batches=2)
    hand = match._deal(0)
    assert len(hand.batches) == 2 // size and hand.samples == 8 // size
    for turn, player in enumerate(match.game.players):
        means = match._gradient(player, hand, turn)
        found |= {f"{name}/gradient/{player}/{k}": g for k, g in gradients(match.game.players[player]).items()}
        found |= {f"{name}/means/{k}": match.engine.mean(v) for k, v in means.items()}
    match = match_in(name, rank, size, micro_batches=2)
    for _ in range(3):
        match.step()
    for player, module in match.game.players.items():
        found |= {f"{name}/weights/{player}/{k}": p.detach().clone() for k, p in module.named_parameters()}
        # of batch normalisation the variance is the mean of each process's, which is another number
        kept = {k: b for k, b in module.named_buffers() if b.is_floating_point() and "running_" not in k}
        found |= {f"{name}/weights/{player}/{k}": b.clone() for k, b in kept.items()}
    if name in CODING:  # who chose what, and which codes have begun anew
        coder = match.game.G.quantiser
        found |= {f"{name}/weights/{k}": getattr(coder, k).detach().float() for k in ("table", "shares", "unused")}
    # what is no player's: an image pool; what the told game writes down is of its own process
    rest = match.tensors().get("game", {}) if name != "told" else {}
    return found | {f"{name}/weights/game/{k}": tensor.double() for k, tensor in rest.items()}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    rank, size = join(torch.device("cpu"))
    assert join(torch.device("cpu")) == (rank, size) == (rank, 2)  # joining twice is joining once
    found: dict[str, Tensor] = {}
    for name in CASES:
        found |= played(name, rank, size)
    engine = Engine(torch.device("cpu"), rank=rank, size=size)
    assert engine.agree(rank) == 1 and engine.agree(2 - rank) == 2
    assert float(engine.mean(torch.tensor(float(rank)))) == 0.5
    every = [torch.zeros_like(torch.cat([t.reshape(-1).double() for t in found.values()])) for _ in range(2)]
    torch.distributed.all_gather(every, torch.cat([t.reshape(-1).double() for t in found.values()]))
    assert torch.equal(*every), "the processes do not hold the same numbers"
    assert replace(engine, rank=0).leads and engine.leads == (rank == 0)
    if rank == 0:
        save_file({key: tensor.contiguous() for key, tensor in found.items()}, out)
    engine.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
