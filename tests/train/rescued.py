"""A run of two processes that goes back; run by torchrun, with this module and a folder as arguments.

One process alone reads a bad sample, one alone has the watch, and one alone finds a number that cannot be saved: both
must do the same thing each time. Rank 0 leaves what they did in ``done.json``.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tests.train.arena import LAYOUTS, NANO, digest, game_of, stream
from tests.train.test_rescue import BATCH, TOTAL, Judge, Poisoned

from sparring.train.checkpoint import Store
from sparring.train.engine import Engine, join
from sparring.train.log import Log
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.types import Alarm, Decision, Done


class Waiting(Engine):
    """As of an accelerator: reading a number from it must wait."""

    @property
    def checks_at_once(self) -> bool:
        return False


def says(images: int, match: Match) -> Decision:
    return Decision.ROLLBACK if images >= 300 and match.attempt == 1 else Decision.NOTE


def loop_of(folder: Path, rank: int, size: int, kind: type[Engine]) -> Loop:
    game = game_of("gan", 0, gamma=0)
    engine = kind(torch.device("cpu"), memory_format=LAYOUTS[game.config.memory_format], rank=rank, size=size)
    match = Match(game, stream(NANO["gan"][1]), engine, game.config, seed=0, horizon=TOTAL)
    mine = BATCH // size * (size - 1)  # the first sample that is the last process's
    match.stream = Poisoned(match.stream, 200 + mine, lambda attempt: attempt == 0)
    folder.mkdir(parents=True, exist_ok=True)
    pace = Pace(log=4 * BATCH, saves=(104, 200, 304), save_seconds=1e9)
    first = rank == 0
    log = Log(folder / "log.jsonl") if first else None
    watch = Judge(says) if first else None
    return Loop(match, total=TOTAL, pace=pace, store=Store(folder / "checkpoints"), log=log, watch=watch, rescue=True)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank, size = join(torch.device("cpu"))
    found = {}
    for kind in (Engine, Waiting):
        loop = loop_of(folder / kind.__name__, rank, size, kind)
        events, spoilt = [], False
        for event in loop:
            events.append(event)
            if not spoilt and rank == 0 and loop.match.attempt == 2 and loop.match.images >= 320:
                spoilt = True  # no gradient flows through an average: only the save of the first process sees it
                next(iter(loop.match.averages.tensors("G").values())).view(-1)[0] = math.inf
        assert isinstance(events[-1], Done), events[-1]
        ladder = replace(loop.ladder, history=())  # of an objection only the first process knows the code
        mine = [digest(loop.match.tensors()), str(ladder), str(events[-1])]
        every: list[list[str]] = [[], []]
        torch.distributed.all_gather_object(every, mine)
        codes = [(event.code, event.images) for event in events if isinstance(event, Alarm)]
        found[kind.__name__] = {"both": every, "alarms": codes, "slower": loop.match.slower}
    if rank == 0:
        (folder / "done.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
