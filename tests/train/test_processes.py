"""Two processes are one on the joined batch; and when one of them fails, all end soon and one is named."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.forking import Forks
from tests.train.arena import NANO, game_of, match_of, stream
from tests.train.together import CASES, played

from sparring.errors import UsageError
from sparring.train.engine import Engine
from sparring.train.match import Match

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> dict[str, torch.Tensor]:
    """What two gloo processes found."""
    out = tmp_path_factory.mktemp("two") / "found.safetensors"
    done = forked.python(*TORCHRUN, "-m", "tests.train.together", out, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(out)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(name: str, two: dict[str, torch.Tensor]) -> None:
    """Gradients to 1e-5 relative, penalties and augmentation included, with equal micro-batch grouping; and the weights
    after three rounds of Adam, as far as rounding allows.
    """
    one = played(name, 0, 1)
    mine = {key for key in two if key.startswith(f"{name}/")}
    assert mine == set(one) and len(mine) > 20
    for key in sorted(mine):
        kind = key.split("/")[1]
        scale = float(one[key].abs().max())
        error = float((two[key] - one[key]).abs().max())
        if kind == "gradient":
            player = key.split("/")[2]
            whole = torch.cat([one[k].reshape(-1) for k in one if k.startswith(f"{name}/gradient/{player}/")]).norm()
            assert error <= 1e-5 * float(whole), key
        elif kind == "means":
            assert error <= 1e-5 * max(scale, 0.1), key
        else:
            assert error <= 2e-3, key  # Adam divides by its own rounding where a gradient is nearly 0
    moved = [key for key in mine if "/gradient/" in key and float(two[key].abs().max()) > 0]
    assert len(moved) > 5


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("batch", [6, 12, 24])
def test_slices_make_up_the_batch(size: int, batch: int) -> None:
    """For 1, 2, 3 processes: every position once, in order, whatever the number of processes."""
    engines = [Engine(torch.device("cpu"), rank=rank, size=size) for rank in range(size)]
    for start in (0, batch, 7 * batch):
        positions = [k for engine in engines for k in engine.slice(start, batch)]
        assert positions == list(range(start, start + batch))


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_the_stream_is_the_same_for_any_number_of_processes(name: str) -> None:
    """The pieces that 1, 2 and 3 processes take, joined, are the same samples in the same order."""
    seen = []
    for size in (1, 2, 3):
        rounds = []
        for rank in range(size):
            game = game_of(name, batch=12)
            engine = Engine(torch.device("cpu"), rank=rank, size=size)
            match = Match(game, stream(NANO[name][1]), engine, game.config, seed=0, horizon=100)
            rounds.append([match._deal(0) for _ in range(5)])
        dealt = [
            torch.cat([batch.x for deal in (rounds[r][i] for r in range(size)) for batch in deal.batches])
            for i in range(5)
        ]
        seen.append(torch.cat(dealt))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_processes_must_divide_the_batch() -> None:
    game = game_of("gan")
    with pytest.raises(UsageError, match="BATCH-PROCESSES"):
        Match(game, stream((2,)), Engine(torch.device("cpu"), size=3), game.config, seed=0, horizon=1)


def test_one_process_pays_nothing() -> None:
    """No collective is called where there is one process (none could be: no group exists)."""
    match = match_of("dcgan")
    match.step()
    match.engine.wait()
    assert match.engine.agree(2) == 2


# ── a rank that fails ─────────────────────────────────────────────────────────────────────────────────────────────


def children(parent: int) -> dict[int, int]:
    """rank → process id of the training processes below `parent`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = dict(
                part.split(b"=", 1) for part in (entry / "environ").read_bytes().split(b"\0") if b"=" in part
            )
            ours = environment.get(b"SPARRING_TEST") == str(parent).encode()
            if ours and b"RANK" in environment and b"sparring" in (entry / "cmdline").read_bytes():
                found[int(environment[b"RANK"])] = int(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_job(victim: int, tmp_path: Path, forked: Forks) -> None:
    """SIGKILL to one of two while they train: the other one ends within a minute, with rank and phase named, and the
    run can be resumed.
    """
    mark = f"{os.getpid()}{victim}"
    run = tmp_path / "run"
    command = forked.words("-m", "sparring", "train", "ring", "--budget", "50M", "--processes", "2", "--out", run)
    with (tmp_path / "talk").open("w") as talk:
        job = subprocess.Popen(command, env={**os.environ, "SPARRING_TEST": mark}, stdout=talk, stderr=talk)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and not (run / "log.jsonl").is_file():
            time.sleep(0.2)
        time.sleep(0.5)
        ranks = children(int(mark))
        assert set(ranks) == {0, 1}, (tmp_path / "talk").read_text()
        os.kill(ranks[victim], signal.SIGKILL)
        code = job.wait(60)
    finally:
        for pid in [*children(int(mark)).values(), job.pid]:
            if job.poll() is None or pid != job.pid:
                os.kill(pid, signal.SIGKILL)
    text = (tmp_path / "talk").read_text()
    assert code not in (0, 75), text
    assert f"the process of rank {victim} was killed (signal 9)" in text, text
    assert "[PEER]" in text and "while: train" in text, text  # and the other one what it was doing
    assert "bug in sparring" not in text, text
    assert (run / "recipe.yaml").is_file()


FAILING = """
import sys, sparring.data.stream as s
from sparring.cli import main
import os
inner = s.PointStream.take
def take(self, start, count):
    if start >= {start} and os.environ["RANK"] == "{rank}":
        raise ValueError("this rank has had enough")
    return inner(self, start, count)
s.PointStream.take = take
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("victim", "start", "phase"), [(1, 5_000, "train")])
def test_a_raising_rank_ends_the_job(victim: int, start: int, phase: str, tmp_path: Path, forked: Forks) -> None:
    """An error in one of two processes: shown with its rank and phase, and the job is over within a minute."""
    script = tmp_path / "sparring_failing.py"
    script.write_text(FAILING.format(start=start, rank=victim))
    done = forked.python(*TORCHRUN, script, "train", "ring", "--budget", "50M", "--out", tmp_path / "run")
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    assert f"rank {victim}" in text and "this rank has had enough" in text and f"while: {phase}" in text, text
