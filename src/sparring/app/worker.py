"""Child processes that compute for the pages: bounded, restarted when they die, gone with the server.

The server asks one question after the other; whoever would have to wait behind too many others is told so (429).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from sparring.app import work
from sparring.app.trouble import Busy, WorkerError
from sparring.errors import SparringError

QUEUE = 8
"""Questions that may wait for one worker."""
PATIENCE = 60.0
"""Seconds that an answer may take, unless the question says otherwise. The first one has torch to load."""


@dataclass(frozen=True)
class Limits:
    """What a worker for other people's bytes may use: memory in MiB, processor seconds for one question, open files.
    It may write no file at all."""

    memory_mib: int = 2048
    cpu_seconds: int = 20
    files: int = 32


class Worker:
    """A child process with one module of `sparring.app.jobs`, started when it is first asked.

    Thread-safe. `used` is the moment (time.monotonic) of its last question.
    """

    def __init__(self, module: str, *, limits: Limits | None = None, queue: int = QUEUE) -> None:
        self.module, self.limits, self.queue = module, limits, queue
        self.used = time.monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting, self._lock, self._closed = 0, threading.Lock(), False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"worker-{module}")

    def ask(self, function: str, /, *, timeout: float = PATIENCE, **arguments: Any) -> Any:
        """What a function of the module says to JSON values and bytes: JSON, bytes, or a dict of both.

        Raises what the function raised if it is a `SparringError`, `Busy` when too many wait, and `WorkerError` when
        the process died, took more than `timeout` seconds, or met a bug.
        """
        return self._enqueued(function, timeout, arguments).result()

    async def call(self, function: str, /, *, timeout: float = PATIENCE, **arguments: Any) -> Any:
        """The same without blocking the server. A question that is cancelled before its turn is never asked."""
        return await asyncio.wrap_future(self._enqueued(function, timeout, arguments))

    def wake(self) -> None:
        """Have the process started, if none runs, and load what the module's `wake` loads; not waited for."""
        if not self.alive:
            with suppress(SparringError):
                self._enqueued("wake", PATIENCE, {})

    def close(self) -> None:
        """End the process, whatever it does; idempotent. Questions after that are refused."""
        with self._lock:
            self._closed = True
        self._kill()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._kill()

    @property
    def alive(self) -> bool:
        """Whether the process runs just now."""
        child = self._child
        return child is not None and child.poll() is None

    def _enqueued(self, function: str, timeout: float, arguments: dict[str, Any]) -> Future[Any]:
        self.used = time.monotonic()
        message = work.pack({"function": function, **arguments})
        with self._lock:
            if self._closed:
                raise WorkerError("CLOSED", "this was ended", fix="begin anew")
            if self._waiting > self.queue:
                raise Busy("BUSY", "others are being served", fix="try again in a moment")
            self._waiting += 1
            future = self._thread.submit(self._exchange, message, timeout)
        future.add_done_callback(self._left)
        return future

    def _left(self, future: Future[Any]) -> None:
        self.used = time.monotonic()
        with self._lock:
            self._waiting -= 1

    def _exchange(self, message: bytes, timeout: float) -> Any:
        """One question and its answer; in the thread of this worker."""
        child = self._started()
        assert child.stdin is not None and child.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            _end(child)

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            work.send(child.stdin, message)
            answer = work.receive(child.stdout)
        except (OSError, ValueError):
            answer = None
        finally:
            timer.cancel()
        if late.is_set() or not answer or answer[:1] not in b"+-!":
            self._kill()
            raise _lost(late.is_set(), timeout, self._closed)
        return _understood(answer)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._kill()
        with self._lock:
            if self._closed:
                raise WorkerError("CLOSED", "this was ended", fix="begin anew")
            limits = json.dumps(asdict(self.limits)) if self.limits else "{}"
            self._child = subprocess.Popen(
                [sys.executable, "-m", "sparring.app.work", self.module, limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is for the server
                env=_plain_environment() if self.limits else None,
            )
        return self._child

    def _kill(self) -> None:
        """End the process if there is one, and close its pipes."""
        child, self._child = self._child, None
        if child is None:
            return
        _end(child)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _lost(late: bool, timeout: float, closed: bool) -> WorkerError:
    if closed:
        return WorkerError("CLOSED", "this was ended", fix="begin anew")
    if late:
        return WorkerError("SLOW", f"this took more than {timeout:g} seconds and was ended", fix="ask for less")
    return WorkerError("DIED", "the process that computed this died", fix="ask for less, or for something else")


def _understood(answer: bytes) -> Any:
    """What a worker said. It may have been taken over by what it read: nothing it says is trusted to be well formed."""
    try:
        said = work.unpack(answer[1:])
        if answer[:1] == b"+":
            return said
        if answer[:1] == b"-":
            code, what, where, why, fix = (str(part) for part in said)
            raise SparringError(code, what, where=where, why=why, fix=fix)
        name = str(said)
    except (ValueError, KeyError, TypeError):
        name = "an answer that is none"
    raise WorkerError("BUG", f"this is a bug in sparring ({name[:100]})", fix="the terminal of sparring app says more")


def _plain_environment() -> dict[str, str]:
    """What a limited worker knows of its surroundings: no secrets that may stand in the environment."""
    kept = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SYSTEMROOT")
    own = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**own, **{name: os.environ[name] for name in kept if name in os.environ}}


class Workers:
    """The workers of one app: shared ones by name, and own ones for sessions. All end with `close`."""

    def __init__(self) -> None:
        self._named: dict[str, Worker] = {}
        self._own: set[Worker] = set()
        self._lock = threading.Lock()

    def named(self, module: str, *, limits: Limits | None = None) -> Worker:
        """The one worker that all requests about this module share."""
        with self._lock:
            if module not in self._named:
                self._named[module] = Worker(module, limits=limits)
            return self._named[module]

    def own(self, module: str, *, queue: int = QUEUE) -> Worker:
        """A worker of one session; give it to `end` when the session is over."""
        worker = Worker(module, queue=queue)
        with self._lock:
            self._own.add(worker)
        return worker

    def end(self, worker: Worker) -> None:
        with self._lock:
            self._own.discard(worker)
        worker.close()

    async def picture(self, data: bytes) -> bytes:
        """An image that someone uploaded as a PNG of ours (RGB, or RGBA where it is transparent), upright, in sRGB, of
        at most 64 megapixels. It is decoded in a worker that may do little else; `SparringError` for what is no image.
        """
        answer = await self.named("decode", limits=Limits()).call("decode", timeout=30.0, data=data)
        if not isinstance(answer, bytes) or not answer.startswith(b"\x89PNG\r\n\x1a\n"):
            raise WorkerError("BUG", "this is a bug in sparring (no PNG)")
        return answer

    def close(self) -> None:
        with self._lock:
            all_of_them = [*self._named.values(), *self._own]
            self._named, self._own = {}, set()
        for worker in all_of_them:
            worker.close()
