"""Playing the cells of a comparison: a process for each, some at a time, each finished cell kept."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import UsageError
from sparring.runs import own
from sparring.runs.compare import entrant
from sparring.runs.compare.cell import STOPPED, groups_of, name_of, result_of
from sparring.runs.compare.question import Cell, Comparison
from sparring.runs.directory import check_above, write_atomically, written
from sparring.runs.lock import RunLock

FORMAT = "sparring compare 1"
"""What compare.json says that it is."""


@dataclass(frozen=True)
class Step:
    """Something happened to a cell. state: "begun", "playing", "played", "refused", "killed", "failed" or "stopped".
    share: how much of it is done, 0 to 1."""

    cell: Cell
    state: str
    share: float = 0.0
    said: str = ""


class Director(Iterator[Step]):
    """Plays what is not yet played. Iterate; `stop()` asks every cell to save and end."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.stopped = False
        self._running: dict[str, _Job] = {}
        self._news: queue.Queue[tuple[_Job, dict[str, Any] | None]] = queue.Queue()
        self._steps: Generator[Step, None, None] = self._run()

    def __next__(self) -> Step:
        return next(self._steps)

    def stop(self) -> None:
        """May be called at any time, from a signal handler too."""
        self.stopped = True
        for job in list(self._running.values()):
            job.stop()

    def close(self) -> None:
        """End every process at once; what is saved stays."""
        self._steps.close()

    def _run(self) -> Generator[Step, None, None]:
        comparison = self.comparison
        claim(comparison)
        waiting = [cell for cell in comparison.playable if not finished(comparison, cell)]
        with RunLock(comparison.out):
            try:
                while (waiting and not self.stopped) or self._running:
                    while waiting and not self.stopped and len(self._running) < comparison.jobs:
                        cell = waiting.pop(0)
                        self._running[cell.key] = _Job(comparison, cell, self._news)
                        yield Step(cell, "begun")
                    try:
                        job, news = self._news.get(timeout=0.5)
                    except queue.Empty:
                        continue
                    if news is None:
                        del self._running[job.cell.key]
                        yield job.end()
                    elif "done" in news:
                        yield Step(job.cell, "playing", float(news["done"]))
                    elif "error" in news:
                        job.error = news["error"]
            finally:
                for job in self._running.values():
                    job.kill()


class _Job:
    """The process of one cell, and the thread that reads what it says."""

    def __init__(self, comparison: Comparison, cell: Cell, news: queue.Queue[Any]) -> None:
        self.comparison, self.cell = comparison, cell
        self.error: dict[str, str] | None = None
        self.folder = folder_of(comparison, cell)
        prepare(comparison, cell)
        (self.folder / "failure.json").unlink(missing_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(comparison.threads)}
        if trust := own.trust(str(cell.document["recipe"])):
            name, _, value = trust.partition("=")
            environment[name] = shlex.split(value)[0]
        with (self.folder / "worker.txt").open("wb") as trace:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sparring.runs.compare.worker", str(self.folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=trace, env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for us, and a cell is stopped by us
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, args=(news,), daemon=True)
        self._listener.start()

    def _listen(self, news: queue.Queue[Any]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        news.put((self, found))
        self.process.wait()
        news.put((self, None))

    def stop(self) -> None:
        """Close its stdin: then it saves and ends."""
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def kill(self) -> None:
        """It saves and ends within a moment, or is ended."""
        self.stop()
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._listener.join(2.0)

    def end(self) -> Step:
        """What became of it; a cell that failed is written down, and played again by the next call."""
        code = self.process.returncode
        self.stop()
        if code == 0 and finished(self.comparison, self.cell):
            (self.folder / "worker.txt").unlink(missing_ok=True)
            return Step(self.cell, "played", 1.0)
        if code == STOPPED:
            return Step(self.cell, "stopped")
        if self.error is not None:
            state, said = ("refused" if code == 2 else "failed"), self.error["why"] or self.error["what"]
        elif code < 0:
            state, said = "killed", f"the process was killed ({_signal(-code)})"
        else:
            state, said = "failed", f"a bug in sparring: {last_line(self.folder / 'worker.txt')}"
        write_atomically(self.folder / "failure.json", json.dumps({"state": state, "said": said}) + "\n")
        return Step(self.cell, state, said=said)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_line(path: Path) -> str:
    """The last line of a traceback, which says what it was about."""
    try:
        lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1][:200] if lines else "it said nothing"


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────────────


def folder_of(comparison: Comparison, cell: Cell) -> Path:
    return comparison.out / "cells" / cell.key


def results(comparison: Comparison, cell: Cell) -> list[dict[str, Any]]:
    """The results of the groups that are finished."""
    folder, groups = folder_of(comparison, cell), groups_of(comparison.seeds, cell.together)
    every = (result_of(folder / f"{name_of(group)}.json") for group in groups)
    return [result for result in every if result is not None]


def finished(comparison: Comparison, cell: Cell) -> bool:
    return len(results(comparison, cell)) == len(groups_of(comparison.seeds, cell.together))


def prepare(comparison: Comparison, cell: Cell) -> None:
    """What the process of a cell reads."""
    folder, question = folder_of(comparison, cell), comparison.question()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "recipe.yaml", written(cell.document))
    spec = {
        "data": question["data"], "seeds": comparison.seeds, "together": cell.together,
        "images": comparison.budget.images, "seconds": comparison.budget.seconds,
        "seconds_each": comparison.seconds_of(1), "device": comparison.device, "threads": comparison.threads,
        "runs": comparison.whole, **(entrant.measures() if comparison.whole else {}),
    }  # fmt: skip
    write_atomically(folder / "cell.json", json.dumps(spec, indent=1) + "\n")


def claim(comparison: Comparison) -> None:
    """Make the directory of the comparison, or go on in it; `UsageError` if it holds something else."""
    refuse(comparison)
    path = comparison.out / "question.json"
    comparison.out.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_atomically(path, json.dumps({"format": FORMAT, **comparison.question()}, indent=1) + "\n")


def refuse(comparison: Comparison) -> None:
    """`UsageError` if the directory is taken by something else, or by the answer to another question."""
    out, path = comparison.out, comparison.out / "question.json"
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(entry.name != "lock" for entry in out.iterdir())):
            raise UsageError(
                "COMPARE-OUT", "there is something here that is no comparison", where=str(out),
                fix="choose another --out; nothing was changed",
            )  # fmt: skip
        check_above(out, "COMPARE-OUT")
        return
    try:
        before = json.loads(path.read_text("utf-8"))
        assert isinstance(before, dict)
    except (OSError, ValueError, AssertionError):
        raise UsageError(
            "COMPARE-OUT", "the question of this comparison cannot be read", where=str(path),
            fix="choose another --out; nothing was changed",
        ) from None  # fmt: skip
    now = json.loads(json.dumps(comparison.question()))
    keys = [key for key in {**now, **before} if key != "format"]
    if different := [line for key in keys for line in _differences(key, before.get(key), now.get(key))]:
        raise UsageError(
            "COMPARE-QUESTION", "another question was asked in this directory", where=str(out),
            why="; ".join(different[:4]), fix="ask the same, or choose another --out; nothing was changed",
        )  # fmt: skip


def _differences(name: str, before: Any, now: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [line for key in now for line in _differences(f"{name}.{key}", before.get(key), now[key])]
    return [] if before == now else [f"{name} was {before}, is {now}"]


def failure(comparison: Comparison, cell: Cell) -> tuple[str, str]:
    """(state, what was said) of a cell that is not finished: "waiting" where nothing went wrong."""
    try:
        found = json.loads((folder_of(comparison, cell) / "failure.json").read_text("utf-8"))
        return str(found["state"]), str(found["said"])
    except (OSError, ValueError, KeyError, TypeError):
        return "waiting", ""
