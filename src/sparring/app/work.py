"""The other end of `worker`: ``python -m sparring.app.work MODULE LIMITS`` answers questions until its pipe closes.

A message is eight bytes with its length, a line of JSON, then the bytes that stand in it:
``{"values": …, "bytes": [[name, length], …]}``.
"""

from __future__ import annotations

import json
import os
import select
import struct
import sys
import threading
import traceback
from contextlib import suppress
from typing import IO, Any

from sparring.errors import SparringError

LONGEST = 2**29
"""Bytes of one message; an answer that claims more comes from a process that has gone wrong."""
_LENGTH = struct.Struct(">Q")


def pack(values: Any) -> bytes:
    """A message: bytes, JSON, or a dict whose values are either.

    >>> unpack(pack({"picture": b"PNG", "seed": 3}))
    {'seed': 3, 'picture': b'PNG'}
    """
    parts: list[tuple[str, bytes]] = []
    if isinstance(values, bytes):
        parts, values = [("", values)], None
    elif isinstance(values, dict):
        parts = [(name, value) for name, value in values.items() if isinstance(value, bytes)]
        values = {name: value for name, value in values.items() if not isinstance(value, bytes)}
    head = json.dumps({"values": values, "bytes": [[name, len(data)] for name, data in parts]}, allow_nan=False)
    return b"".join([head.encode(), b"\n", *(data for _, data in parts)])


def unpack(message: bytes) -> Any:
    """What `pack` packed. Raises ValueError for what it did not."""
    line, _, rest = message.partition(b"\n")
    head = json.loads(line)
    values, at = head["values"], 0
    for name, length in head["bytes"]:
        data = rest[at : at + length]
        at += length
        if name == "" and values is None:
            values = data
        else:
            values[name] = data
    if at != len(rest):
        raise ValueError("a message is not as long as it says")
    return values


def send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LONGEST:
        raise ValueError("a message is too long")
    message = stream.read(length)
    return message if len(message) == length else None


def main(module: str, limits: str) -> None:
    """Answer questions about one module of `sparring.app.jobs`, or one with a dotted name of its own."""
    import importlib

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not land among the answers
    questions = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with_the_server, args=(answers.fileno(),), daemon=True).start()
    bounds = json.loads(limits)
    confine(bounds)
    jobs = importlib.import_module(module if "." in module else f"sparring.app.jobs.{module}")
    while (message := receive(questions)) is not None:
        asked = unpack(message)
        _allow_seconds(bounds.get("cpu_seconds"))
        send(answers, _answered(jobs, asked.pop("function"), asked))


def _answered(jobs: Any, function: str, arguments: dict[str, Any]) -> bytes:
    """What a function says, or how it failed."""
    try:
        if function.startswith("_"):
            raise AttributeError(function)
        return b"+" + pack(getattr(jobs, function)(**arguments))
    except SparringError as error:
        return b"-" + pack([error.code, error.what, error.where, error.why, error.fix])
    except MemoryError:
        return b"-" + pack(["MEMORY", "this needs more memory than it may have", "", "", "use a smaller picture"])
    except Exception as error:
        with suppress(OSError):  # its standard error may be a file, and it may not write to files
            traceback.print_exc()
        return b"!" + pack(type(error).__name__)


def _end_with_the_server(pipe: int) -> None:
    """End this process as soon as nobody reads its answers, even in the middle of a computation."""
    poll = select.poll()
    poll.register(pipe, 0)  # POLLERR is always reported: the reader is gone
    poll.poll()
    os._exit(0)


def confine(bounds: dict[str, int]) -> None:
    """Memory, open files and written files of this process, for good."""
    import resource

    if not bounds:
        return
    sizes = {
        resource.RLIMIT_AS: bounds["memory_mib"] * 2**20,
        resource.RLIMIT_NOFILE: bounds["files"],
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "darwin":  # which has no bound of a process's memory that holds
        del sizes[resource.RLIMIT_AS]
    for kind, size in sizes.items():
        resource.setrlimit(kind, (size, size))


def _allow_seconds(seconds: int | None) -> None:
    """So much processor time for the next question; then SIGXCPU ends this process."""
    import resource

    if seconds is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


if __name__ == "__main__":
    main(*sys.argv[1:])
