"""Weights of judges that are trained elsewhere: found, fetched, and known by their hash before they are read."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from sparring.errors import MachineError

_TIMEOUT = 20.0  # seconds that the other side may be silent
_PIECE = 2**20


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 bytes: the same for the same numbers, in whatever file they came.

    >>> digest({"a": torch.zeros(2)}) == digest({"a": torch.zeros(2, dtype=torch.float64)})
    True
    """
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu", torch.float32).contiguous()
        found.update(f"{name} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Inside, a path beside `file` to write to; what lies there takes its place at the end: all of it or nothing.

    `MachineError`, DISK, where it cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(file)
    except OSError as error:
        raise MachineError(
            "DISK", "the weights cannot be written", where=str(file), why=error.strerror or str(error)
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def fetch(url: str, file: Path, sha256: str) -> None:
    """Put what is at `url` into `file`, once it is known by its hash: all of it or nothing.

    Raises `MachineError`: FEATURES-ABSENT where the address cannot be reached, FEATURES-WEIGHTS where something else is
    there, DISK where it cannot be written.
    """
    found = hashlib.sha256()
    with whole(file) as part:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, part.open("wb") as copy:
                while piece := answer.read(_PIECE):
                    found.update(piece)
                    copy.write(piece)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            why = str(error.reason if isinstance(error, urllib.error.URLError) else error)
            raise MachineError("FEATURES-ABSENT", "the address cannot be reached", where=url, why=why) from error
        if found.hexdigest() != sha256:
            raise MachineError(
                "FEATURES-WEIGHTS", "what is at this address is not what it should be", where=url,
                why=f"SHA-256 {found.hexdigest()[:16]}… instead of {sha256[:16]}…",
            )  # fmt: skip
