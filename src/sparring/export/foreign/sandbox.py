"""Opening a file that another program wrote: a process of its own reads it (`reader`), and hands over numbers alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparring.errors import CheckpointError
from sparring.export.foreign.names import shown

LARGEST = 4 * 2**30
"""Bytes; the largest published snapshots have less than one GiB."""
_READER = Path(__file__).with_name("reader.py")
_SECONDS = 300
_SAID = 2**22
_KEPT = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # what Python itself may need to begin


@dataclass(frozen=True)
class Found:
    """What a file holds. tensors: float32, by name.   called: what the network was called in a snapshot of several, ""
    in a checkpoint of one.   layers: of a network that was pickled whole, path → class and plain attributes."""

    tensors: dict[str, Tensor]
    called: str = ""
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read(path: Path) -> Found:
    """What is in a file, nothing of it executed. `CheckpointError` for files that hold no model that is known here."""
    _look(path)
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:
        out = Path(folder) / "tensors.safetensors"
        places = json.dumps([place for place in sys.path if os.path.isabs(place)])
        command = [sys.executable, "-P", "-I", str(_READER), places, str(path.resolve()), str(out)]
        try:
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
                env={name: os.environ[name] for name in _KEPT if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise wrong(path, "reading it took longer than five minutes") from None
        said = _said(done)
        facts = said.get("facts")
        if done.returncode or not out.is_file() or not isinstance(facts, dict):
            raise wrong(path, str(said.get("why", "what came back is not what was asked for")))
        try:
            tensors = load_file(out)
        except (SafetensorError, OSError) as error:
            raise wrong(path, str(error)) from None
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise wrong(path, "it holds numbers that are not finite")
    return Found(tensors, str(facts.get("as", "")), facts.get("layers", {}))


def wrong(path: Path, why: str, fix: str = "") -> CheckpointError:
    """The error for a file that cannot be used."""
    return CheckpointError(
        "CONVERT-FILE", "this cannot be converted", where=str(path), why=why,
        fix=fix or "give a snapshot of stylegan2-ada-pytorch, stylegan3 (its StyleGAN2) or R3GAN (.pkl), or a "
        "generator's checkpoint of pytorch-CycleGAN-and-pix2pix (latest_net_G.pth)",
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    try:
        said = json.loads(done.stdout[:_SAID])
        return said if isinstance(said, dict) else {}
    except ValueError:
        pass
    if done.returncode < 0:
        return {"why": f"the process that read it was ended (signal {-done.returncode}): it asks for too much"}
    lines = bytes(done.stderr[-2000:]).decode(errors="replace").splitlines() or [""]
    return {"why": f"the process that read it failed ({shown(lines[-1])})"}


def _look(path: Path) -> None:
    """What can be said without opening it."""
    try:
        if path.is_dir():
            raise wrong(path, "it is a directory", "name the file in it")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise wrong(path, error.strerror or str(error)) from None
    if not path.is_file():
        raise wrong(path, "it is no file")
    if not size:
        raise wrong(path, "it is empty", "fetch it again")
    if size > LARGEST:
        raise wrong(path, f"it has {size:,} bytes, far more than a model")
