"""``--processes N``: the same command again, N times, under torchrun; only rank 0 talks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sparring.errors import UsageError

EXIT_FILE = "SPARRING_EXIT_FILE"
"""Where rank 0 leaves its exit code: torchrun itself only knows success (0) and failure (1)."""
PATIENCE = 30.0
"""Seconds that another process waits for rank 0 to say what is wrong."""


def launched() -> bool:
    """Whether this process is one of several that torchrun started."""
    return "LOCAL_RANK" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run ``sparring *arguments`` in `processes` processes on this machine; returns the exit code of rank 0."""
    cores = os.cpu_count() or 1
    if not 1 <= processes <= 1024:
        raise UsageError(
            "PROCESSES", "--processes is a number from 1 to 1024", where=str(processes), fix="--processes 2"
        )
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:
        file = Path(folder) / "exit"
        threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // processes)))
        command = [sys.executable, "-m", "sparring.train.elastic", "--standalone", "--nproc-per-node", str(processes)]
        child = subprocess.Popen(
            [*command, "-m", "sparring", *arguments],
            env={**os.environ, EXIT_FILE: str(file), "OMP_NUM_THREADS": threads},
        )

        def forward(number: int, frame: FrameType | None) -> None:
            child.send_signal(number)

        before = signal.signal(signal.SIGTERM, forward)
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to the child as well
        try:
            code = child.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
            signal.signal(signal.SIGINT, ignored)
        return int(file.read_text()) if file.exists() else code


def said_by_rank_0(code: int) -> bool:
    """Whether rank 0 of this `launch` ends with the same code: then it has said why.

    What is wrong with a request, every process finds, one a moment before the other. The first to leave would make
    torchrun end rank 0 before it has spoken, so the others wait for it.
    """
    file = os.environ.get(EXIT_FILE)
    if not file or not launched() or os.environ.get("RANK", "0") == "0":
        return False
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with suppress(OSError, ValueError):
            return int(Path(file).read_text()) == code
        time.sleep(0.05)
    return False


def leave(code: int) -> int:
    """This process's exit code; under `launch` rank 0 writes it down, and a polite stop is no failure to torchrun."""
    file = os.environ.get(EXIT_FILE)
    if not file or not launched():
        return code
    if os.environ.get("RANK", "0") == "0":
        Path(file).write_text(str(code))
    return 0 if code == 75 else code
