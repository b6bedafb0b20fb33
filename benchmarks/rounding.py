"""How fast rounding grows between a member of an ensemble and the same game played alone: `results/rounding.json`.

python -m benchmarks.rounding          for docs/compare.md

The largest difference in G or D, of three seeds on the ring, after so many rounds: of weights, and of biases, some of
which have a gradient of 0 but for rounding (D's last one in a game of pairs). Adam steps by its sign all the same.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch

from benchmarks.speed.machine import describe
from sparring.data import open_data, stream_of
from sparring.recipes.gan import GAN, GANConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.ensemble import Streams, together, unstack
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Space

OUT = Path(__file__).parent / "results" / "rounding.json"
SEEDS, HORIZON = (0, 1, 2), 100_000
GAMES = {"gan-points": ("gan-points", (1, 3, 10)), "gan": ("gan", (1, 10, 30))}


def apart(preset: str, rounds: tuple[int, ...]) -> dict[str, dict[str, float]]:
    config, data = load(preset).config, open_data("ring")
    assert isinstance(config, GANConfig)

    def built(seed: int) -> GAN:
        game = seeded(seed, partial(GAN.build, config, Space((2,))))
        assert isinstance(game, GAN)
        return game

    def engine() -> Engine:
        return Engine(torch.device("cpu"))

    streams = Streams([stream_of(data, seed) for seed in SEEDS])
    ensemble = Match(together([built(s) for s in SEEDS]), streams, engine(), config, seed=SEEDS, horizon=HORIZON)
    alone = [Match(built(s), stream_of(data, s), engine(), config, seed=s, horizon=HORIZON) for s in SEEDS]
    found: dict[str, dict[str, float]] = {}
    for done in range(1, max(rounds) + 1):
        for match in (ensemble, *alone):
            match.step()
        if done in rounds:
            found[f"after {done} rounds"] = largest(ensemble, alone)
    return found


def largest(ensemble: Match, alone: list[Match]) -> dict[str, float]:
    found = {"weights": 0.0, "biases": 0.0}
    for k, match in enumerate(alone):
        members = unstack(ensemble.game, k)
        for player, network in match.game.players.items():
            for name, tensor in network.state_dict().items():
                kind = "biases" if name.endswith("bias") else "weights"
                found[kind] = max(found[kind], float((tensor - members[player][name]).abs().max()))
    return found


def main() -> None:
    torch.set_num_threads(1)
    record = {
        "what": "largest difference of a parameter between members of an ensemble and the games of their seeds alone",
        "command": "python -m benchmarks.rounding",
        "seeds": SEEDS,
        "games": {name: apart(*game) for name, game in GAMES.items()},
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record["games"], indent=1))


if __name__ == "__main__":
    main()
