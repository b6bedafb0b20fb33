"""What is said when something else goes wrong: what the machine refuses is explained, the rest is a bug of ours."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring.cli.talk import Talk
from sparring.errors import MachineError, SparringError

_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "this place can only be read",
    errno.EACCES: "this may not be read or written",
    errno.EPERM: "this may not be changed",
    errno.ENAMETOOLONG: "this name is too long",
    errno.EMFILE: "too many files are open",
    errno.EIO: "the disk reports an error",
    errno.ENOENT: "this place does not exist, or no longer",
    errno.EEXIST: "there is a file where a directory belongs",
    errno.ENOTDIR: "there is a file where a directory belongs",
    errno.EISDIR: "there is a directory where a file belongs",
    errno.ELOOP: "links lead in a circle",
    errno.ESTALE: "the network drive has lost this file",
}

_DEVICE = ("CUDA error", "CUDA driver", "NVIDIA driver", "no kernel image", "CUDNN_STATUS", "HIP error", "NCCL error")
"""What torch says when the machine's GPU does not work with it."""


def explained(error: BaseException) -> MachineError | None:
    """The error as one of the environment (exit code 5), or None if it is not a known one.

    >>> explained(OSError(errno.ENOSPC, "No space left on device", "runs/a")).code
    'DISK'
    """
    if isinstance(error, OSError) and error.errno in _DISK:
        return MachineError("DISK", _DISK[error.errno], where=str(error.filename or ""), why=str(error.strerror))
    text = str(error)
    memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if memory or "out of memory" in text.lower() or "can't allocate memory" in text or "not enough memory" in text:
        return MachineError(
            "MEMORY",
            "there is not enough memory",
            why=text.splitlines()[0] if text else "",
            fix="a smaller --size, --set batch=…, or --set micro_batches=2 (the same result in less memory)",
        )
    if any(sign in text for sign in _DEVICE) and "device-side assert" not in text:
        return MachineError(
            "DEVICE",
            "the GPU or its driver reports an error",
            why=text.splitlines()[0],
            fix="--device cpu always works; else update the driver, or install the torch that was built for it",
        )
    return None


def record(error: SparringError) -> dict[str, Any]:
    """An error as the last JSON line of a command with --json: for programs, what a person reads on stderr."""
    said = {"code": error.code, "what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
    return {"event": "error", "error": said}


def bug(error: BaseException, arguments: Sequence[str], talk: Talk) -> int:
    """One sentence, and a file with the traceback; returns exit code 1."""
    from sparring import __version__

    lines = [
        f"sparring {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: sparring {shlex.join(arguments)}",
        "",
        *traceback.format_exception(error),
    ]
    kind = type(error).__name__
    try:
        folder = Path(tempfile.gettempdir())
        path = folder / f"sparring-bug-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06d}.txt"
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines))
        where = f"the details are in {path}"
    except OSError:
        where = "\n" + "\n".join(lines)
    first = str(error).splitlines()[0] if str(error) else "no message"
    talk.trouble(f"This is a bug in sparring ({kind}: {first}); {where}{notes(error)}")
    return 1


def notes(error: BaseException) -> str:
    """What was noted on an error on its way, for example the phase of the loop; only of several processes."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return "".join(f"\n  {note}" for note in getattr(error, "__notes__", [])) if several else ""
