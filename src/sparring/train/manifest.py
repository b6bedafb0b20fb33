"""What is in a checkpoint directory, and whether every byte of it is still what was written.

A manifest lists every file with its size and SHA-256. It is canonical JSON (sorted keys, no spaces), so that any
changed byte of it is seen too. Its `checksum` field stays what it is in all future formats: that is how a manifest of
the future is told from a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from sparring.errors import CheckpointError, Diverged
from sparring.train.disk import Disk

Result = TypeVar("Result")

FORMAT = 1
NAME = "manifest.json"
SUFFIX = ".safetensors"
_LITTER = ("Thumbs.db", "desktop.ini")  # with dot files: what file managers leave everywhere
_NEVER_NEGATIVE = ("running_var", "exp_avg_sq")  # PyTorch's names for variances
_FILE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


class Damage(Exception):
    """Why a checkpoint cannot be used: one line that names the file and what is wrong with it."""


class Future(Exception):
    """A sound manifest, written by a later version; the argument is its format number."""


def canonical(value: Any) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, ASCII; floats round-trip exactly.

    Raises TypeError for what would come back as something else (NaN, numbers as keys, NumPy scalars, tensors), naming
    the leaf: a state that changes on its way through the disk would break the resume.

    >>> canonical({"b": 0.1, "a": [1, None]})
    b'{"a":[1,null],"b":0.1}'
    """
    _check_plain(value, "state")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _check_plain(value: Any, where: str) -> None:
    match value:
        case dict():
            for key, below in value.items():
                if type(key) is not str:
                    raise TypeError(f"{where}: the key {key!r} is {type(key).__name__}, and JSON keys are text")
                _check_plain(below, f"{where}.{key}")
        case list() | tuple():
            for index, below in enumerate(value):
                _check_plain(below, f"{where}[{index}]")
        case float() if type(value) is float and not math.isfinite(value):
            raise TypeError(f"{where} is {value}: only finite numbers are saved")
        case _ if value is not None and type(value) not in (str, int, float, bool):
            raise TypeError(f"{where} is a {type(value).__name__}: only plain JSON values are saved in a state")


@dataclass(frozen=True)
class Manifest:
    """run: who wrote it. images: seen until then. healthy: no watch objected. files: name → (bytes, SHA-256 hex)."""

    run: str
    images: int
    healthy: bool
    files: Mapping[str, tuple[int, str]]

    def encode(self) -> bytes:
        body = {
            "format": FORMAT,
            "run": self.run,
            "images": self.images,
            "healthy": self.healthy,
            "files": {name: {"bytes": size, "sha256": sha} for name, (size, sha) in self.files.items()},
        }
        return canonical({**body, "checksum": hashlib.sha256(canonical(body)).hexdigest()})

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The manifest in `data`. Raises Damage (one changed byte is enough) or Future."""
        try:
            body = json.loads(data.decode())
        except (ValueError, RecursionError):
            raise Damage("not JSON") from None
        if not isinstance(body, dict) or "checksum" not in body:
            raise Damage("not a manifest")
        checksum = body.pop("checksum")
        try:
            whole = canonical({**body, "checksum": checksum}) == data
            found = hashlib.sha256(canonical(body)).hexdigest()
        except (TypeError, ValueError):
            raise Damage("not a manifest") from None
        if found != checksum or not whole:
            raise Damage("hash differs (the manifest's own checksum)")
        version = body.get("format")
        if version != FORMAT:
            raise Future(version)
        try:
            files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in body["files"].items()}
            manifest = cls(str(body["run"]), int(body["images"]), bool(body["healthy"]), files)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Damage("not a manifest") from None
        if not all(_FILE.match(name) for name in files):  # a name such as ../../etc/passwd
            raise Damage("not a manifest (a file name that is none)")
        return manifest


# ── one checkpoint directory ──────────────────────────────────────────────────────────────────────────────────────


def verified(disk: Disk, path: Path, images: int, *, deep: bool = False) -> Manifest:
    """The manifest of directory `path` after every file was compared with it. Raises Damage, or CheckpointError for a
    later format. deep: also that the contents parse and the numbers are finite.
    """
    here = path / NAME
    try:
        manifest = Manifest.decode(disk.read(here))
    except Future as future:
        raise CheckpointError(
            "CHECKPOINT-FUTURE",
            f"a later version of sparring wrote this (format {future})",
            where=str(path),
            fix="upgrade: pip install --upgrade sparring",
        ) from None
    except Damage as damage:
        raise Damage(f"{short(here)}: {damage}") from None
    except OSError as error:
        raise Damage(f"{short(here)}: {_trouble(error)}") from None
    if manifest.images != images:
        raise Damage(f"{short(here)}: says {manifest.images} images, its directory's name {images} (renamed)")
    there = {name for name in _guarded(os.listdir, path) if not name.startswith(".")}
    extra = sorted(there - set(manifest.files) - {NAME, *_LITTER})
    if extra:
        raise Damage(f"{short(path / extra[0])}: not in the manifest (copied into the checkpoint)")
    for name in manifest.files:
        if not deep:
            size, sha = _guarded(disk.digest, path / name)
            _compare(size, sha, path / name, manifest)
            continue
        data = sound_bytes(disk, path / name, manifest)
        (parsed if name.endswith(SUFFIX) else json_object)(data, path / name)
    return manifest


def sound_bytes(disk: Disk, path: Path, manifest: Manifest) -> bytes:
    """The bytes of a file, compared with the manifest; what is parsed must be these very bytes."""
    if path.name not in manifest.files:
        raise Damage(f"{short(path)}: missing (the manifest does not know it)")
    data = _guarded(disk.read, path)
    _compare(len(data), hashlib.sha256(data).hexdigest(), path, manifest)
    return data


def _guarded(read: Callable[[Path], Result], path: Path) -> Result:
    try:
        return read(path)
    except OSError as error:
        raise Damage(f"{short(path)}: {_trouble(error)}") from None


def _compare(size: int, sha: str, path: Path, manifest: Manifest) -> None:
    wanted_size, wanted_sha = manifest.files[path.name]
    if size != wanted_size:
        raise Damage(f"{short(path)}: size differs ({size} bytes, the manifest says {wanted_size})")
    if sha != wanted_sha:
        raise Damage(f"{short(path)}: hash differs (SHA-256 {sha[:12]}…, the manifest says {wanted_sha[:12]}…)")


def json_object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        raise Damage(f"{short(path)}: not JSON") from None
    if not isinstance(value, dict):
        raise Damage(f"{short(path)}: not a JSON object")
    return value


def parsed(data: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors in `data`. Raises Damage unless all numbers are finite and no variance is negative."""
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise Damage(f"{short(path)}: not safetensors ({error})") from None
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise Damage(f"{short(path)}: {name!r} holds numbers that are not finite")
        if name.endswith(_NEVER_NEGATIVE) and bool((tensor < 0).any()):
            raise Damage(f"{short(path)}: {name!r} holds negative variances")
    return tensors


def serialised(stem: str, named: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Values in contiguous order whatever their strides; memory shared by several names is written once for each."""
    plain, seen = {}, set()
    for name, tensor in named.items():
        value = tensor.detach().cpu().contiguous()
        if not _finite(value):
            raise Diverged("NUMBERS-NOT-FINITE", f"{stem}: {name!r} is not finite and was not saved")
        if value.untyped_storage().nbytes() != value.nbytes or value.data_ptr() in seen:
            value = value.clone()
        seen.add(value.data_ptr())
        plain[name] = value
    return safetensors.torch.save(plain, dict(metadata) if metadata else None)


def _finite(tensor: Tensor) -> bool:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = torch.aminmax(tensor)  # NaN wins in both; five times faster than isfinite().all()
    return math.isfinite(float(low)) and math.isfinite(float(high))


def short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _trouble(error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    return f"unreadable ({error.strerror or error})"
