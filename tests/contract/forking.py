"""The command ``sparring`` without the seconds that importing torch takes: a process that has imported everything and
computed nothing is forked for each command.

What is found as ``sparring`` on PATH hands over its words, directory, environment and standard streams, and ends with
the code that comes back. Only for commands whose start is not what is tested (tests/cli starts real ones).
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CALL = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(said).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(said)
    sys.exit(int(server.recv(8) or b"1"))
"""


@contextmanager
def commands() -> Iterator[Path]:
    """A directory for PATH in which there is such a ``sparring``."""
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:  # a short path, which sockets need
        address, call = f"{folder}/socket", Path(folder) / "sparring"
        call.write_text(CALL.format(python=sys.executable, address=address))
        call.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()  # whoever calls before all is imported waits
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(listening.fileno())], pass_fds=[listening.fileno()]
            )
        try:
            yield Path(folder)
        finally:
            server.kill()
            server.wait()


def serve(listening: socket.socket) -> None:
    """Fork for whoever calls."""
    import sparring

    for module in pkgutil.walk_packages(sparring.__path__, "sparring."):
        with suppress(ImportError):  # of what needs an extra
            importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what is forked
    while True:
        caller, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(run(caller))
        caller.close()


def run(caller: socket.socket) -> int:
    """One command, in the place of its caller."""
    head, streams, *_ = socket.recv_fds(caller, 8, 3)
    with caller.makefile("rb") as said:
        words, folder, environment = json.loads(said.read(int.from_bytes(head, "big")))
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        setattr(sys, name, open(number, "w" if number else "r", buffering=1, encoding="utf-8", closefd=False))  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from sparring.cli import main

    try:
        code = main(words)
        sys.stdout.flush()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    caller.sendall(str(code).encode())
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
