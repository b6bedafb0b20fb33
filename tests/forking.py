"""Processes without the seconds that importing torch takes: one that has imported everything and computed nothing is
forked for each.

`Forks.python` stands for ``[sys.executable, *words]``: a process of its own, with its own signals, exit code and
environment, in which alone ``import torch`` was done beforehand. In it, ``sys.executable`` is a program that does the
same, so that the launcher and its ranks are forked too. On PATH, `Forks.folder` gives ``sparring`` and ``python``. For
tests whose subject is not the start of Python (tests/cli/test_launch.py and a few others start real ones). Where there
is no Linux, all of them are real ones.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALL = """#!{python} -IS
import json, os, signal, socket, sys
words = {first!r} + sys.argv[1:]
asked = words[: next((i for i, word in enumerate(words) if word in ("-m", "-c") or word[:1] != "-"), None)]
if not set(asked) <= {{"-u", "-P"}}:  # isolated, with warnings, …: that is Python's own start
    os.execv({python!r}, [{python!r}, *words])
numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ignored = [int(number) for number in numbers if signal.getsignal(number) == signal.SIG_IGN]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    said = json.dumps([words, os.getcwd(), dict(os.environ), ignored]).encode()
    socket.send_fds(server, [len(said).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(said)
    for number in numbers:
        if number not in ignored:
            signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
    code = int(server.recv(8) or b"1")
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if code != -9 else None
    os.kill(os.getpid(), -code)
sys.exit(code)
"""

PLAIN = """#!/bin/sh
exec {python} {first} "$@"
"""


class Forks:
    """What a test starts processes with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def python(
        self, *words: object, env: Mapping[str, str] = os.environ, cwd: Path | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """``python *words``, waited for; what it said as text."""
        return subprocess.run(
            self.words(*words), env=dict(env), cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False
        )

    def words(self, *words: object) -> list[str]:
        """The command line for `subprocess.Popen`: signals to it are passed on."""
        return [str(self.folder / "python"), *map(str, words)]


@contextmanager
def forks() -> Iterator[Forks]:
    with tempfile.TemporaryDirectory(prefix="sparring-") as name:  # a short path, which sockets need
        folder, address = Path(name), f"{name}/socket"
        linux = sys.platform == "linux"
        for program, first in (("sparring", ["-m", "sparring"]), ("python", [])):
            plain = PLAIN.format(python=shlex.quote(sys.executable), first=" ".join(first))
            call = CALL.format(python=sys.executable, address=address, first=first)
            (folder / program).write_text(call if linux else plain)
            (folder / program).chmod(0o700)
        if not linux:
            yield Forks(folder)
            return
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen(64)  # whoever calls before all is imported waits
            number = listening.fileno()
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(number), str(folder / "python")], pass_fds=[number]
            )
        try:
            yield Forks(folder)
        finally:
            server.terminate()
            server.wait()


def serve(listening: socket.socket) -> None:
    """Fork for whoever calls. Returns in the process that is to do what was asked for."""
    select.select([listening], [], [])  # nothing is imported until somebody calls
    import sparring

    for module in pkgutil.walk_packages(sparring.__path__, "sparring."):
        with suppress(ImportError):  # of what needs an extra
            importlib.import_module(module.name)
    import torch.distributed.run  # noqa: F401

    gc.collect()
    gc.freeze()  # what is collected later need not look through, and copy, all this
    while True:
        caller, _ = listening.accept()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended
                pass
        if os.fork() == 0:
            listening.close()
            return nurse(caller)
        caller.close()


def nurse(caller: socket.socket) -> None:
    """Fork what is asked for, pass signals on to it, and say how it ended. Returns in the process that does it."""
    head, streams, *_ = socket.recv_fds(caller, 8, 3)
    said, size = b"", int.from_bytes(head, "big")
    while len(said) < size:
        said += caller.recv(size - len(said))  # and no signal that may already be behind it
    words, folder, environment, ignored = json.loads(said)
    child = os.fork()
    if child == 0:
        caller.close()
        listen(ignored)
        return become(words, folder, environment, streams)
    for stream in streams:
        os.close(stream)
    for number in (0, 1, 2):
        os.close(number)
    ended = os.pidfd_open(child)
    while ended not in (ready := select.select([ended, caller], [], [])[0]):
        assert ready
        asked = caller.recv(1)
        os.kill(child, asked[0] if asked else signal.SIGKILL)  # a caller that was killed is killed here as well
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):
        caller.sendall(str(code).encode())
    os._exit(0)


def listen(ignored: Sequence[int]) -> None:
    """Take signals as Python does when it starts, where `ignored` are: the server may have been started with others."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else usual)


def become(words: Sequence[str], folder: str, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    """Set this process up as Python would be for ``python *words``."""
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        at_once = number == 2 or bool(environment.get("PYTHONUNBUFFERED")) or os.isatty(number)
        opened = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
        opened.reconfigure(line_buffering=at_once)
        setattr(sys, name, opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.executable = sys.argv[2]
    sys.argv = ["", *words]


def do() -> None:
    """``python *words``, the words being ``[-u|-P] -m MODULE …``, ``-c CODE …`` or a file."""
    words = sys.argv[1:]
    while words[0] in ("-u", "-P"):
        words = words[1:]
    if words[0] == "-m":
        sys.path.insert(0, os.getcwd())
        for module in (words[1], f"{words[1]}.__main__"):
            sys.modules.pop(module, None)  # else a warning that it was imported before
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *words[2:]]
        exec(words[1], {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(words[0]).parent))
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def end(code: int | str | None) -> None:
    """Leave as Python does, but for taking everything apart, which takes a second where so much is imported."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120
    os._exit(code or 0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        do()
        end(0)
    except SystemExit as left:
        end(left.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        end(130 if isinstance(error, KeyboardInterrupt) else 1)
