"""The kill proof: ``kill -9`` at random instants, and the final weights are those of a run that was never touched.

    python -m benchmarks.proofs.kill --kills 200 --recipes gan dcgan r3gan --seed 0 --out benchmarks/results/kill.json

For each recipe a nano run is played once without disturbance. Then it is played again and again: every process is
killed with SIGKILL, every second one by itself before or after a random file operation within a save (or half through
a file), the others from outside at a random time since their start: while opening data, loading, training, saving. The
next process gets the same run directory and nothing else. It counts as a failure when

- a process cannot go on by itself (any error), or the newest valid checkpoint is older than the last reported saved;
- a run that came to its end differs from the undisturbed one in one bit of any tensor or of the state, in one sample
  grid, or in its log (each line once, the same values; only rates and the log's length may differ).

Processes are forked from this one, which has imported everything and computed nothing, so that a restart takes
milliseconds; each has one thread. The run directories are in memory where there is /dev/shm: a kill, unlike a power
cut (tests/train/test_checkpoint.py), cannot tell the difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.proofs.faults import Watched
from benchmarks.speed.machine import record
from sparring import api
from sparring.errors import SparringError
from sparring.runs import plan as plans
from sparring.runs import session as sessions
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import game_class
from sparring.train.checkpoint import Store
from sparring.train.log import read
from sparring.types import Saved

NANO: dict[str, dict[str, Any]] = {
    "gan": {"data": "ring", "set": {"width": 32, "batch": 64, "gamma": "0.1"}, "rounds": 200},
    "dcgan": {"data": "fashion", "size": 16, "set": {"width": 4, "batch": 8, "z": 16}, "rounds": 120},
    "r3gan": {
        "data": "fashion",
        "size": 8,
        "set": {"width": 8, "d_width": 8, "batch": 8, "group": 8, "blocks": 1, "z": 16},
        "rounds": 60,
    },
    "stylegan2": {
        "data": "fashion",
        "size": 8,
        "set": {"z": 4, "w": 4, "mapping": 1, "base": 16, "most": 4, "batch": 8, "penalty_every": 2, "path_every": 2,
                "ada_kimg": 0.2, "ada_every": 3},
        "rounds": 60,
    },
    "vae": {"data": "fashion", "size": 8, "set": {"width": 4, "z": 4, "batch": 8, "beta": "0 -> 1 linear 0..0.2"},
            "rounds": 100},
    "svae": {"data": "fashion", "size": 8, "set": {"width": 4, "sphere": 4, "batch": 8}, "rounds": 60},
    "pixelcnn": {
        "data": "fashion",
        "size": 8,
        "set": {"width": 4, "blocks": 1, "mixtures": 2, "batch": 8},
        "rounds": 60,
    },
    "vqgan": {"data": "fashion", "size": 8,
              "set": {"factor": 4, "codes": 8, "dimensions": 4, "width": 4, "blocks": 1, "patches": 0, "d_width": 4,
                      "batch": 8, "perceptual": 0, "codebook": "ema", "revive": 3, "start": 0.3}, "rounds": 60},
    "text2image": {"data": "emoji", "size": 16,
                   "set": {"reader": "words", "width": 4, "d_width": 4, "hidden": 8, "z": 4, "batch": 8, "augment": 0.5,
                           "penalty_every": 2}, "rounds": 60},
    "taming": {"data": "fashion", "size": 8, "upon": {"tokens": "vqgan"},
               "set": {"width": 8, "heads": 2, "blocks": 1, "pkeep": 0.8, "dropout": 0.2, "batch": 8}, "rounds": 60},
    "dualencoder": {"data": "emoji", "size": 16, "set": {"reader": "words", "width": 4, "d": 4, "batch": 8},
                    "rounds": 60},
    "cyclegan": {
        "data": "emoji",
        "options": {"into": "fashion", "pairs": "unpaired"},
        "size": 8,
        "set": {"width": 2, "d_width": 4, "d_layers": 1, "blocks": 1, "batch": 4, "identity": 0, "pool": 10,
                "dropout": 0.2},
        "rounds": 60,
    },
}  # fmt: skip
PACE = {"save_seconds": 0.02, "log": 64, "grid": 8}
"""Save up to 50 times a second: the clock decides when, and must not change any number."""
PIECE = 16_384
"""Bytes per write, so that many kills come half through a file."""
OPERATIONS, SAVED, SAVES, READY, NOTE = 0, 1, 2, 3, 4  # 64-bit words of the memory a process shares with this one


class Deadly(Watched):
    """Counts the operations of saves; at number `at` it notes which one that is and kills its process."""

    def __init__(self, board: mmap.mmap, at: int | None, after: bool) -> None:
        super().__init__(quick=False, piece=PIECE)
        self.board, self.at, self.late = board, at, after
        self.session: sessions.Session | None = None
        self.count = 0

    def _meet(self, operation: str, late: bool) -> None:
        if self.session is None or self.session.loop is None or self.session.loop.phase != "save":
            return
        if late == self.late and self.count == self.at:
            note(self.board, f"{'after' if late else 'before'} {operation}")
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += late
        write(self.board, OPERATIONS, self.count)

    def before(self, k: int, operation: str) -> None:
        self._meet(operation, False)

    def after(self, k: int, operation: str) -> None:
        self._meet(operation, True)


def note(board: mmap.mmap, text: str) -> None:
    data = text.encode()[-3000:]
    board[8 * NOTE : 8 * NOTE + len(data) + 1] = data + b"\0"


def write(board: mmap.mmap, number: int, value: int) -> None:
    board[8 * number : 8 * number + 8] = value.to_bytes(8, "little")


def word(board: mmap.mmap, number: int) -> int:
    return int.from_bytes(board[8 * number : 8 * number + 8], "little")


def noted(board: mmap.mmap) -> str:
    return board[8 * NOTE :].split(b"\0", 1)[0].decode(errors="replace")


# ── one process of a run ──────────────────────────────────────────────────────────────────────────────────────────


def request(recipe: str, out: Path) -> plans.Request:
    nano = NANO[recipe]
    images = nano["rounds"] * nano["set"]["batch"]
    return api.request(
        nano["data"], recipe=recipe, size=nano.get("size"), out=out, budget=str(images), device="cpu", seed=3,
        threads=1, set=nano["set"] | {setting: str(out.parent / setting) for setting in nano.get("upon", {})},
        **nano.get("options", {}),
    )  # fmt: skip


def live(recipe: str, run: Path, board: mmap.mmap, at: int | None, after: bool) -> None:
    """Begin the run, or go on with what is in its directory; to the end, unless killed."""
    born, disk = time.monotonic_ns(), Deadly(board, at, after)
    if RunDirectory(run).is_run:
        session = sessions.resume(run, disk=disk, pace=PACE)
    else:
        plan = replace(plans.make(request(recipe, run)), rate=1e6, probes=None)  # when it is drawn goes by its rate
        session = sessions.start(plan, disk=disk, pace=PACE)
    disk.session = session
    for event in session:
        if not word(board, READY):
            write(board, READY, time.monotonic_ns() - born)
        if isinstance(event, Saved):
            write(board, SAVED, event.images)
            write(board, SAVES, word(board, SAVES) + 1)


def fork(act: Callable[[], None], board: mmap.mmap) -> int:
    board[:] = bytes(len(board))
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)
        act()
        code = 0
    except BaseException:
        note(board, traceback.format_exc())
    finally:
        os._exit(code)


def wait(child: int, until: float | None) -> int:
    """The status of a child, killed at the time `until` if it still lives."""
    while until is not None and time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.0005)
    if until is not None:
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


# ── what a run left behind ────────────────────────────────────────────────────────────────────────────────────────


def digest(run: Path) -> dict[str, str]:
    """SHA-256 of everything a run is: each file of tensors, the state, the log, the pictures."""
    checkpoint = Store(run / "checkpoints").newest()
    assert checkpoint is not None
    found = {"images": str(checkpoint.images)}
    for stem in checkpoint.stems:
        sha = hashlib.sha256()
        for name, tensor in sorted(checkpoint.tensors(stem).items()):
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        found[stem] = sha.hexdigest()
    state = {key: value for key, value in checkpoint.state.items() if key != "log"}  # its length: rates vary
    lines = [{k: v for k, v in record.items() if k != "rate"} for record in read(run / "log.jsonl")]
    found["state"] = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    found["log"] = hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()
    for picture in sorted((run / "samples").iterdir()):
        found[f"samples/{picture.name}"] = hashlib.sha256(picture.read_bytes()).hexdigest()
    return found


@dataclass
class Count:
    """What happened to one recipe."""

    kills: int = 0
    inside: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    resumed: int = 0
    anew: int = 0
    passed_over: int = 0
    runs: int = 0
    identical: int = 0
    failures: list[str] = field(default_factory=list)


def look(run: Path, saved: int, count: Count) -> int:
    """After a kill: the newest valid checkpoint may not be older than the last one reported saved. Its images."""
    try:
        found = Store(run / "checkpoints").newest()
    except SparringError as error:
        count.failures.append(f"no usable checkpoint after a kill: {error}")
        return 0
    images = found.images if found else 0
    count.passed_over += len(found.rejected) if found else 0
    if images < saved:
        count.failures.append(f"{saved} images were reported saved, {images} are there")
    return images


def undisturbed(recipe: str, run: Path, board: mmap.mmap) -> tuple[dict[str, str], float, float, int]:
    """Digest, seconds until it plays, seconds of play, and file operations per save of a run that is left alone."""
    began = time.monotonic()
    status = wait(fork(lambda: live(recipe, run, board, None, False), board), None)
    if status:
        raise SystemExit(f"the undisturbed run of {recipe} failed:\n{noted(board)}")
    ready = word(board, READY) / 1e9
    return digest(run), ready, time.monotonic() - began - ready, word(board, OPERATIONS) // max(1, word(board, SAVES))


def prove(recipe: str, kills: int, seed: int, work: Path) -> dict[str, Any]:
    """`kills` kills of one recipe, at least half of them inside a save; what came of it."""
    for name in (recipe, *NANO[recipe].get("upon", {}).values()):
        game_class(name)  # imported here, once
    dice, count, board = random.Random(f"{seed} {recipe}"), Count(), mmap.mmap(-1, 4096)
    for setting, other in NANO[recipe].get("upon", {}).items():
        undisturbed(other, work / setting, board)
    reference, ready, playing, operations = undisturbed(recipe, work / "reference", board)
    began, run, saved = time.monotonic(), work / "run", 0
    readies = {False: ready, True: ready}  # seconds until a process plays: the first of a run, a later one
    while count.kills < kills or run.exists():
        enough = count.kills >= kills
        within = not enough and count.inside <= count.kills - count.inside
        at = dice.randrange(3 * operations) if within else None
        after = dice.random() < 0.5
        again = run.exists()
        count.restarts += again
        child = fork(lambda at=at, after=after: live(recipe, run, board, at, after), board)
        limit = None if enough or within else time.monotonic() + dice.uniform(0, readies[again] + 0.5 * playing)
        status = wait(child, limit)
        saved = max(saved, word(board, SAVED))
        readies[again] = word(board, READY) / 1e9 or readies[again]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            count.kills += 1
            count.inside += within
            if within:
                count.operations[noted(board)] += 1
            images = look(run, saved, count)
            count.resumed += images > 0
            count.anew += images == 0
            continue
        if status:
            count.failures.append(f"a process ended with status {status}:\n{noted(board)}")
        else:
            found = digest(run)
            differing = sorted(k for k in {*found, *reference} if found.get(k) != reference.get(k))
            count.runs += 1
            count.identical += not differing
            if differing:
                count.failures.append(f"a finished run differs in {', '.join(differing)}")
        shutil.rmtree(run)
        saved = 0
        if len(count.failures) > 20:
            break
    return {
        "recipe": recipe,
        "run": NANO[recipe],
        "kills": count.kills,
        "inside_a_save": count.inside,
        "operations": dict(sorted(count.operations.items())),
        "resumed_from_a_checkpoint": count.resumed,
        "killed_before_the_first_checkpoint": count.anew,
        "checkpoints_passed_over": count.passed_over,
        "completed_runs": count.runs,
        "bit_identical_runs": count.identical,
        "failures": count.failures,
        "failure_rate_upper_95": 1 - 0.05 ** (1 / count.kills) if not count.failures else None,
        "operations_per_save": operations,
        "seconds_undisturbed": round(ready + playing, 2),
        "seconds": round(time.monotonic() - began, 1),
        "digest": hashlib.sha256(json.dumps(reference, sort_keys=True).encode()).hexdigest(),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.kill", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="per recipe")
    parser.add_argument("--recipes", nargs="+", default=sorted(NANO), choices=sorted(NANO))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="where the run directories are put")
    given = parser.parse_args(arguments)
    where = given.work if given.work.is_dir() else None
    torch.set_num_threads(1)
    results = []
    print("recipe   kills  inside a save  resumed  before the 1st  runs  identical  failures  seconds")
    for recipe in given.recipes:
        with tempfile.TemporaryDirectory(prefix="sparring-kill-", dir=where) as work:
            found = prove(recipe, given.kills, given.seed, Path(work))
        results.append(found)
        print(
            f"{recipe:8}{found['kills']:6}{found['inside_a_save']:15}{found['resumed_from_a_checkpoint']:9}"
            f"{found['killed_before_the_first_checkpoint']:16}{found['completed_runs']:6}{found['bit_identical_runs']:11}"
            f"{len(found['failures']):10}{found['seconds']:9}",
            flush=True,
        )
        for failure in found["failures"][:5]:
            print(failure, file=sys.stderr)
    record(
        given.out,
        claim="kill -9 at random instants: every restart goes on by itself, final weights bit-identical",
        command=f"python -m benchmarks.proofs.kill --kills {given.kills} --recipes {' '.join(given.recipes)}"
        f" --seed {given.seed}",
        seed=given.seed,
        results=results,
    )
    return 1 if any(found["failures"] for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
