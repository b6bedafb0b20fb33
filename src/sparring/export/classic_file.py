"""Opening a checkpoint that somebody else wrote with ``torch.save``: looked at from outside first, then read by a
process of its own (`unpickle`)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparring.errors import CheckpointError

LARGEST = 2 * 2**30
"""Bytes; the largest generator of the classic repository has 218 MB."""
_READER = Path(__file__).with_name("unpickle.py")
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began until 2020
_SECONDS = 300
_ENTRIES = 40_000


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that ``torch.save`` wrote, float32, by name. `CheckpointError` for anything else; nothing
    in the file is executed."""
    _look(path)
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:
        out = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-P", str(_READER), str(path.resolve()), str(out)]
        try:
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise wrong(path, "reading it took longer than five minutes") from None
        if done.returncode or not out.is_file():
            raise wrong(path, _said(done))
        try:
            return load_file(out)
        except (SafetensorError, OSError) as error:
            raise wrong(path, str(error)) from None


def wrong(path: Path, why: str) -> CheckpointError:
    """The error for a file that cannot be used."""
    return CheckpointError(
        "CLASSIC-FILE", "this cannot be converted", where=str(path), why=why,
        fix="give a generator's checkpoint of the classic repository: latest_net_G.pth, or latest_net_G_A.pth",
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    try:
        return str(json.loads(done.stdout.decode())["why"])
    except (ValueError, KeyError, TypeError):
        pass
    if done.returncode < 0:
        return f"the process that read it was ended (signal {-done.returncode}): it asks for too much"
    return "the process that read it failed"


def _look(path: Path) -> None:
    """What can be said without opening it."""
    try:
        if path.is_dir():
            raise wrong(path, "it is a directory")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_LEGACY))
    except OSError as error:
        raise wrong(path, error.strerror or str(error)) from None
    if size > LARGEST:
        raise wrong(path, f"it has {size:,} bytes, far more than a generator")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        raise wrong(path, "it is a safetensors file; the classic repository writes .pth")
    if head == _LEGACY:
        return
    if not head.startswith(b"PK\x03\x04"):
        raise wrong(path, "no file that torch.save wrote begins like this")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise wrong(path, f"it is damaged or not whole ({error})") from None
    _check(path, entries, size)


def _check(path: Path, entries: list[zipfile.ZipInfo], size: int) -> None:
    """Each name once, nothing packed, and together no larger than the file."""
    if len(entries) > _ENTRIES:
        raise wrong(path, f"it has {len(entries):,} parts")
    twice = [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]
    if twice:
        raise wrong(path, f"it has two parts called {twice[0]!r}")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise wrong(path, f"its part {entry.filename!r} is packed, which torch.save does not do")
    if sum(entry.file_size for entry in entries) > size:
        raise wrong(path, "its parts are larger than the file")
    names = [entry.filename.split("/", 1)[-1] for entry in entries]
    if any(name.startswith("code/") or name == "constants.pkl" for name in names):
        raise wrong(path, "it is a TorchScript program, not a checkpoint")
    if names.count("data.pkl") != 1:
        raise wrong(path, "it is a zip file, but not one that torch.save wrote")
