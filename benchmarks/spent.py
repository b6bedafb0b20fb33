"""What a command of ours takes: seconds, processor seconds, and the most memory that it holds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALL = """
import sys
from pathlib import Path
from benchmarks.spent import peak
from sparring.cli import main
code = main(sys.argv[2:])
Path(sys.argv[1]).write_text(str(peak()))
sys.exit(code)
"""


@dataclass(frozen=True)
class Spent:
    """peak: bytes.   out, err: what it printed."""

    seconds: float
    cpu_seconds: float
    peak: int
    out: str
    err: str


def peak() -> int:
    """Bytes: the most that this process has held so far, by the kernel's VmHWM. (`ru_maxrss` also remembers the program
    that started it.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def spent(words: Sequence[str], threads: int, settings: Mapping[str, str] | None = None) -> Spent:
    """``sparring`` with these words in a process of its own, with more settings in its environment. Exits if it
    fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **(settings or {})}
    with tempfile.TemporaryDirectory() as folder:
        held, out, err = (Path(folder) / name for name in ("peak", "out", "err"))
        began = time.perf_counter()
        with out.open("w") as to, err.open("w") as aside:
            started = subprocess.Popen(
                [sys.executable, "-c", _CALL, str(held), *words], env=environment, stdout=to, stderr=aside
            )
            _, status, used = os.wait4(started.pid, 0)
        seconds = time.perf_counter() - began
        said = out.read_text("utf-8"), err.read_text("utf-8")
        if status:
            raise SystemExit(f"sparring {' '.join(words)} failed\n{said[1]}")
        return Spent(round(seconds, 1), round(used.ru_utime + used.ru_stime, 1), int(held.read_text()), *said)
