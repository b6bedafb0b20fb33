"""A process that looks at a share of the images of one side: ``python -m sparring.runs.evaluate.worker``.

It reads its task as a line of JSON on stdin, says how many images it has seen as lines on stdout, and ends at once when
stdin is closed: so it ends with the process that started it, however that one ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import numpy as np
import torch

from sparring.errors import DataError, SparringError
from sparring.runs.evaluate.judges import open_judge
from sparring.runs.evaluate.opening import Wanted, open_side
from sparring.runs.evaluate.sides import CHUNK
from sparring.runs.evaluate.stream import look


def work(task: dict[str, Any]) -> None:
    """Look, and write what was seen to ``task["out"]``."""
    torch.set_num_threads(task["threads"])
    wanted = Wanted(**task["side"])
    side = open_side(wanted)
    if side.key != task["key"]:
        raise DataError("DATA-CHANGED", "the images changed while they were being read", where=wanted.text)
    chunks = 0

    def told(stage: str, done: int, total: int) -> None:
        nonlocal chunks
        chunks += 1
        print(chunks * CHUNK, flush=True)

    seen = look(side, open_judge(task["features"], _device(wanted.device, task["rank"])), rank=task["rank"],
                of=task["of"], progress=told)  # fmt: skip
    np.savez(task["out"], allow_pickle=False, **seen.arrays())
    side.close()


def _device(wanted: str, rank: int) -> str:
    """Each process its own GPU, as far as there are several."""
    several = torch.cuda.is_available() and torch.cuda.device_count() > 1 and wanted in ("auto", "cuda")
    return f"cuda:{rank % torch.cuda.device_count()}" if several else wanted


def _watch_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> int:
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch_stdin, daemon=True).start()
    try:
        work(task)
    except SparringError as error:
        said = {"code": error.code, "what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
        print(json.dumps(said), file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
